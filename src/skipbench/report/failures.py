"""Cells that have no summary: what stopped them is told beside the numbers of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipbench.records import BadInput, read_json
from skipbench.report.tables import Entry, Row, Table
from skipbench.report.text import percent

Json = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """`status`: 'failed', or 'started' of a cell that still runs or was killed."""

    directory: Path
    status: str
    reason: str
    asked: float | None

    @property
    def place(self) -> tuple[str, ...]:
        """Task, model, method, fingerprint."""
        return self.directory.parts[-4:]


def failures_of(results: Path) -> list[Failure]:
    """Cells of a results folder without a summary, in a fixed order."""
    marks = [p for name in ("failed", "run") for p in results.glob(f"*/*/*/*/{name}.json")]
    found = sorted({path.parent for path in marks})
    return [_read(place) for place in found if not (place / "summary.json").exists()]


def _read(directory: Path) -> Failure:
    failed = directory / "failed.json"
    asked = _perhaps(directory / "run.json").get("skip_requested")
    asked = asked if isinstance(asked, int | float) else None
    if not failed.exists():
        return Failure(directory, "started", "no summary: it still runs, or was killed", asked)
    reason = _perhaps(failed).get("reason")
    return Failure(directory, "failed", str(reason or "failed.json gives no reason"), asked)


def _perhaps(path: Path) -> Json:
    """A file that may be torn: the cell failed in any case."""
    try:
        return read_json(path)
    except BadInput:
        return {}


def failure_table(failures: Sequence[Failure], provenance: str) -> Table:
    rows = []
    for one in failures:
        task, model, method, name = one.place
        texts = (task, model, method, percent(one.asked), name, one.status, one.reason)
        facts = {"asked": one.asked, "fingerprint": name}
        rows.append(Row(entries=tuple(Entry(text=text) for text in texts), facts=facts))
    return Table(
        name="table_failed",
        title="Cells without results",
        caption="Cells that stand in no other table, and why.",
        columns=("task", "model", "method", "asked, %", "cell", "state", "reason"),
        rows=tuple(rows),
        provenance=provenance,
    )
