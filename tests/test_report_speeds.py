"""Speed tables: what a number rests on, and marks where times contradict each other."""

from types import SimpleNamespace

import pytest

from report_results import Made, adaptive, write_cell
from skipbench.report.build import read
from skipbench.report.cells import cells_of
from skipbench.report.groups import groups_of
from skipbench.report.pareto import points_of
from skipbench.report.speeds import doubts, speed_table


def cell(speedup, tpot, skipped=0.2):
    found = None if speedup is None else dict(zip(("value", "low", "high"), speedup, strict=True))
    speed = {"speedup": found, "tpot_s": {"p50": tpot}}
    summary = {"status": "complete", "speed": speed, "skip": {"weight_bytes": skipped}}
    return SimpleNamespace(summary=summary)


@pytest.mark.parametrize(
    ("speedup", "tpot", "marks"),
    [
        ((1.2, 1.1, 1.3), 0.83, ""),
        ((1.4, 1.3, 1.5), 0.71, "†"),  # a fifth of the bytes allows 1.25
        ((1.2, 1.1, 1.3), 2.0, "‡"),  # slower than dense by the times, faster by the pairs
        ((1.4, 1.3, 1.5), 2.0, "†‡"),
        ((1.2, 1.1, 1.3), None, ""),
        (None, 2.0, ""),
    ],
)
def test_contradictions_are_marked(speedup, tpot, marks):
    assert doubts(cell(speedup, tpot), cell(None, 1.0)) == marks  # type: ignore[arg-type]


def test_every_row_tells_what_it_rests_on(tmp_path):
    dense = write_cell(tmp_path, Made(method="dense"))
    fast = Made(method="ffnskip", skips=adaptive, asked=0.25, seconds=0.2)
    write_cell(tmp_path, fast, twin=dense)
    cells = cells_of(tmp_path)
    group = groups_of(cells, tmp_path)[0]
    points, _ = points_of(group, read(cells, None))
    table = speed_table(group, points, "p")
    place = table.columns.index("replies, paired batches")
    told = [(row.entries[place].text, row.entries[place].small) for row in table.rows]
    assert told == [("n 24", ""), ("n 24", "6 batches")]
    assert table.notes[0].startswith("† faster than its bytes allow")
