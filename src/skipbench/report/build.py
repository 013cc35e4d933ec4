"""A report, told once: cells -> data, tables, figures, numbers, and an index of what there is."""

from pathlib import Path

from skipbench.records import BadInput
from skipbench.report.cells import cells_of, provenance_of
from skipbench.report.comparison import comparison
from skipbench.report.frame import read_scores, write_frame
from skipbench.report.groups import Read, groups_of
from skipbench.report.scan import scan_of
from skipbench.report.tables import write_table


def build(results: Path, out: Path) -> None:
    """Write the report of a results folder, or of a packed one, into `out`.

    Raises BadInput where the folder holds no cell or a file cannot be read; nothing is written then
    but what was whole.
    """
    cells = cells_of(results)
    provenance = provenance_of(cells)
    out.mkdir(parents=True, exist_ok=True)
    write_frame(cells, provenance, out)
    values = read_scores(cells, out)
    read = {c.directory: Read(values[c.directory], scan_of(c, values[c.directory])) for c in cells}
    for group in groups_of(cells, results):
        write_table(comparison(group, provenance), out)


def pack(results: Path, folder: Path) -> None:
    raise BadInput("not yet")
