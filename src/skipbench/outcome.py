"""What became of the cells of a sweep, or would: statuses, reasons, the plan and its price."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from skipbench import plan
from skipbench.job import Setup, Side, selected, systems
from skipbench.provenance import sha256_of
from skipbench.records import read_json, write_json

_CODES = {"complete": 0, "nothing_skipped": 3, "not applicable": 2}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell of a sweep. `setup` None: it is not applicable, for `reason`."""

    overrides: tuple[str, ...]
    setup: Setup | None
    directory: Path | None = None
    reason: str | None = None


def summary_status(cell: Path) -> str | None:
    """What a cell's summary says of it; None without one."""
    summary = cell / "summary.json"
    return str(read_json(summary)["status"]) if summary.exists() else None


def status_of(job: Job) -> tuple[str, str]:
    """Status of a job's cell and the reason, if it is not complete."""
    if job.directory is None:
        return "not applicable", job.reason or ""
    failed, summary = job.directory / "failed.json", job.directory / "summary.json"
    if failed.exists():
        return "failed", str(read_json(failed)["reason"])
    if not summary.exists():
        return "not finished" if (job.directory / "records.jsonl").exists() else "not run", ""
    found = read_json(summary)
    errors = ", ".join(f"{n} × {reason}" for reason, n in found["errors"].items())
    return found["status"], errors


def worst(jobs: Sequence[Job]) -> int:
    """The exit code of a sweep, from what is on disk; of a plan, whether all of it can be run."""
    if any(job.setup is not None and job.setup.dry_run for job in jobs):
        return 2 if any(job.setup is None for job in jobs) else 0
    return max(max(_code(*status_of(job)), _silent(job)) for job in jobs)


def _silent(job: Job) -> int:
    """1 where a judge was asked and scored nothing; the answers themselves are complete."""
    if job.directory is None or not (job.directory / "summary.json").exists():
        return 0
    judge = read_json(job.directory / "summary.json")["judge"]
    return int(judge is not None and judge.get("scored") == 0)


def _code(status: str, reason: str) -> int:
    if status == "failed" and reason.startswith("BadInput"):
        return 2
    return _CODES.get(status, 1)


def write_list(
    name: str | None, jobs: Sequence[Job], lost: dict[tuple[str, ...], str], results_dir: Path
) -> None:
    """Write sweeps/NAME.json, and tell the cells that are not complete with their reasons.

    `lost`: what the launcher said of jobs; those of dense twins are not in the list.
    """
    for overrides in lost.keys() - {job.overrides for job in jobs}:
        print(f"skipbench: {' '.join(overrides)}: {lost[overrides]}", file=sys.stderr)
    statuses = [
        (status, reason or ("" if status == "complete" else lost.get(job.overrides, "")))
        for job in jobs
        for status, reason in [status_of(job)]
    ]
    cells = [
        {
            "overrides": list(job.overrides),
            "directory": str(job.directory.relative_to(results_dir)) if job.directory else None,
            "status": status,
            "reason": reason,
        }
        for job, (status, reason) in zip(jobs, statuses, strict=True)
    ]
    (results_dir / "sweeps").mkdir(parents=True, exist_ok=True)
    key = sha256_of([list(job.overrides) for job in jobs])[:8]
    path = results_dir / "sweeps" / f"{name or 'sweep'}-{key}.json"
    write_json(path, {"experiment": name, "cells": cells})
    console = _console(stderr=True)
    table = Table("cell", "status", "reason", title_justify="left", box=None)
    for job, (status, reason) in zip(jobs, statuses, strict=True):
        if status != "complete":
            table.add_row(" ".join(job.overrides), status, reason)
    if table.row_count:
        console.print(table)
    counts = ", ".join(f"{n} {status}" for status, n in Counter(s for s, _ in statuses).items())
    left = any(status not in ("complete", "not applicable") for status, _ in statuses)
    again = "; the same command does what is left" if left else ""
    console.print(f"{len(jobs)} cells: {counts}{again}")


def tell_plan(jobs: Sequence[Job]) -> None:
    """The plan of a sweep: cells, tokens, time and judge cost; a shared dense twin counts once."""
    table = Table("cell", "samples to do", "tokens, at most", "s, roughly", "judge USD", box=None)
    seen: set[Path] = set()
    total = [0, 0, 0.0, 0.0]
    for job in jobs:
        if job.setup is None:
            table.add_row(" ".join(job.overrides), f"not applicable: {job.reason}", "", "", "")
            continue
        row = [0, 0, 0.0, 0.0]
        for side in _sides(job.setup):
            if side.cell.directory not in seen:
                seen.add(side.cell.directory)
                samples, tokens = plan.pending_tokens(job.setup, side)
                seconds = plan.estimated_s(job.setup, tokens)[0]
                cost = plan.judge_estimate(job.setup, side)[1]
                row = [a + b for a, b in zip(row, (samples, tokens, seconds, cost), strict=True)]
        total = [a + b for a, b in zip(total, row, strict=True)]
        table.add_row(" ".join(job.overrides), *_cells_of(row))
    table.add_row(f"{len(jobs)} cells", *_cells_of(total))
    _console(stderr=False).print(table)


def _console(stderr: bool) -> Console:
    """As wide as needed where nobody looks at it: a log must not break its lines."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if terminal else 400)


def _sides(setup: Setup) -> list[Side]:
    return [side for side in systems(setup, selected(setup)) if side is not None]


def _cells_of(row: list[float]) -> list[str]:
    return [f"{row[0]:.0f}", f"{row[1]:.0f}", f"{row[2]:.0f}", f"{row[3]:.2f}"]
