"""A report replaces the one before it only when it is whole, and touches nothing else."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skipbench.records import BadInput

DATA = {
    "frame.parquet": "one row for each cell and metric",
    "frame.csv": "one row for each cell and metric",
    "samples.parquet": "one row for each score",
    "numbers.tex": "numbers of the tables as LaTeX macros",
}
PAGE = "report.html"
_INDEX = "index.json"
_MADE = re.compile(r"(table|fig)_[\w.-]+\.(tex|md|csv|pdf|png)")  # no name that leaves the folder
_ASIDE, _EARLIER = ".unfinished", "earlier.json"


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A folder inside of `out` to make a report in; at the end its files replace the earlier ones.

    If anything goes wrong, the earlier report stays as it was. What a killed report left is taken
    away first. Raises BadInput where `out` holds an index or a file that is not of a report.
    """
    aside = out / _ASIDE
    names_of(out / _INDEX)  # a foreign one is told before the work, not after it
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise BadInput(f"--out {out} is a file; a folder is wanted") from None
    if aside.is_symlink():
        raise BadInput(f"{aside} is a link; take it away or choose another folder for --out")
    if (aside / _EARLIER).exists():  # killed while files were moved: neither report is whole
        _take_away(out, names_of(aside / _EARLIER) | names_of(aside / _INDEX))
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        _swap(out, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(out: Path, aside: Path) -> None:
    """Move a finished report to its place, its index last; a kill in between can be told."""
    earlier, new = names_of(out / _INDEX), names_of(aside / _INDEX)
    for name in sorted(new - earlier):
        if (out / name).exists():
            raise BadInput(f"{out / name} is of no report; choose another folder for --out")
    if (out / _INDEX).exists():
        (out / _INDEX).replace(aside / _EARLIER)
    else:
        (aside / _EARLIER).write_text("[]", encoding="utf-8")
    _take_away(out, earlier - new)
    for name in sorted(new):
        (aside / name).replace(out / name)
    (aside / _INDEX).replace(out / _INDEX)


def _take_away(out: Path, names: set[str]) -> None:
    for name in names:
        (out / name).unlink(missing_ok=True)


def names_of(index: Path) -> set[str]:
    """Files that an index lists; none where there is no index.

    Raises BadInput unless it is one of ours: an entry may name only what a report makes, so that
    nothing else can ever be deleted by it.
    """
    try:
        entries: Any = json.loads(index.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(_ours(entry) for entry in entries):
        raise BadInput(f"{index} is no index of a report; choose another folder for --out")
    return {entry["file"] for entry in entries if entry["file"] is not None}


def _ours(entry: Any) -> bool:
    if not isinstance(entry, dict) or not {"file", "what", "provenance"} <= entry.keys():
        return False
    name = entry["file"]
    known = isinstance(name, str) and (name in DATA or name == PAGE or _MADE.fullmatch(name))
    return name is None or bool(known)
