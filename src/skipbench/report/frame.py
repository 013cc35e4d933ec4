"""The whole report as data: one tidy frame of all metrics, and every score in samples.parquet."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from skipbench.report.cells import CellData, provenance_of
from skipbench.report.check import blaming
from skipbench.report.files import whole, write_text
from skipbench.report.groups import Read, executed, fingerprint, primary_of
from skipbench.report.scan import scan_of
from skipbench.report.scores import NOTHING, SCHEMA, Collector, Values, score_tables
from skipbench.report.settings import settings_of

_SKIPS = ("ffn", "attn", "block", "weight_bytes", "weight_bytes_single")
_PAIRED = {
    "difference": "difference",
    "low": "difference_low",
    "high": "difference_high",
    "p": "p",
    "p_holm": "p_holm_cell",
    "p_noninferior": "p_noninferior",
    "p_equivalent": "p_equivalent",
    "minimum_detectable": "minimum_detectable",
}
_SETTINGS = ("seed", "temperature", "batch_size", "dtype")
_COUNTS = ("n", "unscored", "seed", "batch_size", "paired_batches")
_TEXTS = ("status", "decode", "dtype", "skip_unit", "knob", "metric", "provenance")
_KNOBS = ("threshold", "blocks", "min_blocks")
Json = dict[str, Any]
Reads = dict[Path, Read]
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


def frame_of(
    cells: Sequence[CellData], provenance: str, reads: Reads | None = None
) -> pd.DataFrame:
    """A row for each cell and metric; shares are in [0, 1]. A cell without metrics has one row.

    `reads`: what was read of the cells; without it, times are read where a speed-up is stated.
    """
    rows = []
    for cell in cells:
        skips = {f"skip_{key}": executed(cell, key) for key in _SKIPS}
        before = cell.summary.get("skip_prefill", {})
        skips |= {f"skip_prefill_{key}": before.get(key) for key in ("ffn", "attn")}
        settings = settings_of(cell.manifest)
        head = {
            **identity(cell),
            "decode": cell.manifest["decode"]["mode"],
            **{name: settings[name] for name in _SETTINGS},
            "status": cell.summary["status"],
            "skip_requested": cell.summary["skip"].get("requested"),
            "skip_unit": cell.summary["skip"].get("unit"),
            **skips,
            **_knob(cell.manifest),
            **_speed(cell, reads),
        }
        metrics = cell.summary["metrics"] or {None: {}}
        rows += [
            {**head, **_measured(cell, m, v), "provenance": provenance} for m, v in metrics.items()
        ]
    return pd.DataFrame(rows)


def _knob(manifest: Json) -> Json:
    """The value that calibration gave a method to reach its request, and its name."""
    asked, given = manifest.get("skip_requested"), manifest["decides"].get("method", {})
    values = {k: v for k, v in manifest.get("method", {}).items() if type(v) in (int, float)}
    name = None
    if asked is not None:
        changed = [key for key, value in values.items() if given.get(key, value) != value]
        rule = {"fixed": "exit_layer", "random": "depth"}.get(given.get("exit_rule"), "threshold")
        # calibration may come out at the value that was there
        name = next((key for key in (*changed, "budget", rule, *_KNOBS) if key in values), None)
    return {"knob": name, "knob_value": None if name is None else values[name]}


def _speed(cell: CellData, reads: Reads | None) -> Json:
    speed = cell.summary["speed"]
    seconds, found = speed.get("tpot_s", {}).get("p50"), speed.get("speedup")
    ratio = found or {}
    return {
        "ms_per_token": None if seconds is None else 1000 * seconds,
        "speedup": ratio.get("value"),
        "speedup_low": ratio.get("low"),
        "speedup_high": ratio.get("high"),
        "paired_batches": _paired_batches(cell, reads) if found else None,
    }


def _paired_batches(cell: CellData, reads: Reads | None) -> int | None:
    """Batches that dense and method ran in turn; None where the twin is not in the folder."""
    dense = cell.directory.parents[1] / "dense" / str(cell.summary.get("twin"))
    if reads is not None:
        scans = [reads[place].scan for place in (cell.directory, dense) if place in reads]
    else:
        sides = (cell, replace(cell, directory=dense))
        scans = [scan_of(side, NOTHING) for side in sides if side.directory.exists()]
    if len(scans) < 2:
        return None
    return len(scans[0].batches.keys() & {**scans[1].batches, **scans[0].dense_batches}.keys())


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


def write_frame(cells: Sequence[CellData], provenance: str, out: Path, reads: Reads) -> None:
    frame = frame_of(cells, provenance, reads)
    for column in _COUNTS:
        frame[column] = frame[column].astype("Int64")
    for column in set(frame.columns) - {*_TEXTS, *identity(cells[0]), *_COUNTS}:
        frame[column] = frame[column].astype(float)
    write_text(out / "frame.csv", frame.to_csv(index=False, lineterminator="\n"))
    with whole(out / "frame.parquet") as new:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        told = {**(table.schema.metadata or {}), **_metadata(provenance)}
        pq.write_table(table.replace_schema_metadata(told), new)


def _metadata(provenance: str) -> dict[bytes, bytes]:
    return {b"provenance": provenance.encode()}


def read_scores(cells: Sequence[CellData], out: Path | None) -> dict[Path, Values]:
    """Read all scores once: into OUT/samples.parquet in row groups, and into what figures need."""
    primaries = {
        key: primary_of([cell for cell in cells if cell.key == key])
        for key in {cell.key for cell in cells}
    }
    if out is None:
        return {cell.directory: _collect(cell, primaries[cell.key], None) for cell in cells}
    schema = SAMPLES.with_metadata(_metadata(provenance_of(list(cells))))
    with whole(out / "samples.parquet") as new, pq.ParquetWriter(new, schema) as writer:
        return {cell.directory: _collect(cell, primaries[cell.key], writer) for cell in cells}


def _collect(cell: CellData, metric: str, writer: pq.ParquetWriter | None) -> Values:
    collector = Collector(cell, metric)
    names = {key: str(value) for key, value in identity(cell).items()}
    with blaming(cell.directory):
        return _added(cell, collector, names, writer)


def _added(
    cell: CellData, collector: Collector, names: dict[str, str], writer: pq.ParquetWriter | None
) -> Values:
    for table in score_tables(cell):
        collector.add(table)
        if writer is not None:
            columns = [pa.array([names[key]] * len(table)) for key in names]
            columns += [table[name] for name in SCHEMA.names]
            plain = pa.Table.from_arrays(columns, names=SAMPLES.names)
            writer.write_table(plain.cast(SAMPLES), row_group_size=100_000)
    return collector.values()
