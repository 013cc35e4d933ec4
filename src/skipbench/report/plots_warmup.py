"""Quality against the number of tokens that run in full first (warm-up)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.drawing import Absent, Drawn, Records, Source
from skipbench.report.groups import Group, asked_of, failed, fingerprint, phase_of, value_of
from skipbench.report.plots_quality import bars, dense_band, metric_label, scale
from skipbench.report.style import brief, figure, height_of, legend_below, shades
from skipbench.report.text import percent

_KEY = "warmup_tokens"
_LEAST = 3  # cells of a line


def warm_up(source: Source) -> Iterator[Drawn]:
    """A line for each setting and request whose cells differ in the warm-up alone.

    Raises Absent where no three cells do.
    """
    group, metric = source.group, source.group.primary
    lines = _lines(group)
    if not lines:
        raise Absent(f"no {_LEAST} cells differ only in {_KEY}")
    records: Records = []
    styles = shades([cells[0].summary["method"] for cells in lines.values()])
    with figure(2.0 + height_of(len(lines), 2)) as made:
        axes = made.subplots()
        dense_band(axes, group.dense, metric)
        for (name, cells), style in zip(lines.items(), styles, strict=True):
            rows = [_record(cell, name, metric) for cell in cells]
            value, low, high = ([row[key] for row in rows] for key in ("value", "low", "high"))
            axes.errorbar(
                [row["warmup_tokens"] for row in rows],
                scale(metric) * np.asarray(value, float),
                scale(metric) * bars(value, low, high),
                elinewidth=0.5,
                label=brief(name),
                **style,
            )
            records += rows
        axes.set(xlabel="tokens that run in full first", ylabel=metric_label(metric))
        axes.set_xlim(left=0)
        legend_below(made, axes, 2)
    what = caption(
        group,
        f"{metric_label(metric)} against the warm-up",
        "Each line: cells of one setting and request that differ in the warm-up alone, so that a longer "
        "one is paid for by more skipping later. Bars: 95 % intervals; band: dense.",
    )
    yield Drawn("", what, made, records)


def warmup_of(cell: CellData) -> int | None:
    return cell.manifest["config"]["method"].get(_KEY)


def _lines(group: Group) -> dict[str, list[CellData]]:
    """Name of a line -> its cells, by number of tokens."""
    metric, found = group.primary, dict[tuple[Any, ...], list[CellData]]()
    for cell in group.skipping:
        if (
            failed(cell) is None
            and value_of(cell, metric) is not None
            and warmup_of(cell) is not None
        ):
            label = " ".join(w for w in cell.label.split(" ") if not w.startswith(f"{_KEY}="))
            asked = asked_of(cell, group.cells)
            found.setdefault((label, asked, phase_of(cell)), []).append(cell)
    made = {}
    for (label, asked, _), cells in found.items():
        if len({warmup_of(cell) for cell in cells}) >= _LEAST:
            name = label if asked is None else f"{label} {percent(asked).removesuffix('.0')} %"
            made[name] = sorted(cells, key=lambda cell: (warmup_of(cell), fingerprint(cell)))
    return made


def _record(cell: CellData, name: str, metric: str) -> dict[str, Any]:
    found = cell.summary["metrics"][metric]
    told = {key: found[key] for key in ("value", "low", "high", "n", "unscored")}
    head = {"line": name, "fingerprint": fingerprint(cell), "metric": metric}
    return {
        **head,
        "warmup_tokens": warmup_of(cell),
        **told,
        "ffn": cell.summary["skip"].get("ffn"),
    }
