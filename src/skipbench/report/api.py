"""Results and reports from Python, for notebooks: read what is there, never compute it anew."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from skipbench.records import BadInput
from skipbench.report.build import build
from skipbench.report.cells import cells_of, provenance_of
from skipbench.report.frame import frame_of
from skipbench.report.swap import names_of


def frame(results: str | Path) -> pd.DataFrame:
    """A row for each cell and metric of a results folder, or of a packed one; shares in [0, 1].

    Raises BadInput where it holds no finished cell.
    """
    cells = cells_of(Path(results))
    return frame_of(cells, provenance_of(cells))


def make(results: str | Path, out: str | Path) -> "Report":
    """Write the report of a results folder into `out`, as `python -m skipbench.report` does."""
    build(Path(results), Path(out))
    return Report(out)


class Report:
    """A report on disk. Names are file names without their ending: `table_…`, `fig_…`."""

    def __init__(self, out: str | Path) -> None:
        """Raises BadInput where `out` holds no finished report."""
        self.out = Path(out)
        if not (self.out / "index.json").exists():
            raise BadInput(f"{self.out} holds no finished report (no index.json)")
        names_of(self.out / "index.json")  # says so where it is of something else
        self.index: list[dict[str, Any]] = json.loads((self.out / "index.json").read_text())

    def names(self, start: str = "") -> list[str]:
        """Names of all tables and figures that begin with `start`."""
        found = {Path(e["file"]).stem for e in self.index if e["file"]}
        return sorted(name for name in found if name.startswith(start))

    def data(self, name: str) -> pd.DataFrame:
        """The exact numbers of a table, or behind a figure; shares in [0, 1], times in seconds."""
        names: Any = {"fingerprint": str, "provenance": str}  # some look like numbers
        return pd.read_csv(self._path(name, ".csv"), dtype=names)

    def markdown(self, name: str) -> str:
        """A table as text."""
        return self._path(name, ".md").read_text(encoding="utf-8")

    def figure(self, name: str) -> Path:
        """The PNG of a figure."""
        return self._path(name, ".png")

    def absent(self) -> dict[str, str]:
        """What could not be drawn, and why."""
        return {e["name"]: e["absent"] for e in self.index if e.get("absent")}

    def _path(self, name: str, ending: str) -> Path:
        path = self.out / f"{name}{ending}"
        if not path.exists():
            raise BadInput(f"{name!r} is not in {self.out}; there are {', '.join(self.names())}")
        return path
