"""A cell: one directory that holds everything about one (task, model, method) and its answers."""

import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from skipbench import provenance
from skipbench.records import (
    BadInput,
    Record,
    Sample,
    append_lines,
    latest_records,
    read_json,
    read_lines,
    repair,
    write_json,
)


class Cell:
    """The files of one cell. Open it before writing; one writer at a time.

    A second process waits for the first; the lock is the operating system's, so that the lock of a
    process that died is free at once. `holder` beside it says who has it.
    """

    def __init__(
        self, directory: Path, samples: Sequence[Sample], identity: dict[str, Any]
    ) -> None:
        self.directory, self.samples, self.identity = directory, samples, identity
        self.fingerprint = directory.name
        self._lock = FileLock(directory / ".lock")

    @property
    def manifest_path(self) -> Path:
        return self.directory / "run.json"

    @property
    def records_path(self) -> Path:
        return self.directory / "records.jsonl"

    @property
    def twin_times(self) -> Path:
        """Times of dense batches that were run again beside this cell's, to compare times."""
        return self.directory / "twin_times.jsonl"

    @property
    def scores_path(self) -> Path:
        return self.directory / "scores.jsonl"

    @property
    def summary_path(self) -> Path:
        return self.directory / "summary.json"

    def open(self, overwrite: bool = False) -> None:
        """Take the lock, write the manifest if there is none, and make the records whole."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._acquire()
        if overwrite:
            for path in self.directory.glob("*.json*"):  # records, and all that was made of them
                path.unlink()
        (self.directory / "failed.json").unlink(missing_ok=True)
        if not self.manifest_path.exists():
            self.update_manifest(
                schema=provenance.SCHEMA,
                fingerprint=self.fingerprint,
                **self.identity,
                versions=provenance.versions(),
                git=provenance.git_state(),
                hardware=provenance.hardware(),
                started=_now(),
                finished=None,
            )
        asked = self.directory / "samples.jsonl"
        if not asked.exists():  # what was asked stands beside what came back
            new = asked.with_suffix(".new")
            new.unlink(missing_ok=True)
            append_lines(new, [asdict(sample) for sample in self.samples])
            new.replace(asked)
        repair(self.records_path)

    def _acquire(self) -> None:
        holder = self.directory / ".holder"
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            who = holder.read_text() if holder.exists() else "another process"
            print(f"waiting for {who} to finish {self.directory}", flush=True, file=sys.stderr)
            self._lock.acquire()
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def close(self) -> None:
        """Let go, if it is held: the lock and its holder's name may be another's by now."""
        if not self._lock.is_locked:
            return
        (self.directory / ".holder").unlink(missing_ok=True)
        self._lock.release()

    def note_failure(self, error: BaseException) -> None:
        """Why this cell could not be done; stays until it is."""
        self.directory.mkdir(parents=True, exist_ok=True)
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        write_json(self.directory / "failed.json", {"reason": reason, "time": _now()})

    @property
    def failure(self) -> str | None:
        path = self.directory / "failed.json"
        return read_json(path)["reason"] if path.exists() else None

    @property
    def manifest(self) -> dict[str, Any]:
        return read_json(self.manifest_path)

    def update_manifest(self, **values: Any) -> None:
        known = read_json(self.manifest_path) if self.manifest_path.exists() else {}
        write_json(self.manifest_path, {**known, **values})

    def records(self) -> dict[str, dict[str, Any]]:
        """sample_id -> its last record, for the samples of this cell that have one."""
        found = latest_records(self.records_path)
        missing = [
            key for line in found.values() for key in ("error", "token_ids") if key not in line
        ]
        if missing:
            raise BadInput(
                f"{self.records_path} holds lines without {missing[0]!r}; not a record file"
            )
        return {s.sample_id: found[s.sample_id] for s in self.samples if s.sample_id in found}

    def pending(self) -> set[str]:
        """Samples without a record, or whose last one is an error."""
        found = self.records()
        return {
            sample.sample_id
            for sample in self.samples
            if sample.sample_id not in found or found[sample.sample_id]["error"] is not None
        }

    def append(self, records: Sequence[Record]) -> None:
        append_lines(self.records_path, [asdict(record) for record in records])

    def scores(self) -> list[dict[str, Any]]:
        return list(read_lines(self.scores_path))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
