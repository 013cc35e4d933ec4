"""Experiments and sweeps: what is planned, run, refused, listed, killed and gone on with."""

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml

from skipbench import device, ls
from skipbench.paths import conf_dir
from skipbench.records import latest_records, read_json, read_lines
from test_cli import answers_of, kill_twenty_times, spawn

LITTLE = ("task=factoid", "limit=8", "batch_size=4")


def listed(results: Path) -> list[dict]:
    paths = list((results / "sweeps").glob("*.json"))
    assert len(paths) == 1
    return read_json(paths[0])["cells"]


@pytest.fixture
def preset(monkeypatch, tmp_path):
    """An experiment of three small cells, one of which plays another's maps, beside the real ones."""
    conf = tmp_path / "conf"
    shutil.copytree(conf_dir(), conf)
    cells = [
        {"method": "replay", "method.order": "shuffled"},
        {"method": ["ffnskip", "layerdrop"]},
    ]
    common = {"task": "factoid", "limit": 8, "batch_size": 4, "skip": 0.25}
    (conf / "experiment" / "little.yaml").write_text(
        "# Three cells.\n" + yaml.safe_dump({"common": common, "cells": cells})
    )
    for module in ("paths", "sweep", "setup"):
        monkeypatch.setattr(f"skipbench.{module}.conf_dir", lambda: conf)


@pytest.mark.slow
def test_an_experiment_is_one_command(cli, preset, tmp_path):
    assert "3 cells" in cli("+experiment=little", "dry_run=true").out
    ran = cli("experiment=little")
    assert ran.code == 0, ran.err
    results = tmp_path / "results"
    assert ran.last == str(results)
    cells = listed(results)
    assert [cell["status"] for cell in cells] == ["complete"] * 3
    assert "method=replay" in cells[0]["overrides"]  # told in the given order, run last
    source = next(c for c in cells if "method=ffnskip" in c["overrides"])["directory"]
    assert read_json(results / cells[0]["directory"] / "run.json")["method"]["cell"] is None
    decided = read_json(results / cells[0]["directory"] / "run.json")["decides"]["method"]["cell"]
    assert decided == Path(source).name
    assert len(list(results.glob("factoid/tiny/dense/*"))) == 1  # one dense twin for all
    before = {p: p.stat().st_mtime_ns for p in results.rglob("records.jsonl")}
    again = cli("+experiment=little", f"results_dir={results}")
    assert again.code == 0
    assert {p: p.stat().st_mtime_ns for p in results.rglob("records.jsonl")} == before


def test_what_the_user_says_wins_over_the_experiment(cli, preset, tmp_path):
    assert cli("experiment=little", "limit=3,5", "method=layerdrop", "method.order=last").code == 0
    cells = listed(tmp_path / "results")
    assert len(cells) == 2
    assert all({"method=layerdrop", "method.order=last"} <= set(c["overrides"]) for c in cells)


@pytest.mark.slow
def test_all_shipped_experiments_are_legal_on_the_shipped_model(cli, tmp_path):
    for path in sorted(conf_dir().glob("experiment/*.yaml")):
        text = path.read_text()
        assert text.startswith("# "), path.name
        assert "Time:" in text, path.name
        ran = cli(f"experiment={path.stem}", "dry_run=true", "limit=8")
        assert ran.code == 0, (path.name, ran.out)
        assert "not applicable" not in ran.out
    assert not list((tmp_path / "results").glob("*/*/*/*"))


def test_bad_experiments_and_sweeps_are_refused(cli, tmp_path):
    ran = cli("experiment=tabel2")
    assert ran.code == 2
    assert "'tabel2' is not one of" in ran.err
    assert "table2" in ran.err
    ran = cli("-m", *LITTLE, "method=ffnskp,layerdrop")
    assert ran.code == 2
    assert "ffnskp" in ran.err
    assert len(ran.err.strip().split("\n")) == 1
    ran = cli("-m", *LITTLE, "method=layerdrop", "method.blocks=interval(0,1)")
    assert ran.code == 2
    assert "only lists of values" in ran.err
    assert not list((tmp_path / "results").glob("*/*/*/*"))


def test_cells_that_make_no_sense_are_told_before_the_first_runs(cli, tmp_path):
    ran = cli("-m", *LITTLE, "method=layerdrop", "method.blocks=0.25,99", "dry_run=true")
    assert ran.code == 2
    assert "not applicable: method.blocks=99" in ran.out
    ran = cli("-m", *LITTLE, "method=layerdrop", "method.blocks=0.25,99")
    assert ran.code == 2
    assert [c["status"] for c in listed(tmp_path / "results")] == ["complete", "not applicable"]
    assert "2 cells: 1 complete, 1 not applicable" in ran.err


def test_a_failed_cell_is_listed_with_its_reason_and_tried_again(
    cli, tmp_path, monkeypatch, capsys
):
    from skipbench.engine import decode

    broken = decode.Engine.__init__

    def bursts(self, loaded, policy):
        if type(policy).__name__ == "ShortGPT":
            raise RuntimeError("out of luck")
        broken(self, loaded, policy)

    monkeypatch.setattr(decode.Engine, "__init__", bursts)
    arguments = ("-m", *LITTLE, "method=shortgpt,layerdrop", "twin=off")
    ran = cli(*arguments)
    assert ran.code == 1
    failed, fine = listed(tmp_path / "results")
    assert (failed["status"], fine["status"]) == ("failed", "complete")
    assert "out of luck" in failed["reason"]
    assert "the same command does what is left" in ran.err
    monkeypatch.setattr("sys.argv", ["ls", "--results", str(tmp_path / "results")])
    ls.main()
    assert "out of luck" in capsys.readouterr().out
    monkeypatch.setattr(decode.Engine, "__init__", broken)
    assert cli(*arguments).code == 0
    assert [c["status"] for c in listed(tmp_path / "results")] == ["complete"] * 2


def test_a_dry_run_tells_tokens_time_and_the_judges_cost(cli, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "not used")
    judge = ("judge=openai", "judge.model=m", "judge.key_env=JUDGE_KEY", "judge.price_in=3",
             "judge.price_out=15")  # fmt: skip
    ran = cli("-m", "task=mtbench", "method=layerdrop,shortgpt", "limit=4", "dry_run=true", *judge)
    assert ran.code == 0, ran.err
    rows = [line.split() for line in ran.out.strip().split("\n") if "method=" in line]
    first, second = ([float(x) for x in row[-4:]] for row in rows)
    assert first[0] == 8  # its own four and those of the dense twin
    assert second[0] == 4  # the twin counts once
    assert first[1] == 8 * 64 * 2
    assert first[3] > second[3] > 0
    total = next(line for line in ran.out.split("\n") if "2 cells" in line).split()
    assert float(total[-4]) == 12


def test_dense_is_timed_beside_every_method(cli, tmp_path):
    timed = ("task=factoid", "limit=12", "batch_size=4", "decode=forced_length",
             "decode.forced_length=6")  # fmt: skip
    ran = cli("-m", *timed, "method=layerdrop", "method.blocks=0.25,0.5")
    assert ran.code == 0, ran.err
    cells = [tmp_path / "results" / c["directory"] for c in listed(tmp_path / "results")]
    assert len({read_json(c / "summary.json")["twin"] for c in cells}) == 1
    for cell in cells:
        assert read_json(cell / "summary.json")["speed"]["speedup"]["value"] > 1.0
    assert not (cells[0] / "twin_times.jsonl").exists()  # dense answered beside the first
    sessions = [
        {times["session"] for record in lines for times in record["times"]}
        for lines in (
            latest_records(cells[1] / "records.jsonl").values(),
            list(read_lines(cells[1] / "twin_times.jsonl")),
        )
    ]
    assert sessions[0] == sessions[1]


def test_quality_and_speed_come_from_the_same_generations(cli):
    """At forced length a reply is scored up to its own end, so quality is that of a free reply."""
    free = cli(*LITTLE, "method=dense")
    forced = cli(*LITTLE, "method=dense", "decode=forced_length", "decode.forced_length=40")
    metrics = [read_json(Path(r.last) / "summary.json")["metrics"] for r in (free, forced)]
    for metric in ("accuracy", "collapse_rate", "hallucination_rate"):
        assert metrics[0][metric]["value"] == metrics[1][metric]["value"]
    record = next(iter(latest_records(Path(forced.last) / "records.jsonl").values()))
    assert len(record["token_ids"][0]) == 40 > record["counts"][0]["reply_tokens"]


def test_timed_work_waits_for_other_work_and_other_work_for_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("skipbench.device._LOCKS", tmp_path)
    with device.held("cpu", alone=False):
        pass
    path = next(tmp_path.glob("skipbench-*-cpu.lock"))
    holder = subprocess.Popen(
        ["python", "-c", "import sys, filelock; l = filelock.ReadWriteLock(sys.argv[1]); "
         "l.acquire_read(); print('held', flush=True); sys.stdin.readline()", str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with device.held("cpu", alone=False):  # untimed work goes together
        pass
    assert capsys.readouterr().err == ""
    released = []

    def release() -> None:
        released.append(True)
        holder.communicate("\n")

    threading.Timer(1.6, release).start()
    with device.held("cpu", alone=True):
        assert released
    assert "waiting for cpu: timed work goes alone" in capsys.readouterr().err


def test_similarity_of_every_half_block(cli):
    ran = cli(*LITTLE, "method=layerdrop", "method.blocks=2", "similarity=true")
    summary = read_json(Path(ran.last) / "summary.json")
    dense = Path(ran.last).parents[1] / "dense" / summary["twin"]
    found = read_json(dense / "similarity.json")
    assert set(found) == {"attn", "ffn", "block"}
    forwards = sum(
        record["counts"][0]["decode_forwards"]
        for record in latest_records(dense / "records.jsonl").values()
    )
    for part in found.values():
        assert len(part["mean"]) == len(part["std"]) == 16
        assert part["n"] == forwards
        assert all(-1 <= mean <= 1 for mean in part["mean"])
    assert max(found["ffn"]["mean"]) > 0.9 > min(found["ffn"]["mean"])


@pytest.mark.slow
def test_a_sweep_killed_twenty_times_ends_like_an_uninterrupted_one(tmp_path):
    arguments = ("-m", "task=factoid", "method=replay,ffnskip,layerdrop", "skip=0.25", "limit=160",
                 "batch_size=4")  # fmt: skip

    def cells(results: Path) -> dict[str, dict]:
        return {
            str(p.parent.relative_to(results)): answers_of(p.parent)
            for p in results.glob("*/*/*/*/records.jsonl")
        }

    _, err = spawn(tmp_path / "whole", *arguments).communicate(timeout=300)
    wanted = cells(tmp_path / "whole")
    assert len(wanted) == 4, err
    results = tmp_path / "killed"
    kill_twenty_times(results, arguments, seed=11, soonest_s=2.5)
    assert cells(results) == wanted
    statuses = [json.loads(p.read_text())["cells"] for p in (results / "sweeps").glob("*.json")]
    assert all(cell["status"] == "complete" for sweep in statuses for cell in sweep)
