"""The audit of a user's policy: good ones pass, and each way of cheating is caught by its check."""

import json
import textwrap
from pathlib import Path

import pytest

from skipbench.audit import measure
from skipbench.audit.__main__ import main
from skipbench.audit.checks import Bench
from skipbench.audit.contract import contract
from skipbench.audit.page import page
from skipbench.audit.source import audited
from skipbench.audit.watched import one_pass
from skipbench.records import BadInput, read_json
from test_engine import SKIPPING, requests

HEAD = """
from dataclasses import dataclass
import random
import torch
from skipbench.policies.base import Knob, Policy, State, Sublayer, counts_up_to
"""
GOOD = (
    HEAD
    + """
@dataclass(frozen=True, kw_only=True)
class Middle(Policy):
    kv: str = "full"
    count: int = 3

    def knob(self, num_layers):
        return Knob("count", "ffn", counts_up_to(num_layers - 1))

    def requests_skipping(self, num_layers):
        return self.count > 0

    def begin(self, start):
        return Large(self.count)


class Large(State):
    def __init__(self, count):
        self.count = count

    def skip(self, site, x):
        if site.sublayer is Sublayer.ATTN or not 1 <= site.layer <= self.count:
            return False
        return x.norm(dim=-1) > 2 * x.abs().amax(dim=-1)
"""
)


def policy_of(body: str) -> str:
    """A file with one policy whose State has this body."""
    return HEAD + (
        "@dataclass(frozen=True, kw_only=True)\nclass Bad(Policy):\n    kv: str = 'full'\n"
        "    observes = True\n    def begin(self, start):\n        return Decides()\n\n"
        "class Decides(State):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    )


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def checked(loaded, policy) -> list:
    return contract(Bench(loaded=loaded, policy=policy, requests=requests(loaded)[:2], steps=8))


def failed(loaded, tmp_path, text: str, **settings) -> dict[str, str]:
    """Name -> evidence of the checks that do not pass."""
    words = [f"{key}={value}" for key, value in settings.items()]
    policy = audited(write(tmp_path, text), None, words).policy
    found = checked(loaded, policy)
    return {check.name: check.evidence for check in found if check.passed is False}


def test_a_good_policy_passes(llama, tmp_path):
    assert failed(llama, tmp_path, GOOD) == {}
    assert failed(llama, tmp_path, GOOD, count=0) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", SKIPPING)
def test_the_shipped_methods_pass(llama, name):
    found = checked(llama, SKIPPING[name])
    assert [check for check in found if check.passed is False] == []


@pytest.mark.parametrize("kv", ["copy", "recompute"])
def test_recomputing_is_exact_and_copying_an_approximation(llama, kv):
    policy = SKIPPING[f"exit_random_{kv}"]
    found = checked(llama, policy)
    assert [check for check in found if check.passed is False] == []
    assert found[-1].passed is (None if kv == "copy" else True)


MASKED = """
    def observe(self, site, x, y):
        if site.sublayer is Sublayer.FFN and site.layer in (2, 3):
            y.copy_(x)  # as if it had been skipped
"""
LEAKING = """
    def skip(self, site, x):
        return x.norm(dim=-1) >= x.norm(dim=-1).mean() if site.layer == 2 else False
"""
RANDOM = """
    def skip(self, site, x):
        return random.random() < 0.3 if site.sublayer is Sublayer.FFN else False
"""
EMPTY_CACHE = """
    def skip(self, site, x):
        return site.layer == 2 and site.step % 2 == 1
"""
INTEGERS = """
    def skip(self, site, x):
        return int(site.layer == 2)
"""
RAISING = """
    def skip(self, site, x):
        return self.nothing[site.layer]
"""
CALLING = """
    def start(self, step, x):
        for module in Decides.ffns:
            module(x)
    def skip(self, site, x):
        return site.layer == 2 and site.sublayer is Sublayer.FFN
"""


@pytest.mark.parametrize(
    ("body", "check", "told"),
    [
        (MASKED, "really skips", "0 of"),
        (MASKED, "hands off", "observe(block 2, ffn, step 0) changed a tensor"),
        (LEAKING, "rows decide alone", "in a batch of 2"),
        (RANDOM, "deterministic", "again"),
        (INTEGERS, "runs", "answered with int at block 0, attn, step 1"),
        (RAISING, "runs", "AttributeError"),
    ],
)
def test_what_is_wrong_is_named(llama, tmp_path, body, check, told):
    found = failed(llama, tmp_path, policy_of(body))
    assert told in found[check]


def test_a_cache_with_holes_is_not_exact(llama, tmp_path):
    text = policy_of(EMPTY_CACHE)
    assert "kv='none'" in failed(llama, tmp_path, text, kv="none")["cached equals recomputed"]
    for kv in ("full", "project", "mask"):
        assert failed(llama, tmp_path, text, kv=kv) == {}


def test_modules_that_are_called_behind_the_engines_back(llama, tmp_path, monkeypatch):
    path = write(tmp_path, policy_of(CALLING))
    policy = audited(path, None, []).policy
    state = type(policy.begin(None))
    monkeypatch.setattr(state, "ffns", [llama.model.model.layers[2].mlp], raising=False)
    found = checked(llama, policy)
    wrong = [check for check in found if check.passed is False]
    assert [check.name for check in wrong] == ["skipped modules are not called"]
    assert "go through ffn" in wrong[0].evidence


def test_a_field_that_a_run_changes(llama, tmp_path):
    text = GOOD.replace("return Large(self.count)", "return Large(self.noted)").replace(
        "count: int = 3", "count: int = 3\n    seen: tuple = ()"
    )
    text = text.replace(
        "    def begin",
        "    @property\n    def noted(self):\n"
        "        object.__setattr__(self, 'seen', (*self.seen, 1))\n        return self.count\n\n"
        "    def begin",
    )
    assert "changed seen" in failed(llama, tmp_path, text)["frozen"]


def test_without_skips_one_pass_is_the_model(llama):
    import torch

    ids = list(requests(llama)[0].prompt_ids)
    nothing = torch.zeros(len(ids), llama.num_layers, 2, dtype=torch.bool)
    with torch.no_grad():
        wanted = llama.model(torch.tensor([ids])).logits[0]
    assert (one_pass(llama, ids, nothing, hidden=False) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("def f(:\n", (), "line 1: "),
        ("import no_such_module_here\n", (), "cannot be executed (ModuleNotFoundError"),
        ("x = 1\n", (), "defines no subclass"),
        (GOOD + GOOD.replace("Middle", "Other"), (), "--class: Middle, Other"),
        (GOOD, ("--class", "Nope"), "'Nope' is not one of Middle"),
        (GOOD, ("--set", "cuont=3"), "'cuont=3'"),
        (GOOD, ("--set", "phase=never"), "'never' is not one of"),
        (GOOD, ("--set", "count=2", "--skip", "0.2"), "one of the two"),
        (GOOD, ("--limit", "0"), "--limit 0"),
        (GOOD, ("--skip", "1.5"), "--skip=1.5"),
        (GOOD, ("--model", "/no/such/model"), "/no/such/model"),
        (GOOD.replace("count: int = 3", "count: object = 3j"), (), "JSON"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, text, arguments, told):
    code, out, err = audit(monkeypatch, capsys, write(tmp_path, text), tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.strip().split("\n")) == 1


def test_no_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="is no file"):
        audited(tmp_path / "missing.py", None, [])


def audit(monkeypatch, capsys, path: Path, tmp_path: Path, *arguments: str):
    words = ["audit", str(path), "--out", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.mark.slow
def test_the_whole_command_writes_a_page_from_real_cells(tmp_path, monkeypatch, capsys):
    for name, value in {"PROMPTS": 2, "STEPS": 6, "FORCED": 4}.items():
        monkeypatch.setattr(measure, name, value)
    path = write(tmp_path, GOOD)
    code, out, _ = audit(monkeypatch, capsys, path, tmp_path, "--limit", "6")
    assert code == 0
    assert out.strip().split("\n")[-1] == str(tmp_path / "out" / "audit.md")
    found = read_json(tmp_path / "out" / "audit.json")
    assert found["passed"] is True
    measured = found["measured"]
    cells = [measured["cell"], measured["forced"]["cell"]]
    cells += [control["cell"] for control in measured["controls"].values()]
    for cell in cells:
        summary = read_json(tmp_path / "out" / cell / "summary.json")
        assert summary["status"] == "complete"
        assert summary["n"] == 6
    own = read_json(tmp_path / "out" / measured["cell"] / "summary.json")
    assert measured["summary"] == own
    assert own["noise_floor"]["paired"]["accuracy"]["difference"] == 0.0
    assert own["skip"]["ffn"] > 0
    assert measured["controls"].keys() == {"shuffled", "pattern"}
    told = (tmp_path / "out" / "audit.md").read_text()
    assert "*not shown*" in told  # six questions show no absence of a loss
    assert "raise --limit" in told
    assert "mechanism check" in told
    assert page(json.loads((tmp_path / "out" / "audit.json").read_text())) == told


def test_a_policy_that_fails_is_not_measured(tmp_path, monkeypatch, capsys):
    path = write(tmp_path, policy_of(RAISING))
    code, out, _ = audit(monkeypatch, capsys, path, tmp_path)
    assert code == 1
    assert "failed: runs" in out
    assert read_json(tmp_path / "out" / "audit.json")["measured"] is None
    assert "mend the error" in (tmp_path / "out" / "audit.md").read_text()
    assert not (tmp_path / "out" / "factoid").exists()


def test_what_the_measured_runs_say_counts(tmp_path, monkeypatch, capsys):
    ended = {"cell": "c", "failed": ["2 of 2 samples: ZeroDivisionError: no luck"]}
    monkeypatch.setattr(measure, "measured", lambda setup: ended)
    monkeypatch.setattr("skipbench.audit.contract.contract", lambda bench: [])
    code, out, _ = audit(monkeypatch, capsys, write(tmp_path, GOOD), tmp_path)
    assert code == 1
    assert "failed: runs to the end" in out
    assert "ZeroDivisionError: no luck" in out


@pytest.mark.slow
def test_an_error_that_comes_late_fails_and_is_named(tmp_path, monkeypatch, capsys):
    for name, value in {"PROMPTS": 1, "STEPS": 4, "FORCED": 40, "TIMED": 2}.items():
        monkeypatch.setattr(measure, name, value)
    monkeypatch.setattr(measure, "_controls", lambda setup, own: {"reason": "left out here"})
    late = "    def skip(self, site, x):\n        1 / (35 - site.step)\n"
    path = write(tmp_path, GOOD.replace("    def skip(self, site, x):\n", late))
    code, out, err = audit(monkeypatch, capsys, path, tmp_path, "--limit", "2")
    assert code == 1, err
    assert "failed: runs to the end" in out
    assert "2 of 2 samples: ZeroDivisionError" in out
    assert read_json(tmp_path / "out" / "audit.json")["passed"] is False
    assert "ZeroDivisionError" in (tmp_path / "out" / "audit.md").read_text()


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ('kv: str = "full"', 'kv: str = "banana"', "'banana' is not one of full, project"),
        ("count: int = 3", "count: int = 3\n    unit = 'row'", "'row' is not one of ffn"),
        ('Knob("count"', 'Knob("cuont"', "'cuont' is not one of phase, kv"),
        ('"ffn"', '"mlp"', "'mlp' is not one of ffn, attn, block"),
        ("counts_up_to(num_layers - 1)", "()", "give numbers, at least one"),
        (
            "return Knob(",
            "return self.nope(",
            "knob() of the policy cannot be used (AttributeError",
        ),
    ],
)
def test_what_a_policy_says_of_itself_is_checked(tmp_path, monkeypatch, capsys, good, bad, told):
    assert good in GOOD
    path = write(tmp_path, GOOD.replace(good, bad))
    code, out, err = audit(monkeypatch, capsys, path, tmp_path, "--skip", "0.2")
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.strip().split("\n")) == 1


def test_a_knob_the_wrong_way_round_is_found(llama, tmp_path):
    turned = GOOD.replace("counts_up_to(num_layers - 1)", "counts_up_to(num_layers - 1)[::-1]")
    assert "to 0 half-blocks" in failed(llama, tmp_path, turned)["more of the knob skips more"]


@pytest.mark.slow
def test_another_model_and_calibration(tmp_path, monkeypatch, capsys, model_dirs):
    path = write(tmp_path, GOOD)
    code, _, err = audit(
        monkeypatch, capsys, path, tmp_path, "--model", str(model_dirs["qwen3"]), "--limit", "4"
    )
    assert code == 0, err
    assert "dense itself answers 0.0 % right" in (tmp_path / "out" / "audit.md").read_text()
    code, _, err = audit(monkeypatch, capsys, path, tmp_path, "--skip", "0.3", "--limit", "12")
    assert code == 0, err
    found = read_json(tmp_path / "out" / "audit.json")
    assert found["fields"]["count"] != 3
    assert found["measured"]["summary"]["skip"]["ffn"] == pytest.approx(0.3, abs=0.07)
