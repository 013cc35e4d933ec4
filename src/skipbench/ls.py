"""What there is to run and what has run: `python -m skipbench.ls [NAME] [--results DIR]`."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from skipbench.paths import conf_dir
from skipbench.records import BadInput, read_json

GROUPS = ("task", "model", "method", "judge", "decode", "experiment")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m skipbench.ls", description=__doc__)
    parser.add_argument("name", nargs="?", help="show the values of one config, e.g. ffnskip")
    default = os.environ.get("SKIPBENCH_RESULTS", "results")
    parser.add_argument("--results", type=Path, default=Path(default))
    options = parser.parse_args()
    width = None if sys.stdout.isatty() else 200  # a file has no edge to wrap at
    console = Console(soft_wrap=True, highlight=False, width=width)
    try:
        if options.name:
            _show(options.name, console)
        else:
            _list(options.results, console)
    except BadInput as error:
        print(f"skipbench.ls: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _show(name: str, console: Console) -> None:
    found = sorted(conf_dir().glob(f"*/{name}.yaml"))
    if not found:
        names = sorted({path.stem for path in conf_dir().glob("*/*.yaml")})
        raise BadInput(f"{name!r} is none of {', '.join(names)}")
    for path in found:
        console.print(f"[bold]{path.parent.name}={path.stem}[/bold]")
        console.print(path.read_text(), markup=False)


def _list(results: Path, console: Console) -> None:
    for group in GROUPS:
        paths = sorted((conf_dir() / group).glob("*.yaml"))
        if paths:
            table = Table(title=group, title_justify="left", show_header=False, box=None)
            for path in paths:
                first = path.read_text().split("\n", 1)[0].removeprefix("# ")
                table.add_row(path.stem, first)
            console.print(table)
    cells = sorted(results.glob("*/*/*/*/run.json"))
    table = Table(title=f"cells in {results}", title_justify="left", box=None)
    for column in ("task", "model", "method", "fingerprint", "asked", "executed", *_OUTCOME):
        table.add_column(column)
    for path in cells:
        table.add_row(*path.parts[-5:-1], *_status(path.parent))
    console.print(table if cells else f"no cells in {results}")


_OUTCOME = ("status", "n", "accuracy")


def _status(cell: Path) -> tuple[str, ...]:
    """What was asked and executed, in the method's own unit; status, n and strict accuracy.

    'started' where there is no summary yet, or why it failed.
    """
    try:
        if (cell / "failed.json").exists():
            reason = read_json(cell / "failed.json").get("reason", "")
            return "", "", f"failed: {reason}", "", ""
        if not (cell / "summary.json").exists():
            return "", "", "started", "", ""
        summary = read_json(cell / "summary.json")
        skip = summary["skip"]
        asked, unit = skip["requested"], skip.get("unit")
        done = f"{unit} {skip[unit]:.3f}" if unit in skip else ""
        accuracy = summary["metrics"].get("accuracy", {}).get("value")
        told = "" if accuracy is None else f"{accuracy:.3f}"
        return (
            "" if asked is None else f"{asked:g}",
            done,
            summary["status"],
            str(summary["n"]),
            told,
        )
    except (BadInput, KeyError, TypeError, AttributeError, ValueError):
        return "", "", "unreadable", "", ""


if __name__ == "__main__":
    main()
