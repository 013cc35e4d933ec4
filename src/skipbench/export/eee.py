"""The Every Eval Ever schema, version 0.3.0: one aggregate file and one file of instances a cell.

The schema wants a number for every score and a verdict for every instance. What is unscored has
neither: it is left out, and counted in `source_metadata.additional_details`.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from skipbench.export.view import View, direction, lines_of
from skipbench.records import write_json

Json = dict[str, Any]
SCHEMA_VERSION = "0.3.0"
INSTANCES = (
    "accuracy",
    "accuracy_contains",
    "hallucination_rate",
    "collapse_rate",
    "rougeL",
    "fact_recall",
    "reference_score",
    "judge_score",
)
_GRADED = ("judge_score", "judge.", "reference_score")
_UNBOUNDED = ("length", "divergence.kl", "divergence.delta_logp", "divergence.reply_logp")


def write(found: Sequence[View], out: Path) -> list[Path]:
    """`data/<task>/<developer>/<model>/<uuid>.json` and `<uuid>_samples.jsonl` for each cell."""
    made = []
    for view in found:
        identity, name = f"{view.developer}/{view.model}", _uuid(view)
        folder = Path("data") / f"skipbench_{view.task}" / identity
        (out / folder).mkdir(parents=True, exist_ok=True)
        lines = list(_instances(view, identity))
        text = lines_of(lines)
        (out / folder / f"{name}_samples.jsonl").write_text(text, encoding="utf-8")
        aggregate = _aggregate(view, identity)
        aggregate["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": (folder / f"{name}_samples.jsonl").as_posix(),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(text.encode()).hexdigest(),
            "total_rows": len(lines),
        }
        made.append(out / folder / f"{name}.json")
        write_json(made[-1], aggregate)
    return made


def _uuid(view: View) -> str:
    """A version 4 identifier that follows from the cell's fingerprint."""
    digest = hashlib.sha256(f"{view.cell.directory.name} {view.task}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _evaluation_id(view: View, identity: str) -> str:
    return f"skipbench_{view.task}/{identity.replace('/', '_')}/{view.finished:.0f}"


def _aggregate(view: View, identity: str) -> Json:
    manifest = view.manifest
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": _evaluation_id(view, identity),
        "evaluation_timestamp": manifest["started"],
        "retrieved_timestamp": f"{view.finished:.0f}",
        "source_metadata": {
            "source_name": "skipbench",
            "source_type": "evaluation_run",
            "source_organization_name": "skipbench",
            "evaluator_relationship": "first_party" if view.developer == "skipbench" else "other",
            "additional_details": _texts(
                {
                    "status": view.cell.summary["status"],
                    "samples": len(view.samples),
                    "failed": view.failed,
                    "unscored": view.unscored,
                    "git": manifest["git"],
                }
            ),
        },
        "eval_library": {"name": "skipbench", "version": manifest["versions"]["skipbench"]},
        "model_info": {
            "name": view.model,
            "id": identity,
            "developer": view.developer,
            "inference_engine": {
                "name": "skipbench",
                "version": manifest["versions"]["skipbench"],
            },
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "open_weights",
                **_texts({**view.arguments, "versions": manifest["versions"]}),
            },
        },
        "evaluation_results": [
            _result(view, metric, found)
            for metric, found in view.metrics.items()
            if found["value"] is not None
        ],
    }


def _texts(values: Json) -> dict[str, str]:
    """The schema's free fields hold text alone; everything else becomes JSON."""
    return {
        k: v if isinstance(v, str) else json.dumps(v, sort_keys=True) for k, v in values.items()
    }


def _result(view: View, metric: str, found: Json) -> Json:
    decides, decode = view.manifest["decides"], view.manifest["decode"]
    sampled = decode["mode"] == "sampled"
    return {
        "evaluation_result_id": f"{view.cell.directory.name}/{metric}",
        "evaluation_name": f"skipbench_{view.task}",
        "source_data": {
            "dataset_name": f"{view.task} ({decides['task']['data']})",
            "source_type": "other",
            "additional_details": _texts(
                {"split": view.manifest["split"], "data_sha256": decides["data_sha256"]}
            ),
        },
        "metric_config": _metric(metric),
        "score_details": {
            "score": found["value"],
            "details": _texts({"n": found["n"], "unscored": found["unscored"]}),
            "uncertainty": _uncertainty(view, metric, found),
        },
        "generation_config": {
            "generation_args": {
                "temperature": decode["temperature"] if sampled else None,
                "top_p": decode["top_p"] if sampled else None,
            },
            "additional_details": _texts({"decode": decode, "batch_size": decides["batch_size"]}),
        },
    }


def _metric(metric: str) -> Json:
    graded = metric.startswith(_GRADED)
    low, high = (1.0, 10.0) if graded else (0.0, 1.0)
    if metric.startswith(_UNBOUNDED):
        low, high = "-Infinity" if "logp" in metric else 0.0, "Infinity"
    return {
        "metric_id": f"skipbench.{metric}",
        "metric_name": metric,
        "metric_unit": "points" if graded else "proportion",
        "lower_is_better": direction(metric) is False,
        "score_type": "continuous",
        "min_score": low,
        "max_score": high,
        "additional_details": _texts({"direction_matters": direction(metric) is not None}),
    }


def _uncertainty(view: View, metric: str, found: Json) -> Json:
    made: Json = {"num_samples": found["n"]}
    error = view.standard_error(metric)
    if error is not None:
        made["standard_error"] = {"value": error, "method": "analytic, clustered"}
    if found["low"] is not None:
        made["confidence_interval"] = {
            "lower": found["low"],
            "upper": found["high"],
            "confidence_level": 0.95,
            "method": "Wilson or t over clusters",
        }
    return made


def _instances(view: View, identity: str) -> Iterator[Json]:
    """A line for each sample and metric that has a value, where `accuracy` says what is correct."""
    right = view.scores.get("accuracy", {})
    for sample in view.samples:
        key = sample["sample_id"]
        record = view.records.get(key)
        if record is None or record["error"] is not None or right.get(key) is None:
            continue
        for metric in INSTANCES:
            value = view.scores.get(metric, {}).get(key)
            if value is not None:
                yield {
                    "schema_version": SCHEMA_VERSION,
                    "evaluation_id": _evaluation_id(view, identity),
                    "model_id": identity,
                    "evaluation_name": f"skipbench_{view.task}",
                    "evaluation_result_id": f"{view.cell.directory.name}/{metric}",
                    "sample_id": key,
                    **_conversation(sample, record),
                    "evaluation": {"score": value, "is_correct": right[key] == 1.0},
                    "token_usage": _tokens(record),
                }


def _conversation(sample: Json, record: Json) -> Json:
    turns, replies = sample["turns"], record["replies"]
    references = [ref for refs in sample["references"] for ref in refs]
    many = len(turns) > 1
    text = turns[0] + "".join(references)
    messages = [
        {"turn_idx": i, "role": role, "content": content}
        for i, (role, content) in enumerate(
            part
            for turn, reply in zip(turns, replies, strict=False)
            for part in (("user", turn), ("assistant", reply))
        )
    ]
    last = len(messages) - 1 if many else 0
    return {
        "sample_hash": hashlib.sha256(text.encode()).hexdigest(),
        "interaction_type": "multi_turn" if many else "single_turn",
        "input": {"raw": turns[0], "reference": references},
        "output": None if many else {"raw": replies},
        "messages": messages if many else None,
        "answer_attribution": [
            {
                "turn_idx": last,
                "source": f"messages[{last}].content" if many else "output.raw",
                "extracted_value": replies[-1],
                "extraction_method": "whole reply",
                "is_terminal": True,
            }
        ],
    }


def _tokens(record: Json) -> Json:
    asked = sum(int(counts["prompt_tokens"]) for counts in record["counts"])
    made = sum(map(len, record["token_ids"]))
    return {"input_tokens": asked, "output_tokens": made, "total_tokens": asked + made}
