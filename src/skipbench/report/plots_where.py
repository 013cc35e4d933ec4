"""The figure of layer drop: which part is left out, where in depth, and in which phase."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes

from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.drawing import Absent, Drawn, Records, Source
from skipbench.report.groups import failed, fingerprint, phase_of, value_of
from skipbench.report.plots_quality import bars, dense_band, metric_label, scale
from skipbench.report.style import COLOURS, figure, legend_below

_PHASES = {"prefill": "prefill only", "decode": "decode only", "both": "both phases"}
_PARTS = {"attn": "attention", "ffn": "FFN", "block": "block"}
Place = tuple[str, int | float]  # part, and how many of it (or their share)


def where_and_when(source: Source) -> Iterator[Drawn]:
    """Quality by what is left out, a panel for each phase and a colour for each place."""
    metric = source.group.primary
    cells = [
        c
        for c in source.group.skipping
        if c.summary["method"] == "layerdrop"
        and failed(c) is None
        and value_of(c, metric) is not None
    ]
    phases = [phase for phase in _PHASES if phase in {phase_of(cell) for cell in cells}]
    if len(phases) < 2:
        raise Absent("layer drop ran in fewer than two phases")
    places = _places(cells)
    orders = sorted({_order(cell) for cell in cells}, reverse=True)
    records: Records = []
    with figure(2.1) as made:
        panels = made.subplots(1, len(phases), sharey=True)
        for axes, phase in zip(panels, phases, strict=True):
            dense_band(axes, source.group.dense, metric)
            for shift, order in enumerate(orders):
                members = [c for c in cells if (phase_of(c), _order(c)) == (phase, order)]
                dodge = 0.4 * ((shift + 0.5) / len(orders) - 0.5)
                records += _marks(axes, members, places, metric, shift, dodge)
            axes.set_title(_PHASES[phase])
            names = [f"{many} × {_PARTS[part]}" for part, many in places]
            axes.set_xticks(range(len(places)), names, rotation=90)
            axes.set_xlim(-0.6, len(places) - 0.4)
        panels[0].set_ylabel(metric_label(metric))
        legend_below(made, panels[0], 4)
    legend = "Panels: the phase that skips; the other is whole. Bars: 95 % intervals; band: dense."
    what = caption(source.group, "Layer drop by part, place and phase", legend)
    yield Drawn("", what, made, records)


def _setting(cell: CellData) -> dict[str, Any]:
    return cell.manifest["config"]["method"]


def _order(cell: CellData) -> str:
    return str(_setting(cell)["order"])


def _place(cell: CellData) -> Place:
    blocks = _setting(cell)["blocks"]
    return _setting(cell)["part"], len(blocks) if isinstance(blocks, list) else blocks


def _places(cells: Sequence[CellData]) -> list[Place]:
    """The fewest of each part first, then the next: those stand together that weigh about as much."""
    found = {_place(cell) for cell in cells}
    rank = {
        (part, many): sum(other < many for p, other in found if p == part) for part, many in found
    }
    return sorted(found, key=lambda place: (rank[place], list(_PARTS).index(place[0])))


def _marks(
    axes: Axes,
    cells: Sequence[CellData],
    places: Sequence[Place],
    metric: str,
    shift: int,
    dodge: float,
) -> Records:
    factor, records = scale(metric), []
    for cell in cells:
        found, (part, many) = cell.summary["metrics"][metric], _place(cell)
        axes.errorbar(
            [places.index((part, many)) + dodge],
            [factor * found["value"]],
            factor * bars(found["value"], found["low"], found["high"]),
            ls="",
            marker="osD^"[shift % 4],
            color=COLOURS[shift % len(COLOURS)],
            elinewidth=0.5,
            label=_order(cell),
        )
        head = {"fingerprint": fingerprint(cell), "part": part, "blocks": many}
        place = {**head, "order": _order(cell), "phase": phase_of(cell), "metric": metric}
        records.append(
            {**place, **{k: found[k] for k in ("value", "low", "high", "n", "unscored")}}
        )
    return records
