"""A finished cell as other tools see one: a model's answers to a task."""

import calendar
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from skipbench.metrics.stats import clustered_error
from skipbench.records import BadInput, Record
from skipbench.report.cells import CellData, cells_of
from skipbench.report.check import check, lines_with

Json = dict[str, Any]
_RECORD = [field.name for field in fields(Record)]
_DECIDES = ("model", "template", "data_sha256", "dtype", "device", "batch_size")
_MANIFEST = {
    **dict.fromkeys(("schema", "split", "method", "skip_requested", "git"), "anything"),
    **dict.fromkeys(("started", "model_name", "method_name", "fingerprint"), "text"),
    **{"finished?": "text", "hardware": {...: "anything"}},
    "versions": {"skipbench": "text", "transformers": "text"},
    "decides": dict.fromkeys(_DECIDES, "anything"),
    "decode": dict.fromkeys(("seed", "temperature", "top_p"), "anything"),
}
_HIGHER = ("accuracy", "fact_", "rouge", "reference_score", "judge_score", "judge_win", "judge.")
_LOWER = ("hallucination", "collapse", "divergence.kl")


@dataclass(frozen=True, kw_only=True)
class View:
    """A cell with the names it is exported under. `model`: `tiny`, or `tiny+ffnskip@0.25`."""

    cell: CellData
    model: str
    task: str

    @property
    def manifest(self) -> Json:
        return self.cell.manifest

    @property
    def finished(self) -> float:
        """Seconds since 1970, from the manifest: an export has the same bytes whenever it is made."""
        return _seconds(self.manifest.get("finished") or self.manifest["started"])

    @cached_property
    def samples(self) -> list[Json]:
        """What was asked, in order. Raises BadInput where the folder keeps no samples."""
        path = self.cell.directory / "samples.jsonl"
        found = list(lines_with(path, "sample_id", "cluster", "turns", "references"))
        twice = Counter(sample["sample_id"] for sample in found)
        if len(twice) < len(found):
            raise BadInput(f"{path} names sample {twice.most_common(1)[0][0]!r} twice")
        if not found:
            raise BadInput(f"{self.cell.directory} has no samples.jsonl; export a whole folder")
        return found

    @cached_property
    def records(self) -> dict[str, Json]:
        """sample_id -> its last record, failed ones included."""
        path = self.cell.directory / "records.jsonl"
        found = {line["sample_id"]: line for line in lines_with(path, "sample_id", "error")}
        for record in found.values():
            missing = [key for key in _RECORD if record["error"] is None and key not in record]
            if missing:
                raise BadInput(f"{path}: {record['sample_id']!r} has no {missing[0]!r}")
        return found

    @cached_property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """metric -> sample_id -> mean over turns; None where any turn is unscored."""
        turns: dict[str, dict[str, list[float | None]]] = {}
        for score in self.cell.scores():
            by = turns.setdefault(score["metric"], {})
            by.setdefault(score["sample_id"], []).append(score["value"])
        return {
            metric: {sample: _mean(values) for sample, values in by.items()}
            for metric, by in turns.items()
        }

    @cached_property
    def metrics(self) -> dict[str, Json]:
        """The metrics that samples are scored by, without those of parts of the data."""
        summary = self.cell.summary["metrics"]
        return {metric: summary[metric] for metric in sorted(self.scores) if metric in summary}

    @property
    def unscored(self) -> dict[str, int]:
        """metric -> number of samples without a value, where there are any."""
        return {name: m["unscored"] for name, m in self.metrics.items() if m["unscored"]}

    @property
    def failed(self) -> dict[str, int]:
        """Reason -> number of samples that failed with it."""
        reasons = [
            str(r["error"]).split(":", 1)[0]
            for r in self.records.values()
            if r["error"] is not None
        ]
        return dict(sorted(Counter(reasons).items()))

    def standard_error(self, metric: str) -> float | None:
        """Of the mean, with clusters as the unit; None for fewer than two clusters."""
        by = self.scores[metric]
        pairs = [
            (value, sample["cluster"])
            for sample in self.samples
            if (value := by.get(sample["sample_id"])) is not None
        ]
        if not pairs:
            return None
        values, clusters = zip(*pairs, strict=True)
        error, groups = clustered_error(np.asarray(values, dtype=float), clusters)
        return error if groups > 1 else None

    @property
    def developer(self) -> str:
        """Owner of a hub model; what has none is `local`, and the shipped model is our own."""
        path = self._path.split("/")
        if len(path) == 2 and path[0] not in ("", ".", "..", "~"):
            return path[0]
        return "skipbench" if self.cell.summary["model"] == "tiny" else "local"

    @property
    def checkpoint(self) -> str:
        """Name of the weights, without the folders of this machine."""
        return self._path.rstrip("/").split("/")[-1]

    @property
    def _path(self) -> str:
        given = self.manifest["config"].get("model", {}).get("path")
        return str(given or self.manifest["model_name"])

    @property
    def arguments(self) -> Json:
        """What makes this model what it is: weights, method with all its values, decoding."""
        m = self.manifest
        return {
            "pretrained": f"{self.developer}/{self.checkpoint}",
            "weights_sha256": m["decides"]["model"],
            "method": m["method_name"],
            "method_config": m["method"],
            "skip_requested": m["skip_requested"],
            "skip_executed": {
                k: self.cell.summary["skip"].get(k) for k in ("ffn", "attn", "block")
            },
            "decode": m["decode"],
            "dense_twin": self.cell.summary.get("twin"),
            "fingerprint": m["fingerprint"],
        }


def direction(metric: str) -> bool | None:
    """Whether more of a metric is better; None where neither is."""
    if metric.startswith(_HIGHER):
        return True
    return False if metric.startswith(_LOWER) else None


def views(results: Path) -> list[View]:
    """All finished cells. Several of one model name and task get their fingerprint as well.

    Raises BadInput where there is no cell, or a file of one cannot be read.
    """
    cells = sorted(cells_of(results), key=_order)
    named = [(cell, _model(cell), _task(cell)) for cell in cells]
    times = Counter((model, task) for _, model, task in named)
    made = []
    for cell, model, task in named:
        if times[model, task] > 1:
            model = f"{model}~{cell.directory.name[:8]}"
        check(cell.manifest, _MANIFEST, cell.directory / "run.json")
        if cell.summary["status"] != "complete":
            told = f"{cell.directory} is exported with status {cell.summary['status']}"
            print(f"skipbench.export: {told}", file=sys.stderr)
        made.append(View(cell=cell, model=model, task=task))
    return made


def _task(cell: CellData) -> str:
    """Task and form; how a run was set is told with the model's arguments."""
    return cell.title.removesuffix(cell.setting).strip().replace(" ", "_")


def _order(cell: CellData) -> tuple[object, ...]:
    """By task, model and data, dense first; then as a report has them."""
    summary = cell.summary
    return _task(cell), summary["model"], cell.key[3], summary["method"] != "dense"


def _model(cell: CellData) -> str:
    """Dense cells are the model itself; a method is a model of its own."""
    name, method = cell.summary["model"], cell.label.replace(" ", ",")
    if cell.summary["method"] == "dense":
        return name
    asked = cell.summary["skip"]["requested"]
    return f"{name}+{method}" + ("" if asked is None else f"@{asked:g}")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _seconds(stamp: str) -> float:
    try:
        return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        raise BadInput(f"{stamp!r} is no time of a manifest, as 2026-01-31T23:59:59Z") from None


def lines_of(values: Sequence[Json]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
