"""The main table of a group: every method beside dense, the noise floor and the matched controls."""

from collections.abc import Sequence
from typing import Any

from skipbench.metrics.stats import holm
from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.entries import (
    asked_entry,
    difference_entries,
    facts,
    metric_entry,
    missed,
    name_entry,
    origin_of,
    unit_of,
)
from skipbench.report.groups import (
    CONTROLS,
    Group,
    asked_of,
    executed,
    failed,
    fingerprint,
    phase_of,
    value_of,
)
from skipbench.report.tables import Entry, Number, Row, Table
from skipbench.report.text import (
    HEADLINE,
    LOWER_IS_BETTER,
    NEITHER,
    graded,
    percent,
)

SKIPS = (("ffn", "FFN"), ("attn", "attn"), ("block", "block"), ("weight_bytes", "bytes"))
Holm = dict[tuple[str, str], float]  # (fingerprint, metric) -> adjusted p


def comparison(group: Group, provenance: str) -> Table:
    """Every number is that of a summary; only the Holm adjustment belongs to the table."""
    metrics = group.headline
    adjusted = holm_of(group, metrics)
    best = _best(group, metrics)
    floor = _floor(group)
    rows = [_row(cell, group, metrics, adjusted, best) for cell in group.cells if cell not in floor]
    rows += [_floor_row(group, floor, metrics)] if _floor_of(group) else []
    rows.sort(key=lambda row: (not row.pinned, row.facts["asked"] is None, row.facts["asked"] or 0))
    units = ["" if graded(metric) else ", %" for metric in metrics]
    difference = f"Δ {HEADLINE.get(group.primary, group.primary)} to dense"
    heads = [HEADLINE[m] + unit for m, unit in zip(metrics, units, strict=True)]
    return Table(
        name=f"table_main_{group.slug}",
        title=group.title,
        caption=caption(group, "Quality beside the unchanged model", f"{_legend(adjusted)}"),
        columns=(
            *("method", "asked, %", *(f"{name} skipped, %" for _, name in SKIPS)),
            *heads,
            difference,
            "p",
        ),
        keys=2,
        rows=tuple(rows),
        notes=_notes(group),
        provenance=provenance,
    )


def _legend(adjusted: Holm) -> str:
    return (
        "Under a request: its unit, and the phase that skips. Skipped: executed share of "
        "decode steps × blocks; bytes: weight bytes not read. Brackets: 95 % intervals, clustered by "
        "entity or question. Bold: best of equal requests of one unit and phase, where more is better. "
        "Dagger: executed more than 5 points off its request, and never bold. "
        f"Asterisk: differs from dense at p < 0.05, Holm over the {len(adjusted)} tests of this table"
        f"{_coarse(len(adjusted))}. MDE: difference that so many samples show with 80 % power. p NI: of "
        "a loss of the margin or more."
    )


def _coarse(tests: int) -> str:
    """What a permutation with so few draws cannot show."""
    least = tests / 5000  # two-sided, 9,999 flips
    return "" if least < 0.05 else " (none can fall below 0.05: its least p is 0.0002)"


def _notes(group: Group) -> tuple[str, ...]:
    absent = [name for name in CONTROLS if name not in {c.summary["method"] for c in group.cells}]
    notes = [f"Matched controls that were not run: {', '.join(absent)}."] if absent else []
    if not _floor_of(group):
        notes.append("No noise floor was measured.")
    return tuple(notes)


def holm_of(group: Group, metrics: Sequence[str]) -> Holm:
    """p values to dense of all methods and metrics of a table, adjusted together."""
    found = {
        (fingerprint(cell), metric): pair["p"]
        for cell in group.skipping
        for metric in metrics
        if failed(cell) is None
        and (pair := cell.summary["paired"].get(metric))
        and pair["p"] is not None  # grades of two judges are not compared
    }
    return dict(zip(found, holm(list(found.values())), strict=True))


def _best(group: Group, metrics: Sequence[str]) -> set[tuple[str, str]]:
    """(fingerprint, metric) of the best method that skips, of those that had the same request of the
    same unit and phase. Rates of faults do not count: a reply that says nothing has none."""
    blocks: dict[tuple[Any, ...], list[CellData]] = {}
    for cell in group.skipping:
        asked = asked_of(cell, group.cells)
        if asked is not None and failed(cell) is None and _skips(cell) and not missed(cell, asked):
            blocks.setdefault((asked, unit_of(cell), phase_of(cell)), []).append(cell)
    made = set()
    for members in blocks.values():
        for metric in metrics:
            values = [v for cell in members if (v := value_of(cell, metric)) is not None]
            if metric in (*LOWER_IS_BETTER, *NEITHER) or len(set(values)) < 2:
                continue
            top = max(values)
            made |= {(fingerprint(c), metric) for c in members if value_of(c, metric) == top}
    return made


def _skips(cell: CellData) -> bool:
    prefill = cell.summary.get("skip_prefill", {})
    return any(executed(cell, key) for key in ("ffn", "attn")) or any(prefill.values())


def _row(
    cell: CellData,
    group: Group,
    metrics: Sequence[str],
    adjusted: Holm,
    best: set[tuple[str, str]],
) -> Row:
    name, asked = fingerprint(cell), asked_of(cell, group.cells)
    entries = list(_left(cell, group))
    entries += [
        _metric(cell, metric, (name, metric) in best, adjusted.get((name, metric)))
        for metric in metrics
    ]
    entries += _difference(cell, group.primary, adjusted.get((name, group.primary)))
    return Row(
        entries=tuple(entries),
        block="dense" if cell in group.dense else str(asked),
        pinned=cell in group.dense,
        facts=facts(cell, asked),
    )


def _left(cell: CellData, group: Group) -> list[Entry]:
    """Method, request, phase and what was executed."""
    made = [name_entry(cell)]
    made.append(Entry(text="–") if cell in group.dense else asked_entry([cell], group))
    prefill = cell.summary.get("skip_prefill") or {}
    for key, _ in SKIPS:
        exact = executed(cell, key)
        numbers = [Number("value", exact, percent(exact))]
        before = prefill.get(key)
        if before:
            numbers.append(Number("prefill", before, percent(before)))
        made.append(
            Entry(
                text=percent(exact),
                small=f"prefill {percent(before)}" if before else "",
                numbers=tuple(numbers),
                origin=origin_of(cell, f"skip.{key}"),
            )
        )
    return made


def _metric(cell: CellData, metric: str, best: bool, p: float | None) -> Entry:
    why, found = failed(cell), cell.summary["metrics"].get(metric)
    if why is not None:
        return Entry(text=why)
    if found is None:
        return Entry(text="–")
    return metric_entry(found, metric, best, "*" if p is not None and p < 0.05 else "", cell)


def _difference(cell: CellData, metric: str, adjusted: float | None) -> list[Entry]:
    pair = cell.summary["paired"].get(metric)
    if pair is None or pair["difference"] is None or failed(cell) is not None:
        return [Entry(text="–"), Entry(text="–")]
    return difference_entries(pair, metric, adjusted, origin_of(cell, f"paired.{metric}"))


def _floor_of(group: Group) -> dict[str, Any] | None:
    return next((c.summary["noise_floor"] for c in group.cells if "noise_floor" in c.summary), None)


def _floor(group: Group) -> list[CellData]:
    """Dense cells that were run for the noise floor."""
    names = {
        c.summary["noise_floor"]["fingerprint"] for c in group.cells if "noise_floor" in c.summary
    }
    twins = {c.summary.get("twin") for c in group.skipping}
    return [cell for cell in group.dense if fingerprint(cell) in names - twins]


def _floor_row(group: Group, floor: Sequence[CellData], metrics: Sequence[str]) -> Row:
    """Dense against itself in batches of another size: what two equal models differ by."""
    noise = _floor_of(group) or {}
    cell = next((c for c in floor if fingerprint(c) == noise["fingerprint"]), None)
    entries = [Entry(text="noise floor", small=f"dense, batches of {noise['batch_size']}")]
    if cell is None:
        entries += [Entry(text="–")] * (1 + len(SKIPS) + len(metrics))
    else:
        entries += _left(cell, group)[1:]
        entries += [_metric(cell, metric, False, None) for metric in metrics]
    pair = noise["paired"].get(group.primary)
    origin = f"{noise['fingerprint']} noise_floor.paired.{group.primary}"
    entries += (
        difference_entries(pair, group.primary, None, origin) if pair else [Entry(text="–")] * 2
    )
    facts_ = {"asked": None, "status": "complete", "fingerprint": noise["fingerprint"]}
    return Row(entries=tuple(entries), block="dense", pinned=True, facts=facts_)
