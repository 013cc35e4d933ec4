"""A file of another form is named in one line, by the report and by the export."""

import json
import sys

import pytest

import fake_cells as fake
from skipbench.export import __main__ as exporting
from skipbench.records import BadInput, read_json, write_json
from skipbench.report.build import read
from skipbench.report.cells import cells_of, experiments_of


@pytest.fixture
def results(tmp_path):
    return fake.write_results(tmp_path / "results")


SUMMARY_FAULTS = [
    ({"metrics": {"accuracy": {"value": 1.0, "low": 0, "high": 1, "unscored": 0}}}, "accuracy.n"),
    ({"metrics": {"accuracy": {"value": 1.0, "low": 0, "high": 1, "n": 3}}}, "accuracy.unscored"),
    ({"metrics": []}, "metrics"),
    ({"metrics": {"accuracy": {**fake.metric(0.5), "value": "high"}}}, "accuracy.value is 'high'"),
    ({"paired": {"accuracy": {}}}, "paired.accuracy"),
    ({"paired": None}, "paired"),
    ({"skip": {"requested": "much"}}, "skip.requested"),
    ({"speed": {"tpot_s": {"p50": True}}}, "speed.tpot_s.p50"),
    ({"status": None}, "status"),
    ({"noise_floor": {"fingerprint": "d0"}}, "noise_floor.batch_size"),
]


@pytest.mark.parametrize(("fault", "told"), SUMMARY_FAULTS, ids=[t for _, t in SUMMARY_FAULTS])
def test_a_summary_of_another_form(results, fault, told):
    path = results / "factoid/tiny/ffnskip/f0/summary.json"
    write_json(path, {**read_json(path), **fault})
    with pytest.raises(BadInput) as stop:
        cells_of(results)
    assert str(path) in str(stop.value)
    assert told in str(stop.value)


@pytest.mark.parametrize("key", ["paired", "speed", "n", "skip"])
def test_a_summary_that_lacks_something(results, key):
    path = results / "factoid/tiny/ffnskip/f0/summary.json"
    found = read_json(path)
    del found[key]
    write_json(path, found)
    with pytest.raises(BadInput, match=f"f0/summary.json has no '{key}'"):
        cells_of(results)


def test_a_sample_that_is_there_twice(results):
    path = results / "factoid/tiny/ffnskip/f0/samples.jsonl"
    lines = [{**fake.sample(f"s{i}", "?"), "cluster": f"c{i}"} for i in (0, 1, 2, 1)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BadInput, match=r"f0/samples\.jsonl names sample 's1' twice"):
        read(cells_of(results), None)


@pytest.mark.parametrize("cells", [[1], [{"directory": 3}], "all"])
def test_a_foreign_sweep(results, cells):
    write_json(results / "summary.json", {})
    (results / "sweeps").mkdir()
    write_json(results / "sweeps/mine.json", {"experiment": "table3", "cells": cells})
    with pytest.raises(BadInput, match=r"sweeps/mine\.json"):
        experiments_of(results)


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        ("records", {"a": 1}, "records.jsonl:4 has no 'sample_id'"),
        ("samples", {"sample_id": "s9"}, "samples.jsonl:4 has no 'cluster'"),
    ],
)
@pytest.mark.parametrize("form", ["lm-eval", "eee"])
def test_export_names_a_foreign_line(tmp_path, name, line, told, form, monkeypatch, capsys):
    samples = [{**fake.sample(f"s{i}", "?"), "cluster": f"c{i}"} for i in range(3)]
    names = ("token_ids", "prompt_sha256", "finish_reasons", "times", "counts")
    empty = {key: [] for key in names}
    records = [{**fake.record(f"s{i}", "an answer"), **empty} for i in range(3)]
    files = {"samples": samples, "records": records, "scores": fake.scored("s0", "correct")}
    files[name] = [*files[name], line]
    directory = fake.write_cell(tmp_path / "results", "ffnskip", "f0", files)
    manifest = read_json(directory / "run.json")
    manifest["decides"] |= dict.fromkeys(("model", "template", "data_sha256", "device"), "x")
    manifest["decode"] |= {"temperature": 1.0, "top_p": 1.0}
    manifest["versions"] |= {"skipbench": "0", "transformers": "0"}
    names = ("schema", "split", "model_name", "method_name", "fingerprint")
    manifest |= {**dict.fromkeys(names, "x"), "skip_requested": None}
    write_json(directory / "run.json", {**manifest, "started": "2026-01-31T23:59:59Z"})
    out = str(tmp_path / "out")
    monkeypatch.setattr(sys, "argv", ["e", str(tmp_path / "results"), "--to", form, "--out", out])
    with pytest.raises(SystemExit) as stop:
        exporting.main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error


def test_export_names_a_foreign_manifest(results, tmp_path, monkeypatch, capsys):
    given = [str(results), "--to", "eee", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["e", *given])
    with pytest.raises(SystemExit) as stop:
        exporting.main()
    assert stop.value.code == 2
    assert "run.json has no" in capsys.readouterr().err
