"""The entities of the closed world, their facts, tiers, kinds and splits.

Four entity types with typed attributes. Every entity belongs to one split (whose questions may
ask about it), one tier (head: written about often; tail: rarely) and one kind:

* A: the training corpus asks about it in every phrasing,
* B: the corpus asks in the phrasings of the train split alone,
* C: the corpus never asks, it only tells (biographies).
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random

from skipbench.world import names

SEED = 11
SPLITS = ("train", "calibration", "eval", "sealed")
_SPLIT_SHARES = (0.35, 0.15, 0.30, 0.20)
_KIND_SHARES = {"A": 0.45, "B": 0.40, "C": 0.15}
_HEAD_SHARE = 0.6
_COUNTS = {"person": 480, "city": 60, "company": 48, "work": 100}

# attribute -> type of its values, by entity type
ATTRIBUTES: dict[str, dict[str, str]] = {
    "person": {
        "birth_city": "city",
        "profession": "profession",
        "employer": "company",
        "instrument": "instrument",
        "pet": "animal",
        "teacher": "person",
    },
    "city": {"country": "country", "river": "river"},
    "company": {"headquarters": "city", "product": "product"},
    "work": {"author": "person", "genre": "genre", "setting": "city"},
}


@dataclass(frozen=True)
class Entity:
    """One person, city, company or work; `rank` orders its type by how often it is written about."""

    name: str
    type: str
    split: str
    tier: str
    kind: str
    rank: int

    @property
    def weight(self) -> float:
        """Relative frequency in the corpus: Zipf in the rank, with a gap below the head."""
        return (1.0 if self.tier == "head" else 0.35) / (self.rank + 100)


@dataclass(frozen=True)
class World:
    """All entities and facts. `facts[name][attribute]` is a value's name."""

    seed: int
    entities: tuple[Entity, ...]
    facts: dict[str, dict[str, str]]
    values: dict[str, tuple[str, ...]]
    first_names: tuple[str, ...]
    strange_families: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, Entity]:
        return {entity.name: entity for entity in self.entities}

    def of_type(self, type_: str) -> list[Entity]:
        return [entity for entity in self.entities if entity.type == type_]

    @cached_property
    def works_by(self) -> dict[str, list[str]]:
        """Author's name -> names of the works, in alphabetical order."""
        works: dict[str, list[str]] = {}
        for work in sorted(entity.name for entity in self.of_type("work")):
            works.setdefault(self.facts[work]["author"], []).append(work)
        return works

    @cached_property
    def strangers(self) -> dict[str, tuple[str, ...]]:
        """Names of people who are not in the world, by split.

        First names as everybody has them, but of families of which the world knows nobody: that is
        how a stranger is told from somebody of whom little is known.
        """
        unknown = [f"{a} {b}" for a in self.first_names for b in self.strange_families]
        Random(f"{self.seed}:strangers").shuffle(unknown)
        held_out = {"calibration": 80, "eval": 200, "sealed": 150}
        pools: dict[str, tuple[str, ...]] = {}
        for split, count in held_out.items():
            pools[split], unknown = tuple(unknown[:count]), unknown[count:]
        pools["train"] = tuple(unknown)
        return pools

    @property
    def fact_count(self) -> int:
        return sum(len(facts) for facts in self.facts.values())

    def digest(self) -> str:
        """SHA-256 of all entities and facts: two worlds with one digest ask the same questions."""
        lines = [f"{e.name}|{e.type}|{e.split}|{e.tier}|{e.kind}|{e.rank}" for e in self.entities]
        lines += [f"{n}|{a}|{v}" for n, facts in self.facts.items() for a, v in facts.items()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _deal(shares: dict[str, float], count: int, rng: Random) -> list[str]:
    """`count` labels in the given shares, shuffled; exact to rounding, never by chance."""
    labels: list[str] = []
    total = 0.0
    for label, share in shares.items():
        total += share
        labels += [label] * (round(total * count) - len(labels))
    rng.shuffle(labels)
    return labels


def _entities(type_: str, entity_names: list[str], seed: int) -> list[Entity]:
    """Ranks in order; splits and kinds dealt within each tier, so that every cell is filled."""
    head = round(len(entity_names) * _HEAD_SHARE)
    made: list[Entity] = []
    for tier, part in (("head", entity_names[:head]), ("tail", entity_names[head:])):
        rng = Random(f"{seed}:{type_}:{tier}")
        splits = _deal(dict(zip(SPLITS, _SPLIT_SHARES, strict=True)), len(part), rng)
        kinds: dict[str, list[str]] = {
            split: _deal(_KIND_SHARES, splits.count(split), rng) for split in SPLITS
        }
        for name, split in zip(part, splits, strict=True):
            made.append(Entity(name, type_, split, tier, kinds[split].pop(), len(made)))
    return made


@lru_cache(maxsize=4)
def build(seed: int = SEED) -> World:
    """The world of one seed; the same on every machine."""
    rng = Random(f"{seed}:names")
    taken: set[str] = set()
    first = names.invented("first", 48, rng, taken)
    last = names.invented("last", 64, rng, taken)
    people = [f"{a} {b}" for a in first for b in last]
    rng.shuffle(people)
    proper = {
        kind: names.invented(kind, count, rng, taken)
        for kind, count in (("city", 60), ("country", 12), ("river", 30), ("company", 48))
    }
    strange = names.invented("last", 20, rng, taken)
    works = [f"The {name}" for name in names.invented("work", _COUNTS["work"], rng, taken)]
    entity_names = {
        "person": people[: _COUNTS["person"]],
        "city": list(proper["city"]),
        "company": list(proper["company"]),
        "work": works,
    }
    entities = [e for type_, chosen in entity_names.items() for e in _entities(type_, chosen, seed)]
    values = {
        "person": tuple(entity_names["person"]),
        **proper,
        "profession": names.PROFESSIONS,
        "instrument": names.INSTRUMENTS,
        "animal": names.ANIMALS,
        "product": names.PRODUCTS,
        "genre": names.GENRES,
    }
    facts: dict[str, dict[str, str]] = {}
    for entity in entities:
        draw = Random(f"{seed}:facts:{entity.name}")
        facts[entity.name] = {
            attribute: draw.choice([v for v in values[type_] if v != entity.name])
            for attribute, type_ in ATTRIBUTES[entity.type].items()
        }
    return World(seed, tuple(entities), facts, values, first, strange)
