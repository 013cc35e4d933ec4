"""Our metrics through `evaluate`, loaded by path and offline; ROUGE against its definition."""

import re
import warnings
from collections import Counter
from pathlib import Path

import pytest

import skipbench.hf_metrics

ROOT = Path(skipbench.hf_metrics.__file__).parent


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evaluate

    def loaded(name):
        return evaluate.load(str(ROOT / name), cache_dir=str(tmp_path), experiment_id=name)

    return loaded


def test_collapse(load):
    found = load("collapse").compute(
        predictions=["one two three four", "so so so so so", "", "all is well"]
    )
    assert found["collapse_rate"] == 0.5
    assert found["collapse.token_run"] == found["collapse.empty"] == 0.25
    assert found["collapse.never_stopped"] is found["collapse.immediate_stop"] is None
    found = load("collapse").compute(
        predictions=["all is well", "and so"], finish_reasons=["stop", "length"]
    )
    assert found["collapse.never_stopped"] == found["collapse_rate"] == 0.5


def test_factoid(load):
    found = load("factoid").compute(
        predictions=["Paris", "Rome", "I do not know"], references=[["paris"]] * 3
    )
    assert found["accuracy"] == found["hallucination_rate"] == pytest.approx(1 / 3)
    assert found["outcome.abstained"] == pytest.approx(1 / 3)


def _f1(shared, said, wanted):
    return 2 * shared / (said + wanted) if shared else 0.0


def _common_subsequence(a, b):
    before = [0] * (len(b) + 1)
    for x in a:
        now = [0]
        for j, y in enumerate(b, 1):
            now.append(before[j - 1] + 1 if x == y else max(before[j], now[-1]))
        before = now
    return before[-1]


def _rouge(text, reference):
    """F1 of shared n-grams, and of the longest common subsequence, of lower-case words."""
    a, b = (re.findall(r"[a-z0-9]+", one.lower()) for one in (text, reference))
    found = {"rougeL": _f1(_common_subsequence(a, b), len(a), len(b))}
    for n in (1, 2):
        one, other = (Counter(zip(*(w[i:] for i in range(n)), strict=False)) for w in (a, b))
        found[f"rouge{n}"] = _f1((one & other).total(), one.total(), other.total())
    return found


def test_rouge_equals_an_independent_computation_from_its_definition():
    """By name `evaluate`'s own rouge would need a hub."""
    from skipbench.records import Sample
    from skipbench.tasks.base import Reply
    from skipbench.tasks.summarization import Summarization

    text, reference = (
        "Ada met a cat and bought some boots.",
        "Ada bought some boots. Ada met a cat.",
    )
    sample = Sample(
        sample_id="s",
        cluster="s",
        turns=("x",),
        references=((reference,),),
        meta={"hero": "Ada", "facts": [{"type": "animal", "value": "cat"}], "length": "short"},
    )
    reply = Reply(text=text, token_ids=[], finish_reason="stop", prompt="", forced=False)
    scores = {s.metric: s.value for s in Summarization().score(sample, [reply])}
    for name, wanted in _rouge(text, reference).items():
        assert scores[name] == pytest.approx(wanted), name
        assert 0 < wanted < 1 or name == "rouge1"
