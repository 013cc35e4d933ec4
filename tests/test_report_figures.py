"""Figures that a reader can tell apart: looks, warm-up, ticks, titles with n, and marks of requests."""

from pathlib import Path

import pytest

from report_results import Made, adaptive, write_cell
from skipbench.metrics.answers import OUTCOMES
from skipbench.report import plots_method, plots_quality, plots_trace, plots_warmup
from skipbench.report.build import read
from skipbench.report.cells import cells_of
from skipbench.report.drawing import Absent, Source
from skipbench.report.groups import groups_of
from skipbench.report.pareto import points_of
from skipbench.report.style import MOST, save, shades


def source_of(root: Path) -> Source:
    cells = cells_of(root)
    group, reads = groups_of(cells, root)[0], read(cells, None)
    points, without = points_of(group, reads)
    return Source(group=group, reads=reads, points=points, without=without)


@pytest.fixture(scope="module")
def warmed(tmp_path_factory) -> Source:
    """Four warm-ups at one request, two at another, and a cell with loops."""
    root = tmp_path_factory.mktemp("warmed")
    dense = write_cell(root, Made(method="dense"))
    for asked, tokens in ((0.3, (1, 5, 10, 40)), (0.2, (1, 5))):
        for count in tokens:
            changes = {"warmup_tokens": count}
            made = Made(
                method="ffnskip",
                skips=adaptive,
                asked=asked,
                changes=changes,
                wrong=(1, count % 24),
            )
            write_cell(root, made, twin=dense)
    write_cell(root, Made(method="shortgpt", skips=adaptive, asked=0.3, looping=(2,)), twin=dense)
    return source_of(root)


@pytest.mark.parametrize("method", ["earlyexit", "replay", "ffnskip", "unknown"])
def test_no_two_settings_look_alike(method):
    styles = shades([method] * MOST)
    assert len({(s["color"], s["ls"]) for s in styles}) == MOST
    assert len({(s["color"], s["marker"]) for s in styles}) == MOST


def test_warm_up_is_a_line_over_numbers(warmed):
    (drawn,) = plots_warmup.warm_up(warmed)
    assert [r["warmup_tokens"] for r in drawn.records] == [1, 5, 10, 40]
    assert {r["line"] for r in drawn.records} == {"ffnskip 30 %"}
    assert all(r["low"] <= r["value"] <= r["high"] for r in drawn.records)
    labels = drawn.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["dense", "ffnskip 30 %"]


def test_without_three_warm_ups_there_is_no_figure(tmp_path):
    dense = write_cell(tmp_path, Made(method="dense"))
    write_cell(tmp_path, Made(method="ffnskip", skips=adaptive, asked=0.2), twin=dense)
    with pytest.raises(Absent, match="no 3 cells differ only in warmup_tokens"):
        list(plots_warmup.warm_up(source_of(tmp_path)))


def test_labels_are_in_the_order_of_their_numbers(warmed):
    asked = [c for c in warmed.group.skipping if c.summary["skip"]["requested"] == 0.3]
    tokens = [c.manifest["config"]["method"].get("warmup_tokens") for c in asked]
    assert tokens == [1, 5, 10, 40, None]


def test_ticks_of_onsets_are_tokens(warmed):
    (drawn,) = plots_trace.onsets(warmed)
    (axes,) = drawn.figure.axes
    assert all(float(tick).is_integer() and tick >= 0 for tick in axes.get_xticks())
    assert "(1 of 24)" in axes.get_legend_handles_labels()[1][0]


def test_transitions_tell_n_and_cut_no_name(warmed, tmp_path):
    (drawn,) = plots_method.transitions(warmed)
    titles = [axes.get_title() for axes in drawn.figure.axes]
    totals = [
        sum(r["replies"] for r in drawn.records if (r["dense"] == "correct") == right)
        for right in (True, False)
    ]
    rows = len({r["fingerprint"] for r in drawn.records})
    assert [f"n = {n // rows}" in t for n, t in zip(totals, titles, strict=True)] == [True, True]
    assert len(drawn.records) == rows * len(OUTCOMES) ** 2
    save(drawn.figure, tmp_path, "drawn", "0")
    boxes = [axes.title.get_window_extent() for axes in drawn.figure.axes]
    assert boxes[0].x1 < boxes[1].x0
    names = drawn.figure.axes[0].get_yticklabels()
    assert min(name.get_window_extent().x0 for name in names) >= 0


def test_points_are_marked_with_what_was_asked(warmed):
    (drawn,) = plots_quality.pareto(warmed)
    texts = sorted(text.get_text() for text in drawn.figure.axes[0].texts)
    assert texts == sorted(f"{100 * r['asked']:g}" for r in drawn.records)
