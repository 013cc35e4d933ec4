"""What a cell really skipped: from counters and skip maps of its records."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skipbench.metrics import collapse
from skipbench.records import answer_ids, unpack_map

Json = dict[str, Any]


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
