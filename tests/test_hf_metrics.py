"""Our metrics through `evaluate`, loaded by path and offline; ROUGE against `evaluate`'s own way."""

import warnings
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


def test_rouge_is_that_of_the_package_that_evaluate_uses():
    """`evaluate`'s rouge is rouge_score with these settings; by name it would need a hub."""
    from rouge_score.rouge_scorer import RougeScorer

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
    wanted = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False).score(reference, text)
    for name in wanted:
        assert scores[name] == wanted[name].fmeasure
