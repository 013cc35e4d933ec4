"""From the records and scores of a cell to summary.json. Reads files; never needs a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from skipbench.cell import Cell
from skipbench.metrics import collapse, stats
from skipbench.metrics.answers import OUTCOMES
from skipbench.records import answer_ids, read_lines, unpack_map
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
        made[metric] = _metric(by, list(clusters), clusters)
        if metric in _BY_GROUP:
            names = sorted({name for parts in groups.values() for name in parts})
            for name in names:
                members = [s for s in clusters if name in groups.get(s, ())]
                made[f"{metric}.{name}"] = _metric(by, members, clusters)
    for metric in made:
        if metric.startswith("judge"):
            graded = metric.startswith(("judge_score", "judge."))
            made[metric] = _bounds(made[metric], (1.0, 10.0) if graded else (0.0, 1.0))
    return made


def _bounds(made: Json, scale: tuple[float, float]) -> Json:
    """A judged mean with what it would be if all unscored items had the worst, or best, score."""
    total, n, unscored = (made["value"] or 0.0) * made["n"], made["n"], made["unscored"]
    low, high = ((total + unscored * x) / (n + unscored) if n + unscored else None for x in scale)
    return {**made, "worst_case": low, "best_case": high}


def _metric(by: dict[str, float | None], members: list[str], clusters: Mapping[str, str]) -> Json:
    scored = [(s, value) for s in members if (value := by.get(s)) is not None]
    unscored = len(members) - len(scored)
    if not scored:
        return {"value": None, "low": None, "high": None, "n": 0, "unscored": unscored}
    interval = stats.mean_interval([v for _, v in scored], [clusters[s] for s, _ in scored])
    low, high = (None if np.isinf(x) else x for x in (interval.low, interval.high))
    if all(
        0.0 <= value <= 1.0 for _, value in scored
    ):  # a share: nothing beyond 0 and 1 is possible
        low, high = (None if x is None else min(max(x, 0.0), 1.0) for x in (low, high))
    return {
        "value": interval.value,
        "low": low,
        "high": high,
        "n": len(scored),
        "unscored": unscored,
    }


def skip(records: Sequence[Json], manifest: Json) -> tuple[Json, Json]:
    """Executed skip ratios of decode and of the prefill, from counters and skip maps."""
    layers = manifest["num_layers"]
    counts = [turn for record in records for turn in record["counts"]]
    total = {key: sum(c.get(key, 0) for c in counts) for key in (counts[0] if counts else ())}
    sites = total.get("decode_forwards", 0) * layers
    maps = [_bits(packed) for record in records for packed in record["skip_map"]]
    both = sum(int(bits.all(-1).sum()) for bits in maps) - total.get("caught_up", 0)
    decode: Json = {"requested": manifest["skip_requested"], "unit": manifest["skip_unit"]}
    decode |= {
        "ffn": 1 - total["ffn_run"] / sites if sites else None,
        "attn": 1 - total["attn_run"] / sites if sites else None,
        "block": both / sites if sites else None,
        "weight_bytes": 1 - total["weight_bytes"] / total["weight_bytes_dense"] if sites else None,
        "weight_bytes_single": _single(total, manifest, sites),
        "decode_forwards": total.get("decode_forwards", 0),
        "caught_up": total.get("caught_up", 0),
    }
    warmup = manifest["method"].get("warmup_tokens")
    if warmup is not None:
        late = [bits[warmup - 1 :, :, 1] for bits in maps]
        late_sites = sum(bits.size for bits in late)
        decode["authors"] = sum(int(b.sum()) for b in late) / late_sites if late_sites else None
    decode |= _adaptivity(maps)
    decode |= _before_onset(records, maps)
    wanted = total.get("prefill_sites", 0)
    prefill = {
        half: 1 - total[f"prefill_{half}_run"] / wanted if wanted else None
        for half in ("ffn", "attn")
    }
    return decode, prefill


def _single(total: Json, manifest: Json, sites: float) -> float | None:
    """Weight bytes that each row would have saved by itself: what batch size 1 reads.

    Tokens that catch up share the weights of the token that made them; projecting keys and values of
    a skipped block reads their matrices, and an exit rule that asks for logits the output matrix.
    """
    if not sites:
        return None
    bytes_of, steps = manifest["bytes_of"], total["decode_forwards"]
    read = sum((total[f"{h}_run"] - total["caught_up"]) * bytes_of[h] for h in ("attn", "ffn"))
    read += total["readouts"] * bytes_of["head"] + total["kv_projected"] * bytes_of["kv"]
    dense = sites * (bytes_of["attn"] + bytes_of["ffn"]) + steps * bytes_of["head"]
    return 1 - read / dense


def _bits(packed: Json) -> np.ndarray:
    steps, layers, halves = packed["shape"]
    return np.asarray(unpack_map(packed), dtype=bool).reshape(steps, layers or 0, halves)


def _adaptivity(maps: Sequence[np.ndarray]) -> Json:
    """Entropy in bits of the first skipped block given the step: 0 means blind to the input.

    Steps that fewer than two replies reached say nothing and are left out.
    """
    by_step: dict[int, list[int]] = {}
    for bits in (bits for bits in maps if len(bits)):
        any_half = bits.any(-1)
        first = np.where(any_half.any(-1), any_half.argmax(-1), -1)
        for step, layer in enumerate(first.tolist()):
            by_step.setdefault(step, []).append(layer)
    shared = [layers for layers in by_step.values() if len(layers) > 1]
    total = sum(map(len, shared))
    entropy = 0.0
    for layers in shared:
        _, counts = np.unique(layers, return_counts=True)
        share = counts / counts.sum()
        entropy += len(layers) / total * float(-(share * np.log2(share)).sum())
    return {"trigger_entropy_bits": max(entropy, 0.0) if total else None}


def paired(values: Values, twin: Values, cell: Cell, margin: float) -> Json:
    """Differences to dense over the samples that both scored.

    `p_holm`: adjusted over the headline metrics, which stand in one table. `margin` is a share of
    the metric's range.
    """
    clusters = {sample.sample_id: sample.cluster for sample in cell.samples}
    made: Json = {}
    for metric, ours in values.items():
        theirs = twin.get(metric, {})
        both = [s for s in clusters if ours.get(s) is not None and theirs.get(s) is not None]
        if both:
            a, b = [ours[s] for s in both], [theirs[s] for s in both]
            found = stats.paired_difference(
                a,  # type: ignore[arg-type]
                b,  # type: ignore[arg-type]
                [clusters[s] for s in both],
                margin * _range(metric),
                metric.startswith(_LOWER_IS_BETTER),
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


def _range(metric: str) -> float:
    """Width of a metric's scale: grades go from 1 to 10, the others from 0 to 1."""
    return 9.0 if metric.startswith(("judge_score", "judge.", "reference_score")) else 1.0


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


def _before_onset(records: Sequence[Json], maps: Sequence[np.ndarray], window: int = 8) -> Json:
    """Share of FFNs skipped in the steps before a loop sets in, over the replies that loop."""
    turns = [(ids, bits) for (ids, bits) in zip(_ids(records), maps, strict=True) if len(bits)]
    ratios, onsets = [], []
    for ids, bits in turns:
        loop = collapse.find_loop(ids[:-1])
        if loop is not None and loop.length >= 8 and loop.onset > 0:
            part = bits[max(0, loop.onset - window) : loop.onset, :, 1]
            onsets.append(loop.onset)
            if part.size:
                ratios.append(float(part.mean()))
    return {
        "loops": len(onsets),
        "onset_token_median": float(np.median(onsets)) if onsets else None,
        "ffn_before_onset": float(np.mean(ratios)) if ratios else None,
    }


def _ids(records: Sequence[Json]) -> list[list[int]]:
    return [answer_ids(record, t) for record in records for t in range(len(record["token_ids"]))]


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


def summarise(cell: Cell, groups: Mapping[str, Sequence[str]], twin: Cell | None) -> Json:
    """The whole summary of a cell, paired with `twin` where that has records."""
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
        made["paired"] = paired(values, values_of(twin_scores), cell, manifest["config"]["margin"])
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
