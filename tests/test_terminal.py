"""What is printed at the end of a run, and what its exit code says."""

from pathlib import Path

import pytest

from skipbench import terminal
from skipbench.records import read_json

SMALL = ("task=factoid", "batch_size=8")


def test_one_sample_has_a_table_without_intervals(cli):
    ran = cli(*SMALL, "method=layerdrop", "limit=1")
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    pair = read_json(Path(ran.last) / "summary.json")["paired"]["accuracy"]
    assert pair["minimum_detectable"] is None
    assert "detectable –" in ran.out


def test_the_calibrated_knob_is_told(cli):
    ran = cli(*SMALL, "method=layerdrop", "skip=0.25", "limit=4")
    assert "asked block 0.250 (blocks 4)" in ran.out
    assert "warning" not in ran.out
    assert "asked" not in cli(*SMALL, "method=layerdrop", "limit=4").out


def test_a_ratio_that_calibration_rounds_to_nothing_skipped_nothing(cli):
    ran = cli(*SMALL, "method=layerdrop", "skip=0.01", "limit=4")
    assert ran.code == 3
    assert "NOTHING_SKIPPED, 4 of 4 samples" in ran.out
    assert read_json(Path(ran.last) / "summary.json")["status"] == "nothing_skipped"


@pytest.mark.parametrize(
    ("asked", "executed", "told"),
    [(0.1, 0.136, True), (0.6, 0.5, True), (0.25, 0.24, False), (None, 0.5, False), (0.3, None, 0)],
)
def test_a_missed_ratio_is_told(asked, executed, told):
    found = terminal.missed({"requested": asked, "unit": "ffn", "ffn": executed})
    assert bool(found) == bool(told)


@pytest.mark.parametrize("after", [0, 2])
def test_an_interruption_is_told_and_heads_the_table(cli, monkeypatch, after):
    from skipbench import __main__ as entry
    from skipbench import run

    made, stopped = [], []
    records_of = run.records_of

    def stop_after(*arguments):
        if len(made) == after:
            entry._stop()
        made.append(True)
        return records_of(*arguments)

    monkeypatch.setattr(run, "records_of", stop_after)
    monkeypatch.setattr(entry, "_stopped", stopped)
    ran = cli(*SMALL, "method=layerdrop", "limit=16", "twin=off", "batch_size=4")
    assert ran.code == 130
    assert ran.err.count("interrupted") == 1
    told = f"interrupted after {4 * after} of 16 samples; the same command does what is left"
    assert told in ran.err
    assert ("PARTIAL, 8 of 16 samples" in ran.out) == bool(after)
