"""Times of a cell, from its records: per token, per reply, and against dense."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from skipbench.metrics import stats

Json = dict[str, Any]


def speed(records: Sequence[Json], manifest: Json) -> Json:
    """Times by the definitions of the contract; a speed-up is added by `speedup`."""
    turns = [pair for r in records for pair in zip(r["times"], r["counts"], strict=True)]
    per_token = [t["decode_s"] / c["decode_forwards"] for t, c in turns if c["decode_forwards"]]
    ttft = [t["prefill_s"] for t, _ in turns]
    decoded = sum(c["decode_forwards"] for _, c in turns)
    decode_s = sum(t["decode_share_s"] for t, _ in turns)
    prefill_s = sum(t["prefill_share_s"] for t, _ in turns)
    prompt = sum(c["prompt_tokens"] for _, c in turns)
    return {
        "ttft_s": _quantiles(ttft),
        "tpot_s": _quantiles(per_token),
        "decode_tok_per_s": decoded / decode_s if decode_s else None,
        "prefill_tok_per_s": prompt / prefill_s if prefill_s else None,
        "peak_memory_bytes": manifest.get("peak_memory_bytes"),
        "speedup": None,
        "speedup_reason": "no dense twin",
    }


def _quantiles(values: Sequence[float]) -> Json:
    if not values:
        return {"p50": None, "p90": None}
    return {"p50": float(np.quantile(values, 0.5)), "p90": float(np.quantile(values, 0.9))}


def speedup(records: Iterable[Json], twin: Iterable[Json], forced: bool) -> Json:
    """Dense time per token over the method's, from batches that ran in turn in one process."""
    ours, theirs = _batch_times(records), _batch_times(twin)
    shared = sorted(ours.keys() & theirs.keys())
    dense, method = [theirs[key] for key in shared], [ours[key] for key in shared]
    if not forced:
        reason = "replies end where they like; use decode=forced_length"
        logs = np.log(np.asarray(dense) / np.asarray(method))
        natural = float(np.exp(logs.mean())) if shared else None
        return {"speedup": None, "speedup_reason": reason, "speedup_natural_stop": natural}
    if not shared:
        return {"speedup": None, "speedup_reason": "method and dense did not run in one process"}
    interval = stats.ratio_interval(method, dense)
    if interval is None:
        return {"speedup": None, "speedup_reason": f"{len(shared)} paired batches, 3 are needed"}
    return {"speedup": asdict(interval), "speedup_reason": None}


def _batch_times(records: Iterable[Json]) -> dict[tuple[str, int], float]:
    """Seconds per decoded token of each (process, batch)."""
    spent: dict[tuple[str, int], list[float]] = {}
    for record in records:
        for times, counts in zip(record["times"], record["counts"], strict=True):
            pair = spent.setdefault((times["session"], times["batch"]), [0.0, 0.0])
            pair[0] += times["decode_share_s"]
            pair[1] += counts["decode_forwards"]
    return {key: seconds / steps for key, (seconds, steps) in spent.items() if steps and seconds}
