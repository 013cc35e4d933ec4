"""The numbers that FFN-SkipLLM printed, from paper.yaml, beside ours."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from skipbench.report.captions import MECHANISM, made_of
from skipbench.report.cells import CellData
from skipbench.report.entries import facts, metric_entry
from skipbench.report.groups import asked_of, executed, failed, fingerprint, name_of
from skipbench.report.tables import Entry, Number, Row, Table
from skipbench.report.text import HEADLINE, graded, percent, slug

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
    block, rows, used = paper()[name], [], set()
    for line in block["lines"]:
        seen = set()
        for skip, value in zip(block["skips"], line["values"], strict=True):
            if value in seen and paper()["methods"][line["method"]] == ["dense"]:
                continue  # the same number, printed beside every ratio
            seen.add(value)
            found = matched(line, skip, block["skips"], cells)
            used |= {cell.directory for cell in found}
            for cell in found or [None]:
                rows.append(_row(line, skip, value, cell, cells))
    for cell in cells:
        if cell.directory not in used and cell.summary["method"] != "dense":
            line = {"method": "–", "task": cell.summary["task"], "metrics": _metrics(block, cell)}
            rows.append(_row(line, None, None, cell, cells))
    what = f"{block['title']}, beside ours on {model}"
    told_of_tiny = f" {MECHANISM}" if model.split()[0] == "tiny" else ""
    return Table(
        name=f"table_paper_{slug(name, model)}",
        title=what,
        caption=f"{what}. Ours: {made_of(tuple(cells))}{told_of_tiny}",
        columns=(
            "task",
            "metric",
            "method (paper)",
            "skip (paper), %",
            "paper",
            "method (ours)",
            "FFN skipped, %",
            "ours",
        ),
        rows=tuple(rows),
        notes=told(name),
        provenance=provenance,
    )


def matched(
    line: Json, skip: float, skips: Sequence[float], cells: Sequence[CellData]
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
        if distances[skips.index(skip)] == min(distances) <= _NEAR:
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
    metric, found = (line["metrics"][0], None) if cell is None else ours_of(line, cell)
    printed = "–" if value is None else _printed(line["metrics"][0], value)
    left = [Entry(text=line["task"]), Entry(text=metric), Entry(text=line["method"])]
    left.append(Entry(text=percent(skip)))
    left.append(Entry(text=printed, numbers=(Number("value", value, printed),)))
    if cell is None:
        return Row(entries=(*left, Entry(text="not run"), Entry(text="–"), Entry(text="–")))
    ffn = executed(cell, "ffn")
    skipped = Entry(text=percent(ffn), numbers=(Number("value", ffn, percent(ffn)),))
    made = (*left, Entry(text=name_of(cell, cells)), skipped, _measured(metric, found, cell))
    return Row(entries=made, block="", facts=facts(cell, asked_of(cell, cells)))


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
