"""The committed reference: its tables are those that its summaries make, byte for byte."""

import re
from pathlib import Path

import pytest

from skipbench.paths import conf_dir
from skipbench.report.build import build
from skipbench.report.cells import cells_of, experiments_of

REFERENCE = Path(__file__).parents[1] / "results" / "reference"


def test_it_holds_complete_cells_of_the_shipped_model_and_no_path():
    cells = cells_of(REFERENCE)
    assert {cell.summary["model"] for cell in cells} == {"tiny"}
    assert experiments_of(REFERENCE).keys() == {p.stem for p in conf_dir().glob("experiment/*")}
    for cell in cells:
        assert cell.summary["status"] == "complete", cell.directory
    absolute = re.compile(r'["=]/\w+/')
    for path in [*REFERENCE.glob("*/*/*/*/*.json"), *REFERENCE.glob("sweeps/*.json")]:
        assert not absolute.search(path.read_text()), path


@pytest.mark.slow
def test_tables_made_again_are_the_same(tmp_path):
    build(REFERENCE, tmp_path)
    stored = REFERENCE / "report"
    names, made = (
        {p.name for p in folder.iterdir() if p.suffix in (".tex", ".md", ".csv")}
        for folder in (stored, tmp_path)
    )
    assert names == made
    assert len(names) > 100
    for name in sorted(names):
        assert (tmp_path / name).read_bytes() == (stored / name).read_bytes(), name
