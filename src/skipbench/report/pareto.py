"""Which methods are on the front of quality and speed, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skipbench.report.cells import CellData
from skipbench.report.groups import Group, failed, fingerprint
from skipbench.report.scan import Scan
from skipbench.report.scores import Values

_DRAWS = 2000
_CLUSTERS = 2000  # more are merged at random into as many: a coarser bootstrap is still a valid one
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """A method's paired difference in quality and its speed-up, with draws of both [draws];
    `batches`: pairs that its speed-up rests on."""

    cell: CellData
    quality: float
    speed: float
    qualities: Floats
    speeds: Floats
    p_front: float
    batches: int


def points_of(
    group: Group, reads: dict, seed: int = 0
) -> tuple[list[Point], list[tuple[str, str]]]:
    """Points of a group, and (label, reason) of the cells that have none.

    One draw resamples the clusters of questions, the same for all methods, and the paired batches
    of each method. On the front: no other method nor dense is as good in both and better in one.
    """
    rng = np.random.default_rng(seed)
    dense = {fingerprint(cell): cell for cell in group.dense}
    kept, without = [], []
    for cell in group.skipping:
        twin = dense.get(cell.summary.get("twin") or "")
        reason = _reason(cell, twin, group.primary)
        if reason is None and twin is not None:
            kept.append((cell, reads[cell.directory], reads[twin.directory]))
        else:
            without.append((cell.label, reason or "no dense twin"))
    if not kept:
        return [], without
    deltas = [delta_of(ours.values, theirs.values) for _, ours, theirs in kept]
    quality = quality_draws(deltas, rng)
    speed = np.stack([speed_draws(ours.scan, theirs.scan, rng) for _, ours, theirs in kept])
    front = p_front(quality, speed)
    points = [
        Point(
            cell,
            float(delta["delta"].to_numpy().mean()),
            _speedup(cell),
            quality[i],
            speed[i],
            front[i],
            len(paired_batches(ours.scan, theirs.scan)),
        )
        for i, ((cell, ours, theirs), delta) in enumerate(zip(kept, deltas, strict=True))
    ]
    return points, without


def _reason(cell: CellData, twin: CellData | None, metric: str) -> str | None:
    speed = cell.summary["speed"]
    apart = cell.summary["paired"].get(metric, {}).get("reason")  # graded by two judges
    if failed(cell) is not None:
        return failed(cell)
    if not speed.get("speedup"):
        return speed.get("speedup_reason") or "no speed was measured"
    return apart if twin is not None else "its dense twin is not in this folder"


def _speedup(cell: CellData) -> float:
    return float(cell.summary["speed"]["speedup"]["value"])


def delta_of(ours: Values, theirs: Values) -> pd.DataFrame:
    """`delta` and `cluster` of the samples that both scored."""
    a = pd.DataFrame({"ours": ours.values, "cluster": ours.clusters}, index=pd.Index(ours.ids))
    b = pd.DataFrame({"theirs": theirs.values}, index=pd.Index(theirs.ids))
    both = a.join(b, how="inner").dropna(subset=["ours", "theirs"])
    return pd.DataFrame({"delta": both["ours"] - both["theirs"], "cluster": both["cluster"]})


def quality_draws(deltas: Sequence[pd.DataFrame], rng: np.random.Generator) -> Floats:
    """Mean paired differences [methods, draws]; in each draw all methods have the same clusters."""
    names = np.unique(np.concatenate([delta["cluster"].to_numpy() for delta in deltas]))
    size = min(len(names), _CLUSTERS)
    place = np.arange(len(names)) if len(names) <= size else rng.integers(0, size, len(names))
    weights = rng.multinomial(size, np.full(size, 1 / size), _DRAWS).astype(float)
    made = []
    for delta in deltas:
        index = place[np.searchsorted(names, delta["cluster"].to_numpy())]
        sums = np.bincount(index, delta["delta"].to_numpy(), size)
        counts = np.bincount(index, minlength=size)
        totals = weights @ counts
        made.append(np.divide(weights @ sums, totals, out=np.zeros(_DRAWS), where=totals > 0))
    return np.stack(made)


def speed_draws(ours: Scan, theirs: Scan, rng: np.random.Generator) -> Floats:
    """Speed-ups of resampled paired batches [draws]: dense time over the method's, geometric mean."""
    logs = np.log([dense / method for method, dense in paired_batches(ours, theirs)])
    return np.exp(logs[rng.integers(0, len(logs), (_DRAWS, len(logs)))].mean(1))


def paired_batches(ours: Scan, theirs: Scan) -> list[tuple[float, float]]:
    """Seconds per token of the method and of dense, of each batch that both ran in one process."""
    dense = {**theirs.batches, **ours.dense_batches}
    return [(ours.batches[k], dense[k]) for k in sorted(ours.batches.keys() & dense.keys())]


def p_front(quality: Floats, speed: Floats) -> list[float]:
    """Share of draws in which each method is on the front; dense stands at (0, 1)."""
    q = np.vstack([quality, np.zeros(quality.shape[1])])
    s = np.vstack([speed, np.ones(speed.shape[1])])
    found = []
    for i in range(len(quality)):
        as_good = (q >= q[i]) & (s >= s[i])
        better = (q > q[i]) | (s > s[i])
        found.append(float(1 - (as_good & better).any(0).mean()))
    return found
