"""Detectors on the half of the texts that their limits were not chosen on."""

import pytest

from collapse_texts import fastchat_references, inviting, planted
from skipbench.metrics import collapse

HELD_OUT = 1


def fires(text: str) -> bool:
    return collapse.detect(text, [], "stop", forced=False).any


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
