"""Samples of cells beside their dense twin, chosen and cut so that they fit on one page."""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from skipbench.report.cells import CellData
from skipbench.report.check import blaming, lines_with
from skipbench.report.page_marks import Mark, Marks, compact, marks_of
from skipbench.report.text import HEADLINE

Json = dict[str, Any]
_CHARACTERS = 6_000  # of one text
_STEPS = 512  # of one skip map
_ALL_CHARACTERS = 16_000_000  # of all texts of a page, shared evenly among its cells
_SHELVES = ("changed", "wrong", "failed", "other")
_LOOKED_AT = 300_000  # score lines of a cell: samples to show are chosen among the first


class Pool:
    """Every text once: prompts, references and dense replies are shared among cells."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.spent = 0
        self._known: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Its place in `texts`."""
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        if text not in self._known:
            self._known[text] = len(self.texts)
            self.texts.append(text)
            self.spent += len(embedded(text))
        return self._known[text]


def cut(text: str) -> str:
    """A bounded part of a text, which says how much is missing."""
    missing = len(text) - _CHARACTERS
    return f"{text[:_CHARACTERS]} […{missing:,} more characters]" if missing > 0 else text


@dataclass
class Chosen:
    """Samples of one cell by shelf, and why values are missing: metric -> reason -> count."""

    cell: CellData
    marks: dict[str, Marks] = field(default_factory=dict)
    shelf_of: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Counter[str]] = field(default_factory=dict)


def embedded(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element."""
    made = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def gather(cells: Iterable[CellData], most: int, pool: Pool) -> Iterator[tuple[Chosen, Json]]:
    """For each cell its chosen samples, and what the page needs to show them.

    Scores and records are read as streams. In memory are the outcomes of one dense twin, and the
    texts of the samples that were chosen. Raises BadInput naming a cell whose lines are broken.
    """
    cells = list(cells)
    share = _ALL_CHARACTERS // max(len(cells), 1)
    for twin, group in groupby(sorted(cells, key=_twin_name), key=_twin_name):
        members = list(group)
        dense = replace(members[0], directory=members[0].directory.parents[1] / "dense" / twin[1])
        with blaming(dense.directory):
            known = compact(islice(dense.scores(), _LOOKED_AT)) if twin[1] else {}
        chosen = [choose(cell, known, most) for cell in members]
        wanted = {sample_id for one in chosen for sample_id in one.marks}
        replies = _records(dense, wanted) if twin[1] else {}
        for one in chosen:
            with blaming(one.cell.directory):
                made = _payload(one, replies, known, pool, pool.spent + share)
            yield one, made


def _twin_name(cell: CellData) -> tuple[str, str]:
    return str(cell.directory.parents[1]), str(cell.summary.get("twin") or "")


def choose(cell: CellData, dense: Mapping[str, Marks], most: int) -> Chosen:
    """What changed against dense first, then what is wrong, failed, or neither; in file order."""
    made = Chosen(cell)
    shelves: dict[str, dict[str, Marks]] = {name: {} for name in _SHELVES}
    with blaming(cell.directory):
        for sample_id, lines in groupby(
            islice(cell.scores(), _LOOKED_AT), key=itemgetter("sample_id")
        ):
            marks = marks_of(_noting(lines, made.reasons))
            if marks:
                shelf = shelves[_shelf(marks, dense.get(sample_id))]
                if len(shelf) < most:
                    shelf[sample_id] = marks
        shelves["failed"] = {sample_id: {} for sample_id in _failed(cell)[:most]}
    for name, shelf in shelves.items():
        for sample_id in list(shelf)[: most - len(made.marks)]:
            made.marks[sample_id], made.shelf_of[sample_id] = shelf[sample_id], name
    return made


def _noting(lines: Iterable[Json], reasons: dict[str, Counter[str]]) -> Iterator[Json]:
    for line in lines:
        if line["value"] is None and line["metric"] in HEADLINE:
            reason = str(line["reason"] or "no reason given")[:200]
            reasons.setdefault(line["metric"], Counter())[reason] += 1
        yield line


def _shelf(marks: Marks, dense: Marks | None) -> str:
    both = [(mark, dense[turn]) for turn, mark in marks.items() if dense and turn in dense]
    if any(a.state != b.state for a, b in both if "unscored" not in (a.outcome, b.outcome)):
        return "changed"
    return (
        "wrong"
        if any(m.outcome not in ("correct", "unscored") for m in marks.values())
        else "other"
    )


def _failed(cell: CellData) -> list[str]:
    """Samples whose last record is an error."""
    found: dict[str, None] = {}
    for record in cell.records() if cell.summary.get("errors") else ():
        if record.get("error") is None:
            found.pop(record["sample_id"], None)
        else:
            found[record["sample_id"]] = None
    return list(found)


def _records(cell: CellData, wanted: Iterable[str]) -> dict[str, Json]:
    """The last record of each wanted sample, without what is not shown."""
    wanted, keep = set(wanted), ("replies", "skip_map", "error")
    return {
        record["sample_id"]: {key: record.get(key) for key in keep}
        for record in cell.records()
        if record.get("sample_id") in wanted
    }


def _payload(
    chosen: Chosen, dense: Mapping[str, Json], known: Mapping[str, Marks], pool: Pool, limit: int
) -> Json:
    """Samples as the page reads them, until the cell's share of the page is used up."""
    cell, shown_here = chosen.cell, []
    records = _records(cell, chosen.marks)
    asked = {
        line["sample_id"]: line
        for line in lines_with(cell.directory / "samples.jsonl", "sample_id", "turns", "references")
        if line["sample_id"] in chosen.marks
    }
    for sample_id in chosen.marks:
        record = records.get(sample_id)
        if record is None or pool.spent > limit:
            continue
        question = asked.get(sample_id, {"turns": [], "references": []})
        other = dense.get(sample_id)
        turns = [
            _turn(turn, question, record, other, pool)
            | {
                "mark": _told(chosen.marks[sample_id].get(turn)),
                "was": _told(_of(known, sample_id, turn)),
            }
            for turn in range(len(record["replies"] or question["turns"]))
        ]
        shown_here.append(
            {"id": sample_id[:300], "shelf": chosen.shelf_of[sample_id], "turns": turns}
            | ({"error": cut(str(record["error"]))} if record["error"] else {})
        )
    return {"n": cell.summary.get("n"), "samples": shown_here, "note": _note(cell, len(shown_here))}


def _of(known: Mapping[str, Marks], sample_id: str, turn: int) -> Mark | None:
    return known.get(sample_id, {}).get(turn)


def _told(mark: Mark | None) -> Json | None:
    return None if mark is None else {k: v for k, v in vars(mark).items() if v}


def _turn(turn: int, question: Json, record: Json, other: Json | None, pool: Pool) -> Json:
    made: Json = {}
    if turn < len(question["turns"]):
        made["asked"] = pool.add(cut(question["turns"][turn]))
    accepted = question["references"][turn : turn + 1]
    if accepted and accepted[0]:
        made["reference"] = pool.add(cut(" | ".join(accepted[0])))
    before = other["replies"][turn : turn + 1] if other and other["error"] is None else []
    if before:
        made["dense"] = pool.add(cut(before[0]))
    if record["error"] is None:
        made["reply"] = pool.add(cut(record["replies"][turn]))
        made["map"] = _map(record["skip_map"][turn], pool)
        if before:
            made["differs"] = divergence(before[0], record["replies"][turn])
            made["unseen"] = (made["differs"] or 0) >= _CHARACTERS
    return made


def divergence(dense: str, reply: str) -> int | None:
    """Where the first word starts in which two texts differ, in characters; None if they are equal."""
    if dense == reply:
        return None
    pairs = enumerate(zip(dense, reply, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(dense), len(reply)))
    if (dense[at : at + 1] + reply[at : at + 1]).strip():  # in a word of one of them
        while at and not reply[at - 1].isspace():
            at -= 1
    return at


def _map(packed: Json, pool: Pool) -> Json:
    steps, blocks, halves = packed["shape"]
    octets = base64.b64decode(packed["bits"])[: (min(steps, _STEPS) * blocks * halves + 7) // 8]
    return {"steps": steps, "blocks": blocks, "bits": pool.add(base64.b64encode(octets).decode())}


def _note(cell: CellData, count: int) -> str:
    if count:
        return f"{count} of {cell.summary.get('n', '?')} samples are on this page"
    if not (cell.directory / "records.jsonl").exists():
        return "This cell is packed: it has scores but no records, so there are no samples to show."
    return "No sample of this cell has both a score and a record."
