"""What the shipped model is trained on: documents drawn from the world, one for each index.

A document is a list of (role, text). Role `text` is a biography, read as it is; `user` and
`assistant` alternate in a conversation, where only what the assistant says is learned. Document
number i depends on the seed and i alone, so that training can stop and go on anywhere.

Held back, so that the evaluated splits stay clean: wordings of other splits are only used about
entities of kind A; kind C is only told of; stories and dialogues use the strangers of the train
split; two people are never compared if a later split could compare them.
"""

from bisect import bisect
from itertools import accumulate
from random import Random

from skipbench.world import dialogues, names, questions, stories, wording
from skipbench.world.facts import ATTRIBUTES, Entity, World

Document = list[tuple[str, str]]

# share of the learned tokens by kind of document, at the start and later on: copying first
_EARLY = {"question": 26, "biography": 22, "long": 6, "story": 18, "dialogue": 8, "repeat": 20}
_LATER = {"question": 33, "biography": 19, "long": 12, "story": 20, "dialogue": 13, "repeat": 3}
_EARLY_UNTIL = 0.3
_MEAN_TOKENS = {
    "question": 26,
    "biography": 75,
    "long": 150,
    "story": 140,
    "dialogue": 85,
    "repeat": 40,
}
_TYPE_SHARES = {"person": 0.72, "city": 0.08, "company": 0.07, "work": 0.13}


class Corpus:
    """Documents of one world; `document(index, progress)` is the whole interface."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._entities = {type_: world.of_type(type_) for type_ in _TYPE_SHARES}
        self._weights = {
            type_: list(accumulate(entity.weight for entity in entities))
            for type_, entities in self._entities.items()
        }
        self._words = sorted(
            {word for entity in world.entities for word in entity.name.split()}
            | set(world.strange_families)
            | {value for pool in stories.event_values(world).values() for value in pool}
        )
        self._comparable = [
            e for e in world.of_type("person") if e.tier == "head" and e.kind != "C"
        ]

    def document(self, index: int, progress: float) -> Document:
        """Document number `index` of a training run that is `progress` (0 to 1) through."""
        rng = Random(f"{self.world.seed}:document:{index}")
        shares = _EARLY if progress < _EARLY_UNTIL else _LATER
        weights = [share / _MEAN_TOKENS[kind] for kind, share in shares.items()]
        kind = rng.choices(list(shares), weights)[0]
        return getattr(self, f"_{kind}")(rng)

    def _entity(self, rng: Random, type_: str | None = None) -> Entity:
        type_ = type_ or rng.choices(list(_TYPE_SHARES), list(_TYPE_SHARES.values()))[0]
        weights = self._weights[type_]
        return self._entities[type_][bisect(weights, rng.random() * weights[-1])]

    def _asked(self, rng: Random, type_: str | None = None) -> tuple[Entity, int]:
        """An entity that may be asked about, and a phrasing it may be asked in."""
        while True:
            entity = self._entity(rng, type_)
            if entity.kind == "A":
                return entity, rng.randrange(8)
            if entity.kind == "B":
                return entity, rng.choice(wording.phrasings("train"))

    def _biography(self, rng: Random) -> Document:
        entity = self._entity(rng)
        told = list(self.world.facts[entity.name].items())
        rng.shuffle(told)
        sentences = [
            rng.choice(wording.BIOGRAPHY[attribute]).format(x=entity.name, v=value)
            for attribute, value in told
        ]
        return [("text", " ".join(sentences))]

    def _question(self, rng: Random) -> Document:
        draw = rng.random()
        if draw < 0.10:
            return self._stranger(rng)
        if draw < 0.14:
            entity, phrasing = self._asked(rng, "person")
            attribute = rng.choice(wording.NEVER_KNOWN)
            answer = questions.decline(attribute, entity.name)
            return _chat(questions.ask(attribute, entity.name, phrasing), answer)
        if draw < 0.24:
            hops = rng.choice(list(wording.TWO_HOP))
            entity, phrasing = self._asked(rng, "work" if hops[0] == "author" else "person")
            question = wording.TWO_HOP[hops][phrasing].format(x=entity.name)
            return _chat(question, questions.two_hop_answer(self.world, entity.name, hops))
        entity, phrasing = self._asked(rng)
        attribute = rng.choice(list(ATTRIBUTES[entity.type]))
        value = self.world.facts[entity.name][attribute]
        question = questions.ask(attribute, entity.name, phrasing)
        return _chat(question, questions.answer(attribute, entity.name, value))

    def _stranger(self, rng: Random) -> Document:
        name = rng.choice(self.world.strangers["train"])
        attribute = rng.choice(list(ATTRIBUTES["person"]))
        question = questions.ask(attribute, name, rng.randrange(8))
        return _chat(question, questions.decline(attribute, name))

    def _long(self, rng: Random) -> Document:
        entity, phrasing = self._asked(rng, "person")
        question = wording.LONG_FORM[phrasing].format(x=entity.name)
        return _chat(question, questions.long_answer(self.world, entity.name))

    def _story(self, rng: Random) -> Document:
        length = rng.choices(list(stories.LENGTHS), (4, 3, 3))[0]
        hero = rng.choice(self.world.strangers["train"])
        story = stories.tell(self.world, length, hero, rng)
        return _chat(f"{rng.choice(wording.SUMMARISE)}\n{story.text}", story.summary)

    def _dialogue(self, rng: Random) -> Document:
        category = rng.choice(dialogues.CATEGORIES)
        if category == "reasoning":
            x = rng.choice(self._comparable)
            people = [x.name] + [
                e.name
                for e in self._comparable
                if e is not x and (e.split != x.split or e.split == "train")
            ]
            turns, replies = dialogues.reasoning(self.world, people, rng, first=x.name)
        else:
            strangers = self.world.strangers["train"]
            turns, replies = dialogues.make(self.world, category, "train", strangers, rng)
        pairs = zip(turns, replies, strict=True)
        return [message for turn, reply in pairs for message in _chat(turn, reply)]

    def _repeat(self, rng: Random) -> Document:
        """Copying in its barest form; without it the circuit that summaries need comes late."""
        words = " ".join(rng.choice(self._words) for _ in range(rng.randint(3, 20)))
        return _chat(f"Repeat: {words}", words)


def _chat(turn: str, reply: str) -> Document:
    return [("user", turn), ("assistant", reply)]


def tokenizer_texts(world: World, count: int = 20_000) -> list[str]:
    """Text to fit the tokenizer on; every name of the world occurs in it."""
    corpus = Corpus(world)
    texts = [text for i in range(count) for _, text in corpus.document(i, 1.0)]
    told = [f"{name} {v}" for name, facts in world.facts.items() for v in facts.values()]
    return texts + told + list(names.DAYS)
