"""From the records and scores of a cell to summary.json. Reads files; never needs a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from skipbench.cell import Cell
from skipbench.executed import skip
from skipbench.metrics import stats
from skipbench.metrics.answers import OUTCOMES
from skipbench.records import read_lines
from skipbench.speed import speed, speedup

_HEADLINE = (
    "accuracy",
    "accuracy_contains",
    "fact_recall",
    "rougeL",
    "reference_score",
    "judge_score",
    "hallucination_rate",
    "collapse_rate",
    "abstention_rate",
)
_LOWER_IS_BETTER = ("hallucination", "collapse", "abstention", "outcome.w", "divergence.kl")

_UNBOUNDED = ("divergence.kl", "divergence.delta_logp", "divergence.reply_logp", "length_")

Json = dict[str, Any]
Values = dict[str, dict[str, float | None]]  # metric -> sample_id -> value
_BY_GROUP = (
    "rougeL",
    "reference_score",
    "judge_score",
    "fact_recall",
    "collapse_rate",
    "accuracy",
    "accuracy_contains",
    "hallucination_rate",
    "abstention_rate",
)


def values_of(scores: Sequence[Json]) -> Values:
    """Scores by metric and sample; several turns of one sample are averaged, None if any is."""
    turns: dict[str, dict[str, list[float | None]]] = {}
    for score in scores:
        turns.setdefault(score["metric"], {}).setdefault(score["sample_id"], []).append(
            score["value"]
        )
    return {metric: {s: _mean(v) for s, v in by.items()} for metric, by in turns.items()}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def metrics(values: Values, cell: Cell, groups: Mapping[str, Sequence[str]]) -> Json:
    """Mean, interval, n and unscored of every metric, whole and by group."""
    clusters = {sample.sample_id: sample.cluster for sample in cell.samples}
    made: Json = {}
    for metric, by in values.items():
        scale = scale_of(metric)
        made[metric] = _metric(by, list(clusters), clusters, scale)
        if metric in _BY_GROUP:
            names = sorted({name for parts in groups.values() for name in parts})
            for name in names:
                members = [s for s in clusters if name in groups.get(s, ())]
                made[f"{metric}.{name}"] = _metric(by, members, clusters, scale)
    for metric in made:
        if metric.startswith("judge"):
            made[metric] = _bounds(made[metric], scale_of(metric) or stats.SHARE)
    return made


def _bounds(made: Json, scale: stats.Scale) -> Json:
    """A judged mean with what it would be if all unscored items had the worst, or best, score."""
    total, n, unscored = (made["value"] or 0.0) * made["n"], made["n"], made["unscored"]
    low, high = ((total + unscored * x) / (n + unscored) if n + unscored else None for x in scale)
    return {**made, "worst_case": low, "best_case": high}


def _metric(
    by: dict[str, float | None],
    members: list[str],
    clusters: Mapping[str, str],
    scale: stats.Scale | None,
) -> Json:
    scored = [(s, value) for s in members if (value := by.get(s)) is not None]
    unscored = len(members) - len(scored)
    if not scored:
        return {"value": None, "low": None, "high": None, "n": 0, "unscored": unscored}
    values = [value for _, value in scored]
    interval = stats.mean_interval(values, [clusters[s] for s, _ in scored], scale)
    low, high = (None if np.isinf(x) else x for x in (interval.low, interval.high))
    return {
        "value": interval.value,
        "low": low,
        "high": high,
        "n": len(scored),
        "unscored": unscored,
    }


def paired(values: Values, twin: Values, cell: Cell, margin: float) -> Json:
    """Differences to dense over the samples that both scored.

    `p_holm`: adjusted over the headline metrics, which stand in one table. `margin` is a share of
    the metric's range.
    """
    clusters = {sample.sample_id: sample.cluster for sample in cell.samples}
    made: Json = {}
    for metric, ours in values.items():
        scale = scale_of(metric)
        width = scale[1] - scale[0] if scale is not None else 1.0
        theirs = twin.get(metric, {})
        both = [s for s in clusters if ours.get(s) is not None and theirs.get(s) is not None]
        if both:
            a, b = [ours[s] for s in both], [theirs[s] for s in both]
            found = stats.paired_difference(
                a,  # type: ignore[arg-type]
                b,  # type: ignore[arg-type]
                [clusters[s] for s in both],
                margin * width,
                metric.startswith(_LOWER_IS_BETTER),
                scale,
            )
            made[metric] = {
                key: None if isinstance(value, float) and np.isinf(value) else value
                for key, value in asdict(found).items()
            }
    headline = [metric for metric in _HEADLINE if metric in made]
    adjusted = stats.holm([made[metric]["p"] for metric in headline])
    for metric, p in zip(headline, adjusted, strict=True):
        made[metric]["p_holm"] = p
    return made


def scale_of(metric: str) -> stats.Scale | None:
    """Lowest and highest possible value: grades go from 1 to 10, the others from 0 to 1; None for
    those without bounds."""
    if metric.startswith(("judge_score", "judge.", "reference_score")):
        return (1.0, 10.0)
    return None if metric.startswith(_UNBOUNDED) else stats.SHARE


def transitions(scores: Sequence[Json], twin: Sequence[Json]) -> Json:
    """dense outcome -> method outcome -> number of replies."""

    def outcome_of(side: Sequence[Json]) -> dict[tuple[str, int], str]:
        return {
            (score["sample_id"], score["turn"]): name
            for score in side
            if score["value"] == 1.0
            and score["metric"].startswith("outcome.")
            and (name := score["metric"].removeprefix("outcome.")) in OUTCOMES
        }

    ours, theirs = outcome_of(scores), outcome_of(twin)
    table: Json = {}
    for reply, before in theirs.items():
        if reply in ours:
            row = table.setdefault(before, {})
            row[ours[reply]] = row.get(ours[reply], 0) + 1
    return table


def status(cell: Cell, records: Mapping[str, Json], decode: Json, prefill: Json) -> str:
    """`complete`: every sample recorded without error. Nothing skipped though asked: that first."""
    good = [r for r in records.values() if r["error"] is None]
    asked = cell.manifest["requests_skipping"]
    ratios = [decode["ffn"], decode["attn"], prefill["ffn"], prefill["attn"]]
    done = len(good) == len(cell.samples)
    if done and asked and not any(ratios) and not decode["caught_up"]:
        return "nothing_skipped"
    if done:
        return "complete"
    return "partial" if good else "failed"


def summarise(
    cell: Cell,
    groups: Mapping[str, Sequence[str]],
    twin: Cell | None,
    apart: Mapping[str, str] = MappingProxyType({}),
) -> Json:
    """The whole summary of a cell, paired with `twin` where that has records.

    `apart`: metric -> why it cannot be compared with the twin's; null in `paired`, with the reason.
    """
    records = cell.records()
    good = {s: r for s, r in records.items() if r["error"] is None}
    manifest = cell.manifest
    scores = cell.scores()
    values = values_of(scores)
    decode, prefill = skip(list(good.values()), manifest)
    made: Json = {
        "schema": manifest["schema"],
        "status": status(cell, records, decode, prefill),
        **{key: manifest[key] for key in ("task_name", "model_name", "method_name")},
        "fingerprint": cell.fingerprint,
        "n": len(cell.samples),
        "errors": _errors(records),
        "metrics": metrics(values, cell, groups),
        "skip": decode,
        "skip_prefill": prefill,
        "speed": speed(list(good.values()), manifest),
        "paired": {},
        "transitions": {},
        "judge": None,
    }
    for key in ("task", "model", "method"):
        made[key] = made.pop(f"{key}_name")
    if twin is not None:
        theirs = {s: r for s, r in twin.records().items() if r["error"] is None}
        twin_scores = twin.scores()
        made["twin"] = twin.fingerprint
        comparable = {metric: by for metric, by in values.items() if metric not in apart}
        made["paired"] = paired(
            comparable, values_of(twin_scores), cell, manifest["config"]["margin"]
        )
        nothing = dict.fromkeys(field.name for field in fields(stats.Difference))
        made["paired"] |= {metric: {**nothing, "reason": why} for metric, why in apart.items()}
        made["transitions"] = transitions(scores, twin_scores)
        forced = manifest["decode"]["mode"] == "forced_length"
        dense_times = [*theirs.values(), *read_lines(cell.twin_times)]
        made["speed"] |= speedup(good.values(), dense_times, forced)
    return made


def _errors(records: Mapping[str, Json]) -> Json:
    """Reason -> number of samples that failed with it."""
    found: Json = {}
    for record in records.values():
        if record["error"] is not None:
            reason = record["error"].split(":", 1)[0]
            found[reason] = found.get(reason, 0) + 1
    return found
