"""The command line as a user meets it: results, resuming, refusals, exit codes."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import random_model
from skipbench.records import latest_records, read_json

SMALL = ("task=factoid", "limit=24", "batch_size=8")


def cell_of(outcome) -> Path:
    path = Path(outcome.last)
    assert path.is_absolute()
    assert (path / "summary.json").exists(), outcome.err
    return path


def answers_of(cell: Path) -> dict:
    """Everything in the records that does not depend on the clock."""
    return {
        key: {k: v for k, v in record.items() if k != "times"}
        for key, record in latest_records(cell / "records.jsonl").items()
    }


def test_the_main_job(cli):
    ran = cli(*SMALL, "method=ffnskip")
    assert ran.code == 0, ran.err
    cell = cell_of(ran)
    summary = read_json(cell / "summary.json")
    assert summary["status"] == "complete"
    assert summary["n"] == 24
    assert 0.1 < summary["skip"]["ffn"] < 0.4
    assert summary["skip"]["attn"] == 0.0
    for metric in ("accuracy", "hallucination_rate", "collapse_rate", "abstention_rate"):
        assert summary["metrics"][metric]["n"] + summary["metrics"][metric]["unscored"] == 24
        assert {"difference", "low", "high", "p", "n", "clusters"} <= summary["paired"][
            metric
        ].keys()
    assert summary["speed"]["speedup"] is None
    assert "forced_length" in summary["speed"]["speedup_reason"]
    assert sum(n for row in summary["transitions"].values() for n in row.values()) == 24
    for record in answers_of(cell).values():
        ids, counts = record["token_ids"][0], record["counts"][0]
        assert counts["decode_forwards"] == len(ids) - 1
        assert (ids[-1] == 1) == (record["finish_reasons"][0] == "stop")  # 1 ends a sequence
    manifest = read_json(cell / "run.json")
    assert manifest["method"]["threshold"] != 0.95  # calibrated, and written down
    twin = cell.parents[1] / "dense" / summary["twin"]
    assert answers_of(twin).keys() == answers_of(cell).keys()
    prompts = [{k: r["prompt_sha256"] for k, r in answers_of(c).items()} for c in (cell, twin)]
    assert prompts[0] == prompts[1]
    again = cli(*SMALL, "method=ffnskip")
    assert again.code == 0
    assert "sample/s" not in again.err  # nothing left to do, so no model was loaded


def test_rescoring_needs_no_model(cli, monkeypatch):
    cell = cell_of(cli(*SMALL, "method=dense"))
    before = (cell / "scores.jsonl").read_bytes()
    (cell / "scores.jsonl").unlink()
    monkeypatch.setattr("skipbench.run.load_model", lambda spec: pytest.fail("a model was loaded"))
    assert cli(*SMALL, "method=dense").code == 0
    assert (cell / "scores.jsonl").read_bytes() == before


METHODS = [
    "ffnskip skip=0.2",
    "ffnskip_random method.budget=3",
    "ffnskip_noadapt method.budget=3",
    "earlyexit method.threshold=0.5",
    "earlyexit method.exit_rule=random method.kv=mask",
    "earlyexit method.exit_rule=state method.threshold=0.9 method.kv=recompute",
    "earlyexit method.exit_rule=fixed method.kv=copy",
    "skipdecode",
    "layerdrop skip=0.2",
    "layerdrop method.part=attn method.order=last",
    "shortgpt",
    "ffnskip method.phase=both method.threshold=0.5",
]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_and_skips(cli, method):
    name, *rest = method.split()
    ran = cli("task=factoid", "limit=8", f"method={name}", *rest)
    assert ran.code == 0, ran.err
    summary = read_json(cell_of(ran) / "summary.json")
    ratios = [summary["skip"][k] for k in ("ffn", "attn")] + [summary["skip_prefill"]["ffn"]]
    assert any(ratios) or summary["skip"]["caught_up"]
    assert summary["metrics"]["accuracy"]["n"] == 8


@pytest.mark.slow
def test_replays_take_their_maps_from_a_cell(cli):
    args = ("task=factoid", "limit=12")
    source = cell_of(cli(*args, "method=ffnskip"))
    own = cell_of(cli(*args, "method=replay"))
    assert [r["token_ids"] for r in answers_of(own).values()] == [
        r["token_ids"] for r in answers_of(source).values()
    ]
    shuffled = cell_of(
        cli(*args, "method=replay", "method.order=shuffled", f"method.cell={source}")
    )
    matched = cell_of(cli(*args, "method=static_matched"))
    ratios = [
        read_json(c / "summary.json")["skip"]["ffn"] for c in (source, own, shuffled, matched)
    ]
    assert ratios[0] == ratios[1]
    assert max(abs(r - ratios[0]) for r in ratios) < 0.08  # steps are few, patterns whole
    ran = cli("task=factoid", "limit=20", "method=replay", f"method.cell={source}")
    assert ran.code == 2
    assert "holds no sample" in ran.err


def test_the_noise_floor_is_dense_at_another_batch_size(cli):
    for method in ("layerdrop", "dense"):
        cell = cell_of(cli(*SMALL, f"method={method}", "noise_floor=true"))
        floor = read_json(cell / "summary.json")["noise_floor"]
        assert floor["batch_size"] == 4
        assert floor["paired"]["accuracy"]["difference"] == 0.0
        assert floor["fingerprint"] != cell.name


def test_forced_length_gives_a_speed_up(cli):
    ran = cli(
        "task=factoid",
        "limit=24",
        "batch_size=8",
        "method=layerdrop",
        "method.blocks=0.5",
        "decode=forced_length",
        "decode.forced_length=24",
    )
    summary = read_json(cell_of(ran) / "summary.json")
    assert summary["speed"]["speedup"]["value"] > 1.0
    assert summary["metrics"]["collapse.never_stopped"]["value"] == 0.0


def test_long_form_is_scored_fact_by_fact(cli):
    ran = cli("task=factoid", "task.form=long", "limit=6", "method=dense")
    metrics = read_json(cell_of(ran) / "summary.json")["metrics"]
    assert 0.5 < metrics["fact_recall"]["value"] <= 1.0
    assert "fact_recall.last_third" in metrics


def test_real_model_families_run_by_the_same_command(cli, model_dirs, tmp_path):
    data = tmp_path / "FreebaseQA-eval.json"
    data.write_text(
        json.dumps(
            {
                "Questions": [
                    {
                        "Question-ID": f"q{i}",
                        "RawQuestion": f"Who wrote work {i}?",
                        "Parses": [{"Answers": [{"AnswersName": ["Nobody"]}]}],
                    }
                    for i in range(4, 9)
                ]
            }
        )
    )
    for family, path in model_dirs.items():
        ran = cli(
            "model=hf",
            f"model.path={path}",
            f"task.path={data}",
            "method=ffnskip",
            "method.threshold=-1",
            "method.cold_start=1",
            "method.cold_end=1",
        )
        assert ran.code == 0, ran.err
        summary = read_json(cell_of(ran) / "summary.json")
        assert summary["model"] == family
        assert summary["metrics"]["accuracy_llmkick"]["n"] == 5
        assert summary["skip"]["ffn"] == pytest.approx(4 / 6)


def test_a_sweep_goes_on_after_a_bad_cell(cli, tmp_path):
    ran = cli("-m", *SMALL[:1], "limit=4", "method=layerdrop", "method.blocks=0.25,99,0.5")
    assert ran.code == 2
    assert "99" in ran.err
    assert len(list((tmp_path / "results").glob("factoid/tiny/layerdrop/*/summary.json"))) == 2
    assert ran.last == str(tmp_path / "results")


def test_skipping_nothing_fails_loudly(cli):
    ran = cli("task=factoid", "limit=4", "method=ffnskip_paper")
    assert ran.code == 3
    assert read_json(cell_of(ran) / "summary.json")["status"] == "nothing_skipped"
    assert cli("task=factoid", "limit=4", "method=ffnskip", "skip=0").code == 0


BAD = [
    (("method=nope",), "nope"),
    (("task=nope",), "nope"),
    (("method.treshold=0.5",), "treshold"),
    (("treshold=0.5",), "treshold"),
    (("method.threshold=high",), "threshold='high'"),
    (("method.threshold=1.5",), "1.5"),
    (("method.cold_start=8", "method.cold_end=8"), "cover all 16"),
    (("method=earlyexit", "method.exit_rule=fixed", "method.exit_layer=17"), "exit_layer=17"),
    (("method=earlyexit", "method.kv=borrow"), "borrow"),
    (("method=layerdrop", "method.order=given", "method.blocks=[3,99]"), "99"),
    (("skip=1.5",), "skip=1.5"),
    (("skip=0.9",), "cannot be reached"),
    (("skip=0.2", "method.threshold=0.5"), "one of the two"),
    (("method=replay",), "run method=ffnskip first"),
    (("method=replay", "method.cell=/no/where"), "no finished cell"),
    (("method=replay", "method.source=results/a/nope"), "is not one of dense, earlyexit"),
    (("twin=maybe",), "twin='maybe'"),
    (("twin=find",), "no finished dense cell"),
    (("limit=0",), "limit=0"),
    (("batch_size=-1",), "batch_size=-1"),
    (("split=test",), "split='test'"),
    (("dtype=int8",), "dtype='int8'"),
    (("device=cuda:7",), "cuda:7"),
    (("task.form=medium",), "form='medium'"),
    (("task.data=trivia",), "trivia"),
    (("task.data=freebaseqa", "task.path=/no/such/file.json"), "no/such"),
    (("decode.top_p=0",), "top_p=0"),
    (("model=hf", "task.data=world"), "model.path"),
    (("model=hf", "task.data=world", "model.path=/no/such/model"), "no/such/model"),
    (("sample_timeout_s=-3",), "sample_timeout_s=-3"),
    (("model.revision=60e1234",), "quote it"),
    (("dry_run=perhaps",), "dry_run='perhaps'"),
]


@pytest.mark.parametrize(
    ("arguments", "told"), BAD, ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_bad_input_gets_one_line(cli, arguments, told):
    ran = cli(*arguments, "limit=2") if "limit=0" not in arguments else cli(*arguments)
    assert ran.code == 2
    assert told in ran.err
    lines = [x for x in re.split(r"[\r\n]", ran.err) if x.strip() and "sample/s" not in x]
    assert len(lines) == 1, ran.err
    assert "Traceback" not in ran.err


def broken_model(tmp_path, how: str) -> Path:
    path = random_model("llama", tmp_path / how)
    weights = path / "model.safetensors"
    if how == "missing":
        weights.unlink()
    elif how == "corrupt":
        weights.write_bytes(weights.read_bytes()[:500])
    elif how == "pickled":
        weights.rename(path / "pytorch_model.bin")
    elif how == "family":
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    elif how == "beams":
        (path / "generation_config.json").write_text(json.dumps({"no_repeat_ngram_size": 3}))
    elif how == "config":
        (path / "config.json").write_text("{")
    elif how == "template":
        (path / "chat_template.jinja").unlink()
    return path


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("missing", "no weights"),
        ("corrupt", "cannot be loaded"),
        ("pickled", "pickled"),
        ("family", "gpt2"),
        ("beams", "no_repeat_ngram_size=3"),
        ("config", "not valid JSON"),
        ("template", "no chat template"),
    ],
)
def test_unusable_models_are_refused(cli, tmp_path, how, told):
    path = broken_model(tmp_path, how)
    ran = cli("model=hf", f"model.path={path}", "task.data=world", "method=dense", "limit=2")
    assert ran.code == 2
    assert told in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not readable JSON"),
        ('{"Items": []}', "no list 'Questions'"),
        ('{"Questions": [{"RawQuestion": "x"}]}', "Questions[0]"),
    ],
)
def test_wrong_data_is_refused(cli, tmp_path, text, told):
    path = tmp_path / "data.json"
    path.write_text(text)
    ran = cli("task.data=freebaseqa", f"task.path={path}", "method=dense")
    assert ran.code == 2
    assert told in ran.err


def test_unreadable_results_are_named_and_kept(cli):
    cell = cell_of(cli(*SMALL, "method=dense"))
    records = cell / "records.jsonl"
    good = records.read_text()
    records.write_text("[1, 2]\n" + good)
    ran = cli(*SMALL, "method=dense")
    assert ran.code == 2
    assert "records.jsonl:1" in ran.err
    assert records.read_text().endswith(good)


def test_a_torn_line_is_repaired(cli):
    cell = cell_of(cli(*SMALL, "method=dense"))
    whole = answers_of(cell)
    records = cell / "records.jsonl"
    records.write_bytes(records.read_bytes()[:-40])
    assert cli(*SMALL, "method=dense").code == 0
    assert answers_of(cell) == whole


def test_a_failing_sample_is_recorded_and_retried(cli, monkeypatch):
    from skipbench.engine.decode import Engine

    generate = Engine.generate

    def fail(engine, requests, decoding, timeout_s=None):
        if any(r.sample_id.endswith("pet") for r in requests) and timeout_s:
            raise RuntimeError("no luck\nat all")
        return generate(engine, requests, decoding, timeout_s)

    monkeypatch.setattr(Engine, "generate", fail)
    ran = cli(*SMALL, "method=dense")
    assert ran.code == 1
    summary = read_json(cell_of(ran) / "summary.json")
    assert summary["status"] == "partial"
    failed = summary["errors"]["RuntimeError"]
    assert summary["metrics"]["accuracy"]["unscored"] == failed > 0
    monkeypatch.setattr(Engine, "generate", generate)
    ran = cli(*SMALL, "method=dense")
    assert ran.code == 0
    assert read_json(cell_of(ran) / "summary.json")["errors"] == {}


def test_a_dry_run_says_what_it_would_do(cli, tmp_path):
    ran = cli(*SMALL, "method=layerdrop", "dry_run=true")
    assert ran.code == 0
    assert "dense: 24 of 24 samples" in ran.out
    assert "layerdrop: 24 of 24 samples" in ran.out
    assert not list(tmp_path.rglob("records.jsonl"))


def test_show_and_ls(cli, capsys, monkeypatch):
    from skipbench import ls, show

    cell = cell_of(cli(*SMALL, "method=layerdrop", "method.blocks=0.5"))
    monkeypatch.setattr(sys, "argv", ["show", str(cell), "--wrong", "-n", "3"])
    show.main()
    out = capsys.readouterr().out
    assert "dense" in out
    assert "3 of 24 samples shown" in out
    monkeypatch.setattr(sys, "argv", ["ls", "--results", str(cell.parents[3])])
    ls.main()
    out = capsys.readouterr().out
    assert "ffnskip" in out
    assert cell.name in out
    for main, argv in ((show.main, ["show", "/no/cell"]), (ls.main, ["ls", "nothing"])):
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2


def spawn(results: Path, *arguments: str, **kwargs) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "skipbench", *arguments, f"results_dir={results}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **kwargs,
    )  # fmt: skip


def kill_twenty_times(
    results: Path, arguments: tuple[str, ...], seed: int, soonest_s: float
) -> str:
    """Run a command, kill -9 it at 20 random moments, and let it end; returns what it printed."""
    rng, kills = random.Random(seed), 0
    while kills < 20:
        process = spawn(results, *arguments)
        try:
            process.communicate(timeout=rng.uniform(soonest_s, 9.0))
            shutil.rmtree(results)  # it was quicker: begin again
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    process = spawn(results, *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def test_overwriting_takes_away_all_that_was_made_of_the_records(tmp_path):
    from skipbench.cell import Cell

    made = ("records.jsonl", "summary.json", "divergence.jsonl", "similarity.json", "failed.json")
    for name in made:
        (tmp_path / name).write_text("{}")
    cell = Cell(tmp_path, [], {"decides": {}})
    cell.open(overwrite=True)
    cell.close()
    assert {p.name for p in tmp_path.iterdir()} & {*made} <= {"records.jsonl"}


@pytest.mark.slow
def test_interrupting_leaves_a_summary(tmp_path):
    results = tmp_path / "results"
    process = spawn(results, "task=factoid", "method=ffnskip", "skip=null", "method.threshold=0.9")
    deadline = time.time() + 60
    while time.time() < deadline and not list(results.rglob("records.jsonl")):
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    cell = Path(out.strip().split("\n")[-1])
    assert read_json(cell / "summary.json")["status"] == "partial"


@pytest.mark.slow
def test_twenty_kills_end_like_an_uninterrupted_run(tmp_path):
    arguments = ("task=factoid", "method=ffnskip", "limit=400", "batch_size=4")
    whole = tmp_path / "whole"
    out, _ = spawn(whole, *arguments).communicate(timeout=300)
    wanted = answers_of(Path(out.strip().split("\n")[-1]))
    out = kill_twenty_times(tmp_path / "killed", arguments, seed=5, soonest_s=3.0)
    assert answers_of(Path(out.strip().split("\n")[-1])) == wanted


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        process = spawn(disk / "r", "task=factoid", "method=ffnskip", "batch_size=8")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "No space left" in err
        assert "Traceback" not in err
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        process = spawn(disk / "r", "task=factoid", "method=ffnskip", "batch_size=8")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        cell = Path(out.strip().split("\n")[-1])
        assert read_json(cell / "summary.json")["status"] == "complete"
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_divergence_is_written_once_and_scored_without_a_model(cli, monkeypatch):
    arguments = ("task=mtbench", "limit=6", "method=layerdrop", "divergence=true")
    cell = cell_of(cli(*arguments))
    lines = (cell / "divergence.jsonl").read_text()
    assert len(lines.splitlines()) == 12  # two turns
    metrics = read_json(cell / "summary.json")["metrics"]
    assert metrics["divergence.kl"]["value"] > 0
    assert metrics["divergence.delta_logp"]["n"] == 6
    assert 0 <= metrics["divergence.token_agreement"]["value"] < 1
    (cell / "scores.jsonl").unlink()
    monkeypatch.setattr("skipbench.run.load_model", lambda spec: pytest.fail("a model was loaded"))
    assert cli(*arguments).code == 0
    assert (cell / "divergence.jsonl").read_text() == lines


def test_a_dry_run_prices_the_judge(cli):
    ran = cli("task=mtbench", "method=dense", "limit=5", "judge=openai", "judge.model=m",
              "judge.price_in=10", "judge.price_out=30", "dry_run=true")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "at most 10 judge calls" in ran.out
    assert "USD" in ran.out


def test_dialogues_have_outcomes_by_turn_and_a_judge_can_be_tried_on_planted_damage(cli):
    ran = cli("task=mtbench", "limit=6", "method=layerdrop", "method.blocks=0.4", "judge=reference",
              "judge.ladder=true")  # fmt: skip
    assert ran.code == 0, ran.err
    summary = read_json(cell_of(ran) / "summary.json")
    assert summary["metrics"]["hallucination_rate"]["n"] == 6
    assert sum(n for row in summary["transitions"].values() for n in row.values()) == 12
    ladder = summary["judge"]["ladder"]
    assert ladder["n"] == 12
    assert {rung["rate"] for rung in ladder["rungs"]} == {0.0, 0.25, 0.5, 1.0}
    assert all(value < -0.3 for value in ladder["sensitivity"].values())
    assert "planted damage" in ran.out


def test_what_a_dialogue_makes_up():
    from skipbench.tasks.base import Reply
    from skipbench.tasks.mtbench import MTBench

    task = MTBench()
    sample = next(s for s in task.samples("eval") if s.meta["category"] == "reasoning")
    reference = sample.references[0][0]
    opposite = {"yes.": "no.", "no.": "yes."}[reference.split()[-1]]
    turned = " ".join([*reference.split()[:-1], opposite])
    for text, outcome in (
        (reference, "correct"),
        (turned, "wrong_entity"),
        ("I do not know.", "abstained"),
        ("Hm, well.", "off_format"),
    ):
        reply = Reply(text=text, token_ids=range(9), finish_reason="stop", prompt="", forced=False)
        scores = {s.metric: s.value for s in task.score(sample, [reply, reply]) if s.turn == 0}
        assert scores[f"outcome.{outcome}"] == 1.0, text
        assert scores["hallucination_rate"] == float(outcome == "wrong_entity")
