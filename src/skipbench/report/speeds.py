"""The table of speed: measured, or why not; what the bytes would allow; and the front."""

from collections.abc import Sequence
from typing import Any

from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.entries import facts, name_entry
from skipbench.report.groups import Group, asked_of, executed, failed, fingerprint
from skipbench.report.pareto import Point
from skipbench.report.tables import Entry, Number, Row, Table
from skipbench.report.text import percent

_SLACK = 1.1  # rows are timed at different moments
_MARKS = {
    "†": "† faster than its bytes allow, even at the low end of the interval: calls that are not made cost "
    "time of their own here, or the timing is disturbed.",
    "‡": "‡ the times of a token, dense over this row, are beyond the interval of the speed-up by more "
    "than a tenth: rows were timed at different moments; the speed-up is paired, the times are not.",
}


def doubts(cell: CellData, dense: CellData | None) -> str:
    """Marks of a speed-up that does not fit the bytes not read, or the times of a token."""
    speed = cell.summary["speed"]
    found, made = speed.get("speedup"), ""
    if failed(cell) is not None or not found:
        return made
    allowed = bought(cell, "weight_bytes")
    made += "†" if allowed is not None and found["low"] > allowed else ""
    if dense is not None:
        theirs, ours = (c.summary["speed"]["tpot_s"]["p50"] for c in (dense, cell))
        ratio = theirs / ours if theirs and ours else None
        inside = ratio is None or found["low"] / _SLACK <= ratio <= found["high"] * _SLACK
        made += "" if inside else "‡"
    return made


def _batches(cell: CellData, paired: int | None) -> Entry:
    """On how many replies and paired batches the times of a row rest."""
    n, text = cell.summary.get("n"), "–" if paired is None else f"{paired} batches"
    numbers = (Number("n", n, str(n)), Number("batches", paired, text))
    return Entry(text=f"n {n}", small="" if paired is None else text, numbers=numbers)


def bought(cell: CellData, key: str) -> float | None:
    """The speed-up that bytes not read would allow, if reading weights were all that takes time."""
    skipped = executed(cell, key)
    return None if skipped is None or skipped >= 1 else 1 / (1 - skipped)


def speed_table(group: Group, points: Sequence[Point], provenance: str) -> Table:
    front = {fingerprint(point.cell): point.p_front for point in points}
    paired = {fingerprint(point.cell): point.batches for point in points}
    rows = []
    for cell in group.cells:
        asked, name = asked_of(cell, group.cells), fingerprint(cell)
        entries = list(_entries(cell, group))
        entries.insert(5, _batches(cell, paired.get(name)))
        entries.append(_ratio(front.get(name), 2))
        rows.append(Row(entries=tuple(entries), block=str(asked), facts=facts(cell, asked)))
    marked = {mark for row in rows for entry in row.entries for mark in entry.mark}
    return Table(
        name=f"table_speed_{group.slug}",
        title=f"Speed: {group.title}",
        caption=caption(
            group,
            "Measured speed, and what the skipped bytes would allow",
            "Times at the 50th percentile. Speed-up: time of a token, dense over method, from "
            "batches that took turns in one process; times of different rows were not, and are not to be "
            "divided. By bytes: 1 / (1 − weight bytes not read), in the batches that were run and for a "
            "reply alone; more is possible where calls cost more than bytes. P(front): share of "
            "bootstrap draws in which no other method is as good and as fast.",
        ),
        columns=(
            "method",
            "asked, %",
            "bytes skipped, %",
            "time per token, ms",
            "speed-up",
            "replies, paired batches",
            "by bytes, batch",
            "by bytes, alone",
            "P(front)",
        ),
        keys=2,
        rows=tuple(rows),
        notes=tuple(told for mark, told in _MARKS.items() if mark in marked),
        provenance=provenance,
    )


def _entries(cell: CellData, group: Group) -> list[Entry]:
    bytes_ = executed(cell, "weight_bytes")
    tpot = cell.summary["speed"]["tpot_s"]["p50"]
    text = "–" if tpot is None else f"{1000 * tpot:.2f}"
    return [
        name_entry(cell),
        Entry(text=percent(asked_of(cell, group.cells))),
        Entry(text=percent(bytes_), numbers=(Number("value", bytes_, percent(bytes_)),)),
        Entry(text=text, numbers=(Number("seconds", tpot, text),)),
        _speedup(cell, doubts(cell, _twin(cell, group))),
        _ratio(bought(cell, "weight_bytes"), 2),
        _ratio(bought(cell, "weight_bytes_single"), 2),
    ]


def _twin(cell: CellData, group: Group) -> CellData | None:
    twin = cell.summary.get("twin")
    return next((dense for dense in group.dense if fingerprint(dense) == twin), None)


def _speedup(cell: CellData, mark: str) -> Entry:
    """A speed-up with its interval, or the reason why none is stated."""
    speed: dict[str, Any] = cell.summary["speed"]
    found = speed.get("speedup")
    if cell.summary["method"] == "dense":
        return Entry(text="–")
    if failed(cell) is not None or not found:
        why = failed(cell) or speed.get("speedup_reason") or "not measured"
        natural = speed.get("speedup_natural_stop")
        told = f"at natural stops {natural:.2f}" if natural else ""
        return Entry(text="not stated", small=why, note=told)
    numbers = tuple(Number(k, found[k], f"{found[k]:.2f}") for k in ("value", "low", "high"))
    small = f"[{found['low']:.2f}, {found['high']:.2f}]"
    return Entry(text=f"{found['value']:.2f}", small=small, mark=mark, numbers=numbers)


def _ratio(value: float | None, digits: int) -> Entry:
    text = "–" if value is None else f"{value:.{digits}f}"
    return Entry(text=text, numbers=(Number("value", value, text),))
