"""The files of lm-evaluation-harness: `results_*.json` and `samples_*.jsonl` of each model.

Follows what version 0.4.13 writes with --log_samples. A metric without a value stands in no average;
how many samples lack one is in `configs[task].metadata.unscored`, and their lines hold null.
"""

import hashlib
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skipbench.export.view import View, direction, lines_of
from skipbench.records import write_json

Json = dict[str, Any]


def write(found: Sequence[View], out: Path) -> list[Path]:
    """A folder for each model, a results file in it, and a file of samples for each task."""
    made = []
    for model in sorted({view.model for view in found}):
        views = [view for view in found if view.model == model]
        folder = out / re.sub(r'["<>:/|\\?*\[\]]+', "__", model)
        folder.mkdir(parents=True, exist_ok=True)
        date = max(view.finished for view in views)
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S.000000", time.gmtime(date))
        lines = {view.task: _samples(view) for view in views}
        for task, samples in lines.items():
            path = folder / f"samples_{task}_{stamp}.jsonl"
            path.write_text(lines_of(samples), encoding="utf-8")
        made.append(folder / f"results_{stamp}.json")
        write_json(made[-1], _results(model, views, lines, date))
    return made


def _results(model: str, views: Sequence[View], lines: dict[str, list[Json]], date: float) -> Json:
    first = views[0].manifest
    return {
        "results": {view.task: _means(view) for view in views},
        "group_subtasks": {},
        "configs": {view.task: _config(view) for view in views},
        "versions": {view.task: view.manifest["schema"] for view in views},
        "n-shot": {view.task: 0 for view in views},
        "higher_is_better": {
            view.task: {
                metric: better
                for metric in _known(view)
                if (better := direction(metric)) is not None
            }
            for view in views
        },
        "n-samples": {
            view.task: {
                "original": len(view.samples),
                "effective": len(view.samples) - sum(view.failed.values()),
            }
            for view in views
        },
        "config": _run(views),
        "git_hash": (first["git"] or {}).get("commit"),
        "date": date,
        "pretty_env_info": json.dumps({**first["versions"], **first["hardware"]}),
        "transformers_version": first["versions"]["transformers"],
        "lm_eval_version": None,
        "skipbench_version": first["versions"]["skipbench"],
        "upper_git_hash": None,
        "task_hashes": {task: _task_hash(samples) for task, samples in lines.items()},
        "model_source": "skipbench",
        "model_name": model,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", model),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": first["decides"]["template"],
        "chat_template_sha": None,
        "total_evaluation_time_seconds": None,
    }


def _known(view: View) -> list[str]:
    return [metric for metric, found in view.metrics.items() if found["value"] is not None]


def _means(view: View) -> Json:
    made: Json = {"name": view.task, "alias": view.task, "sample_len": len(view.samples)}
    for metric in _known(view):
        error = view.standard_error(metric)
        made[f"{metric},none"] = view.metrics[metric]["value"]
        made[f"{metric}_stderr,none"] = "N/A" if error is None else error
    return made


def _config(view: View) -> Json:
    """A task as the harness describes one; what it has no word for is in the metadata."""
    decides = view.manifest["decides"]
    return {
        "task": view.task,
        "dataset_name": decides["task"]["data"],
        "test_split": view.manifest["split"],
        "output_type": "generate_until",
        "num_fewshot": 0,
        "repeats": 1,
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": direction(metric)}
            for metric in _known(view)
        ],
        "generation_kwargs": _generation(view),
        "metadata": {
            "version": view.manifest["schema"],
            "task": decides["task"],
            "data_sha256": decides["data_sha256"],
            "standard_error": "of the mean, with clusters of samples as the unit",
            "unscored": view.unscored,
            "failed": view.failed,
            "model_args": view.arguments,
            "versions": view.manifest["versions"],
            "git": view.manifest["git"],
        },
    }


def _generation(view: View) -> Json:
    decode = view.manifest["decode"]
    sampled = decode["mode"] == "sampled"
    made: Json = {"until": [], "do_sample": sampled, "mode": decode["mode"]}
    if sampled:
        made |= {"temperature": decode["temperature"], "top_p": decode["top_p"]}
    return made


def _run(views: Sequence[View]) -> Json:
    """Of the first task; of the model's arguments those that all tasks share, since a knob is
    calibrated for each."""
    view, manifest = views[0], views[0].manifest
    decides, seed = manifest["decides"], manifest["decode"]["seed"]
    shared = {
        key: value
        for key, value in view.arguments.items()
        if all(other.arguments[key] == value for other in views)
    }
    return {
        "model": "skipbench",
        "model_args": shared,
        "model_dtype": f"torch.{decides['dtype']}",
        "model_revision": manifest["config"].get("model", {}).get("revision"),
        "model_sha": decides["model"],
        "batch_size": decides["batch_size"],
        "batch_sizes": [],
        "device": decides["device"],
        "use_cache": None,
        "limit": manifest["config"].get("limit"),
        "bootstrap_iters": 0,
        "gen_kwargs": _generation(view),
        "random_seed": seed,
        "numpy_seed": seed,
        "torch_seed": seed,
        "fewshot_seed": seed,
    }


def _samples(view: View) -> list[Json]:
    """One line a sample that was answered; failed ones are counted in the metadata."""
    made = []
    for number, sample in enumerate(view.samples):
        record = view.records.get(sample["sample_id"])
        if record is None or record["error"] is not None:
            continue
        references = [refs[0] if refs else "" for refs in sample["references"]]
        target = references[0] if len(references) == 1 else references
        metrics = sorted(view.scores)
        made.append(
            {
                "doc_id": number,
                "doc": sample,
                "target": target,
                "arguments": {
                    f"gen_args_{turn}": {"arg_0": text, "arg_1": _generation(view)}
                    for turn, text in enumerate(sample["turns"][: len(record["replies"])])
                },
                "resps": [[reply] for reply in record["replies"]],
                "filtered_resps": record["replies"],
                "filter": "none",
                "metrics": metrics,
                "doc_hash": _sha256(json.dumps(sample, ensure_ascii=False)),
                "prompt_hash": _sha256("".join(record["prompt_sha256"])),
                "target_hash": _sha256(json.dumps(target, ensure_ascii=False)),
                **{metric: view.scores[metric].get(sample["sample_id"]) for metric in metrics},
            }
        )
    return made


def _task_hash(samples: Sequence[Json]) -> str:
    return _sha256("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
