"""Samples of a cell beside their dense twin: `python -m skipbench.show CELL [--wrong] [-n 20]`."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from skipbench.metrics.answers import OUTCOMES
from skipbench.records import BadInput, latest_records, read_json, read_lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m skipbench.show", description=__doc__)
    parser.add_argument("cell", type=Path, help="directory of a cell (the last line of a run)")
    parser.add_argument("--wrong", action="store_true", help="only what was not answered correctly")
    parser.add_argument("-n", type=int, default=20, help="at most this many samples")
    options = parser.parse_args()
    try:
        show(options.cell, options.wrong, options.n, Console(soft_wrap=True, highlight=False))
    except BadInput as error:
        print(f"skipbench.show: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # head closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(cell: Path, wrong: bool, most: int, console: Console) -> None:
    """Print samples with question, reference, dense reply, reply and outcome.

    Raises BadInput where the directory is no cell.
    """
    summary = read_json(cell / "summary.json")
    twin = cell.parents[1] / "dense" / str(summary.get("twin"))
    dense = latest_records(twin / "records.jsonl")
    outcomes = _outcomes(cell)
    questions = {s["sample_id"]: s for s in read_lines(cell / "samples.jsonl")}
    console.print(Text(_head(cell, summary), style="bold"))
    shown = 0
    for sample_id, record in latest_records(cell / "records.jsonl").items():
        if wrong and outcomes.get(sample_id) == "correct":
            continue
        if shown == most:
            break
        shown += 1
        _print(console, sample_id, record, dense.get(sample_id), outcomes, questions.get(sample_id))
    console.print(f"{shown} of {summary['n']} samples shown")


def _head(cell: Path, summary: dict[str, Any]) -> str:
    """Which cell this is, what it was asked, what it executed, and of how many samples."""
    try:
        skip = summary["skip"]
        asked, made = skip["requested"], skip.get(skip["unit"])
        ratios = [
            f"{told} {value:.3g}"
            for told, value in (("asked", asked), ("executed", made))
            if value is not None and summary["method"] != "dense"
        ]
        return ", ".join([f"{cell}: {summary['method']}", *ratios, f"n {summary['n']}"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{cell / 'summary.json'} is no summary of a cell ({error!r})") from None


def _outcomes(cell: Path) -> dict[str, str]:
    """sample_id -> outcome, or for tasks without outcomes whether the reply was right."""
    found: dict[str, str] = {}
    for score in read_lines(cell / "scores.jsonl"):
        name = score["metric"].removeprefix("outcome.")
        if name in OUTCOMES and score["metric"] != name and score["value"] == 1.0:
            found[score["sample_id"]] = name
        elif score["metric"] == "accuracy" and score["sample_id"] not in found:
            found[score["sample_id"]] = "correct" if score["value"] == 1.0 else "not correct"
    return found


def _print(
    console: Console,
    sample_id: str,
    record: dict[str, Any],
    dense: dict[str, Any] | None,
    outcomes: dict[str, str],
    question: dict[str, Any] | None,
) -> None:
    console.print(Text(sample_id, style="bold"))
    if record["error"] is not None:
        console.print(Text(f"  failed    {record['error']}", style="red"))
        return
    for turn, reply in enumerate(record["replies"]):
        if question is not None:
            console.print(Text(f"  asked     {question['turns'][turn]}"))
            references = question["references"]
            console.print(Text(f"  reference {references[turn][0] if references[turn] else '-'}"))
        if dense is not None and dense["error"] is None:
            console.print(Text(f"  dense     {dense['replies'][turn]}", style="green"))
        outcome = outcomes.get(sample_id, "unscored")
        style = "green" if outcome == "correct" else "red"
        console.print(Text(f"  reply     {reply}  [{outcome}]", style=style))


if __name__ == "__main__":
    main()
