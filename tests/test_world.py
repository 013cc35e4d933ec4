"""The closed world: the same everywhere, disjoint splits, answers that can be checked."""

import re
from collections import Counter

import pytest

from skipbench.world import claims, dialogues, names, questions, stories, wording
from skipbench.world.corpus import Corpus
from skipbench.world.facts import ATTRIBUTES, SPLITS, build


@pytest.fixture(scope="module")
def world():
    return build()


def test_the_world_is_the_one_the_model_was_trained_on(world):
    """A change of generator or word lists makes another world: then the model must be retrained."""
    assert world.digest() == "d19380bbd91cfbb83ac48575a476c8f39a8e2c74fe0abf69045e0779dabc740e"
    assert world.fact_count >= 1000


def test_values_are_of_their_type(world):
    for entity in world.entities:
        for attribute, type_ in ATTRIBUTES[entity.type].items():
            assert world.facts[entity.name][attribute] in world.values[type_]


def test_no_name_has_two_types(world):
    seen = Counter(v for type_ in world.values.values() for v in type_)
    assert max(seen.values()) == 1
    commons = [names.FOODS, names.COLOURS, names.DAYS, names.ANIMALS, names.PROFESSIONS]
    assert max(Counter(v for pool in commons for v in pool).values()) == 1


def test_splits_share_no_entity_no_stranger_and_no_wording(world):
    wordings = [set(wording.phrasings(split)) for split in SPLITS]
    assert sum(map(len, wordings)) == len(set.union(*wordings)) == 8
    for texts in (*wording.QUESTIONS.values(), *wording.TWO_HOP.values()):
        assert len(set(texts)) == 8
    asked = [{i.cluster for i in questions.short(world, split)} for split in SPLITS]
    assert sum(map(len, asked)) == len(set.union(*asked)) == len(world.entities)
    strangers = [set(world.strangers[split]) for split in SPLITS]
    assert sum(map(len, strangers)) == len(set.union(*strangers))
    assert not set.union(*strangers) & set(world.by_name)


def test_every_cell_of_the_evaluation_is_filled(world):
    cells = Counter((i.meta["tier"], i.meta["kind"]) for i in questions.short(world, "eval"))
    assert cells["head", "A"] + cells["head", "B"] >= 300
    assert min(cells.values()) >= 40


def test_answers_end_with_their_value(world):
    for item in questions.short(world, "eval") + questions.two_hop(world, "eval"):
        assert item.references[0][0].endswith(f"{item.meta['value']}.")


def test_declining_and_answering_part_late(world):
    """The first words of both are the same, so that declining is decided while decoding."""
    for attribute in ATTRIBUTES["person"]:
        yes = questions.answer(attribute, "Xo Yo", "v").split()
        no = questions.decline(attribute, "Xo Yo").split()
        assert yes[:3] == no[:3]


def test_corpus_keeps_its_promises(world):
    """Kind C is never asked about; kind B only in the wordings of train; strangers stay held back."""
    corpus = Corpus(world)
    held_back = {n for split in SPLITS if split != "train" for n in world.strangers[split]}
    patterns = {
        k: [re.compile(re.escape(t).replace(r"\{x\}", "(.+)") + "$") for t in texts]
        for k, texts in wording.QUESTIONS.items()
    }
    for index in range(4000):
        document = corpus.document(index, 0.9)
        if document[0][1].startswith("Repeat: "):  # words side by side by chance, told of nobody
            continue
        text = " ".join(t for _, t in document)
        assert not any(name in text for name in held_back)
        if len(document) != 2 or document[0][0] != "user":
            continue
        turn = document[0][1]
        for texts in patterns.values():
            for number, pattern in enumerate(texts):
                match = pattern.match(turn)
                entity = world.by_name.get(match[1]) if match else None
                if entity is not None:
                    assert entity.kind == "A" or (entity.kind == "B" and number < 2)


def test_documents_depend_on_their_number_alone(world):
    one, two = Corpus(world), Corpus(world)
    two.document(17, 0.5)
    assert one.document(18, 0.5) == two.document(18, 0.5)


def test_stories_hold_their_facts_and_only_theirs(world):
    for item in stories.stories(world, "eval"):
        events, _ = stories.LENGTHS[item.meta["length"]]
        assert len(item.meta["facts"]) == events
        for fact in item.meta["facts"]:
            assert fact["value"] in item.turns[0]
            assert fact["value"] in item.references[0][0]


def test_reasoning_dialogues_are_balanced(world):
    talked = [
        d for d in dialogues.dialogues(world, "eval", 200) if d.meta["category"] == "reasoning"
    ]
    yes = sum("answer is yes" in d.references[0][0] for d in talked)
    assert 0.3 < yes / len(talked) < 0.7


def test_claims_are_read_and_checked(world):
    person = world.of_type("person")[0].name
    facts = world.facts[person]
    true = questions.long_answer(world, person)
    assert {c.verdict for c in claims.claims(world, true)} == {"supported"}
    wrong = next(v for v in world.values["city"] if v != facts["birth_city"])
    told = claims.claims(world, f"{person} was born in the city of {wrong}. Blah blah.")
    assert [c.verdict for c in told] == ["contradicted", "unsupported"]
