"""A cell that failed stands in the report with its reason, and is counted."""

import json
import re
from pathlib import Path

import pytest

import fake_cells as fake
from skipbench.records import BadInput
from skipbench.report.build import _without_results
from skipbench.report.cells import cells_of
from skipbench.report.failures import failures_of
from skipbench.report.pack import pack
from skipbench.report.page import write_page

REASON = "BadInput: skip=0.9 cannot be reached; <b>nearest</b> 0.5 (/home/me/models/x.json)"


@pytest.fixture
def results(tmp_path) -> Path:
    root = fake.write_results(tmp_path / "results")
    for name, files in {
        "aa": {"failed.json": json.dumps({"reason": REASON, "time": "now"})},
        "bb": {"run.json": json.dumps({"skip_requested": 0.25})},
        "cc": {"failed.json": '{"reas', "run.json": "{}"},
    }.items():
        place = root / "factoid/tiny/skipdecode" / name
        place.mkdir(parents=True)
        for file, text in files.items():
            (place / file).write_text(text)
    return root


def test_all_are_found(results):
    found = {f.directory.name: f for f in failures_of(results)}
    assert found.keys() == {"aa", "bb", "cc"}  # those with a summary have a row of their own
    assert [found[name].status for name in sorted(found)] == ["failed", "started", "failed"]
    assert found["aa"].reason == REASON
    assert found["bb"].asked == 0.25


def test_they_stand_in_table_index_and_page(results, tmp_path):
    failures = failures_of(results)
    index = _without_results(failures, tmp_path, "p")
    absent = {e["name"]: e["absent"] for e in index if e["file"] is None}
    assert absent["factoid/tiny/skipdecode/aa"] == REASON
    text = (tmp_path / "table_failed.md").read_text()
    assert "cannot be reached" in text
    assert "25.0" in text
    page = write_page(cells_of(results), [], tmp_path, "p", failures).read_text()
    assert re.search(r"<b>3</b> failed", page)  # with the one that has a summary
    assert re.search(r"<b>1</b> started", page)
    assert "&lt;b&gt;nearest&lt;/b&gt;" in page
    assert _without_results([], tmp_path, "p") == []


def test_they_are_packed_without_paths(tmp_path):
    root = tmp_path / "results"
    directory = fake.write_cell(root, "ffnskip", "f0")
    place = directory.with_name("f1")
    place.mkdir()
    (place / "failed.json").write_text(json.dumps({"reason": REASON}))
    pack(root, tmp_path / "packed")
    (failure,) = failures_of(tmp_path / "packed")
    assert failure.place == ("factoid", "tiny", "ffnskip", "f1")
    assert failure.reason == REASON.replace("/home/me/models/", "")


def test_a_folder_of_failed_cells_says_why(tmp_path):
    place = tmp_path / "factoid/tiny/ffnskip/f1"
    place.mkdir(parents=True)
    (place / "failed.json").write_text(json.dumps({"reason": REASON}))
    with pytest.raises(BadInput, match=r"no finished cell .*f1 failed: BadInput: skip=0\.9"):
        cells_of(tmp_path)
