"""The numbers that FFN-SkipLLM printed, from paper.yaml, beside ours."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from skipbench.report.captions import MECHANISM, made_of
from skipbench.report.cells import CellData
from skipbench.report.entries import facts, metric_entry
from skipbench.report.groups import asked_of, executed, failed, fingerprint, name_of, value_of
from skipbench.report.tables import Entry, Number, Row, Table
from skipbench.report.text import HEADLINE, graded, interval, percent, shown, slug

Json = dict[str, Any]
_NEAR = 0.03  # of the paper's ratio


@cache
def paper() -> dict[str, Any]:
    """See the head of paper.yaml for what its keys mean."""
    return yaml.safe_load(Path(__file__).with_name("paper.yaml").read_text(encoding="utf-8"))


def similarity_curves() -> dict[str, list[float]]:
    """Model and text -> mean similarity of each block's FFN."""
    return paper()["fig2"]["curves"]


def told(name: str) -> tuple[str, ...]:
    """Source, certainty and tensions of one of the paper's tables or figures, as notes."""
    block = paper()[name]
    return (
        f"Paper: {block['source']}. Certainty: {block['certainty']}.",
        *(f"Tension: {each}" for each in block["tensions"]),
    )


def beside(name: str, cells: Sequence[CellData], model: str, provenance: str) -> Table:
    """The paper's values of one experiment, each with the cells of ours that answer to it."""
    block = paper()[name]
    rows = _instead(block, cells) if unmeasured(block, cells) else _matched(block, cells)
    what = f"{block['title']}, beside ours on {model}"
    told_of_tiny = f" {MECHANISM}" if model.split()[0] == "tiny" else ""
    floor = _floor(rows, cells)
    notes = [] if floor else ["No noise floor was measured."]
    if any("‡" in entry.mark for row in rows for entry in row.entries):
        notes.append("‡ not the metric of the paper: the two numbers cannot be compared.")
    return Table(
        name=f"table_paper_{slug(name, model)}",
        title=what,
        caption=f"{what}. Ours: {made_of(tuple(cells))}{told_of_tiny}",
        columns=(
            "task",
            "metric (paper)",
            "method (paper)",
            "skip (paper), %",
            "paper",
            "method (ours)",
            "FFN skipped, %",
            "metric (ours)",
            "ours",
        ),
        rows=(*rows, *floor),
        notes=(*notes, *told(name)),
        provenance=provenance,
    )


def _matched(block: Json, cells: Sequence[CellData]) -> list[Row]:
    rows, used = [], set()
    for line in block["lines"]:
        pairs = list(zip(block["skips"], line["values"], strict=True))
        if paper()["methods"][line["method"]] == ["dense"] and len(set(line["values"])) == 1:
            pairs = [(None, line["values"][0])]  # one number, printed beside every ratio
        for skip, value in pairs:
            found = matched(line, skip, block["skips"], cells)
            used |= {cell.directory for cell in found}
            rows += [_row(line, skip, value, cell, cells) for cell in found or [None]]
    for cell in cells:
        if cell.directory not in used and cell.summary["method"] != "dense":
            line = {"method": "–", "task": cell.summary["task"], "metrics": _metrics(block, cell)}
            rows.append(_row(line, None, None, cell, cells))
    return rows


def unmeasured(block: Json, cells: Sequence[CellData]) -> bool:
    """Whether no cell has a metric of the paper, and the block names others to tell instead."""
    metrics = {metric for line in block["lines"] for metric in line["metrics"]}
    return "instead" in block and not any(
        value_of(c, m) is not None for c in cells for m in metrics
    )


def _instead(block: Json, cells: Sequence[CellData]) -> list[Row]:
    """The paper's lines by themselves, then ours in the metrics that there are."""
    rows = []
    for line in block["lines"]:
        metric, values = line["metrics"][0], line["values"]
        pairs = list(zip(block["skips"], values, strict=True))
        numbers = tuple(Number(f"at {s}", v, _printed(metric, v)) for s, v in pairs)
        texts = [line["task"], their_name(metric), line["method"]]
        texts.append(" / ".join(percent(skip) for skip in block["skips"]))
        left = [*map(_plain, texts)]
        left.append(Entry(text=" / ".join(n.printed for n in numbers), numbers=numbers))
        rows.append(
            Row(entries=(*left, *map(_plain, ("–", "–", "–", "not graded"))), block="paper")
        )
    twins = {c.summary.get("twin") for c in cells}
    for metric in block["instead"]:
        for cell in cells:
            if cell.summary["method"] != "dense" or fingerprint(cell) in twins:
                line = {"method": "–", "task": cell.summary["task"], "metrics": [metric]}
                rows.append(_row(line, None, None, cell, cells))
    return rows


def _plain(text: str) -> Entry:
    return Entry(text=text)


def _floor(rows: Sequence[Row], cells: Sequence[CellData]) -> list[Row]:
    """Dense in batches of another size, in every metric of ours: what two equal models differ by."""
    shown_of = {(r.entries[0].text, r.facts["metric"]): None for r in rows if r.facts.get("metric")}
    floors = {
        (c.summary["task"], c.summary["noise_floor"]["fingerprint"]): c.summary["noise_floor"]
        for c in cells
        if "noise_floor" in c.summary
    }
    made = []
    for task, metric in shown_of:
        for (of, name), noise in floors.items():
            cell = next((c for c in cells if fingerprint(c) == name), None)
            if of == task and cell is not None and metric in cell.summary["metrics"]:
                made.append(_floor_row(cell, noise, metric))
    return made


def _floor_row(cell: CellData, noise: Json, metric: str) -> Row:
    entry = metric_entry(cell.summary["metrics"][metric], metric, False, "", cell)
    pair = noise["paired"].get(metric)
    if pair:
        numbers = [Number("difference", pair["difference"], "")]
        told_of = f"Δ to dense {shown(metric, pair['difference'], True)}"
        told_of += f" {interval(pair['low'], pair['high'], metric, True)}"
        entry = replace(entry, small=told_of, numbers=(*entry.numbers, *numbers))
    name = f"noise floor: dense, batches of {noise['batch_size']}"
    texts = (cell.summary["task"], "–", "–", "–", "–", name, "0.0", our_name(metric))
    return Row(entries=(*map(_plain, texts), entry), block="floor", facts=facts(cell, None))


def their_name(metric: str) -> str:
    """What the paper measured: `GPT-4 grade, coding`."""
    base, _, part = metric.partition(".")
    return ", ".join(filter(None, (paper()["metrics"][base], part)))


def our_name(metric: str) -> str:
    """`ROUGE-L of short, %`: a metric of ours with its unit."""
    base, _, part = metric.partition(".")
    if metric == "speedup":
        return "speed-up"
    name = HEADLINE.get(base, base) + (f" of {part}" if part else "")
    return name if graded(metric) else f"{name}, %"


def matched(
    line: Json, skip: float | None, skips: Sequence[float], cells: Sequence[CellData]
) -> list[CellData]:
    """Our cells that answer to one of the paper's values: method, task, and the nearest request."""
    names = paper()["methods"][line["method"]]
    ours = [c for c in cells if c.summary["task"] == line["task"] and c.summary["method"] in names]
    if names == ["dense"]:  # not those that only tell the noise floor
        twins = {c.summary.get("twin") for c in cells}
        return [c for c in ours if fingerprint(c) in twins]
    found = []
    for cell in ours:
        ratio = asked_of(cell, cells)
        ratio = executed(cell, "ffn") if ratio is None else ratio
        if ratio is None:
            continue
        distances = [abs(each - ratio) for each in skips]
        if skip is not None and distances[skips.index(skip)] == min(distances) <= _NEAR:
            found.append(cell)
    return found


def _metrics(block: Json, cell: CellData) -> list[str]:
    """The metrics that the paper's lines of a cell's task name."""
    lines = [line for line in block["lines"] if line["task"] == cell.summary["task"]]
    return lines[0]["metrics"] if lines else list(HEADLINE)


def ours_of(line: Json, cell: CellData) -> tuple[str, Json | None]:
    """The first metric of a line that a cell has a value of, and what it measured."""
    for metric in line["metrics"]:
        if metric == "speedup":
            found = cell.summary["speed"].get("speedup")
            return metric, {**found, "n": cell.summary["n"], "unscored": 0} if found else None
        found = cell.summary["metrics"].get(metric)
        if found and found["value"] is not None:
            return metric, found
    return line["metrics"][0], None


def _row(
    line: Json,
    skip: float | None,
    value: float | None,
    cell: CellData | None,
    cells: Sequence[CellData],
) -> Row:
    theirs = line["metrics"][0]
    metric, found = (theirs, None) if cell is None else ours_of(line, cell)
    printed = "–" if value is None else _printed(theirs, value)
    name = "–" if value is None else their_name(theirs)
    left = [*map(_plain, (line["task"], name, line["method"], percent(skip)))]
    left.append(Entry(text=printed, numbers=(Number("value", value, printed),)))
    if cell is None:
        return Row(entries=(*left, *map(_plain, ("not run", "–", "–", "–"))))
    ffn = executed(cell, "ffn")
    skipped = Entry(text=percent(ffn), numbers=(Number("value", ffn, percent(ffn)),))
    ours = _measured(metric, found, cell)
    if value is not None and found is not None and metric != theirs:
        ours = replace(ours, mark=f"{ours.mark}‡")
    made = (*left, _plain(name_of(cell, cells)), skipped, _plain(our_name(metric)), ours)
    told_of = facts(cell, asked_of(cell, cells)) | {"metric": metric}
    return Row(entries=made, block="" if value is not None else metric, facts=told_of)


def _printed(metric: str, value: float) -> str:
    return f"{value if metric == 'speedup' or graded(metric) else 100 * value:.2f}"


def _measured(metric: str, found: Json | None, cell: CellData) -> Entry:
    why = failed(cell)
    if why is not None or found is None:
        reason = cell.summary["speed"].get("speedup_reason") if metric == "speedup" else None
        return Entry(text=why or "not measured", small=reason or "")
    if metric == "speedup":
        numbers = tuple(Number(k, found[k], f"{found[k]:.2f}") for k in ("value", "low", "high"))
        small = f"[{found['low']:.2f}, {found['high']:.2f}]"
        return Entry(text=f"{found['value']:.2f}", small=small, numbers=numbers)
    return metric_entry(found, metric, False, "", cell)
