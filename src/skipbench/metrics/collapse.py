"""Degenerate replies: detectors that look at the text and the emitted ids alone.

Each detector answers for one kind of collapse; a reply has collapsed if any of them fires. Made for
replies of 8 to 1,024 tokens. The limits below were chosen on one half of texts that invite false
alarms (lists, code, tables, poems, long answers) and of planted collapse, and are measured on the
other half (`scripts/detector_report.py`).
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = (
    "empty",
    "immediate_stop",
    "never_stopped",
    "token_run",
    "loop",
    "low_diversity",
    "prompt_echo",
    "garbage",
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A loop counts if it fills `loop_share` of the reply, or `tail_words` words at its end.

    `repeated_trigrams`: share of word trigrams that occurred before (seq-rep-3, Welleck et al.
    2019), from `diversity_words` words on. `echo_share`: of the reply, in one run copied from the
    prompt. `junk_share`: of words that no language has.
    """

    copies: int = 3
    loop_share: float = 0.35
    tail_words: int = 8
    repeated_trigrams: float = 0.45
    diversity_words: int = 24
    echo_words: int = 8
    echo_share: float = 0.8
    junk_share: float = 0.25
    junk_words: int = 4


@dataclass(frozen=True)
class Loop:
    """`onset`: index of the first repeated unit; `period`: its length; `copies`: how often."""

    onset: int
    period: int
    copies: int
    length: int


@dataclass(frozen=True)
class Collapse:
    """`fired`: kind -> yes or no. `onset_token` and `period`: of a loop of emitted ids, if any.

    `limit_cuts`: reaching the limit is told of, but is no collapse by itself.
    """

    fired: dict[str, bool] = field(default_factory=dict)
    onset_token: int | None = None
    period: int | None = None
    limit_cuts: bool = False

    @property
    def any(self) -> bool:
        told = ("never_stopped",) if self.limit_cuts else ()
        return any(value for kind, value in self.fired.items() if kind not in told)


def find_loop(units: Sequence[object], copies: int = 3, max_period: int = 64) -> Loop | None:
    """The longest stretch of `units` that repeats a block of at most `max_period` back to back.

    Time: length × max_period.
    """
    best: Loop | None = None
    for period in range(1, min(max_period, len(units) // copies) + 1):
        run = 0
        for i in range(period, len(units) + 1):
            if i < len(units) and units[i] == units[i - period]:
                run += 1
                continue
            length = run + period
            if length >= copies * period and (best is None or length > best.length):
                best = Loop(i - length, period, length // period, length)
            run = 0
    return best


def detect(
    reply: str,
    token_ids: Sequence[int],
    finish_reason: str,
    forced: bool,
    prompt: str = "",
    limits: Limits = Limits(),
    limit_cuts: bool = False,
) -> Collapse:
    """Which kinds of collapse a reply shows.

    `never_stopped` and `immediate_stop` mean nothing where the length was forced. `limit_cuts`: the
    protocol cuts replies short, so that one which reaches its limit may still be sound.
    """
    words = reply.split()
    loop = _counted(words, limits)
    ids = _counted(list(token_ids[:-1]), limits, words=False)
    found = loop or ids
    fired = {
        "empty": not words,
        "immediate_stop": finish_reason == "stop" and len(token_ids) == 1 and not forced,
        "never_stopped": finish_reason == "length" and not forced,
        "token_run": found is not None and found.period == 1,
        "loop": found is not None and found.period > 1,
        "low_diversity": _repetition(words, limits),
        "prompt_echo": _echo(words, prompt.split(), limits),
        "garbage": _garbage(words, limits),
    }
    onset = ids or (find_loop(token_ids, limits.copies) if loop is not None else None)
    return Collapse(
        fired, onset.onset if onset else None, found.period if found else None, limit_cuts
    )


def _counted(units: Sequence[object], limits: Limits, words: bool = True) -> Loop | None:
    """A loop that is long enough, in the reply or at its end, to be no figure of speech."""
    loop = find_loop(units, limits.copies)
    if loop is None or (not words and loop.length < limits.tail_words):
        return None
    share = loop.length / len(units)
    if words:
        block = [str(unit) for unit in units[loop.onset : loop.onset + loop.period]]
        if not any(re.search(r"\w{2}", word) for word in block):
            return loop if share >= 0.8 else None  # rules of tables, brackets, columns of digits
    at_end = loop.onset + loop.length >= len(units) - loop.period
    if share >= limits.loop_share or (at_end and loop.length >= limits.tail_words):
        return loop
    return None


def _repetition(words: Sequence[str], limits: Limits) -> bool:
    if len(words) < limits.diversity_words:
        return False
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(trigrams)) / len(trigrams) > limits.repeated_trigrams


def _echo(words: Sequence[str], prompt: Sequence[str], limits: Limits) -> bool:
    """The longest run of words that stands in the prompt as well, by dynamic programming."""
    if len(words) < limits.echo_words or len(prompt) < limits.echo_words:
        return False
    best, before = 0, [0] * (len(prompt) + 1)
    for word in words:
        now = [0] * (len(prompt) + 1)
        for j, other in enumerate(prompt, 1):
            if word == other:
                now[j] = before[j - 1] + 1
        best, before = max(best, *now), now
    return best >= limits.echo_words and best / len(words) >= limits.echo_share


_JUNK = re.compile(
    r"�|(?i:[bcdfghjklmnpqrstvwxz]{7,})|(?i:([a-z])\1{3,})|[A-Za-z][0-9][A-Za-z][0-9]"
)


def _garbage(words: Sequence[str], limits: Limits) -> bool:
    if len(words) < limits.junk_words:
        return False
    junk = sum(bool(_JUNK.search(word)) or _unprintable(word) for word in words)
    return junk / len(words) > limits.junk_share


def _unprintable(word: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") for c in word)
