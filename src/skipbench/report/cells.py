"""What a results folder holds, read for a report: cells with their labels, and experiments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from skipbench.paths import conf_dir
from skipbench.provenance import sha256_of
from skipbench.records import BadInput, read_json
from skipbench.report.check import MANIFEST, SUMMARY, SWEEP_CELL, check, lines_with
from skipbench.report.failures import failures_of
from skipbench.report.settings import told_apart

Json = dict[str, Any]
_HIDDEN = ("_target_", "skip", "cell", "influence", "maps")


@dataclass(frozen=True, kw_only=True)
class CellData:
    """A finished cell. `part` tells forms, data sets and settings of one task apart ('short',
    'vicuna80', 'short seed 1'), `setting` is the last of these; `label` is the method with whatever
    differs from its YAML."""

    directory: Path
    summary: Json
    manifest: Json
    part: str
    label: str
    setting: str = ""

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
            path = self.directory / "scores.jsonl"
            yield from lines_with(path, "sample_id", "turn", "metric", "value", "reason")
            return
        for batch in pq.ParquetFile(packed).iter_batches(batch_size=20_000):
            yield from batch.to_pylist()

    def records(self) -> Iterator[Json]:
        """Lines of records.jsonl in file order, superseded ones included; none in a packed folder."""
        return lines_with(self.directory / "records.jsonl", "sample_id", "error")


def cells_of(results: Path) -> list[CellData]:
    """All cells of a results folder that have a summary, in a fixed order.

    Raises BadInput where there is none, or a file of one cannot be read.
    """
    if not results.is_dir():
        raise BadInput(f"{results} is no folder of results")
    found = [_read(path.parent) for path in sorted(results.glob("*/*/*/*/summary.json"))]
    found = _apart(found)
    if not found:
        failed = [f"{f.directory.name} {f.status}: {f.reason}" for f in failures_of(results)[:1]]
        told = "; ".join(["<task>/<model>/<method>/<fingerprint>/summary.json", *failed])
        raise BadInput(f"{results} holds no finished cell ({told})")
    return sorted(found, key=_order)


def _read(directory: Path) -> CellData:
    summary, manifest = read_json(directory / "summary.json"), read_json(directory / "run.json")
    check(summary, SUMMARY, directory / "summary.json")
    check(manifest, MANIFEST, directory / "run.json")
    task, method = manifest["config"]["task"], manifest["config"]["method"]
    parts = [task.get("form"), manifest["decides"]["task"]["data"]]
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


def _apart(cells: list[CellData]) -> list[CellData]:
    """The same cells; where runs were set otherwise, `part` says how, so that they stand apart."""
    alike: dict[tuple[str, str, str, str], list[CellData]] = {}
    for cell in cells:
        alike.setdefault(cell.key, []).append(cell)
    made = []
    for members in alike.values():
        told = told_apart([c.summary for c in members], [c.manifest for c in members])
        for cell, words in zip(members, told, strict=True):
            part = " ".join(filter(None, (cell.part, words)))
            made.append(replace(cell, part=part, setting=words))
    return made


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
        for number, cell in enumerate(sweep["cells"]):
            check(cell, SWEEP_CELL, path, f"cells[{number}]")
        if sweep["experiment"]:
            here = [results / cell["directory"] for cell in sweep["cells"] if cell.get("directory")]
            found.setdefault(sweep["experiment"], []).extend(here)
    return found


def provenance_of(cells: list[CellData]) -> str:
    """Twelve hexadecimal digits that name the exact summaries a report was made of."""
    return sha256_of([[cell.directory.name, cell.summary] for cell in cells])[:12]
