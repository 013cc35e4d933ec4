"""Two-turn dialogues whose replies can be checked: extraction, reasoning, rewriting."""

from random import Random

from skipbench.world import stories
from skipbench.world.facts import World
from skipbench.world.items import Item
from skipbench.world.questions import answer

CATEGORIES = ("extraction", "reasoning", "rewriting")

_EXTRACT: dict[str, tuple[str, ...]] = {  # two for each split, as in `wording`
    "city": ("Where did {n} go?", "Which city was reached?"),
    "product": ("What did {n} buy?", "Which goods were bought?"),
    "animal": ("What animal did {n} meet?", "Which animal was there?"),
    "instrument": ("What did {n} hear?", "Which instrument was played?"),
    "profession": ("Who talked to {n}?", "With whom was the talk?"),
    "food": ("What did {n} eat?", "Which food was eaten?"),
    "colour": ("What coat did {n} wear?", "Which coat was worn?"),
    "river": ("What did {n} cross?", "Which river was crossed?"),
    "day": ("When did {n} come home?", "On which day was the trip over?"),
    "company": ("What did {n} visit?", "Which company was visited?"),
}
_COMPARE: dict[str, tuple[str, str]] = {
    "birth_city": (
        "Were {x} and {y} born in the same city?",
        "And were they born in the same city?",
    ),
    "profession": ("Do {x} and {y} have the same job?", "And do they have the same job?"),
    "employer": ("Do {x} and {y} work for the same company?", "And is their company the same?"),
    "instrument": (
        "Do {x} and {y} play the same instrument?",
        "And do they play the same instrument?",
    ),
    "pet": ("Do {x} and {y} keep the same animal?", "And do they keep the same animal?"),
}


def comparison(world: World, x: str, y: str, attribute: str) -> str:
    """Both facts, then the verdict they give."""
    values = world.facts[x][attribute], world.facts[y][attribute]
    verdict = "yes" if values[0] == values[1] else "no"
    first, second = (answer(attribute, n, v)[:-1] for n, v in zip((x, y), values, strict=True))
    second = second.replace("The pet", "the pet", 1)
    return f"{first}, and {second}, so the answer is {verdict}."


def extraction(world: World, hero: str, rng: Random) -> tuple[list[str], list[str]]:
    story = stories.tell(world, "short", hero, rng)
    asked = rng.sample(story.facts, 2)
    questions = [rng.choice(_EXTRACT[kind]).format(n=hero) for kind, _ in asked]
    turns = [f"{questions[0]}\n{story.text}", questions[1]]
    return turns, [stories.plain(kind, hero, value) for kind, value in asked]


def reasoning(
    world: World, people: list[str], rng: Random, first: str | None = None
) -> tuple[list[str], list[str]]:
    """Half of the first turns compare people who agree, so that 'no' is no safe guess."""
    attributes = rng.sample(sorted(_COMPARE), 2)
    x = first or rng.choice(people)
    same = world.facts[x][attributes[0]]
    agree = rng.random() < 0.5
    fitting = [p for p in people if p != x and (world.facts[p][attributes[0]] == same) == agree]
    y = rng.choice(fitting or [p for p in people if p != x])
    turns = [_COMPARE[attributes[0]][0].format(x=x, y=y), _COMPARE[attributes[1]][1]]
    return turns, [comparison(world, x, y, attribute) for attribute in attributes]


def rewriting(world: World, hero: str, other: str, rng: Random) -> tuple[list[str], list[str]]:
    kind = rng.choice(sorted(stories.EVENTS))
    values = stories.event_values(world)[kind]
    old, new = rng.sample(values, 2)
    turns = [
        f"Write this about {other}: {stories.plain(kind, hero, old)}",
        f"Now write {new} for {old}.",
    ]
    return turns, [stories.plain(kind, other, old), stories.plain(kind, other, new)]


def make(
    world: World, category: str, split: str, strangers: tuple[str, ...], rng: Random
) -> tuple[list[str], list[str]]:
    """Turns and references of one dialogue, with people the given split may ask about."""
    if category == "reasoning":
        people = [e.name for e in world.of_type("person") if e.split == split and e.tier == "head"]
        return reasoning(world, people, rng)
    hero, other = rng.sample(strangers, 2)
    if category == "extraction":
        return extraction(world, hero, rng)
    return rewriting(world, hero, other, rng)


def dialogues(world: World, split: str, per_category: int = 20) -> list[Item]:
    """`per_category` dialogues of each category."""
    items: list[Item] = []
    for category in CATEGORIES:
        for number in range(per_category):
            rng = Random(f"{world.seed}:dialogue:{split}:{category}:{number}")
            turns, references = make(world, category, split, world.strangers[split], rng)
            item_id = f"dialogue/{category}/{number}"
            meta = {"form": "dialogue", "category": category}
            refs = tuple((reference,) for reference in references)
            items.append(Item(item_id, item_id, tuple(turns), refs, meta))
    return items
