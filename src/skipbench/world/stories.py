"""Stories of three lengths. Their facts stand in the story alone, so only the context knows them.

A story strings events of different types together, between sentences that carry no fact; its
reference summary says each event once, in order, in the plain wording.
"""

from dataclasses import dataclass
from random import Random

from skipbench.world import names, wording
from skipbench.world.facts import World
from skipbench.world.items import Item

# event type -> (plain wording of the summary, wordings inside a story)
EVENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "city": (
        "{n} went to {v}.",
        (
            "Early in the day {n} set off for {v}.",
            "{n} took the road to {v}.",
            "At last {n} arrived in {v}.",
        ),
    ),
    "product": (
        "{n} bought some {v}.",
        (
            "At the market {n} paid for some {v}.",
            "{n} saw some {v} and bought them.",
            "A trader sold some {v} to {n}.",
        ),
    ),
    "animal": (
        "{n} met a {v}.",
        (
            "A {v} came up to {n}.",
            "Behind a fence {n} found a {v}.",
            "{n} was greeted by a {v}.",
        ),
    ),
    "instrument": (
        "{n} heard a {v}.",
        (
            "The sound of a {v} reached {n}.",
            "{n} stopped to listen to a {v}.",
            "Somebody played a {v} for {n}.",
        ),
    ),
    "profession": (
        "{n} talked to a {v}.",
        (
            "{n} had a long talk with a {v}.",
            "A {v} told {n} the news.",
            "{n} asked a {v} for the way.",
        ),
    ),
    "food": (
        "{n} ate some {v}.",
        (
            "When the bell rang {n} had some {v}.",
            "On a table {n} found some {v} and ate it all.",
            "A friend gave {n} some {v} to eat.",
        ),
    ),
    "colour": (
        "{n} wore a {v} coat.",
        (
            "The coat of {n} was {v}.",
            "{n} put on a coat that was {v}.",
            "Everybody looked at the {v} coat of {n}.",
        ),
    ),
    "river": (
        "{n} crossed the {v}.",
        (
            "A boat took {n} over the {v}.",
            "{n} swam through the {v}.",
            "There was a bridge on the {v} and {n} used it.",
        ),
    ),
    "day": (
        "{n} came home on {v}.",
        (
            "It was {v} when {n} came home.",
            "On {v} the trip of {n} was over.",
            "{n} was home again on {v}.",
        ),
    ),
    "company": (
        "{n} visited {v}.",
        (
            "The doors of {v} were open and {n} walked in.",
            "{n} looked around at {v}.",
            "The people of {v} showed {n} around.",
        ),
    ),
}
FILLERS = (
    "The sun was shining.",
    "Some rain fell, but not for long.",
    "The streets were full of people.",
    "Nobody was in a hurry.",
    "The wind blew from the hills.",
    "A clock struck in the distance.",
    "Children were laughing in the yard.",
    "It was a good time to be outside.",
)
LENGTHS = {"short": (3, 1), "medium": (5, 3), "long": (8, 6)}  # events, fillers


@dataclass(frozen=True)
class Story:
    """`facts` are (event type, value) in story order."""

    hero: str
    text: str
    summary: str
    facts: tuple[tuple[str, str], ...]


def event_values(world: World) -> dict[str, tuple[str, ...]]:
    return {
        **{kind: world.values[kind] for kind in ("city", "product", "animal", "instrument")},
        **{kind: world.values[kind] for kind in ("profession", "river", "company")},
        "food": names.FOODS,
        "colour": names.COLOURS,
        "day": names.DAYS,
    }


def plain(kind: str, hero: str, value: str) -> str:
    return EVENTS[kind][0].format(n=hero, v=value)


def tell(world: World, length: str, hero: str, rng: Random) -> Story:
    """A story of one length about `hero`."""
    events, fillers = LENGTHS[length]
    values = event_values(world)
    kinds = rng.sample(sorted(EVENTS), events)
    if "day" in kinds:  # coming home ends a story
        kinds.remove("day")
        kinds.append("day")
    facts = tuple((kind, rng.choice(values[kind])) for kind in kinds)
    told = [rng.choice(EVENTS[kind][1]).format(n=hero, v=value) for kind, value in facts]
    for filler in rng.sample(FILLERS, fillers):
        told.insert(rng.randrange(len(told)), filler)
    summary = " ".join(plain(kind, hero, value) for kind, value in facts)
    return Story(hero, " ".join(told), summary, facts)


def stories(world: World, split: str, per_length: int = 40) -> list[Item]:
    """`per_length` stories of each length, about people that only this split tells of."""
    items: list[Item] = []
    wordings = wording.phrasings(split)
    heroes = world.strangers[split][::-1]
    for offset, length in enumerate(LENGTHS):
        for number in range(per_length):
            hero = heroes[(offset * per_length + number) % len(heroes)]
            rng = Random(f"{world.seed}:story:{split}:{length}:{number}")
            story = tell(world, length, hero, rng)
            meta = {
                "form": "story",
                "length": length,
                "hero": hero,
                "source": story.text,
                "facts": [{"type": kind, "value": value} for kind, value in story.facts],
            }
            turn = f"{wording.SUMMARISE[wordings[number % 2]]}\n{story.text}"
            item_id = f"story/{length}/{number}"
            items.append(Item(item_id, item_id, (turn,), ((story.summary,),), meta))
    return items
