"""The whole report as data: one tidy frame of all metrics, and every score in samples.parquet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skipbench.report.cells import CellData
from skipbench.report.files import whole, write_text
from skipbench.report.groups import executed, fingerprint, primary_of
from skipbench.report.scores import SCHEMA, Collector, Values, score_tables

_SKIPS = ("ffn", "attn", "block", "weight_bytes", "weight_bytes_single")
_PAIRED = {
    "difference": "difference",
    "low": "difference_low",
    "high": "difference_high",
    "p": "p",
    "p_holm": "p_holm",
    "p_noninferior": "p_noninferior",
    "p_equivalent": "p_equivalent",
    "minimum_detectable": "minimum_detectable",
}
_NAMES = pa.dictionary(pa.int32(), pa.string())
SAMPLES = pa.schema(
    [
        *((name, _NAMES) for name in ("task", "part", "model", "method", "label", "fingerprint")),
        *((f.name, _NAMES if f.name in ("metric", "reason", "judge") else f.type) for f in SCHEMA),
    ]
)


def identity(cell: CellData) -> dict[str, Any]:
    return {
        "task": cell.summary["task"],
        "part": cell.part,
        "model": cell.summary["model"],
        "method": cell.summary["method"],
        "label": cell.label,
        "fingerprint": fingerprint(cell),
    }


def frame_of(cells: Sequence[CellData], provenance: str) -> pd.DataFrame:
    """A row for each cell and metric; shares are in [0, 1]. A cell without metrics has one row."""
    rows = []
    for cell in cells:
        skips = {f"skip_{key}": executed(cell, key) for key in _SKIPS}
        head = {
            **identity(cell),
            "status": cell.summary["status"],
            "skip_requested": cell.summary["skip"].get("requested"),
            "skip_unit": cell.summary["skip"].get("unit"),
            **skips,
        }
        metrics = cell.summary["metrics"] or {None: {}}
        rows += [
            {**head, **_measured(cell, m, v), "provenance": provenance} for m, v in metrics.items()
        ]
    return pd.DataFrame(rows)


def _measured(cell: CellData, metric: str | None, found: dict[str, Any]) -> dict[str, Any]:
    pair = cell.summary["paired"].get(metric, {})
    floor = cell.summary.get("noise_floor", {}).get("paired", {}).get(metric, {})
    keys = ("value", "low", "high", "n", "unscored", "worst_case", "best_case")
    return {
        "metric": metric,
        **{key: found.get(key) for key in keys},
        **{name: pair.get(key) for key, name in _PAIRED.items()},
        "noise_floor_difference": floor.get("difference"),
    }


def write_frame(cells: Sequence[CellData], provenance: str, out: Path) -> None:
    frame = frame_of(cells, provenance)
    for column in ("n", "unscored"):
        frame[column] = frame[column].astype("Int64")
    texts = {"status", "skip_unit", "metric", "provenance", *identity(cells[0])}
    for column in set(frame.columns) - texts - {"n", "unscored"}:
        frame[column] = frame[column].astype(float)
    write_text(out / "frame.csv", frame.to_csv(index=False, lineterminator="\n"))
    with whole(out / "frame.parquet") as new:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), new)


def read_scores(cells: Sequence[CellData], out: Path | None) -> dict[Path, Values]:
    """Read all scores once: into OUT/samples.parquet in row groups, and into what figures need."""
    primaries = {
        key: primary_of([cell for cell in cells if cell.key == key])
        for key in {cell.key for cell in cells}
    }
    if out is None:
        return {cell.directory: _collect(cell, primaries[cell.key], None) for cell in cells}
    with whole(out / "samples.parquet") as new, pq.ParquetWriter(new, SAMPLES) as writer:
        return {cell.directory: _collect(cell, primaries[cell.key], writer) for cell in cells}


def _collect(cell: CellData, metric: str, writer: pq.ParquetWriter | None) -> Values:
    collector = Collector(cell, metric)
    names = {key: str(value) for key, value in identity(cell).items()}
    for table in score_tables(cell):
        collector.add(table)
        if writer is not None:
            columns = [pa.array([names[key]] * len(table)) for key in names]
            columns += [table[name] for name in SCHEMA.names]
            plain = pa.Table.from_arrays(columns, names=SAMPLES.names)
            writer.write_table(plain.cast(SAMPLES), row_group_size=100_000)
    return collector.values()
