"""The paper's curves and ours side by side, a row of panels for each task and metric."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from numpy.typing import NDArray

from skipbench.report.cells import CellData
from skipbench.report.drawing import Absent, Drawn, Records
from skipbench.report.groups import executed, failed, fingerprint
from skipbench.report.paper import (
    Json,
    matched,
    our_name,
    ours_of,
    paper,
    their_name,
    told,
    unmeasured,
)
from skipbench.report.plots_quality import bars, scale
from skipbench.report.style import figure, legend_below, look


def beside(name: str, cells: Sequence[CellData]) -> Iterator[Drawn]:
    """The paper at the left, ours at the right; where ours has no metric of the paper, each side has
    panels of its own.

    Raises Absent where the paper has one skip ratio alone, or no cell of ours answers to it.
    """
    block = paper()[name]
    if len(block.get("skips", ())) < 2:
        raise Absent("the paper tells one skip ratio alone; see the table")
    theirs = list(dict.fromkeys((line["task"], line["metrics"][0]) for line in block["lines"]))
    other = unmeasured(block, cells)
    ours = [(theirs[0][0], metric) for metric in block["instead"]] if other else theirs
    records: Records = []
    with figure(0.8 + 0.95 * max(len(theirs), len(ours))) as made:
        panels = made.subplots(max(len(theirs), len(ours)), 2, squeeze=False, sharex=True)
        for axes, row in zip(panels[:, 0], theirs, strict=False):
            for line in _lines(block, row):
                records += _theirs(axes, line, block["skips"])
            named = their_name(row[1])
            axes.set_ylabel(named.replace(", ", "\n", 1) if "." in row[1] else named)
        for axes, row in zip(panels[:, 1], ours, strict=False):
            lines = _lines(block, theirs[0] if other else row)
            if other:
                lines = _every(lines, row[1])
            for line in lines:
                records += _ours(axes, line, block["skips"], cells)
            _tell(axes, row[1], records)
        _finish(panels, len(theirs), len(ours))
        legend_below(made, panels[0][0], 2)
    if not any(record["whose"] == "ours" for record in records):
        raise Absent("no cell of ours answers to a value of the paper")
    apart = "The two sides measure different things. " if other else ""
    what = f"{block['title']}, beside ours. {apart}{' '.join(told(name))}"
    yield Drawn("", what, made, records)


def _lines(block: Json, row: tuple[str, str]) -> list[Json]:
    return [line for line in block["lines"] if (line["task"], line["metrics"][0]) == row]


def _every(lines: Sequence[Json], metric: str) -> list[Json]:
    """The same methods, measured by `metric`; the full model as well."""
    full = {"method": "full model", "task": lines[0]["task"]}
    methods = {line["method"]: line for line in (full, *lines)}
    return [{**line, "metrics": [metric]} for line in methods.values()]


def _tell(axes: Axes, metric: str, records: Records) -> None:
    """Name what ours measured: the metrics of the points, not what the paper has there."""
    used = {r["metric"] for r in records if r["whose"] == "ours" and r["for"] == metric}
    axes.set_ylabel("\n".join(our_name(m).replace(" of ", "\n") for m in sorted(used)))


def _finish(panels: NDArray[Any], left: int, right: int) -> None:
    """Titles and labels; panels that one side does not need are taken away."""
    panels[0][0].set_title("paper")
    panels[0][1].set_title("here")
    for column, rows in ((0, left), (1, right)):
        for axes in panels[rows:, column]:
            axes.set_axis_off()
        panels[rows - 1][column].set_xlabel("FFN skipped, %")
        panels[rows - 1][column].tick_params(labelbottom=True)


def _factor(metric: str) -> float:
    return 1.0 if metric == "speedup" else scale(metric)


def _theirs(axes: Axes, line: Json, skips: Sequence[float]) -> Records:
    method, metric = paper()["methods"][line["method"]][0], line["metrics"][0]
    values = [_factor(metric) * value for value in line["values"]]
    axes.plot([100 * skip for skip in skips], values, label=line["method"], **look(method))
    head = {"whose": "paper", "method": line["method"], "task": line["task"], "metric": metric}
    pairs = zip(skips, line["values"], strict=True)
    return [{**head, "skip": skip, "value": value} for skip, value in pairs]


def _ours(axes: Axes, line: Json, skips: Sequence[float], cells: Sequence[CellData]) -> Records:
    found = {cell.directory: cell for skip in skips for cell in matched(line, skip, skips, cells)}
    records: Records = []
    for cell in found.values():
        metric, measured = ours_of(line, cell)
        if measured is None or failed(cell) is not None:
            continue
        told_of = {key: measured[key] for key in ("value", "low", "high")}
        head = {"whose": "ours", "method": cell.label, "task": line["task"], "metric": metric}
        head["for"] = line["metrics"][0]
        place = {"skip": executed(cell, "ffn"), "fingerprint": fingerprint(cell)}
        records.append({**head, **place, **told_of})
        factor, value = _factor(metric), measured["value"]
        lengths = factor * bars(value, measured["low"], measured["high"])
        x = 100 * (executed(cell, "ffn") or 0.0)
        style = {**look(cell.summary["method"]), "ls": ""}
        axes.errorbar([x], [factor * value], lengths, elinewidth=0.5, **style)
    return records
