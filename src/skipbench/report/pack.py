"""A small copy of results, without replies, from which the same tables can be made again."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skipbench.records import BadInput, read_json
from skipbench.report.cells import CellData, cells_of
from skipbench.report.failures import Failure, failures_of
from skipbench.report.files import whole, write_text
from skipbench.report.groups import Read
from skipbench.report.scores import SCHEMA, clusters_of, hashes, score_tables

_NAMES = pa.dictionary(pa.int32(), pa.string())
_PACKED = pa.schema(
    [
        *((f.name, _NAMES if f.type == pa.string() else f.type) for f in SCHEMA),
        ("cluster", _NAMES),
    ]
)


def pack(results: Path, folder: Path) -> None:
    """Write summaries, manifests, scores and maps of all cells, and which sweep they are of.

    Absolute paths are cut to their last part: they say nothing on another machine. Raises BadInput
    where `folder` holds something else, or is inside of `results`.
    """
    from skipbench.report.build import read

    cells = cells_of(results)
    if folder.resolve().is_relative_to(results.resolve()):
        raise BadInput(f"--pack {folder} lies inside of {results}; choose a folder outside")
    if folder.exists() and any(folder.glob("*/*/*/*/records.jsonl")):
        raise BadInput(f"--pack {folder} holds results that were run; choose another folder")
    for directory, made in read(cells, None).items():
        cell = next(cell for cell in cells if cell.directory == directory)
        _pack(cell, made, folder / directory.relative_to(results))
    for failure in failures_of(results):
        _pack_failure(failure, folder / failure.directory.relative_to(results))
    for path in sorted((results / "sweeps").glob("*.json")):
        (folder / "sweeps").mkdir(parents=True, exist_ok=True)
        _write(folder / "sweeps" / path.name, _without_paths(read_json(path)))


def _pack(cell: CellData, made: Read, target: Path) -> None:
    """The summary comes last: a cell without one is none, so a killed run leaves no half cell."""
    target.mkdir(parents=True, exist_ok=True)
    (target / "summary.json").unlink(missing_ok=True)
    _write(target / "run.json", _without_paths(cell.manifest))
    _write(target / "maps.json", made.scan.to_json(), indent=None)
    similarity = cell.directory / "similarity.json"
    if similarity.exists():
        _write(target / "similarity.json", read_json(similarity))
    clusters = clusters_of(cell)
    with (
        whole(target / "scores.parquet") as new,
        pq.ParquetWriter(new, _PACKED, compression="zstd") as file,
    ):
        for table in score_tables(cell):
            if "cluster" not in table.column_names:
                samples = table["sample_id"].to_pandas()
                found = clusters.reindex(hashes(samples))
                names = np.where(found.isna(), samples, found)
                table = table.append_column("cluster", pa.array(names, pa.string()))
            file.write_table(table.select(_PACKED.names).cast(_PACKED))
    _write(target / "summary.json", cell.summary)


def _pack_failure(failure: Failure, target: Path) -> None:
    """What a report tells of a cell without a summary, in the files that it is read from."""
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "run.json", {"skip_requested": failure.asked})
    if failure.status == "failed":
        reason = re.sub(r"(?<![\w.])[/~][^\s:;,]*/", "", failure.reason)
        _write(target / "failed.json", {"reason": reason})


def _write(path: Path, value: Any, indent: int | None = 1) -> None:
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


_PATH = re.compile(r"(^|=)([/~]\S*)$")  # alone, or the value of an override


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    if isinstance(value, str):
        return _PATH.sub(lambda found: found[1] + Path(found[2]).name, value)
    return value
