"""Exported cells: the shape other tools read, nothing unscored as a number, the same bytes twice."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skipbench.export import eee, harness
from skipbench.export.__main__ import main
from skipbench.export.view import direction, views
from skipbench.records import BadInput, append_lines, read_json, read_lines


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("export") / "results"


@pytest.fixture
def results(cli, once, tmp_path) -> Path:
    """A dense cell and its method, 30 questions; some have no LLM-KICK score. A copy of one run."""
    if not once.exists():
        ran = cli("task=factoid", "method=ffnskip", "skip=0.25", "limit=30", f"results_dir={once}")
        assert ran.code == 0, ran.err
    return Path(shutil.copytree(once, tmp_path / "results"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def lose(cell: Path) -> str:
    """Make the first sample one that failed, in all files, as a run would have left it."""
    sample = next(iter(read_lines(cell / "samples.jsonl")))["sample_id"]
    failed = next(
        line for line in read_lines(cell / "records.jsonl") if line["sample_id"] == sample
    )
    failed = {key: [] for key in failed} | {"sample_id": sample, "error": "Boom: it broke"}
    append_lines(cell / "records.jsonl", [failed])
    kept = [line for line in read_lines(cell / "scores.jsonl") if line["sample_id"] != sample]
    (cell / "scores.jsonl").unlink()
    append_lines(cell / "scores.jsonl", kept)
    summary = read_json(cell / "summary.json")
    for metric in summary["metrics"].values():
        metric |= {"n": metric["n"] - 1, "unscored": metric["unscored"] + 1}
    summary["metrics"]["accuracy_contains"] |= {"value": None, "n": 0, "unscored": 30}
    summary["status"] = "partial"
    (cell / "summary.json").write_text(json.dumps(summary))
    return sample


def test_names_tell_dense_and_methods_apart(results):
    assert [(v.model, v.task) for v in views(results)] == [
        ("tiny", "factoid_short"),
        ("tiny+ffnskip@0.25", "factoid_short"),
    ]


def test_cells_of_one_name_get_their_fingerprint(results, cli):
    cli("task=factoid", "method=dense", "limit=30", "batch_size=4")
    names = [v.model for v in views(results)]
    assert len(set(names)) == 3
    dense = [name for name in names if "+" not in name]
    assert len(dense) == 2
    assert all(re.fullmatch(r"tiny~[0-9a-f]{8}", name) for name in dense)


def test_the_harness_gets_results_and_samples(results, tmp_path):
    made = harness.write(views(results), tmp_path / "out")
    assert [path.parent.name for path in made] == ["tiny", "tiny+ffnskip@0.25"]
    found = read_json(made[1])
    cell = next((results / "factoid" / "tiny" / "ffnskip").iterdir())
    summary = read_json(cell / "summary.json")
    means = found["results"]["factoid_short"]
    assert means["accuracy,none"] == summary["metrics"]["accuracy"]["value"]
    assert means["sample_len"] == 30
    assert found["n-samples"]["factoid_short"] == {"original": 30, "effective": 30}
    assert found["higher_is_better"]["factoid_short"]["collapse_rate"] is False
    assert found["config"]["model_args"]["skip_executed"]["ffn"] == summary["skip"]["ffn"]
    lines = list(read_lines(next(made[1].parent.glob("samples_factoid_short_*.jsonl"))))
    assert [line["doc_id"] for line in lines] == list(range(30))
    records = {r["sample_id"]: r for r in read_lines(cell / "records.jsonl")}
    for line in lines:
        assert line["filtered_resps"] == records[line["doc"]["sample_id"]]["replies"]
        assert line["target"] == line["doc"]["references"][0][0]
    mean = sum(line["accuracy"] for line in lines) / 30
    assert mean == pytest.approx(means["accuracy,none"])
    unscored = [line for line in lines if line["accuracy_llmkick"] is None]
    counted = found["configs"]["factoid_short"]["metadata"]["unscored"]
    assert counted == {"accuracy_llmkick": len(unscored)}
    assert unscored


def test_what_failed_or_is_unscored_is_no_number(results, tmp_path):
    cell = next((results / "factoid" / "tiny" / "dense").iterdir())
    sample = lose(cell)
    found = read_json(harness.write(views(results), tmp_path / "a")[0])
    assert "accuracy_contains,none" not in found["results"]["factoid_short"]
    metadata = found["configs"]["factoid_short"]["metadata"]
    assert metadata["failed"] == {"Boom": 1}
    assert metadata["unscored"]["accuracy_contains"] == 30
    assert found["n-samples"]["factoid_short"]["effective"] == 29
    path = eee.write(views(results), tmp_path / "b")[0]
    made = read_json(path)
    names = [r["metric_config"]["metric_name"] for r in made["evaluation_results"]]
    assert "accuracy" in names
    assert "accuracy_contains" not in names
    details = made["source_metadata"]["additional_details"]
    assert json.loads(details["failed"]) == {"Boom": 1}
    assert json.loads(details["unscored"])["accuracy_contains"] == 30
    lines = list(read_lines(path.with_name(f"{path.stem}_samples.jsonl")))
    assert len(lines) == made["detailed_evaluation_results"]["total_rows"]
    assert sample not in {line["sample_id"] for line in lines}


def test_every_eval_ever_gets_what_its_schema_requires(results, tmp_path):
    for path, view in zip(eee.write(views(results), tmp_path), views(results), strict=True):
        made = read_json(path)
        place = path.relative_to(tmp_path).as_posix()
        assert re.fullmatch(
            r"data/skipbench_factoid_short/skipbench/[^/]+/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-"
            r"[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json",
            place,
        )
        samples = place.replace(".json", "_samples.jsonl")
        assert made["detailed_evaluation_results"]["file_path"] == samples
        for result in made["evaluation_results"]:
            low, high = (result["metric_config"][f"{end}_score"] for end in ("min", "max"))
            assert float(low) <= result["score_details"]["score"] <= float(high)
        results_of = {r["evaluation_result_id"] for r in made["evaluation_results"]}
        right = view.scores["accuracy"]
        for line in read_lines(tmp_path / samples):
            assert line["evaluation_result_id"] in results_of
            assert line["evaluation"]["is_correct"] == (right[line["sample_id"]] == 1.0)


def test_the_same_bytes_twice_and_no_paths_of_this_machine(results, tmp_path):
    for name, form in {"h": harness, "e": eee}.items():
        for turn in ("1", "2"):
            form.write(views(results), tmp_path / (name + turn))
        assert files_of(tmp_path / f"{name}1") == files_of(tmp_path / f"{name}2")
        for data in files_of(tmp_path / f"{name}1").values():
            assert str(Path(__file__).parents[1]).encode() not in data


def test_conversations_are_exported_turn_by_turn(cli, tmp_path):
    assert cli("task=mtbench", "method=dense", "limit=3").code == 0
    found = views(tmp_path / "results")
    path = eee.write(found, tmp_path / "e")[0]
    line = next(iter(read_lines(path.with_name(f"{path.stem}_samples.jsonl"))))
    assert line["interaction_type"] == "multi_turn"
    assert line["output"] is None
    assert [m["role"] for m in line["messages"]] == ["user", "assistant"] * 2
    folder = harness.write(found, tmp_path / "h")[0].parent
    line = next(iter(read_lines(next(folder.glob("samples_*.jsonl")))))
    assert len(line["resps"]) == len(line["arguments"]) == len(line["target"]) == 2


def test_directions():
    assert direction("accuracy") is True
    assert direction("hallucination_rate") is False
    assert direction("length_to_dense") is None


@pytest.mark.parametrize("to", ["lm-eval", "eee"])
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, to):
    words = ["export", str(tmp_path / "none"), "--to", to, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "is no folder of results" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match="no finished cell"):
        views(tmp_path / "none")


@pytest.mark.slow
def test_the_harness_makes_a_table_of_it(results, tmp_path):
    utils = pytest.importorskip("lm_eval.utils")
    for path in harness.write(views(results), tmp_path):
        found = read_json(path)
        table = utils.make_table(found)
        assert "factoid_short" in table
        assert (
            table.count("±") == sum(",none" in key for key in found["results"]["factoid_short"]) / 2
        )


@pytest.mark.slow
def test_the_validator_of_every_eval_ever_accepts_it(results, tmp_path):
    command = shutil.which("every_eval_ever")
    if command is None:
        pytest.skip("every-eval-ever is not installed (it needs Python 3.12)")
    eee.write(views(results), tmp_path)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    ran = subprocess.run(
        [command, "validate", "data/*/*/*/*.json*", "--format", "json"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
    )
    reports = json.loads(ran.stdout)
    assert len(reports) == 4
    assert [r for r in reports if not r["valid"] or r["warnings"]] == []
