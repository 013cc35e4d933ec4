"""Small results as a run would leave them, written by hand so that every number is known."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skipbench.cell import Cell
from skipbench.provenance import sha256_of
from skipbench.records import Sample, pack_map, write_json
from skipbench.summary import summarise

BLOCKS = 4
STEPS = 12


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one cell does. `wrong`, `failed`, `looping`: numbers of samples. `skips(sample, step,
    block)`: is that FFN skipped? `seconds`: of a decode step of a batch."""

    method: str
    wrong: Sequence[int] = ()
    failed: Sequence[int] = ()
    looping: Sequence[int] = ()
    unscored: Sequence[int] = ()
    skips: Callable[[int, int, int], bool] = lambda *_: False
    seconds: float = 1.0
    asked: float | None = None
    mode: str = "forced_length"
    task: str = "factoid"
    changes: dict[str, Any] = field(default_factory=dict)


def samples_of(n: int) -> list[Sample]:
    return [
        Sample(
            sample_id=f"q/{i}",
            cluster=f"entity {i // 2}",
            turns=(f"Who is {i}?",),
            references=((f"No. {i}.",),),
            meta={"form": "short"},
        )
        for i in range(n)
    ]


def write_cell(root: Path, made: Made, n: int = 24, twin: Path | None = None) -> Path:
    """Write a cell whose summary is that of its records; `twin` is its dense cell."""
    fingerprint = sha256_of([made.method, made.asked, made.mode, made.changes, made.task])[:16]
    directory = root / made.task / "tiny" / made.method / fingerprint
    directory.mkdir(parents=True)
    samples = samples_of(n)
    cell = Cell(directory, samples, {})
    write_json(directory / "run.json", manifest_of(made, fingerprint))
    write_lines(directory / "samples.jsonl", [asdict(sample) for sample in samples])
    write_lines(directory / "records.jsonl", [record_of(i, made) for i in range(n)])
    write_lines(directory / "scores.jsonl", [s for i in range(n) for s in scores_of(i, made)])
    other = Cell(twin, samples, {}) if twin else None
    write_json(directory / "summary.json", summarise(cell, {}, other, {}))
    return directory


def write_lines(path: Path, values: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def manifest_of(made: Made, fingerprint: str) -> dict[str, Any]:
    method = {"phase": "decode", "kv": "full", **made.changes}
    if made.method == "dense":
        method = {}
    return {
        "schema": 1,
        "fingerprint": fingerprint,
        "task_name": made.task,
        "model_name": "tiny",
        "method_name": made.method,
        "model_path": "/somewhere/tiny",
        "split": "eval",
        "decides": {
            "task": {"data": "world"},
            "method": method,
            "data_sha256": "d" * 64,
            "batch_size": 4,
        },
        "decode": {"mode": made.mode},
        "config": {
            "task": {"form": "short"},
            "method": {**method, "skip": made.asked},
            "margin": 0.02,
            "seed": 0,
            "split": "eval",
            "dtype": "float32",
        },
        "skip_requested": made.asked,
        "skip_unit": "ffn",
        "versions": {"skipbench": "0", "torch": "0"},
        "hardware": {"cores": 2, "cpu": "a_cpu & 100 %"},
        "method": method,
        "num_layers": BLOCKS,
        "bytes_of": {"attn": 1.0, "ffn": 2.0, "head": 4, "kv": 0.5},
        "requests_skipping": made.method != "dense",
    }


def record_of(i: int, made: Made) -> dict[str, Any]:
    failed = i in made.failed
    bits = [
        [[0, int(made.skips(i, step, block))] for block in range(BLOCKS)] for step in range(STEPS)
    ]
    sites = STEPS * BLOCKS
    skipped = sum(ffn for step in bits for _, ffn in step)
    ids = [5, 6, *[7] * (STEPS - 1)] if i in made.looping else [10 + k for k in range(STEPS + 1)]
    counts = {
        "decode_forwards": STEPS,
        "attn_run": sites,
        "ffn_run": sites - skipped,
        "caught_up": 0,
        "readouts": STEPS,
        "kv_projected": 0,
        "weight_bytes": sites * 3.0 - skipped * 2.0,
        "weight_bytes_dense": sites * 3.0,
        "prefill_attn_run": BLOCKS,
        "prefill_ffn_run": BLOCKS,
        "prefill_sites": BLOCKS,
        "prompt_tokens": 1,
        "reply_tokens": STEPS + 1,
    }
    wobble = 1 + 0.01 * ((i // 4 + round(100 * made.seconds)) % 3)  # batches differ a little
    share = made.seconds * STEPS / 4 * wobble
    times = {"prefill_s": 0.1, "prefill_share_s": 0.1, "decode_s": 4 * share}
    times |= {"decode_share_s": share, "session": "one", "batch": i // 4}
    return {
        "sample_id": f"q/{i}",
        "prompt_sha256": [] if failed else ["0"],
        "replies": [] if failed else ["a reply"],
        "token_ids": [] if failed else [ids],
        "finish_reasons": [] if failed else ["length"],
        "times": [] if failed else [times],
        "counts": [] if failed else [counts],
        "skip_map": [] if failed else [pack_map(bits)],
        "error": "MemoryError: too long" if failed else None,
    }


def scores_of(i: int, made: Made) -> list[dict[str, Any]]:
    """Accuracy, outcomes and collapse of one sample; a failed one is unscored."""
    head = {"sample_id": f"q/{i}", "turn": 0, "reason": None, "judge": None}
    if i in made.failed or i in made.unscored:
        gone = {**head, "value": None, "reason": "no reply"}
        return [{**gone, "metric": m} for m in ("accuracy", "hallucination_rate", "collapse_rate")]
    right, loops = i not in made.wrong, i in made.looping
    return [
        {**head, "metric": "accuracy", "value": float(right)},
        {**head, "metric": "hallucination_rate", "value": float(not right)},
        {**head, "metric": "collapse_rate", "value": float(loops)},
        {**head, "metric": "collapse.loop", "value": float(loops)},
        {**head, "metric": "outcome.correct", "value": float(right)},
        {**head, "metric": "outcome.wrong_entity", "value": float(not right)},
        {**head, "metric": "reference_score", "value": 9.0 if right else 3.0},
        {**head, "metric": "reference_score.names", "value": 9.0 if right else 3.0},
    ]


def adaptive(i: int, step: int, block: int) -> bool:
    """Skips block 1 or 2 by sample, never the first step."""
    return step > 0 and block == 1 + i % 2


def write_results(root: Path) -> Path:
    """Dense, a method at two ratios, early exit with two caches, controls, one cell with failures."""
    dense = write_cell(root, Made(method="dense", wrong=(0,)))
    for asked in (0.25, 0.35):
        wrong = (0, 5) if asked == 0.25 else (0, 5, 6, 9)
        made = Made(method="ffnskip", wrong=wrong, skips=adaptive, seconds=0.9, asked=asked)
        write_cell(root, made, twin=dense)
    for kv in ("mask", "project"):
        exits = Made(
            method="earlyexit",
            wrong=(1, 2, 3, 4, 7),
            looping=(3, 4),
            skips=lambda i, step, block: block == 3,
            seconds=0.7,
            asked=0.25,
            changes={"exit_rule": "random", "kv": kv},
        )
        write_cell(root, exits, twin=dense)
    random = Made(method="ffnskip_random", skips=adaptive, asked=0.25, failed=(2, 3))
    write_cell(root, random, twin=dense)
    some = Made(method="ffnskip_noadapt", skips=adaptive, asked=0.25, unscored=(7,))
    write_cell(root, some, twin=dense)
    write_cell(root, Made(method="shortgpt", asked=0.25), twin=dense)  # skips nothing
    sweep = root / "sweeps"
    sweep.mkdir()
    cells = sorted(str(p.parent.relative_to(root)) for p in root.glob("*/*/*/*/summary.json"))
    told = [{"directory": c} for c in cells if "/ffnskip/" in c] + [{"directory": None}]
    write_json(sweep / "table3.json", {"experiment": "table3", "cells": told})
    curve = {"mean": [0.9, 0.95, 0.97, 0.8], "std": [0.01] * 4, "n": 288}
    write_json(dense / "similarity.json", {"ffn": curve, "attn": curve, "block": curve})
    return root
