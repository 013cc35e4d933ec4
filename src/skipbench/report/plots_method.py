"""Figures that compare methods: outcomes, caches of early exit, grades by category."""

import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes

from skipbench.metrics.answers import OUTCOMES
from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.details import graded_metrics
from skipbench.report.drawing import Absent, Drawn, Records, Source
from skipbench.report.groups import asked_of, failed, fingerprint, name_of, value_of
from skipbench.report.plots_quality import bars, metric_label, scale
from skipbench.report.style import COLOURS, brief, figure, legend_below
from skipbench.report.text import percent, shown

_ROWS = 60  # bars of a figure that still fits a page
_COLOUR_OF: dict[str, str] = dict(
    zip(OUTCOMES, ("#009E73", "#000000", "#D55E00", "#56B4E9", "#E69F00"), strict=True)
)


def transitions(source: Source) -> Iterator[Drawn]:
    """For each method, what became of the replies that dense has right, and of the others."""
    cells = [c for c in source.group.skipping if c.summary.get("transitions")]
    cells = [c for c in cells if failed(c) is None]
    if not cells:
        raise Absent("no method has outcomes paired with dense")
    records: Records = []
    if len(cells) > _ROWS:
        raise Absent(f"{len(cells)} cells are more rows than a figure has; see the table")
    names = [_wrapped(brief(name_of(cell, source.group.cells))) for cell in cells]
    sizes = [1.3 + name.count("\n") for name in names]  # lines of a row, and a gap
    places = np.cumsum(sizes) - np.asarray(sizes) / 2
    with figure(0.95 + 0.095 * sum(sizes)) as made:
        panels = made.subplots(1, 2, sharey=True)
        for axes, right in zip(panels, (True, False), strict=True):
            befores = [b for b in OUTCOMES if (b == "correct") == right]
            for place, cell in zip(places.tolist(), cells, strict=True):
                records += _stack(axes, place, cell, befores)
            axes.set_title(f"dense {'' if right else 'not '}correct,\n{_replies(cells, befores)}")
            axes.set(xlim=(0, 100), xlabel="replies, %")
        panels[0].set_yticks(places, names, fontsize=5)
        panels[0].set_ylim(sum(sizes), 0)
        for outcome in OUTCOMES:
            told = outcome.replace("_", " ")
            panels[0].barh([1], [0], color=_COLOUR_OF[outcome], label=told)
        legend_below(made, panels[0], 3)
    what = caption(source.group, "Outcomes under the method, by outcome under dense")
    yield Drawn("", what, made, records)


def _wrapped(name: str) -> str:
    """A name in lines that leave room for the bars."""
    return "\n".join(textwrap.wrap(name, 34))


def _replies(cells: Sequence[CellData], befores: Sequence[str]) -> str:
    """How many replies the bars of a panel rest on; from, to where rows differ."""
    totals = {
        sum(n for b in befores for n in cell.summary["transitions"].get(b, {}).values())
        for cell in cells
    }
    low, high = min(totals), max(totals)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def _stack(axes: Axes, row: float, cell: CellData, befores: Sequence[str]) -> Records:
    """One bar of all replies with these outcomes under dense; its records stay apart by outcome."""
    table = cell.summary["transitions"]
    counts = {a: sum(table.get(b, {}).get(a, 0) for b in befores) for a in OUTCOMES}
    total, left = sum(counts.values()), 0.0
    for after, n in counts.items():
        if n:
            axes.barh([row], [100 * n / total], left=left, height=0.9, color=_COLOUR_OF[after])
            left += 100 * n / total
    if not total:
        axes.text(2, row, "none", va="center", fontsize=5, color="0.4")
    head = {"label": cell.label, "fingerprint": fingerprint(cell)}
    return [
        {**head, "dense": before, "method": after, "replies": table.get(before, {}).get(after, 0)}
        for before in befores
        for after in OUTCOMES
    ]


def cache_rules(source: Source) -> Iterator[Drawn]:
    """Early exit: quality by exit rule, a mark for each rule of the cache."""
    metric = source.group.primary
    cells = [
        c
        for c in source.group.skipping
        if c.summary["method"] == "earlyexit"
        and failed(c) is None
        and value_of(c, metric) is not None
    ]
    if len({_kv(cell) for cell in cells}) < 2:
        raise Absent("early exit ran with fewer than two rules for its cache")
    places = sorted({_place(cell, source) for cell in cells})
    rules = sorted({_kv(cell) for cell in cells})
    records: Records = []
    with figure(2.2) as made:
        axes = made.subplots()
        for shift, rule in enumerate(rules):
            members = [cell for cell in cells if _kv(cell) == rule]
            records += _marks(axes, members, shift, len(rules), places, source)
        axes.set_xticks(
            range(len(places)), [" ".join(place).replace(" ", "\n", 1) for place in places]
        )
        axes.set_ylabel(metric_label(metric))
        axes.set_xlabel("exit rule, and what was asked")
        axes.set_xlim(-0.5, len(places) - 0.5)
        legend_below(made, axes, 4)
    yield Drawn("", caption(source.group, "Early exit by exit rule and cache"), made, records)


def _kv(cell: CellData) -> str:
    return str(cell.manifest["method"].get("kv"))


def _place(cell: CellData, source: Source) -> tuple[str, str]:
    asked = asked_of(cell, source.group.cells)
    rule = str(cell.manifest["method"].get("exit_rule"))
    return rule, "own" if asked is None else f"{percent(asked)} %"


def _marks(
    axes: Axes,
    cells: Sequence[CellData],
    shift: int,
    rules: int,
    places: Sequence[tuple[str, str]],
    source: Source,
) -> Records:
    metric = source.group.primary
    factor, records = scale(metric), []
    for cell in cells:
        found, place = cell.summary["metrics"][metric], _place(cell, source)
        value = found["value"] * factor
        x = places.index(place) + (shift - (rules - 1) / 2) * 0.6 / rules
        axes.errorbar(
            [x],
            [value],
            factor * bars(found["value"], found["low"], found["high"]),
            ls="",
            marker="osD^"[shift % 4],
            color=COLOURS[shift % len(COLOURS)],
            elinewidth=0.5,
            label=_kv(cell),
        )
        head = {"fingerprint": fingerprint(cell), "exit_rule": place[0], "kv": _kv(cell)}
        told = {k: found[k] for k in ("value", "low", "high", "n", "unscored")}
        records.append({**head, "asked": place[1], "metric": metric, **told})
    return records


def grades(source: Source) -> Iterator[Drawn]:
    """Mean grade of each method and category, printed in its colour."""
    metrics = graded_metrics(source.group)
    categories = [metric for metric in metrics if "." in metric]
    if not categories:
        raise Absent("no replies were graded by category")
    cells = [cell for cell in source.group.cells if failed(cell) is None]
    cells = [cell for cell in cells if any(value_of(cell, m) is not None for m in categories)]
    names = [brief(name_of(cell, source.group.cells)) for cell in cells]
    values = np.array([[value_of(cell, m) for m in categories] for cell in cells], dtype=float)
    with figure(0.8 + 0.15 * len(cells)) as made:
        axes = made.subplots()
        axes.imshow(values, vmin=1, vmax=10, cmap="cividis", aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            text = "unscored" if np.isnan(value) else shown(categories[column], value)
            colour = "white" if np.isnan(value) or value < 6 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=5, color=colour)
        labels = [m.split(".", 1)[1] for m in categories]
        axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
        axes.set_yticks(range(len(cells)), names, fontsize=5 if max(map(len, names)) < 24 else 4)
        for spine in axes.spines.values():
            spine.set_visible(False)
    records = [
        {
            "label": cell.label,
            "fingerprint": fingerprint(cell),
            "metric": metric,
            **cell.summary["metrics"].get(metric, {}),
        }
        for cell in cells
        for metric in categories
    ]
    yield Drawn("", caption(source.group, "Grades from 1 to 10 by category"), made, records)
