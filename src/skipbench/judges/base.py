"""What a judge is asked, what it answers, and how its answer is read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from skipbench.judges.rubric import Rubric
from skipbench.records import BadInput

_NUMBER = r"\[\[\s*(-?\d+(?:\.\d+)?)\s*\]\]"
UNREADABLE = ("no_verdict", "out_of_range")
_CHOICE = re.compile(r"\[\[\s*([ABC])\s*\]\]")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One thing to grade: `fields` fill the rubric. `axes` empty: one number; `choice`: A, B or C.

    `truth`: accepted replies, for judges that compare instead of read. Fields that hold what a
    model wrote are named in `untrusted`.
    """

    sample_id: str
    turn: int
    rubric: str
    fields: dict[str, str]
    untrusted: tuple[str, ...] = ("answer",)
    axes: tuple[str, ...] = ()
    choice: bool = False
    low: float = 1.0
    high: float = 10.0
    truth: tuple[str, ...] = ()
    metric: str = "judge_score"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`values`: axis (or "") -> number; None is unscored, for `reason`. `text`: the raw reply.

    `called`: asked by this command; `cached`: by an earlier one. Cost and tokens are those of the
    reply, whoever asked for it.
    """

    values: dict[str, float] | None
    reason: str | None = None
    text: str = ""
    called: bool = False
    cached: bool = False
    cost_usd: float = 0.0
    tokens: tuple[int, int] = (0, 0)


@dataclass
class Bill:
    """What judging took, for the summary.

    `calls` and `cost_now_usd` are this command's; `cost_usd` and tokens are those of all replies in
    use, earlier commands' too. The ladder's are in them, but not in the counts of what was scored.
    """

    model: str
    calls: int = 0
    cached: int = 0
    scored: int = 0
    unscored: int = 0
    cost_usd: float = 0.0
    cost_now_usd: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def pay(self, verdict: Verdict) -> None:
        self.calls += verdict.called
        self.cached += verdict.cached
        self.cost_usd += verdict.cost_usd
        self.cost_now_usd += verdict.cost_usd if verdict.called else 0.0
        self.tokens_in += verdict.tokens[0]
        self.tokens_out += verdict.tokens[1]

    def add(self, verdict: Verdict) -> None:
        self.pay(verdict)
        if verdict.values is not None:
            self.scored += 1
            return
        self.unscored += 1
        reason = verdict.reason or "unknown"
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def told(self) -> dict[str, Any]:
        """`parse_failure_rate`: share of whole replies that no verdict could be read from."""
        unread = sum(self.reasons.get(reason, 0) for reason in UNREADABLE)
        whole = self.scored + unread
        asked = self.calls + self.cached > 0  # rules give no replies
        return {**vars(self), "parse_failure_rate": unread / whole if asked and whole else None}


@runtime_checkable
class Judge(Protocol):
    name: str
    votes: int

    def grade(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        """For each question, one verdict a vote. Failures are verdicts without values."""
        ...


def filled(question: Question, rubric: Rubric) -> str:
    """The rubric with its fields, in one pass, so that a field cannot bring a field of its own."""
    ready = {
        key: neutralised(value) if key in question.untrusted else value
        for key, value in question.fields.items()
    }
    missing = rubric.fields - ready.keys()
    if missing:
        raise BadInput(f"judge rubric {question.rubric!r} asks for {sorted(missing)[0]!r}, which "
                       f"this task does not give; it gives {', '.join(sorted(ready))}")  # fmt: skip
    return re.sub(r"{(\w+)}", lambda match: ready[match[1]], rubric.template)


def neutralised(text: str) -> str:
    """What a model wrote, unable to end its block or to be read as a verdict."""
    text = re.sub(r"\[(?=\[)|\](?=\])", lambda match: match[0] + " ", text)
    text = re.sub(r"(<\||\[)(?=\s*The\s+(?:Start|End)\s+of)", r"\1 ", text, flags=re.IGNORECASE)
    return re.sub(r"<(?=\s*/?\s*(?:answer|reply|summary|question|reference|source))", "< ", text,
                  flags=re.IGNORECASE)  # fmt: skip


def read_verdict(question: Question, text: str) -> dict[str, float] | str:
    """The last verdict of a reply, bound to the range asked for; else the reason it has none."""
    if question.choice:
        found = _CHOICE.findall(text)
        return {"": {"A": 0.0, "C": 0.5, "B": 1.0}[found[-1]]} if found else "no_verdict"
    values: dict[str, float] = {}
    for axis in question.axes or ("",):
        pattern = rf"\b{re.escape(axis)}\b\W*?{_NUMBER}" if axis else _NUMBER
        numbers = re.findall(pattern, text, flags=re.IGNORECASE)
        if not numbers:
            return "no_verdict"
        value = float(numbers[-1])
        if not question.low <= value <= question.high:
            return "out_of_range"
        values[axis] = value
    return values
