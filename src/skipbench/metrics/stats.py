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


def mean_interval(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """95 % interval of a mean.

    Yes-or-no values: Wilson at the effective sample size n / design effect; where all agree the
    design effect is unknown, and clusters count as single observations. Others: Student's t over
    clusters.
    """
    data = np.asarray(values, dtype=float)
    mean = float(data.mean())
    error, groups = clustered_error(data, clusters)
    if set(np.unique(data)) <= {0.0, 1.0}:
        spread = mean * (1 - mean) / len(data)
        effective = float(groups)
        if spread > 0 and groups > 1 and error > 0:
            effective = len(data) / max(1.0, error**2 / spread)
        return Interval(mean, *wilson(mean * effective, effective))
    if groups < 2:
        return Interval(mean, float("-inf"), float("inf"))
    half = float(stats.t.ppf(0.975, groups - 1)) * error
    return Interval(mean, mean - half, mean + half)


def paired_difference(
    method: Sequence[float],
    dense: Sequence[float],
    clusters: Sequence[str],
    margin: float = 0.02,
    lower_is_better: bool = False,
) -> Difference:
    """Compare two systems sample by sample. Lists are in the same order; all values are scored.

    `margin` is in units of the metric and always positive.
    """
    a, b = np.asarray(method, dtype=float), np.asarray(dense, dtype=float)
    delta = a - b
    error, groups = clustered_error(delta, clusters)
    binary = set(np.unique(np.concatenate([a, b]))) <= {0.0, 1.0}
    if groups < 2:
        half = error = float("inf")
    else:
        # where (almost) nothing differs, the upper Wilson limit of 0 out of G bounds the change: one
        # flip must not make surer than none
        least = wilson(0, groups)[1] if binary or error == 0 else 0.0
        half = max(float(stats.t.ppf(0.975, groups - 1)) * error, least)
        error = max(error, least / 1.96)
    lost, won = int((delta < 0).sum()), int((delta > 0).sum())
    table = [[0, lost], [won, 0]]
    mean = float(delta.mean())
    above, below = (one_sided(mean * side, margin, error, groups) for side in (1, -1))
    at_most = below if lower_is_better else above
    return Difference(
        difference=mean,
        low=mean - half,
        high=mean + half,
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
