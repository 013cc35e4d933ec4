"""`ls` lists every cell, whatever is broken in one; `show` says which cell it shows."""

import json
import sys

import pytest

import fake_cells as fake
from skipbench import ls, show
from skipbench.records import read_json, write_json


def listed(root, monkeypatch, capsys) -> dict[str, list[str]]:
    monkeypatch.setattr(sys, "argv", ["ls", "--results", str(root)])
    ls.main()
    lines = capsys.readouterr().out.split("cells in")[1].split("\n")
    return {line.split()[3]: line.split()[4:] for line in lines if len(line.split()) > 4}


def test_rows_of_one_method_differ(tmp_path, monkeypatch, capsys):
    for name, asked, made in (("aa", 0.25, 0.243), ("bb", 0.35, 0.361)):
        skip = {"requested": asked, "unit": "ffn", "ffn": made, "attn": 0.0, "block": 0.0}
        directory = fake.write_cell(tmp_path, "ffnskip", name, skip=skip)
        manifest = read_json(directory / "run.json")
        write_json(directory / "run.json", {**manifest, "skip_requested": asked})
    found = listed(tmp_path, monkeypatch, capsys)
    assert found["aa"] == ["complete", "0.25", "0.243", "3", "0.500"]
    assert found["bb"] == ["complete", "0.35", "0.361", "3", "0.500"]
    monkeypatch.setattr(sys, "argv", ["show", str(directory)])
    show.main()
    head = capsys.readouterr().out.replace("\n", "")
    assert head.startswith(f"{directory}: ffnskip, asked 0.35, executed 0.361, n 3")


@pytest.mark.parametrize(
    "summary",
    [
        {"metrics": []},
        {"metrics": {"accuracy": {"value": "high"}}},
        {"metrics": {"accuracy": 1}},
        {"skip": None},
    ],
)
def test_one_broken_cell_hides_no_other(tmp_path, summary, monkeypatch, capsys):
    fake.write_cell(tmp_path, "ffnskip", "aa")
    broken = fake.write_cell(tmp_path, "ffnskip", "bb")
    write_json(broken / "summary.json", {**read_json(broken / "summary.json"), **summary})
    torn = fake.write_cell(tmp_path, "ffnskip", "cc")
    (torn / "failed.json").write_text('{"reas')
    early = broken.with_name("dd")  # failed before it had a manifest
    early.mkdir()
    (early / "failed.json").write_text(json.dumps({"reason": "OSError: [gone] no model"}))
    found = listed(tmp_path, monkeypatch, capsys)
    assert found["aa"][0] == "complete"
    assert found["bb"] == found["cc"] == ["unreadable"]
    assert " ".join(found["dd"]) == "failed: OSError: [gone] no model"
