"""The committed reference: its tables are those that its summaries make, byte for byte."""

import re
from pathlib import Path

import pytest

from skipbench.paths import conf_dir
from skipbench.report.build import build
from skipbench.report.cells import cells_of, experiments_of
from skipbench.report.drawing import Absent, Source
from skipbench.report.groups import groups_of
from skipbench.report.plots_where import where_and_when

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


def test_each_part_place_and_phase_has_its_mark():
    groups = {group.slug: group for group in groups_of(cells_of(REFERENCE), REFERENCE)}
    group = groups["where_and_when_factoid_short_tiny_n400"]
    (drawn,) = where_and_when(Source(group, {}, [], []))
    cells = {cell.directory.name: cell for cell in group.skipping}
    assert {r["fingerprint"] for r in drawn.records} == cells.keys()
    weight = {"block": 2, "ffn": 3, "attn": 6}
    settings = set()
    for record in drawn.records:
        cell = cells[record["fingerprint"]]
        asked = cell.manifest["config"]["method"]
        assert {k: record[k] for k in ("part", "blocks", "order", "phase")} == {
            k: asked[k] for k in ("part", "blocks", "order", "phase")
        }
        assert record["value"] == cell.summary["metrics"]["accuracy"]["value"]
        budget = record["blocks"] / weight[record["part"]]
        settings.add((record["part"], record["order"], record["phase"], budget))
    assert len(settings) == len(drawn.records) == 3 * 2 * 3 * 2
    marks = [line for axes in drawn.figure.axes for line in axes.containers]
    assert len(marks) == 36
    names = [[t.get_text() for t in axes.get_xticklabels()] for axes in drawn.figure.axes]
    assert names[0][:3] == ["6 × attention", "3 × FFN", "2 × block"]
    with pytest.raises(Absent, match="fewer than two phases"):
        next(where_and_when(Source(groups["mtbench_tiny_n60"], {}, [], [])))


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
