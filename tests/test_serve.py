"""Judging with a real OpenAI-compatible server: `transformers serve` with a small random model."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from conftest import random_model
from skipbench.records import read_json, read_lines

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path):
    pytest.importorskip("uvicorn", reason="needs transformers[serving]")
    path = random_model("llama", tmp_path / "judge", max_position_embeddings=4096)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("transformers")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [str(command), "serve", str(path), "--host", "127.0.0.1", "--port", str(port),
         "--device", "cpu"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        deadline = time.time() + 90
        while time.time() < deadline:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except (URLError, OSError):
                assert process.poll() is None, process.stderr.read()[-500:]  # type: ignore[union-attr]
                time.sleep(0.5)
        else:
            pytest.fail("the server did not answer within 90 s")
        yield process, path, f"http://127.0.0.1:{port}/v1"
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_real_server_is_asked_cached_and_replayed(server, cli, monkeypatch):
    process, path, url = server
    monkeypatch.setenv("LOCAL_KEY", "none")
    arguments = ["task=mtbench", "method=dense", "limit=3", f"judge.model={path}"]
    arguments += [f"judge.base_url={url}", "judge.key_env=LOCAL_KEY", "judge.max_tokens=24"]
    ran = cli(*arguments, "judge=openai")
    cell = Path(ran.last)
    assert read_json(cell / "summary.json")["status"] == "complete"
    scored = read_json(cell / "summary.json")["judge"]["scored"]
    assert ran.code == int(scored == 0), ran.err  # a judge that says nothing readable is told
    first = (cell / "scores.jsonl").read_bytes()
    judged = [s for s in read_lines(cell / "scores.jsonl") if s["metric"] == "judge_score"]
    assert len(judged) == 6
    for score in judged:  # a random model says nothing that can be read: unscored, with a reason
        assert score["value"] is not None or score["reason"] in (
            "no_verdict",
            "out_of_range",
            "truncated",
        )
    judge = read_json(cell / "summary.json")["judge"]
    assert judge["calls"] == 6
    process.kill()
    process.communicate()
    ran = cli(*arguments, "judge=replay")
    assert ran.code == int(scored == 0), ran.err
    assert (cell / "scores.jsonl").read_bytes() == first
    judge = read_json(cell / "summary.json")["judge"]
    assert (judge["calls"], judge["cached"]) == (0, 6)
