"""Scores of a cell, read in bounded pieces: a million of them never stand in memory as objects."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pandas.util import hash_array

from skipbench.records import BadInput, read_lines
from skipbench.report.cells import CellData

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("turn", pa.int32()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("reason", pa.string()),
        ("judge", pa.string()),
    ]
)
_SAMPLES = pa.schema([("sample_id", pa.string()), ("cluster", pa.string())])
_PIECE = 1 << 24  # bytes of a file at a time


def score_tables(cell: CellData) -> Iterator[pa.Table]:
    """Scores in file order, some 100,000 at a time; with `cluster` where the folder is packed.

    Raises BadInput naming file and line where something is no score.
    """
    packed = cell.directory / "scores.parquet"
    if not packed.exists():
        yield from _lines(cell.directory / "scores.jsonl", SCHEMA)
        return
    try:
        for batch in pq.ParquetFile(packed).iter_batches(batch_size=100_000):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{packed} cannot be read ({' '.join(str(error).split())[:80]})") from None


def _lines(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """JSON Lines as tables of `schema`; a torn last line is passed over."""
    if not path.exists():
        return
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            whole, _, rest = (rest + piece).rpartition(b"\n")
            if whole:
                reading = pj.ReadOptions(use_threads=False, block_size=len(whole) + 1)
                try:
                    yield pj.read_json(io.BytesIO(whole + b"\n"), reading, options)
                except pa.ArrowException as error:
                    for _ in read_lines(path):  # names the line that is no JSON
                        pass
                    told = " ".join(str(error).split())[:80]
                    raise BadInput(f"{path} cannot be read ({told})") from None


def clusters_of(cell: CellData) -> pd.Series:
    """Hash of sample -> cluster, from samples.jsonl. Empty where there is none."""
    found = [t.to_pandas() for t in _lines(cell.directory / "samples.jsonl", _SAMPLES)]
    if not found:
        return pd.Series([], index=pd.Index([], dtype="uint64"), dtype="str")
    frame = pd.concat(found, ignore_index=True)
    again = frame["sample_id"].duplicated().to_numpy()
    if again.any():
        name = frame["sample_id"].to_numpy()[again][0]
        raise BadInput(f"{cell.directory / 'samples.jsonl'} names sample {name!r} twice")
    return pd.Series(frame["cluster"].to_numpy(), index=pd.Index(hashes(frame["sample_id"])))


def hashes(names: Any) -> NDArray[np.uint64]:
    """Names as 64-bit numbers, the same in every run: what a million of them cost is 8 MB."""
    hashed: Any = hash_array
    return hashed(np.asarray(names, dtype=object))


@dataclass(frozen=True)
class Values:
    """Of one cell: mean over turns of one metric for each sample (NaN: unscored), and which samples
    are right. Arrays are sorted by `ids`; names are hashes."""

    ids: NDArray[np.uint64]
    clusters: NDArray[np.uint64]
    values: NDArray[np.float64]
    right: NDArray[np.uint64]


_NONE = np.array([], dtype=np.uint64)
NOTHING = Values(_NONE, _NONE, np.array([]), _NONE)


class Collector:
    """Takes the scores of one cell piece by piece and keeps what `Values` needs."""

    def __init__(self, cell: CellData, metric: str) -> None:
        self.metric = metric
        names = cell.summary["metrics"]
        self.right_metric = "outcome.correct" if "outcome.correct" in names else "accuracy"
        self._clusters = clusters_of(cell)
        self._kept: list[pd.DataFrame] = []

    def add(self, table: pa.Table) -> None:
        wanted = pa.array([self.metric, self.right_metric])
        kept = table.filter(pc.is_in(table["metric"], wanted))  # type: ignore[attr-defined]
        frame = pd.DataFrame(
            {
                "id": hashes(kept["sample_id"].to_pandas()),
                "value": kept["value"].to_pandas().astype(float),
                "right": (kept["metric"].to_pandas() == self.right_metric).to_numpy(),
                "ours": (kept["metric"].to_pandas() == self.metric).to_numpy(),
            }
        )
        if "cluster" in kept.column_names:
            frame["cluster"] = hashes(kept["cluster"].to_pandas())
        else:
            found = self._clusters.reindex(frame["id"])
            names = np.where(found.isna(), kept["sample_id"].to_pandas(), found)
            frame["cluster"] = hashes(names)
        self._kept.append(frame)

    def values(self) -> Values:
        if not self._kept:
            return NOTHING
        frame = pd.concat(self._kept, ignore_index=True)
        ours = frame[frame["ours"]].groupby("id", sort=True)
        # one turn without a value leaves the sample without one
        means = _strict(ours)
        worst: Any = frame[frame["right"]].groupby("id", sort=True)["value"].min()
        return Values(
            means.index.to_numpy(np.uint64),
            ours["cluster"].first().to_numpy(np.uint64),
            means.to_numpy(float),
            worst.index.to_numpy(np.uint64)[worst.to_numpy(float) == 1.0],
        )


def _strict(groups: Any) -> pd.Series:
    """Mean of each group; NaN where any value is."""
    sizes, known = groups.size(), groups["value"].count()
    return groups["value"].mean().where(sizes == known)
