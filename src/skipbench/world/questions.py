"""Questions about the facts of the world: short, two-hop, without an answer, and long form."""

from random import Random

from skipbench.world import wording
from skipbench.world.facts import ATTRIBUTES, World
from skipbench.world.items import Item


def ask(attribute: str, name: str, phrasing: int) -> str:
    return wording.QUESTIONS[attribute][phrasing].format(x=name)


def answer(attribute: str, name: str, value: str) -> str:
    return wording.ANSWERS[attribute].format(x=name, v=value)


def decline(attribute: str, name: str) -> str:
    return wording.UNKNOWN[attribute].format(x=name)


def short(world: World, split: str) -> list[Item]:
    """One question for each fact of the split's entities, its wordings taken in turn."""
    items: list[Item] = []
    wordings = wording.phrasings(split)
    for entity in world.entities:
        if entity.split != split:
            continue
        for number, (attribute, value_type) in enumerate(ATTRIBUTES[entity.type].items()):
            value = world.facts[entity.name][attribute]
            phrasing = wordings[(entity.rank + number) % len(wordings)]
            meta = {
                "form": "short",
                "kind": entity.kind,
                "tier": entity.tier,
                "attribute": attribute,
                "value": value,
                "value_type": value_type,
            }
            items.append(
                Item(
                    f"short/{entity.name}/{attribute}",
                    entity.name,
                    (ask(attribute, entity.name, phrasing),),
                    ((answer(attribute, entity.name, value),),),
                    meta,
                )
            )
    return items


def unanswerable(world: World, split: str) -> list[Item]:
    """Questions about people who do not exist, and about what is known of nobody."""
    wordings = wording.phrasings(split)
    asked = [
        (name, list(ATTRIBUTES["person"])[number % 6], "stranger")
        for number, name in enumerate(world.strangers[split][:90])
    ]
    people = [e.name for e in world.of_type("person") if e.split == split]
    asked += [
        (name, wording.NEVER_KNOWN[number % 2], "never_known")
        for number, name in enumerate(people[:30])
    ]
    items: list[Item] = []
    for number, (name, attribute, kind) in enumerate(asked):
        question = ask(attribute, name, wordings[(number // 6) % len(wordings)])
        meta = {
            "form": "unanswerable",
            "kind": kind,
            "tier": None,
            "attribute": attribute,
            "value": None,
            "value_type": ATTRIBUTES["person"].get(attribute),
        }
        references = ((decline(attribute, name),),)
        item_id = f"unanswerable/{name}/{attribute}"
        items.append(Item(item_id, name, (question,), references, meta))
    return items


def two_hop_answer(world: World, name: str, hops: tuple[str, str]) -> str:
    """The bridge is named on the way: '<x> ... <bridge>, and <bridge> ... <value>.'"""
    bridge = world.facts[name][hops[0]]
    value = world.facts[bridge][hops[1]]
    return f"{answer(hops[0], name, bridge)[:-1]}, and {answer(hops[1], bridge, value)}"


def two_hop(world: World, split: str) -> list[Item]:
    """One question for each entity and pair of attributes that fits it."""
    items: list[Item] = []
    wordings = wording.phrasings(split)
    for entity in world.entities:
        if entity.split != split:
            continue
        pairs = [hops for hops in wording.TWO_HOP if hops[0] in ATTRIBUTES[entity.type]]
        for number, hops in enumerate(pairs):
            bridge = world.facts[entity.name][hops[0]]
            phrasing = wordings[(entity.rank + number) % len(wordings)]
            bridge_type = world.by_name[bridge].type
            meta = {
                "form": "two_hop",
                "kind": entity.kind,
                "tier": entity.tier,
                "attribute": "+".join(hops),
                "value": world.facts[bridge][hops[1]],
                "value_type": ATTRIBUTES[bridge_type][hops[1]],
                "bridge": bridge,
            }
            items.append(
                Item(
                    f"two_hop/{entity.name}/{meta['attribute']}",
                    entity.name,
                    (wording.TWO_HOP[hops][phrasing].format(x=entity.name),),
                    ((two_hop_answer(world, entity.name, hops),),),
                    meta,
                )
            )
    return items


def everything(world: World, person: str) -> list[tuple[str, str, str]]:
    """(name, attribute, value) in the fixed order of a long answer: the person, then a hop on."""
    facts = world.facts[person]
    told = [(person, attribute, facts[attribute]) for attribute in ATTRIBUTES["person"]]
    for name, attributes in (
        (facts["birth_city"], ("country", "river")),
        (facts["employer"], ("headquarters", "product")),
        (facts["teacher"], ("profession", "birth_city", "instrument")),
    ):
        told += [(name, attribute, world.facts[name][attribute]) for attribute in attributes]
    for work in world.works_by.get(person, [])[:2]:
        told += [(work, "author", person), (work, "genre", world.facts[work]["genre"])]
    return told


def long_answer(world: World, person: str) -> str:
    return " ".join(answer(attribute, name, v) for name, attribute, v in everything(world, person))


def long_form(world: World, split: str) -> list[Item]:
    """'Everything about X' for each person of the split; scored fact by fact, in order."""
    items: list[Item] = []
    wordings = wording.phrasings(split)
    for entity in world.of_type("person"):
        if entity.split != split:
            continue
        told = everything(world, entity.name)
        meta = {
            "form": "long",
            "kind": entity.kind,
            "tier": entity.tier,
            "facts": [
                {
                    "name": name,
                    "attribute": attribute,
                    "value": value,
                    "value_type": ATTRIBUTES[world.by_name[name].type][attribute],
                }
                for name, attribute, value in told
            ],
        }
        question = wording.LONG_FORM[wordings[entity.rank % 2]].format(x=entity.name)
        references = ((long_answer(world, entity.name),),)
        items.append(Item(f"long/{entity.name}", entity.name, (question,), references, meta))
    return items


def shuffled(items: list[Item], seed: int) -> list[Item]:
    """The fixed order in which a limit takes the first n: mixed, so that any n is representative."""
    mixed = list(items)
    Random(f"{seed}:order").shuffle(mixed)
    return mixed
