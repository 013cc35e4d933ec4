"""The paper's curves and ours side by side, a row of panels for each task and metric."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes

from skipbench.report.cells import CellData
from skipbench.report.drawing import Absent, Drawn, Records
from skipbench.report.groups import executed, failed, fingerprint
from skipbench.report.paper import Json, matched, ours_of, paper, told
from skipbench.report.plots_quality import bars, metric_label, scale
from skipbench.report.style import figure, legend_below, look
from skipbench.report.text import HEADLINE


def beside(name: str, cells: Sequence[CellData]) -> Iterator[Drawn]:
    """Raises Absent where the paper has one skip ratio alone, or no cell of ours answers to it."""
    block = paper()[name]
    if len(block.get("skips", ())) < 2:
        raise Absent("the paper tells one skip ratio alone; see the table")
    rows = list(dict.fromkeys((line["task"], line["metrics"][0]) for line in block["lines"]))
    records: Records = []
    with figure(0.8 + 0.95 * len(rows)) as made:
        panels = made.subplots(len(rows), 2, squeeze=False, sharex=True)
        for (left, right), row in zip(panels, rows, strict=True):
            lines = [x for x in block["lines"] if (x["task"], x["metrics"][0]) == row]
            for line in lines:
                records += _theirs(left, line, block["skips"])
                records += _ours(right, line, block["skips"], cells)
            left.set_ylabel(_label(row[1]))
            used = {r["metric"] for r in records if r["whose"] == "ours" and r["for"] == row[1]}
            right.set_ylabel(", ".join(sorted(map(_label, used - {row[1]}))))
        panels[0][0].set_title("paper")
        panels[0][1].set_title("here")
        for axes in panels[-1]:
            axes.set_xlabel("FFN skipped, %")
        legend_below(made, panels[0][0], 2)
    if not any(record["whose"] == "ours" for record in records):
        raise Absent("no cell of ours answers to a value of the paper")
    yield Drawn("", f"{block['title']}, beside ours. {' '.join(told(name))}", made, records)


def _label(metric: str) -> str:
    if metric == "speedup":
        return "speed-up"
    name, _, part = metric.partition(".")
    return metric_label(metric) if metric in HEADLINE else f"{part or name}, grade"


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
