"""Figures from maps of single steps and layers: similarity, where was skipped, when loops begin."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from skipbench.records import BadInput, read_json
from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.drawing import Absent, Drawn, Records, Source
from skipbench.report.groups import executed, failed, fingerprint, name_of
from skipbench.report.paper import similarity_curves, told
from skipbench.report.scan import Scan
from skipbench.report.style import (
    COLOURS,
    LINES,
    MOST,
    brief,
    figure,
    height_of,
    legend_below,
    shades,
)

_HALVES = ("attn", "ffn")
_SIDES = ("wrong", "right")
_COLD = ("ffnskip", "ffnskip_code", "ffnskip_paper")
_LEAST = 3  # replies; steps that fewer reach are left blank


def similarity(source: Source) -> Iterator[Drawn]:
    """Cosine similarity before and after each half-block of dense, and the paper's own curves."""
    dense = [c for c in source.group.dense if (c.directory / "similarity.json").exists()]
    if not dense:
        raise Absent("no dense cell has a similarity.json")
    path = dense[0].directory / "similarity.json"
    found = read_json(path)
    records: Records = []
    with figure(3.4) as made:
        ours, theirs = made.subplots(2, 1)
        for place, half in enumerate(h for h in ("ffn", "attn", "block") if h in found):
            try:
                records += _curve(ours, found[half], half, place)
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(f"{path} has no curve of {half} ({error})") from None
        for low, high in _cold(source.group.skipping):
            ours.axvspan(low - 0.5, high - 0.5, color="0.9", lw=0, zorder=0)
        ours.set_ylim(top=1.0)
        ours.set(title=f"here: {source.group.title}", ylabel="cosine similarity", xlabel="block")
        for place, (name, means) in enumerate(similarity_curves().items()):
            style = LINES[place % len(LINES)]
            theirs.plot(range(len(means)), means, ls=style, color=COLOURS[place], label=name)
            records += [{"curve": name, "block": i, "mean": m} for i, m in enumerate(means)]
        theirs.set(title="authors' logs, FFN", ylabel="cosine similarity", xlabel="block")
        ours.legend(loc="lower center", ncols=3)
        theirs.legend(loc="lower left", ncols=2)
    what = caption(
        source.group,
        "Similarity of the residual stream before and after each half-block, dense",
        "Bands: one standard deviation; grey: cold regions of the ffnskip cells. "
        + " ".join(told("fig2")),
    )
    yield Drawn("", what, made, records)


def _curve(axes: Axes, found: dict[str, Any], half: str, place: int) -> Records:
    means, stds = np.asarray(found["mean"], float), np.asarray(found["std"], float)
    blocks = np.arange(len(means))
    axes.plot(blocks, means, color=COLOURS[place], label=half)
    axes.fill_between(blocks, means - stds, means + stds, color=COLOURS[place], alpha=0.2, lw=0)
    rows = zip(blocks.tolist(), means.tolist(), stds.tolist(), strict=True)
    head = {"curve": half, "n": found["n"]}
    return [{**head, "block": i, "mean": mean, "std": std} for i, mean, std in rows]


def _cold(cells: Sequence[CellData]) -> list[tuple[int, int]]:
    """Blocks that every ffnskip cell always runs, as (first, end) at both ends."""
    starts, ends = [], []
    for cell in cells:
        method, blocks = cell.manifest.get("method", {}), cell.manifest.get("num_layers") or 0
        if cell.summary["method"] in _COLD and method.get("cold_start") is not None:
            starts.append(_count(method["cold_start"], blocks))
            ends.append(blocks - _count(method["cold_end"], blocks))
    if not starts:
        return []
    return [(0, min(starts)), (max(ends), cells[0].manifest["num_layers"])]


def _count(value: float, blocks: int) -> int:
    """A count of blocks as it is, a fraction of depth rounded."""
    return round(value * blocks) if isinstance(value, float) and value < 1 else int(value)


def maps(source: Source) -> Iterator[Drawn]:
    """For each method that adapts: share of replies that skipped, by step and block, right and wrong."""
    if not source.group.whole:
        raise Absent("the maps of a cell are drawn once, with all cells of its task")
    adaptive = [c for c in source.group.skipping if failed(c) is None and _adapts(c)]
    shown = [c for c in adaptive if source.reads[c.directory].scan.reached.any()]
    if not shown:
        raise Absent("no method skipped at places that depend on the input")
    for cell in shown:
        scan = source.reads[cell.directory].scan
        half = 1 if (executed(cell, "ffn") or 0) > 0 else 0
        with figure(1.9) as made:
            records = _map(made, scan, half)
        what = caption(
            source.group,
            f"{cell.label}: share of replies that skipped the {_HALVES[half].upper()}",
            f"Steps that fewer than {_LEAST} replies reached are blank.",
        )
        yield Drawn(f"_{fingerprint(cell)}", what, made, records)


def _adapts(cell: CellData) -> bool:
    return (cell.summary["skip"].get("trigger_entropy_bits") or 0) > 0


def shares(scan: Scan, half: int) -> NDArray[np.float64]:
    """Share of replies that skipped [side, step, block]; NaN where too few came so far."""
    reached = scan.reached[:, :, None].astype(float)
    enough = np.broadcast_to(reached >= _LEAST, scan.skipped[..., half].shape)
    out = np.full(scan.skipped[..., half].shape, np.nan)
    return np.divide(scan.skipped[..., half], reached, out=out, where=enough)


def _map(made: Figure, scan: Scan, half: int) -> Records:
    share = 100 * shares(scan, half)
    steps = int(np.flatnonzero(np.isfinite(share).any((0, 2))).max(initial=0)) + 1
    panels = made.subplots(1, 2, sharey=True)
    records: Records = []
    image = None
    colours = colormaps["cividis"].with_extremes(bad="0.92")
    for axes, side in zip(panels, (1, 0), strict=True):
        image = axes.imshow(
            share[side, :steps].T,
            aspect="auto",
            origin="lower",
            vmin=0,
            vmax=100,
            cmap=colours,
            interpolation="nearest",
            extent=(0.5, steps + 0.5, -0.5, share.shape[2] - 0.5),
        )
        replies = int(scan.reached[side].max())
        axes.set(title=f"{_SIDES[side]} ({replies} replies)", xlabel="decode step")
        records += _map_records(scan, side, half, steps)
    panels[0].set_ylabel("block")
    if image is not None:
        made.colorbar(image, ax=list(panels), label="skipped, %", pad=0.02, aspect=15)
    return records


def _map_records(scan: Scan, side: int, half: int, steps: int) -> Records:
    head = {"replies": _SIDES[side], "half": _HALVES[half]}
    return [
        {**head, "step": step + 1, "block": block, "skipped": int(n), "reached": int(reached)}
        for step, reached in enumerate(scan.reached[side, :steps])
        for block, n in enumerate(scan.skipped[side, step, :, half])
    ]


def onsets(source: Source) -> Iterator[Drawn]:
    """Share of all replies whose loop began at a token or before."""
    looping = [c for c in source.group.cells if source.reads[c.directory].scan.onsets]
    if not looping:
        raise Absent("no reply of any cell loops")
    if len(looping) > MOST:
        raise Absent(f"{len(looping)} cells with loops are more than one figure can tell apart")
    records: Records = []
    styles = shades([cell.summary["method"] for cell in looping])
    end = max(10, *(1.5 * max(source.reads[c.directory].scan.onsets) for c in looping))
    with figure(2.0 + height_of(len(looping), 2)) as made:
        axes = made.subplots()
        for cell, style in zip(looping, styles, strict=True):
            scan = source.reads[cell.directory].scan
            records += _onset(axes, cell, scan, style, source.group.cells, end)
        axes.set(xlabel="token at which the loop sets in", ylabel="replies in a loop, %")
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(0, end)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(end)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.set_ylim(bottom=0)
        legend_below(made, axes, 2)
    what = caption(
        source.group,
        "When loops of at least 8 tokens set in",
        "Shares of all replies; in brackets how many loop of how many.",
    )
    yield Drawn("", what, made, records)


def _ticks(end: float) -> list[int]:
    """0, 5, 10, 20, 50, 100, … as far as the axis goes."""
    marks = [0, 2, 5, *(step * 10**power for power in range(1, 6) for step in (1, 2, 5))]
    return [mark for mark in marks if mark <= end]


def _onset(
    axes: Axes,
    cell: CellData,
    scan: Scan,
    style: dict[str, Any],
    cells: Sequence[CellData],
    end: float,
) -> Records:
    tokens = sorted(scan.onsets)
    counts = np.cumsum([scan.onsets[token] for token in tokens])
    axes.step(
        [0, *tokens, end],  # to the end of the axis: no line ends in a spike
        [0, *(shares_so_far := 100 * counts / scan.replies), shares_so_far[-1]],
        where="post",
        label=f"{brief(name_of(cell, cells))} ({counts[-1]} of {scan.replies})",
        ms=2,
        **style,
    )
    head = {"label": cell.label, "fingerprint": fingerprint(cell), "replies": scan.replies}
    rows = zip(tokens, counts.tolist(), strict=True)
    return [{**head, "token": token, "loops_so_far": count} for token, count in rows]
