"""One pass over the records of a cell: where and when it skipped, when loops set in, batch times."""

import base64
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipbench.metrics.collapse import find_loop
from skipbench.records import BadInput, read_json
from skipbench.report.cells import CellData
from skipbench.report.check import lines_with
from skipbench.report.scores import Values, hashes

STEPS = 512  # later steps are not drawn
_LOOP = 8  # tokens, as in the summary
_PIECE = 2000  # records at a time
_ID = re.compile(rb'\{"sample_id": "([^"\\]*)"')
Json = dict[str, Any]


@dataclass
class Scan:
    """`skipped[side, step, block, half]`: replies that skipped; side 0 wrong, 1 right; half 0
    attention, 1 FFN. `reached[side, step]`: replies that long. `onsets`: token -> replies whose loop
    starts there. `replies`: all. `batches`: "process batch" -> seconds per decoded token, and
    `dense_batches` those of dense batches that ran again beside this cell."""

    skipped: NDArray[np.int64]
    reached: NDArray[np.int64]
    onsets: dict[int, int] = field(default_factory=dict)
    replies: int = 0
    batches: dict[str, float] = field(default_factory=dict)
    dense_batches: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> Json:
        last = int(np.flatnonzero(self.reached.any(0)).max(initial=-1)) + 1
        return {
            "blocks": self.skipped.shape[2],
            "skipped": self.skipped[:, :last].tolist(),
            "reached": self.reached[:, :last].tolist(),
            "onsets": {str(token): n for token, n in sorted(self.onsets.items())},
            "replies": self.replies,
            "batches": dict(sorted(self.batches.items())),
            "dense_batches": dict(sorted(self.dense_batches.items())),
        }


def scan_of(cell: CellData, scored: Values) -> Scan:
    """The scan of a cell, from its records or from the maps.json of a packed folder."""
    packed = cell.directory / "maps.json"
    if packed.exists():
        return _read(packed)
    return _scan(cell, scored)


def _empty(blocks: int) -> Scan:
    return Scan(np.zeros((2, STEPS, blocks, 2), np.int64), np.zeros((2, STEPS), np.int64))


def _read(path: Path) -> Scan:
    value = read_json(path)
    try:
        scan = _empty(value["blocks"])
        reached = np.asarray(value["reached"], np.int64)
        if reached.size:
            scan.reached[:, : reached.shape[1]] = reached
            scan.skipped[:, : reached.shape[1]] = value["skipped"]
        scan.onsets = {int(token): n for token, n in value["onsets"].items()}
        scan.replies, scan.batches = value["replies"], value["batches"]
        scan.dense_batches = value["dense_batches"]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is no packed scan ({type(error).__name__}: {error})") from None
    return scan


def _scan(cell: CellData, scored: Values) -> Scan:
    scan = _empty(cell.manifest.get("num_layers") or 0)
    spent: dict[str, list[float]] = {}
    samples = 0
    for records in _pieces(cell):
        samples += len(records)
        right = _among(hashes([r["sample_id"] for r in records]), scored.right)
        for record, side in zip(records, right.astype(int).tolist(), strict=True):
            try:
                _add(scan, spent, record, side)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                where = f"{cell.directory / 'records.jsonl'}, sample {record['sample_id']!r}"
                raise BadInput(f"{where}: {type(error).__name__}: {error}") from None
    if cell.summary["status"] == "complete" and 0 < samples < cell.summary["n"]:
        raise BadInput(
            f"{cell.directory / 'records.jsonl'} holds {samples} of the {cell.summary['n']} samples "
            "that its summary was made of; repeat the command that made it"
        )
    scan.batches = _per_token(spent)
    again: dict[str, list[float]] = {}
    for line in lines_with(cell.directory / "twin_times.jsonl", "times", "counts"):
        for times, counts in zip(line["times"], line["counts"], strict=True):
            _spend(again, times, counts)
    scan.dense_batches = _per_token(again)
    return scan


def _spend(spent: dict[str, list[float]], times: Json, counts: Json) -> None:
    pair = spent.setdefault(f"{times['session']} {times['batch']}", [0.0, 0.0])
    pair[0] += times["decode_share_s"]
    pair[1] += counts["decode_forwards"]


def _per_token(spent: dict[str, list[float]]) -> dict[str, float]:
    return {key: s / steps for key, (s, steps) in sorted(spent.items()) if steps and s}


def _among(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys are known; `known` is sorted, and large."""
    if not len(known):
        return np.zeros(len(keys), bool)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


def _pieces(cell: CellData) -> Iterator[list[Json]]:
    """The records that count, some at a time: last lines of samples, without an error."""
    last, kept = _last_lines(cell), []
    for number, record in enumerate(cell.records()):
        if record["error"] is None and last.get(record["sample_id"], number) == number:
            kept.append(record)
        if len(kept) == _PIECE:
            yield kept
            kept = []
    if kept:
        yield kept


def _last_lines(cell: CellData) -> dict[str, int]:
    """Sample -> number of its last line, for samples that have several.

    Names are kept as hashes: a first pass over a million lines must not fill the memory.
    """
    path = cell.directory / "records.jsonl"
    seen: set[int] = set()
    repeated: dict[str, int] = {}
    if not path.exists():
        return repeated
    with path.open("rb") as file:
        for number, line in enumerate(file):
            name = _name(line)
            if hash(name) in seen:
                repeated[name] = number
            seen.add(hash(name))
    return repeated


def _name(line: bytes) -> str:
    """The sample of a line, without parsing where it stands first; '' of a torn or foreign line."""
    found = _ID.match(line)
    if not line.endswith(b"\n"):
        return ""
    try:
        return found[1].decode() if found else json.loads(line).get("sample_id", "")
    except (ValueError, AttributeError):
        return ""


def _add(scan: Scan, spent: dict[str, list[float]], record: Json, side: int) -> None:
    turns = zip(
        record["token_ids"], record["skip_map"], record["times"], record["counts"], strict=True
    )
    for ids, packed, times, counts in turns:
        scan.replies += 1
        bits = unpack(packed)[:STEPS]
        if len(bits):
            scan.skipped[side, : len(bits)] += bits
            scan.reached[side, : len(bits)] += 1
            onset = onset_of(ids[: counts["reply_tokens"]])
            if onset is not None:
                scan.onsets[onset] = scan.onsets.get(onset, 0) + 1
        _spend(spent, times, counts)


def unpack(packed: Json) -> NDArray[np.uint8]:
    """A skip map [steps, blocks, 2], 1 = skipped; what records.pack_map wrote."""
    shape = tuple(packed["shape"])
    octets = np.frombuffer(base64.b64decode(packed["bits"]), np.uint8)
    return np.unpackbits(octets, count=math.prod(shape)).reshape(shape)


def onset_of(ids: list[int]) -> int | None:
    """Where a loop of emitted ids sets in, as in the summary; None without one."""
    body = ids[:-1]
    if len(body) < _LOOP or len(set(body)) > len(body) - 2:
        return None
    loop = find_loop(body)
    return loop.onset if loop and loop.length >= _LOOP and loop.onset > 0 else None
