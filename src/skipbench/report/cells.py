"""What a results folder holds, read for a report: cells with their labels, and experiments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from skipbench.paths import conf_dir
from skipbench.provenance import sha256_of
from skipbench.records import BadInput, read_json, read_lines

Json = dict[str, Any]
_HIDDEN = ("_target_", "skip", "cell", "influence", "maps")


@dataclass(frozen=True, kw_only=True)
class CellData:
    """A finished cell. `part` tells forms and data sets of one task apart ('short', 'vicuna80');
    `label` is the method with whatever differs from its YAML."""

    directory: Path
    summary: Json
    manifest: Json
    part: str
    label: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What two cells must share to stand in one table: task, part, model, and the samples."""
        data = str(self.manifest["decides"].get("data_sha256"))
        return self.summary["task"], self.part, self.summary["model"], data

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.summary["task"], self.part)))

    def scores(self) -> Iterator[Json]:
        """Lines of scores.jsonl, or of the scores.parquet that a packed folder has instead."""
        packed = self.directory / "scores.parquet"
        if not packed.exists():
            yield from read_lines(self.directory / "scores.jsonl")
            return
        for batch in pq.ParquetFile(packed).iter_batches(batch_size=20_000):
            yield from batch.to_pylist()

    def records(self) -> Iterator[Json]:
        """Lines of records.jsonl in file order, superseded ones included; none in a packed folder."""
        return read_lines(self.directory / "records.jsonl")


def cells_of(results: Path) -> list[CellData]:
    """All cells of a results folder that have a summary, in a fixed order.

    Raises BadInput where there is none, or a file of one cannot be read.
    """
    if not results.is_dir():
        raise BadInput(f"{results} is no folder of results")
    found = [_read(path.parent) for path in sorted(results.glob("*/*/*/*/summary.json"))]
    if not found:
        raise BadInput(
            f"{results} holds no finished cell (<task>/<model>/<method>/<fingerprint>/summary.json)"
        )
    return sorted(found, key=_order)


def _read(directory: Path) -> CellData:
    summary, manifest = read_json(directory / "summary.json"), read_json(directory / "run.json")
    missing = {"task", "model", "method", "metrics", "skip", "status"} - summary.keys()
    if missing:
        raise BadInput(f"{directory / 'summary.json'} has no {sorted(missing)[0]!r}")
    try:
        task, method = manifest["config"]["task"], manifest["config"]["method"]
        parts = [task.get("form"), manifest["decides"]["task"]["data"]]
    except (KeyError, TypeError) as error:
        raise BadInput(f"{directory / 'run.json'} is no manifest of a run ({error})") from None
    decode = manifest["decode"]["mode"]
    if decode != "task":
        parts.append(decode)
    part = " ".join(str(p) for p in parts if p and p != "world")
    return CellData(
        directory=directory,
        summary=summary,
        manifest=manifest,
        part=part,
        label=_label(summary["method"], method),
    )


@cache
def _defaults(method: str) -> Json:
    path = conf_dir() / "method" / f"{method}.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def _label(method: str, given: Json) -> str:
    """`ffnskip cold_start=2`: a method and what was changed of it."""
    defaults = _defaults(method)
    changed = [
        f"{key}={value}"
        for key, value in given.items()
        if key not in _HIDDEN and value != defaults.get(key)
    ]
    return " ".join([method, *changed])


def _order(cell: CellData) -> tuple[Any, ...]:
    asked = cell.summary["skip"]["requested"]
    dense = cell.summary["method"] != "dense"
    parts = re.split(r"(\d+)", cell.label)  # numbers by size: 5 before 10
    label = tuple((not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts)
    return (*cell.key, dense, label, asked or 0.0, cell.directory.name)


def experiments_of(results: Path) -> dict[str, list[Path]]:
    """Experiment -> directories of its cells, from `sweeps/*.json`; those that were not run are
    left out."""
    found: dict[str, list[Path]] = {}
    for path in sorted((results / "sweeps").glob("*.json")):
        sweep = read_json(path)
        if "experiment" not in sweep or not isinstance(sweep.get("cells"), list):
            raise BadInput(f"{path} is no list of a sweep's cells")
        if sweep["experiment"]:
            here = [results / cell["directory"] for cell in sweep["cells"] if cell["directory"]]
            found.setdefault(sweep["experiment"], []).extend(here)
    return found


def provenance_of(cells: list[CellData]) -> str:
    """Twelve hexadecimal digits that name the exact summaries a report was made of."""
    return sha256_of([[cell.directory.name, cell.summary] for cell in cells])[:12]
