"""What there is to run and what has run: `python -m skipbench.ls [NAME] [--results DIR]`."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skipbench.paths import conf_dir
from skipbench.records import BadInput, read_json

_FACTS = ("status", "asked", "executed", "n", "accuracy")
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
    marks = [p for name in ("run", "failed") for p in results.glob(f"*/*/*/*/{name}.json")]
    cells = sorted({path.parent for path in marks})
    table = Table(title=f"cells in {results}", title_justify="left", box=None)
    for column in ("task", "model", "method", "fingerprint", *_FACTS):
        table.add_column(column)
    for path in cells:
        table.add_row(*path.parts[-4:], *map(escape, _status(path)))
    console.print(table if cells else f"no cells in {results}")


def _status(cell: Path) -> tuple[str, ...]:
    """What `_FACTS` names; 'started' where there is no summary yet, or why it failed. A file that
    is torn or of another form is 'unreadable', and the others are listed all the same."""
    try:
        failed, manifest = cell / "failed.json", cell / "run.json"
        asked = _ratio(read_json(manifest).get("skip_requested")) if manifest.exists() else ""
        if failed.exists():
            return f"failed: {read_json(failed).get('reason', '')}", asked, "", "", ""
        if not (cell / "summary.json").exists():
            return "started", asked, "", "", ""
        summary = read_json(cell / "summary.json")
        accuracy = summary["metrics"].get("accuracy", {}).get("value")
        dense = summary["method"] == "dense"
        executed = None if dense else summary["skip"].get(summary["skip"]["unit"])
        told = "" if accuracy is None else f"{accuracy:.3f}"
        return str(summary["status"]), asked, _ratio(executed), str(summary["n"]), told
    except (BadInput, KeyError, AttributeError, TypeError, ValueError):
        return "unreadable", "", "", "", ""


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    main()
