"""Texts that invite false alarms, and planted collapse, for the detectors."""

import json
import os
from pathlib import Path
from random import Random

from skipbench.world import questions, stories
from skipbench.world.facts import build

_WORDS = (
    "river stone light window market garden answer simple morning number question letter reason "
    "school winter summer system process water energy value result method person group example "
    "house street paper music story travel island mountain forest bridge engine planet history"
).split()


def _sentence(rng: Random, low=5, high=14) -> str:
    words = [rng.choice(_WORDS) for _ in range(rng.randint(low, high))]
    glue = ["the", "of", "and", "a", "in", "to", "is", "with", "for", "that"]
    mixed = [w if rng.random() < 0.6 else f"{rng.choice(glue)} {w}" for w in words]
    return " ".join(mixed).capitalize() + "."


def _list(rng: Random) -> str:
    mark = rng.choice(["-", "*", "{n}.", "Step {n}:"])
    return "\n".join(
        f"{mark.format(n=i)} {_sentence(rng, 1, 5)}" for i in range(1, rng.randint(5, 20))
    )


def _table(rng: Random) -> str:
    columns = rng.randint(2, 5)
    rows = ["| " + " | ".join(rng.choice(_WORDS) for _ in range(columns)) + " |"]
    rows.append("| " + " | ".join(["---"] * columns) + " |")
    for _ in range(rng.randint(2, 10)):
        rows.append("| " + " | ".join(str(rng.randint(0, 9)) for _ in range(columns)) + " |")
    return "Here is the table you asked for:\n\n" + "\n".join(rows)


def _code(rng: Random) -> str:
    lines = ["Here is the code:", "```python"]
    for _ in range(rng.randint(2, 6)):
        a, b = rng.sample(_WORDS, 2)
        lines += [f"def {a}_{b}(x):", f"    for i in range({rng.randint(2, 90)}):",
                  f"        x = x + {b}[i]", "    return x", ""]  # fmt: skip
    lines.append(f"grid = [{', '.join(['0'] * rng.randint(3, 9))}]")
    closers = ["}", "}", "}"] if rng.random() < 0.5 else []
    return "\n".join([*lines, *closers, "```", _sentence(rng)])


def _poem(rng: Random) -> str:
    refrain = _sentence(rng, 3, 6)
    verses = []
    for _ in range(rng.randint(2, 5)):
        verses += [_sentence(rng, 4, 7) for _ in range(3)] + [refrain, ""]
    chant = rng.choice(_WORDS)
    return f"{chant} {chant} {chant}, said the {rng.choice(_WORDS)}\n" + "\n".join(verses)


def _prose(rng: Random) -> str:
    return " ".join(_sentence(rng) for _ in range(rng.randint(2, 25)))


def inviting(seed: int, count: int) -> list[str]:
    """Ordinary texts of the kinds that look repetitive; FastChat's references where they are."""
    rng = Random(f"inviting:{seed}")
    makers = (_list, _table, _code, _poem, _prose)
    texts = [makers[i % len(makers)](rng) for i in range(count)]
    world = build()
    split = ("calibration", "eval")[seed % 2]
    texts += [item.references[0][0] for item in questions.long_form(world, split)]
    texts += [item.references[0][0] for item in stories.stories(world, split)]
    references = fastchat_references()
    return texts + references[seed % 2 :: 2]


def fastchat_references() -> list[str]:
    root = os.environ.get("SKIPBENCH_DATA")
    roots = [Path(root)] if root else [Path(__file__).parents[2] / "shared" / "data"]
    found = []
    for path in sorted(p for r in roots if r.is_dir() for p in r.rglob("reference_answer/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            found += json.loads(line)["choices"][0]["turns"]
    return found


def planted(seed: int, count: int, tokens: int) -> list[tuple[str, str]]:
    """(kind, text) of `tokens` words each, good at first and collapsed from some point on."""
    rng = Random(f"planted:{seed}:{tokens}")
    made = []
    for i in range(count):
        kind = ("run", "loop", "long_loop", "garbage", "rambling")[i % 5]
        head = " ".join(_sentence(rng) for _ in range(1 + tokens // 20)).split()
        head = head[: rng.randint(0, tokens // 2)]
        left = tokens - len(head)
        made.append((kind, " ".join([*head, *_collapsed(kind, left, rng)])))
    return made


def _collapsed(kind: str, left: int, rng: Random) -> list[str]:
    if kind == "run":
        return [rng.choice(_WORDS)] * left
    if kind in ("loop", "long_loop"):
        period = rng.randint(2, 3) if kind == "loop" else max(2, min(left // 3, rng.randint(4, 20)))
        block = [rng.choice(_WORDS) for _ in range(period)]
        while len(set(block)) == 1:
            block = [rng.choice(_WORDS) for _ in range(period)]
        return (block * (left // period + 1))[:left]
    if kind == "garbage":
        letters = "bcdfghjklmnpqrstvwxz"
        return [
            "".join(rng.choice(letters) for _ in range(rng.randint(7, 11))) for _ in range(left)
        ]
    if left < 48:  # rambling needs room; a short one is a run of two words
        return ([rng.choice(_WORDS), "the"] * left)[:left]
    phrases = [_sentence(rng, 4, 6).split() for _ in range(3)]
    words: list[str] = []
    while len(words) < left:
        words += rng.choice(phrases)
    return words[:left]
