"""Method against method: who is compared with whom, and that the numbers are those of the scores."""

import json

import pytest

from report_results import Made, adaptive, write_cell
from skipbench.metrics.stats import holm, paired_difference
from skipbench.report.build import read
from skipbench.report.cells import cells_of
from skipbench.report.comparison import comparison
from skipbench.report.groups import groups_of
from skipbench.report.pairs import pair_table, pairs_of
from skipbench.report.tables import to_csv, to_markdown, to_tex


def write(root, dense, method, wrong, phase="decode", **more):
    made = {"method": method, "wrong": wrong, "skips": adaptive, "asked": 0.25, **more}
    made["changes"] = {"phase": phase, **made.get("changes", {})}
    return write_cell(root, Made(**made), twin=dense)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A method, a control of its own cell, one of another's, random skipping, and a block method."""
    root = tmp_path_factory.mktemp("pairs")
    dense = write_cell(root, Made(method="dense"))
    ours = write(root, dense, "ffnskip", (0, 1), unscored=(9,))
    write(root, dense, "ffnskip_noadapt", (0, 1, 2, 3, 4, 5), unscored=(8,))
    write(root, dense, "replay", range(12), changes={"cell": ours.name, "source": "ffnskip"})
    write(root, dense, "ffnskip_random", range(20), "both", failed=(23,))
    blocks = write(root, dense, "shortgpt", (5,), "both")
    summary = json.loads((blocks / "summary.json").read_text())
    summary["skip"]["unit"] = "block"
    (blocks / "summary.json").write_text(json.dumps(summary))
    cells = cells_of(root)
    return groups_of(cells, root)[0], read(cells, None)


def names(group):
    return [(a.summary["method"], b.summary["method"]) for a, b in pairs_of(group)]


def test_who_is_compared_with_whom(made):
    assert set(names(made[0])) == {
        ("ffnskip", "replay"),
        ("ffnskip", "ffnskip_random"),
        ("ffnskip_noadapt", "ffnskip_random"),
        ("ffnskip", "ffnskip_noadapt"),
    }


def test_numbers_are_those_of_the_scores(made):
    table = pair_table(*made, "p")
    assert table is not None
    rows = dict(zip(names(made[0]), table.rows, strict=True))
    found = {n.name: n.exact for n in rows["ffnskip", "ffnskip_noadapt"].entries[4].numbers}
    kept = [i for i in range(24) if i not in (8, 9)]
    a, b = [float(i > 1) for i in kept], [float(i > 5) for i in kept]
    wanted = paired_difference(a, b, [f"entity {i // 2}" for i in kept])
    assert found["difference"] == pytest.approx(wanted.difference)
    assert found["low"] == pytest.approx(wanted.low)
    told = [{n.name: n.exact for n in row.entries[5].numbers} for row in table.rows]
    assert told[-1]["p"] == pytest.approx(wanted.p)
    tested = [each for each in told if each]
    assert [each["holm"] for each in tested] == pytest.approx(holm([e["p"] for e in tested]))
    assert [e.text for e in rows["ffnskip", "ffnskip_noadapt"].entries[6:]] == ["22", "2"]


def test_a_failed_cell_keeps_its_row_and_says_why(made):
    table = pair_table(*made, "p")
    assert table is not None
    for text in (to_markdown(table), to_csv(table), to_tex(table)):
        assert "partial (1 of 24 failed)" in text


def test_bold_is_best_within_one_unit_and_phase_where_more_is_better(made):
    table = comparison(made[0], "p")
    bold = {
        (row.entries[0].text, column)
        for row in table.rows
        for column, entry in zip(table.columns, row.entries, strict=True)
        if entry.bold
    }
    assert bold == {("ffnskip", "accuracy, %"), ("ffnskip", "reference score")}
    asked = {row.entries[0].text: row.entries[1].small for row in table.rows}
    assert asked["ffnskip"] == "ffn, decode"
    assert asked["shortgpt"] == "block, both"
