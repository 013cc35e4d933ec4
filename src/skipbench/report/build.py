"""A report, told once: cells -> data, tables, figures, numbers, and an index of what there is."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skipbench.report import paper, plots_paper
from skipbench.report.cells import CellData, cells_of, provenance_of
from skipbench.report.check import blaming
from skipbench.report.comparison import comparison
from skipbench.report.details import details
from skipbench.report.drawing import Source
from skipbench.report.failures import Failure, failure_table, failures_of
from skipbench.report.figures import draw, draw_all
from skipbench.report.files import write_text
from skipbench.report.frame import read_scores, write_frame
from skipbench.report.groups import Group, Read, groups_of
from skipbench.report.numbers import macros
from skipbench.report.page import Shown, write_page
from skipbench.report.pareto import points_of
from skipbench.report.scan import scan_of
from skipbench.report.speeds import speed_table
from skipbench.report.swap import DATA, PAGE, replacing
from skipbench.report.tables import Table, write_table

Json = dict[str, Any]


def build(results: Path, out: Path) -> None:
    """Write the report of a results folder, or of a packed one, into `out`.

    The index is written last: a report without one was not finished. An earlier report stays until
    this one is whole. Raises BadInput where the folder holds no cell, a file cannot be read, or
    `out` holds something else.
    """
    cells = cells_of(results)
    with replacing(out) as folder:
        _make(cells, results, folder, provenance_of(cells))


def _make(cells: Sequence[CellData], results: Path, out: Path, provenance: str) -> None:
    reads = read(cells, out)
    write_frame(cells, provenance, out, reads)
    index: list[Json] = [{"file": n, "what": w, "provenance": provenance} for n, w in DATA.items()]
    groups = groups_of(cells, results)
    tables: list[Table] = []
    for group in groups:
        points, without = points_of(group, reads)
        made = [comparison(group, provenance), speed_table(group, points, provenance)]
        made += details(group, reads, provenance)
        for table in made:
            index += _told(table, out)
        tables += made
        source = Source(group=group, reads=reads, points=points, without=without)
        index += draw_all(source, out, provenance)
    index += _beside_paper(groups, out, provenance)
    failures = failures_of(results)
    index += _without_results(failures, out, provenance)
    write_text(out / "numbers.tex", macros(tables, provenance))
    shown = [Shown.of(entry, out) for entry in index if _png(entry)]
    write_page(cells, shown, out, provenance, failures)
    index.append({"file": PAGE, "what": "all cells and samples", "provenance": provenance})
    write_text(out / "index.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n")


def _png(entry: Json) -> bool:
    return bool(entry["file"]) and entry["file"].endswith(".png")


def read(cells: Sequence[CellData], out: Path | None) -> dict[Path, Read]:
    """Scores and records of all cells, each file read once; scores go to `out` where one is given."""
    values = read_scores(cells, out)
    found = {}
    for cell in cells:
        with blaming(cell.directory):
            scored = values[cell.directory]
            found[cell.directory] = Read(scored, scan_of(cell, scored))
    return found


def _told(table: Table, out: Path) -> list[Json]:
    names = write_table(table, out)
    return [{"file": n, "what": table.title, "provenance": table.provenance} for n in names]


def _without_results(failures: Sequence[Failure], out: Path, provenance: str) -> list[Json]:
    if not failures:
        return []
    told = {"file": None, "what": "a cell", "provenance": provenance}
    absent = [{**told, "name": "/".join(f.place), "absent": f.reason} for f in failures]
    return _told(failure_table(failures, provenance), out) + absent


def _beside_paper(groups: Sequence[Group], out: Path, provenance: str) -> list[Json]:
    """For experiments that are named like a table or figure of the paper: its numbers and ours."""
    index: list[Json] = []
    found: dict[tuple[str, str], dict[Path, CellData]] = {}
    for group in groups:
        if group.experiment and "lines" in paper.paper().get(group.experiment, {}):
            first = group.cells[0]
            model = " ".join(filter(None, (first.summary["model"], first.setting)))
            cells = found.setdefault((group.experiment, model), {})
            cells.update({cell.directory: cell for cell in group.cells})
    for (name, model), members in found.items():
        cells = list(members.values())
        table = paper.beside(name, cells, model, provenance)
        index += _told(table, out)
        stem = table.name.replace("table_", "fig_", 1)
        index += draw(stem, table.title, plots_paper.beside(name, cells), out, provenance)
    return index
