"""Real bugs of released harnesses and methods, planted one at a time: the suite must fail for each."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

# what went wrong elsewhere: (file, what stands there, what is planted, tests that must fail)
BUGS = {
    "the prompt is matched as the answer": (
        "tasks/factoid.py",
        "held = float(answers.contains(reply.text, gold))",
        "held = float(answers.contains(reply.prompt + reply.text, gold))",
        "test_metrics.py -k empty_reply",
    ),
    "one sample more than asked for": (
        "job.py",
        "samples[: setup.limit]",
        "samples[: setup.limit + 1 if setup.limit else None]",
        "test_cli.py -k the_main_job",
    ),
    "an unread verdict is averaged in as -1": (
        "judges/grading.py",
        "if len(known) == len(means) else None",
        "if len(known) == len(means) else -1.0",
        "test_judges.py -k unread",
    ),
    "the first number of a verdict counts": (
        "judges/base.py",
        "float(numbers[-1])",
        "float(numbers[0])",
        "test_judges.py -k last_verdict",
    ),
    "an answer can write its own verdict": (
        "judges/base.py",
        "neutralised(value) if key in question.untrusted else value",
        "value",
        "test_judges.py -k forge",
    ),
    "empty answers are dropped": (
        "tasks/factoid.py",
        "        reply = replies[0]\n",
        "        reply = replies[0]\n        if not reply.text:\n            return\n",
        "test_metrics.py -k empty_reply",
    ),
    "masked compute is called a skip": (
        "engine/forward.py",
        "        some = x[run]\n",
        "        block.mlp(x)\n        some = x[run]\n",
        "test_engine.py -k not_called",
    ),
    "keys and values go to the next slot": (
        "engine/decode.py",
        "slot = self.width + self.step - 1",
        "slot = self.width + self.step",
        "test_engine.py -k dense_equals",
    ),
    "similarity of normalised states": (
        "engine/forward.py",
        "self.state.observe(site, x, y)",
        "self.state.observe(site, self.model.norm(x), self.model.norm(y))",
        "test_engine.py -k similarity",
    ),
    "threshold not strict": (
        "policies/ffnskip.py",
        "self.similarity > self.policy.threshold",
        "self.similarity >= self.policy.threshold",
        "test_policies.py -k strict",
    ),
    "warm-up one token short": (
        "policies/ffnskip.py",
        "since = step - self.warmup_tokens if step else 0",
        "since = step - self.warmup_tokens + 1 if step else 0",
        "test_policies.py -k 'warm_up or schedule'",
    ),
    "no refresh token": (
        "policies/ffnskip.py",
        "if since == self.refresh_every - 1:",
        "if since == self.refresh_every:",
        "test_policies.py -k schedule",
    ),
    "holes of the mask rule are attended to": (
        "engine/forward.py",
        "self.cache.holes is None or self.step == 0",
        "True",
        "test_engine.py -k 'cached_equals and mask'",
    ),
    "skipped blocks leave zeros in the cache": (
        "engine/forward.py",
        "            self._fill(layer, x, None)\n",
        "",
        "test_engine.py -k 'cached_equals and project'",
    ),
    "the first rows of a batch see padding": (
        "engine/forward.py",
        "real = columns[None, :] >= self.padding[:, None]",
        "real = columns[None, :] >= 0",
        "test_engine.py -k dense_equals",
    ),
    "positions count the padding": (
        "engine/forward.py",
        "(places[None] - self.padding[:, None]).clamp(min=0)",
        "(places[None] + 0 * self.padding[:, None])",
        "test_engine.py -k 'test_batched_equals_single_in'",
    ),
    "a repetition penalty is ignored": (
        "engine/load.py",
        "return 1.0 if penalty is None else float(penalty)",
        "return 1.0",
        "test_engine.py -k penalty",
    ),
    "only the first of several end-of-sequence ids": (
        "engine/load.py",
        "frozenset([eos] if isinstance(eos, int) else eos)",
        "frozenset([eos] if isinstance(eos, int) else eos[:1])",
        "test_engine.py -k end_of_sequence",
    ),
    "noise depends on the place in the batch": (
        "engine/decode.py",
        "torch.Generator().manual_seed(seed) for seed in seeds",
        "torch.Generator().manual_seed(row) for row, _ in enumerate(seeds)",
        "test_engine.py -k shares_noise",
    ),
    "recomputed blocks are not counted": (
        "engine/decode.py",
        'counts["ffn_run"] += ran[row][1] + caught_up[row][1]',
        'counts["ffn_run"] += ran[row][1]',
        "test_engine.py -k 'not_called and recompute'",
    ),
    "weights are called unread if one row skips": (
        "engine/forward.py",
        "if self.caught_up_at != layer:",
        "if skipped is False:",
        "test_engine.py -k weight_bytes",
    ),
    "clusters are taken for independent samples": (
        "metrics/stats.py",
        "    sums, counts = _by_cluster(values, clusters)\n    groups",
        "    sums, counts = values, np.ones(len(values))\n    groups",
        "test_metrics.py -k naive",
    ),
    "failed samples are not tried again": (
        "cell.py",
        'or found[sample.sample_id]["error"] is not None',
        "",
        "test_cli.py -k retried",
    ),
    "results are read although a line is torn": (
        "records.py",
        "            file.truncate(data.rfind(b\"\\n\") + 1)\n",
        "            pass\n",
        "test_cli.py -k torn",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug, tmp_path):
    file, old, new, tests = BUGS[bug]
    source = tmp_path / "src"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", source, ignore=ignore)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = source / "skipbench" / file
    text = path.read_text()
    assert text.count(old) >= 1, f"{file} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))
    name, _, chosen = tests.partition(" -k ")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-n",
        "0",
        f"tests/{name}",
        "-k",
        chosen.strip("'"),
    ]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        timeout=280,
    )
    assert ran.returncode == 1, f"{bug} went unseen:\n{ran.stdout[-800:]}"
    assert "SyntaxError" not in ran.stdout
