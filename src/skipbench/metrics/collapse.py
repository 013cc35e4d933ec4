"""Degenerate replies: detectors that look at the text and the emitted ids alone.

Each detector answers for one kind of collapse; a reply has collapsed if any of them fires. They are
made for replies of 8 to 1,024 tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("empty", "token_run", "loop", "never_stopped")


@dataclass(frozen=True)
class Loop:
    """`onset`: index of the first repeated unit; `period`: its length; `copies`: how often in a row."""

    onset: int
    period: int
    copies: int


def find_loop(
    units: Sequence[object], min_copies: int = 3, min_length: int = 3, max_period: int = 64
) -> Loop | None:
    """The longest stretch of `units` that repeats a block of at most `max_period` back to back.

    A single unit must come `min_copies` times; a longer block as often. Time: length × max_period.
    """
    best: Loop | None = None
    for period in range(1, min(max_period, len(units) // min_copies) + 1):
        run = 0
        for i in range(period, len(units) + 1):
            same = i < len(units) and units[i] == units[i - period]
            if same:
                run += 1
                continue
            length = run + period
            if length >= min_copies * period and length >= min_length:
                found = Loop(i - length, period, length // period)
                if best is None or length > best.period * best.copies:
                    best = found
            run = 0
    return best


def detect(
    reply: str, token_ids: Sequence[int], finish_reason: str, forced: bool
) -> dict[str, bool]:
    """Which kinds fire for a reply. `never_stopped` means nothing where the length was forced."""
    words = reply.split()
    loop = find_loop(words)
    tokens = find_loop(token_ids, min_copies=4, min_length=8) if loop is None else None
    single = any(found is not None and found.period == 1 for found in (loop, tokens))
    several = any(found is not None and found.period > 1 for found in (loop, tokens))
    return {
        "empty": not words,
        "token_run": single,
        "loop": several,
        "never_stopped": finish_reason == "length" and not forced,
    }
