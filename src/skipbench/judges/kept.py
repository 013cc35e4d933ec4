"""Grades of former commands: they stay with the replies they belong to, and tell who gave them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skipbench.provenance import sha256_of

Json = dict[str, Any]


def _digest(records: Mapping[str, Json], lines: Sequence[Json]) -> str:
    """Of the replies that grades belong to: with another reply they are nobody's grades."""
    ids = sorted({line["sample_id"] for line in lines})
    return sha256_of([[s, records[s]["replies"] if s in records else None] for s in ids])[:16]


def merged(
    new: Json | None,
    lines: Sequence[Json],
    former: Json | None,
    old: Sequence[Json],
    records: Mapping[str, Json],
) -> tuple[list[Json], Json | None]:
    """Lines of judges to be written, and the summary's `judge`: the new ones, and of the former
    whatever metric the new judge does not give.

    `lines`, `old`: scores with a judge, of this command and of the one before. A metric is given if
    anything of it has a value. `judge["earlier"]`: the blocks of other judges whose grades stay.
    """
    given = {line["metric"] for line in lines if line["value"] is not None}
    kept, blocks = [], []
    for block in _blocks(former):
        all_of_it = [line for line in old if line["metric"] in block.get("metrics", ())]
        mine = [line for line in all_of_it if line["metric"] not in given]
        if mine and block["replies"] == _digest(records, all_of_it):
            kept += mine
            metrics = sorted({line["metric"] for line in mine})
            blocks.append({**block, "metrics": metrics, "replies": _digest(records, mine)})
    held = {line["metric"] for line in kept}
    written = [*(line for line in lines if line["metric"] not in held), *kept]
    if new is None:
        return written, {**blocks[0], "earlier": blocks[1:]} if blocks else None
    graded = _digest(records, [line for line in lines if line["metric"] in given])
    return written, {**new, "metrics": sorted(given), "replies": graded, "earlier": blocks}


def _blocks(judge: Json | None) -> Iterator[Json]:
    """The judge that graded last, and those before it."""
    if judge is not None:
        yield {key: value for key, value in judge.items() if key != "earlier"}
        yield from judge.get("earlier", ())


def apart(ours: Json | None, dense: Json | None) -> dict[str, str]:
    """metric -> why it is not compared with dense: another judge, rubric, mode or number of votes."""
    here, there = _graders(ours), _graders(dense)
    found = {}
    for metric, by in here.items():
        if metric.startswith(_COMPARED) and by != there.get(metric):
            other = there.get(metric)
            found[metric] = (
                f"dense was graded by {_told(other, by)}, this by {_told(by, other)}"
                if other is not None
                else f"dense was not graded, this by {_told(by, None)}"
            )
    return found


_COMPARED = ("judge_score", "judge.", "reference_score")  # others are comparisons already


def _graders(judge: Json | None) -> dict[str, Json]:
    """metric -> who gave it."""
    blocks = [block for block in _blocks(judge) if "by" in block]
    return {metric: block["by"] for block in reversed(blocks) for metric in block["metrics"]}


def _told(by: Json, other: Json | None) -> str:
    """The judge's name, and what it differs in from the other."""
    differs = [k for k in by if k != "model" and by[k] != (other or by).get(k)]
    return " ".join([str(by["model"]), *(f"{key}={by[key]}" for key in differs)])
