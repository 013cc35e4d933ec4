"""Figures of quality against what was skipped, and against speed."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.drawing import Absent, Drawn, Records, Source
from skipbench.report.groups import asked_of, executed, failed, fingerprint, value_of
from skipbench.report.pareto import Point
from skipbench.report.speeds import bought
from skipbench.report.style import MOST, brief, figure, height_of, legend_below, looks
from skipbench.report.text import HEADLINE, graded, percent

_AXES = (("weight_bytes_single", "bytes not read (alone), %"), ("ffn", "FFN calls not made, %"))


def metric_label(metric: str) -> str:
    name = HEADLINE.get(metric, metric)
    return name if graded(metric) else f"{name}, %"


def scale(metric: str) -> float:
    return 1.0 if graded(metric) else 100.0


def quality(source: Source) -> Iterator[Drawn]:
    group, metric = source.group, source.group.primary
    cells = [c for c in group.skipping if failed(c) is None and value_of(c, metric) is not None]
    if not cells:
        raise Absent(f"no complete cell of a method has a value of {metric}")
    if len(_families(cells)) > MOST:
        raise Absent(f"{len(_families(cells))} settings are more than one figure can tell apart")
    records: Records = []
    styles = looks(group.skipping)
    with figure(2.0 + height_of(len(styles), 2)) as made:
        panels = made.subplots(1, 2, sharey=True)
        for axes, (key, label) in zip(panels, _AXES, strict=True):
            dense_band(axes, group.dense, metric)
            for name, members in _families(cells).items():
                records += _line(axes, members, key, metric, styles[name])
            axes.set_xlabel(label)
        panels[0].set_ylabel(metric_label(metric))
        legend_below(made, panels[0], 2)
    what = caption(
        group,
        f"{metric_label(metric)} against the executed skip",
        "Bytes as a reply alone would read them. Lines join requests to one method; bars: 95 % "
        "intervals; band: dense; hollow: controls.",
    )
    yield Drawn("", what, made, records)


def _families(cells: Sequence[CellData]) -> dict[str, list[CellData]]:
    found: dict[str, list[CellData]] = {}
    for cell in cells:
        found.setdefault(cell.label, []).append(cell)
    return found


def dense_band(axes: Axes, dense: Sequence[CellData], metric: str) -> None:
    for cell in dense[:1]:
        found = cell.summary["metrics"].get(metric)
        if found and found["value"] is not None:
            axes.axhline(scale(metric) * found["value"], color="0.4", lw=0.6, label="dense")
            if found["low"] is not None:
                low, high = scale(metric) * found["low"], scale(metric) * found["high"]
                axes.axhspan(low, high, color="0.85", lw=0)


def _line(
    axes: Axes, cells: Sequence[CellData], key: str, metric: str, style: dict[str, Any]
) -> Records:
    drawn = sorted((x, c.directory.name, c) for c in cells if (x := executed(c, key)) is not None)
    records: Records = []
    for x, _, cell in drawn:
        found = cell.summary["metrics"][metric]
        record = {k: found[k] for k in ("value", "low", "high", "n", "unscored")}
        place = {"label": cell.label, "fingerprint": fingerprint(cell), "axis": key, "skipped": x}
        records.append({**place, "metric": metric, **record})
    if not records:
        return []
    factor = scale(metric)
    values, lows, highs = ([r[k] for r in records] for k in ("value", "low", "high"))
    axes.errorbar(
        [100 * r["skipped"] for r in records],
        factor * np.asarray(values, float),
        factor * bars(values, lows, highs),
        elinewidth=0.5,
        label=brief(cells[0].label),
        **style,
    )
    return records


def bars(value: Any, low: Any, high: Any) -> np.ndarray:
    """Lengths of error bars [2, points] around values; none where there is no interval."""
    middle = np.atleast_1d(np.asarray(value, float))
    ends = [np.atleast_1d(np.asarray(end, float)) for end in (low, high)]
    return np.clip(np.nan_to_num(np.stack([middle - ends[0], ends[1] - middle])), 0, None)


def pareto(source: Source) -> Iterator[Drawn]:
    """Paired difference against speed-up; an ellipse holds 95 % of the joint bootstrap."""
    if not source.points:
        reasons = sorted({f"{reason}" for _, reason in source.without})
        raise Absent(f"no cell has quality and speed: {'; '.join(reasons) or 'no method ran'}")
    metric = source.group.primary
    styles = looks([point.cell for point in source.points])
    with figure(2.2 + height_of(len(styles), 2)) as made:
        axes = made.subplots()
        axes.axhline(0, color="0.7", lw=0.6)
        axes.axvline(1, color="0.7", lw=0.6)
        axes.plot([1], [0], "k+", ms=6, label="dense")
        for point in source.points:
            _point(axes, point, scale(metric), styles[point.cell.label])
        _requests(axes, source, scale(metric), styles)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -0.01 * scale(metric)), max(high, 0.01 * scale(metric)))
        axes.set_xlabel("speed-up over dense, measured")
        unit = "" if graded(metric) else ", points"
        axes.set_ylabel(f"{HEADLINE.get(metric, metric)} − dense{unit}")
        legend_below(made, axes, 2)
    left = "; ".join(f"{label} ({reason})" for label, reason in source.without)
    legend = "Bars and ellipses: 95 % of the joint bootstrap; small: what was asked, %." + (
        f" Without speed: {left}." if left else ""
    )
    what = caption(source.group, "Quality and speed", legend)
    yield Drawn("", what, made, [_point_record(p, metric) for p in source.points])


def _requests(axes: Axes, source: Source, factor: float, styles: dict[str, dict[str, Any]]) -> None:
    """What each point asked for, in percent, beside it: requests of one method look alike."""
    for place, point in enumerate(sorted(source.points, key=lambda p: (p.speed, p.quality))):
        asked = asked_of(point.cell, source.group.cells)
        if asked is not None:
            above = place % 2 == 0
            axes.annotate(
                percent(asked).removesuffix(".0"),
                (point.speed, factor * point.quality),
                (2, 2 if above else -2),
                textcoords="offset points",
                va="bottom" if above else "top",
                fontsize=5,
                color=styles[point.cell.label]["color"],
            )


def _point(axes: Axes, point: Point, factor: float, style: dict[str, Any]) -> None:
    record, y = _point_record(point, ""), factor * point.quality
    axes.errorbar(
        [point.speed],
        [y],
        bars(point.quality, record["difference_low"], record["difference_high"]) * factor,
        bars(point.speed, record["speedup_low"], record["speedup_high"]),
        elinewidth=0.5,
        label=brief(point.cell.label),
        **{**style, "ls": ""},
    )
    spread = np.cov(np.stack([point.speeds, factor * point.qualities]))
    values, vectors = np.linalg.eigh(spread)
    width, height = 2 * np.sqrt(np.clip(values, 0, None) * 5.991)  # chi-square, 2 degrees, 95 %
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    axes.add_patch(
        Ellipse(
            (point.speed, y),
            width,
            height,
            angle=angle,
            fc=style["color"],
            alpha=0.18,
            ec="none",
        )
    )


def _point_record(point: Point, metric: str) -> dict:
    ends = {
        f"{name}_{side}": float(np.quantile(draws, q))
        for name, draws in (("difference", point.qualities), ("speedup", point.speeds))
        for side, q in (("low", 0.025), ("high", 0.975))
    }
    return {
        "label": point.cell.label,
        "asked": point.cell.summary["skip"].get("requested"),
        "fingerprint": fingerprint(point.cell),
        "metric": metric,
        "difference": point.quality,
        "speedup": point.speed,
        **ends,
        "p_front": point.p_front,
    }


def speed(source: Source) -> Iterator[Drawn]:
    cells = [c for c in source.group.skipping if failed(c) is None and _measured(c)]
    if not cells:
        raise Absent("no cell has a measured speed-up; it needs decode=forced_length")
    records: Records = []
    styles = looks(cells)
    with figure(2.2 + height_of(len(styles), 2)) as made:
        axes = made.subplots()
        for cell in cells:
            records.append(_speed_record(cell))
            low, value, high = (records[-1][k] for k in ("low", "speedup", "high"))
            x = records[-1]["allowed_batch"]
            style = {**styles[cell.label], "ls": ""}
            axes.errorbar(
                [x],
                [value],
                bars(value, low, high),
                elinewidth=0.5,
                label=brief(cell.label),
                **style,
            )
        ends = [r[k] for r in records for k in ("speedup", "allowed_batch")]
        line = [min([1.0, *ends]), max([1.0, *ends])]
        axes.plot(line, line, color="0.6", lw=0.6, label="as allowed")
        axes.set_xlabel("speed-up that the skipped bytes allow")
        axes.set_ylabel("speed-up measured")
        legend_below(made, axes, 2)
    what = caption(source.group, "Speed-up measured against 1 / (1 − weight bytes not read)")
    yield Drawn("", what, made, records)


def _measured(cell: CellData) -> bool:
    return bool(cell.summary["speed"].get("speedup")) and bought(cell, "weight_bytes") is not None


def _speed_record(cell: CellData) -> dict:
    found = cell.summary["speed"]["speedup"]
    return {
        "label": cell.label,
        "fingerprint": fingerprint(cell),
        "speedup": found["value"],
        "low": found["low"],
        "high": found["high"],
        "allowed_batch": bought(cell, "weight_bytes"),
        "allowed_alone": bought(cell, "weight_bytes_single"),
    }
