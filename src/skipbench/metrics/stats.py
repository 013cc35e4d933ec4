"""Intervals and tests. Clustered wherever samples share an entity or a question.

From scipy and statsmodels where they have it; what stands here is the clustering around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Scale = tuple[float, float]  # the lowest and the highest value that a metric can have
SHARE: Scale = (0.0, 1.0)


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Method minus dense on the same samples.

    `p`: cluster permutation test; `p_noninferior`: that the method is worse by `margin` or more;
    `p_equivalent`: that it differs by `margin` or more (two one-sided t tests); small values speak
    for "no loss", which a large `p` does not. `p_exact`: exact McNemar, for yes-or-no metrics, which takes
    samples as independent; `minimum_detectable`: what would be found 4 times in 5 at p < 0.05.
    """

    difference: float
    low: float
    high: float
    p: float
    p_exact: float | None
    lost: int | None
    won: int | None
    minimum_detectable: float
    margin: float
    p_noninferior: float
    p_equivalent: float
    n: int
    clusters: int


def exact(successes: int, n: int) -> tuple[float, float]:
    """95 % Clopper-Pearson interval of a proportion: never less than nominal, often more."""
    low, high = proportion_confint(successes, n, method="beta")
    return float(low), float(high)  # type: ignore[arg-type]


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of one table, adjusted for their number (Holm)."""
    if not p_values:
        return []
    adjusted: Any = multipletests(list(p_values), method="holm")
    return [float(p) for p in adjusted[1]]


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """95 % BCa interval of a mean of independent values, for skewed ones."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2 or np.ptp(data) == 0:
        return Interval(float(data.mean()), float(data.mean()), float(data.mean()))
    found: Any = stats.bootstrap(
        (data,), np.mean, method="BCa", n_resamples=2000, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(float(data.mean()), float(found.low), float(found.high))


def wilson(successes: float, n: float) -> tuple[float, float]:
    """95 % Wilson interval of a proportion; `n` may be an effective sample size."""
    low, high = proportion_confint(successes, n, method="wilson")
    return float(low), float(high)  # type: ignore[arg-type]


def _by_cluster(values: Floats, clusters: Sequence[str]) -> tuple[Floats, Floats]:
    """Sum and count of each cluster."""
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, weights=values).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


def clustered_error(values: Floats, clusters: Sequence[str]) -> tuple[float, int]:
    """Standard error of the mean with clusters as the unit (linearised ratio, G/(G-1)), and G."""
    sums, counts = _by_cluster(values, clusters)
    groups = len(sums)
    if groups < 2:
        return float("nan"), groups
    residuals = sums - values.mean() * counts
    variance = groups / (groups - 1) * float((residuals**2).sum()) / len(values) ** 2
    return variance**0.5, groups


def _unit(values: Floats, scale: Scale | None) -> Floats | None:
    """Values as shares of their scale; None where there is no scale, or some lie beyond it."""
    if scale is None:
        return None
    share = (values - scale[0]) / (scale[1] - scale[0])
    return share if len(share) and share.min() >= 0 and share.max() <= 1 else None


def _nearly_all(same: NDArray[np.bool_]) -> bool:
    """So many agree that the spread of the others says little about what was not seen."""
    return float(same.mean()) > 0.8


def mean_interval(
    values: Sequence[float], clusters: Sequence[str], scale: Scale | None = SHARE
) -> Interval:
    """95 % interval of a mean, within the metric's scale.

    Yes-or-no values, and others of a scale that nearly all agree: Wilson at the effective sample
    size n / design effect, which is less than 1 for values between, as they vary less; where all
    agree it is unknown, and clusters count as single observations. Others: Student's t over clusters.
    """
    data = np.asarray(values, dtype=float)
    mean = float(data.mean())
    error, groups = clustered_error(data, clusters)
    unit = _unit(data, scale)
    if unit is not None and scale is not None:
        low, width = scale[0], scale[1] - scale[0]
        binary = set(np.unique(unit)) <= {0.0, 1.0}
        if binary or _nearly_all((unit == 0) | (unit == 1)):
            share = (mean - low) / width
            spread = share * (1 - share) / len(data)
            effective = float(groups)
            if spread > 0 and groups > 1 and error > 0:
                design = (error / width) ** 2 / spread
                effective = len(data) / (max(1.0, design) if binary else design)
            ends = wilson(share * effective, effective)
            return Interval(mean, low + width * ends[0], low + width * ends[1])
    if groups < 2:
        return Interval(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf(0.975, groups - 1)) * error
    ends = (mean - half, mean + half)
    if unit is not None and scale is not None:  # nothing beyond its ends is possible
        ends = (max(ends[0], scale[0]), min(ends[1], scale[1]))
    return Interval(mean, *ends)


def paired_difference(
    method: Sequence[float],
    dense: Sequence[float],
    clusters: Sequence[str],
    margin: float = 0.02,
    lower_is_better: bool = False,
    scale: Scale | None = SHARE,
) -> Difference:
    """Compare two systems sample by sample. Lists are in the same order; all values are scored.

    `margin` is in units of the metric and always positive. `scale` None: the metric has no bounds.
    """
    a, b = np.asarray(method, dtype=float), np.asarray(dense, dtype=float)
    delta = a - b
    error, groups = clustered_error(delta, clusters)
    unit = _unit(np.concatenate([a, b]), scale)
    width = float("inf") if unit is None or scale is None else scale[1] - scale[0]
    binary = unit is not None and set(np.unique(unit)) <= {0.0, 1.0}
    if groups < 2:
        half = error = float("inf")
    else:
        # where (almost) nothing differs, the upper Wilson limit of 0 out of G bounds the change: one
        # flip must not make surer than none
        rare = unit is not None and (binary or _nearly_all(_by_cluster(delta, clusters)[0] == 0))
        least = width * wilson(0, groups)[1] if rare else 0.0
        half = max(float(stats.t.ppf(0.975, groups - 1)) * error, least)
        error = max(error, least / 1.96)
    lost, won = int((delta < 0).sum()), int((delta > 0).sum())
    table = [[0, lost], [won, 0]]
    mean = float(delta.mean())
    above, below = (one_sided(mean * side, margin, error, groups) for side in (1, -1))
    at_most = below if lower_is_better else above
    return Difference(
        difference=mean,
        low=max(mean - half, -width),
        high=min(mean + half, width),
        p=permutation_p(delta, clusters, seed=0),
        p_exact=mcnemar_p(table) if binary else None,
        lost=lost if binary else None,
        won=won if binary else None,
        minimum_detectable=float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * error,
        margin=margin,
        p_noninferior=at_most,
        p_equivalent=max(above, below),
        n=len(delta),
        clusters=groups,
    )


def permutation_p(delta: Floats, clusters: Sequence[str], seed: int) -> float:
    """Two-sided p of a sign flip of whole clusters; exact where few clusters differ."""
    sums, _ = _by_cluster(delta, clusters)
    sums = sums[sums != 0]
    if len(sums) < 2:  # flipping one sign gives the same size of difference: no evidence
        return 1.0
    result = stats.permutation_test(
        (sums,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        batch=999,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def one_sided(mean: float, margin: float, error: float, groups: int) -> float:
    """p of the hypothesis that the true mean is -margin or lower (t over clusters)."""
    if not np.isfinite(error) or groups < 2:
        return 1.0
    if error == 0:  # a metric without bounds that is the same everywhere
        return float(mean + margin <= 0)
    return float(stats.t.sf((mean + margin) / error, groups - 1))


def mcnemar_p(table: list[list[int]]) -> float:
    """Exact two-sided McNemar test of a 2 × 2 table of paired answers."""
    return float(mcnemar(table, exact=True).pvalue)  # type: ignore[attr-defined]


def ratio_interval(method: Sequence[float], dense: Sequence[float]) -> Interval | None:
    """Speed-up dense / method from paired batches: t interval on log ratios; None below 3 pairs."""
    logs = np.log(np.asarray(dense, dtype=float) / np.asarray(method, dtype=float))
    if len(logs) < 3:
        return None
    half = float(stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs))
    mean = float(logs.mean())
    return Interval(float(np.exp(mean)), float(np.exp(mean - half)), float(np.exp(mean + half)))
