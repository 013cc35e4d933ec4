"""The published files themselves, end to end with a small random model; skipped where they are absent."""

import os
from pathlib import Path

import pytest

from conftest import random_model
from skipbench.records import latest_records, read_json
from skipbench.tasks.factoid import Factoid
from skipbench.tasks.mtbench import MTBench

ROOT = Path(os.environ.get("SKIPBENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
FREEBASE = ROOT / "freebaseqa" / "FreebaseQA-dev.json"
FASTCHAT = ROOT / "fastchat"
needs_freebase = pytest.mark.skipif(not FREEBASE.exists(), reason="FreebaseQA is not here")
needs_fastchat = pytest.mark.skipif(not FASTCHAT.is_dir(), reason="FastChat's files are not here")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m"
    return random_model("llama", path, max_position_embeddings=8192)


@needs_freebase
def test_freebaseqa(cli, model):
    samples = Factoid(data="freebaseqa", path=str(FREEBASE)).samples("eval")
    assert len(samples) > 3000
    assert all(sample.references[0] for sample in samples)
    ran = cli("model=hf", f"model.path={model}", f"task.path={FREEBASE}", "limit=6",
              "method=layerdrop", "method.blocks=2")  # fmt: skip
    assert ran.code == 0, ran.err
    metrics = read_json(Path(ran.last) / "summary.json")["metrics"]
    assert metrics["accuracy_llmkick"]["n"] == metrics["accuracy"]["n"] == 6


@needs_fastchat
@pytest.mark.parametrize(("data", "turns"), [("mtbench", 2), ("vicuna80", 1)])
def test_conversations(cli, model, data, turns, monkeypatch):
    monkeypatch.setenv("SKIPBENCH_DATA", str(ROOT))
    samples = MTBench(data=data).samples("eval")
    assert len(samples) == 80
    assert {len(sample.turns) for sample in samples} == {turns}
    ran = cli("model=hf", f"model.path={model}", "task=mtbench", f"task.data={data}", "limit=4",
              "task.max_new_tokens=6", "method=layerdrop", "method.blocks=2")  # fmt: skip
    assert ran.code == 0, ran.err
    records = latest_records(Path(ran.last) / "records.jsonl").values()
    assert all(len(record["replies"]) == turns for record in records)
    metrics = read_json(Path(ran.last) / "summary.json")["metrics"]
    assert metrics["accuracy"]["unscored"] == 4  # no reference is made up
