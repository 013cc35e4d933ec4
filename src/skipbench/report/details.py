"""Tables beside the main one: method against method, transitions, collapse, and grades by category."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skipbench.metrics.answers import OUTCOMES
from skipbench.metrics.collapse import KINDS
from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.entries import facts, metric_entry, name_entry
from skipbench.report.groups import Group, Read, asked_of, executed, failed
from skipbench.report.pairs import pair_table
from skipbench.report.tables import Entry, Number, Row, Table
from skipbench.report.text import percent, shown

GRADES = ("judge_score", "reference_score")
Reads = dict[Path, Read]


def details(group: Group, reads: Reads, provenance: str) -> Iterator[Table]:
    """Those tables of a group that have something to show."""
    for make in (pair_table, _transitions, _collapse, _grades):
        table = make(group, reads, provenance)
        if table is not None:
            yield table


def _head(cell: CellData, group: Group) -> list[Entry]:
    """Method, what it was asked and the share of FFNs it skipped."""
    ffn = executed(cell, "ffn")
    return [
        name_entry(cell),
        Entry(text=percent(asked_of(cell, group.cells))),
        Entry(text=percent(ffn), numbers=(Number("value", ffn, percent(ffn)),)),
    ]


_HEAD = ("method", "asked, %", "FFN skipped, %")


def _row(cell: CellData, group: Group, entries: list[Entry]) -> Row:
    asked = asked_of(cell, group.cells)
    made = (*_head(cell, group), *entries)
    return Row(entries=made, block=str(asked), facts=facts(cell, asked))


def _whole(number: int | None) -> Entry:
    text = "–" if number is None else str(number)
    return Entry(text=text, numbers=(Number("value", number, text),))


def _transitions(group: Group, reads: Reads, provenance: str) -> Table | None:
    """Replies by their outcome under dense and under the method; only pairs that occur."""
    cells = [c for c in group.skipping if c.summary.get("transitions") and failed(c) is None]
    if not cells:
        return None
    pairs = [
        (before, after)
        for before in OUTCOMES
        for after in OUTCOMES
        if any(after in cell.summary["transitions"].get(before, {}) for cell in cells)
    ]
    rows = []
    for cell in group.skipping:
        table, why = cell.summary.get("transitions", {}), failed(cell)
        if why is not None or not table:
            entries = [Entry(text=why or "not paired")] * (len(pairs) + 1)
            rows.append(_row(cell, group, entries))
            continue
        counts = [table.get(before, {}).get(after, 0) for before, after in pairs]
        rows.append(_row(cell, group, [_whole(n) for n in (*counts, sum(counts))]))
    names = [f"{a} → {b}".replace("_", " ") for a, b in pairs]
    return Table(
        name=f"table_transitions_{group.slug}",
        title=f"Outcomes, dense to method: {group.title}",
        caption=caption(group, "Replies by outcome, dense → method"),
        columns=(*_HEAD, *names, "replies"),
        keys=2,
        rows=tuple(rows),
        provenance=provenance,
    )


def _collapse(group: Group, reads: Reads, provenance: str) -> Table | None:
    """Kinds of collapse, and the token where loops set in."""
    kinds = [kind for kind in KINDS if any(_fired(cell, kind) for cell in group.cells)]
    if not any("collapse_rate" in cell.summary["metrics"] for cell in group.cells):
        return None
    rows = []
    for cell in group.cells:
        entries = [_measured(cell, name) for name in ("collapse_rate", *_names(kinds))]
        skip, scan = cell.summary["skip"], reads[cell.directory].scan
        onset, before = skip.get("onset_token_median"), skip.get("ffn_before_onset")
        text = "–" if onset is None else f"{onset:g}"
        note = f"{sum(scan.onsets.values())} loops in {scan.replies} replies"
        entries.append(Entry(text=text, note=note, numbers=(Number("value", onset, text),)))
        entries.append(Entry(text=percent(before), numbers=(Number("value", before, ""),)))
        rows.append(_row(cell, group, entries))
    return Table(
        name=f"table_collapse_{group.slug}",
        title=f"Collapse: {group.title}",
        caption=caption(
            group,
            "Collapse by kind",
            "A reply may show several kinds. Onset: median token at which a loop of at least 8 "
            "tokens begins; before it: share of FFNs skipped in the 8 steps before.",
        ),
        columns=(
            *_HEAD,
            "any kind, %",
            *(f"{kind.replace('_', ' ')}, %" for kind in kinds),
            "onset, token",
            "FFN skipped before it, %",
        ),
        keys=2,
        rows=tuple(rows),
        notes=("Kinds without a column fired in no reply of any method.",),
        provenance=provenance,
    )


def _names(kinds: list[str]) -> list[str]:
    return [f"collapse.{kind}" for kind in kinds]


def _fired(cell: CellData, kind: str) -> bool:
    return bool(cell.summary["metrics"].get(f"collapse.{kind}", {}).get("value"))


def _measured(cell: CellData, metric: str) -> Entry:
    why, found = failed(cell), cell.summary["metrics"].get(metric)
    if why is not None or found is None:
        return Entry(text=why or "–")
    return metric_entry(found, metric, False, "", cell)


def _grades(group: Group, reads: Reads, provenance: str) -> Table | None:
    """Grades by category, with what they would be if all that is unscored were worst, or best."""
    metrics = graded_metrics(group)
    if not metrics:
        return None
    rows = [
        _row(cell, group, [_with_bounds(_measured(cell, m), cell, m) for m in metrics])
        for cell in group.cells
    ]
    return Table(
        name=f"table_judge_{group.slug}",
        title=f"Grades by category: {group.title}",
        caption=caption(
            group,
            "Grades from 1 to 10, by category",
            f"Judge: {_judge(group)}. Braces: the mean if all unscored replies had the worst, or "
            "the best, grade.",
        ),
        columns=(*_HEAD, *(metric.replace("_", " ") for metric in metrics)),
        keys=2,
        rows=tuple(rows),
        provenance=provenance,
    )


def graded_metrics(group: Group) -> list[str]:
    """Grades of a group, whole and by category, that some cell has."""
    found = {metric for cell in group.cells for metric in cell.summary["metrics"]}
    return sorted(m for m in found if m.split(".", 1)[0] in GRADES)


def _with_bounds(entry: Entry, cell: CellData, metric: str) -> Entry:
    found: dict[str, Any] = cell.summary["metrics"].get(metric, {})
    worst, best = found.get("worst_case"), found.get("best_case")
    if not found.get("unscored") or worst is None or failed(cell):
        return entry
    told = f" {{{shown(metric, worst)}, {shown(metric, best)}}}"
    bounds = (
        Number("worst", worst, shown(metric, worst)),
        Number("best", best, shown(metric, best)),
    )
    return Entry(
        text=entry.text,
        small=entry.small + told,
        note=entry.note,
        numbers=entry.numbers + bounds,
        origin=entry.origin,
    )


def _judge(group: Group) -> str:
    names = {str(j["model"]) for cell in group.cells if (j := cell.summary.get("judge"))}
    return ", ".join(sorted(names)) or "none"
