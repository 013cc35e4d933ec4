"""The committed reference: its tables are those that its summaries make, byte for byte."""

from pathlib import Path

import pytest

from skipbench.records import read_json
from skipbench.report.build import build
from skipbench.report.cells import cells_of, experiments_of

REFERENCE = Path(__file__).parents[1] / "results" / "reference"


def test_it_holds_complete_cells_of_the_shipped_model_and_no_path():
    cells = cells_of(REFERENCE)
    assert {cell.summary["model"] for cell in cells} == {"tiny"}
    assert {"quick", "table2", "table3"} <= experiments_of(REFERENCE).keys()
    for cell in cells:
        assert cell.summary["status"] == "complete", cell.directory
        assert "/" not in read_json(cell.directory / "run.json")["model_path"]


@pytest.mark.slow
def test_tables_made_again_are_the_same(tmp_path):
    build(REFERENCE, tmp_path)
    stored = REFERENCE / "report"
    names = {p.name for p in stored.iterdir() if p.suffix in (".tex", ".md", ".csv")}
    assert len(names) > 20
    for name in sorted(names):
        assert (tmp_path / name).read_bytes() == (stored / name).read_bytes(), name
