"""Detectors on the half of the texts that their limits were not chosen on."""

import re

import pytest

from collapse_texts import fastchat_references, inviting, planted
from skipbench.metrics import collapse
from skipbench.records import Sample
from skipbench.tasks.base import Reply
from skipbench.tasks.factoid import Factoid
from skipbench.tasks.summarization import Summarization

HELD_OUT = 1


def fires(text: str) -> bool:
    return collapse.detect(text, [], "stop", forced=False).any


def fires_in_a_run(text: str) -> bool:
    """One id a word or mark; the prompt asks for the text by its beginning."""
    pieces = re.findall(r"\w+|[^\w\s]", text)
    ids = [*map(list(dict.fromkeys(pieces)).index, pieces), -1]
    prompt = f"Write a text that begins with: {' '.join(text.split()[:6])}"
    return collapse.detect(text, ids, "stop", False, prompt).any


def test_texts_that_invite_false_alarms():
    texts = inviting(HELD_OUT, 600)
    false = [text for text in texts if fires(text)]
    assert len(false) / len(texts) <= 0.01, false[:3]


@pytest.mark.parametrize("tokens", [16, 64, 256])
def test_planted_collapse_is_found(tokens):
    texts = planted(HELD_OUT, 400, tokens)
    missed = [(kind, text) for kind, text in texts if not fires(text)]
    assert len(missed) / len(texts) <= 0.05, missed[:3]


def test_published_references_are_no_collapse():
    references = fastchat_references()
    if not references:
        pytest.skip("FastChat's reference answers are not here (SKIPBENCH_DATA)")
    assert sum(map(fires, references)) / len(references) <= 0.01


def test_false_alarms_with_all_that_a_run_has():
    """Ids, finish reason and prompt as well: the loop of ids and the echo may not fire either."""
    texts = inviting(HELD_OUT, 300)
    false = [text for text in texts if fires_in_a_run(text)]
    assert len(false) / len(texts) <= 0.01, false[:3]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("", [1], "stop"), "immediate_stop"),
        (("", [5, 1], "stop"), "empty"),
        (("some words", [3, 4], "length"), "never_stopped"),
        (("so so so so", [7, 7, 7, 7, 1], "stop"), "token_run"),
        (("x", [4, 5, 6] * 5 + [1], "stop"), "loop"),
        (("xkcdqwrtz bvcxzqwrt plmkjhgfd qqqqqq wrtzpsdfg", [], "stop"), "garbage"),
    ],
)
def test_kinds(arguments, kind):
    assert collapse.detect(*arguments, forced=False).fired[kind]


def test_echo_of_the_prompt():
    prompt = "Please tell me which of the seven rivers in the north is longest and why"
    assert collapse.detect(prompt, [], "stop", False, prompt).fired["prompt_echo"]
    answer = "The longest of the seven rivers in the north is the Ord, by far."
    assert not collapse.detect(answer, [], "stop", False, prompt).any


def test_onset_and_period_are_those_of_the_tokens():
    found = collapse.detect("a b c", [9, 8, 7, 1, 2, 3, 1, 2, 3, 1, 2, 3, 0], "length", False)
    assert (found.onset_token, found.period) == (3, 3)


def test_sentences_of_the_source_are_no_echo_in_a_summary():
    article = " ".join(f"word{i}" for i in range(60))
    sample = Sample(
        sample_id="n", cluster="n", turns=(article,), references=(("x",),),
        meta={"form": "news", "length": "short"},
    )  # fmt: skip
    task = Summarization(data="cnn_dailymail")
    prompt = f"{task.instruction}\n\n{article}"
    for text, fired in ((" ".join(article.split()[:20]), 0.0), (task.instruction, 1.0)):
        reply = Reply(text=text, token_ids=[], finish_reason="stop", prompt=prompt, forced=False)
        scores = {s.metric: s.value for s in task.score(sample, [reply])}
        assert scores["collapse.prompt_echo"] == scores["collapse_rate"] == fired


def test_a_protocol_that_cuts_replies_makes_no_collapse_of_them():
    question = Sample(
        sample_id="q", cluster="q", turns=("Who?",), references=(("Ada",),), meta={"value": "Ada"}
    )
    for text, collapsed in (("Ada, who was born in", 0.0), ("Ada Ada Ada Ada Ada", 1.0)):
        reply = Reply(text=text, token_ids=[], finish_reason="length", prompt="", forced=False)
        scores = {s.metric: s.value for s in Factoid(data="freebaseqa").score(question, [reply])}
        assert scores["collapse.never_stopped"] == 1.0
        assert scores["collapse_rate"] == scores["outcome.collapsed"] == collapsed
    sample = Factoid().samples("eval")[0]  # the closed world's answers end by themselves
    reply = Reply(text="Well, it", token_ids=[], finish_reason="length", prompt="", forced=False)
    scores = {s.metric: s.value for s in Factoid().score(sample, [reply])}
    assert scores["collapse_rate"] == 1.0
