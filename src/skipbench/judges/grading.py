"""Replies of a cell -> questions to a judge -> scores. Knows nothing of how a judge works."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import krippendorff
import numpy as np

from skipbench.judges.base import Bill, Judge, Question, Verdict
from skipbench.judges.rubric import digest, rubric_at
from skipbench.judges.rubric import rubric as read_rubric
from skipbench.records import Sample, Score

SUMMARY_AXES = ("coherence", "consistency", "fluency", "relevance")
NEEDS_REFERENCE = ("math", "reasoning", "coding")  # as FastChat's llm_judge has it
MODES = ("single", "pairwise", "summary")


@dataclass(frozen=True, kw_only=True)
class Graded:
    """Scores to be written, what the summary says of the judge, and what it took."""

    scores: list[Score]
    judge: dict[str, Any]
    bill: Bill


def questions(
    mode: str,
    samples: Sequence[Sample],
    replies: Mapping[str, Sequence[str]],
    dense: Mapping[str, Sequence[str]],
    rubric: str | None = None,
) -> Iterator[Question]:
    """What to ask, a turn at a time, of all samples that have replies.

    A rubric about a second turn is asked where there is one.
    """
    for sample in samples:
        said, other = replies.get(sample.sample_id, ()), dense.get(sample.sample_id, ())
        for turn in range(len(said)):
            named = None if rubric is None else rubric_at(rubric, turn)
            if named is not None and read_rubric(named).turn > turn:
                continue
            if mode == "pairwise":
                if turn < len(other):
                    yield from _both_orders(sample, said, other, turn, named)
                continue
            fields = _fields(sample, said, turn) | _answers("answer", said, turn)
            base = _question(sample, turn, named or mode, fields)
            if mode == "summary":
                yield replace(base, axes=SUMMARY_AXES)
            elif named is None and "reference" in fields and _needs_reference(sample):
                yield replace(base, rubric="single_reference")
            else:
                yield base


def _question(sample: Sample, turn: int, rubric: str, fields: dict[str, str]) -> Question:
    return Question(
        sample_id=sample.sample_id,
        turn=turn,
        rubric=rubric,
        fields=fields,
        untrusted=("question", *(name for name in fields if name.startswith("answer"))),
        truth=tuple(sample.references[turn]) if turn < len(sample.references) else (),
    )


def _fields(sample: Sample, said: Sequence[str], turn: int) -> dict[str, str]:
    """What was asked, and the references there are; numbered from 1 as FastChat's prompts have it."""
    fields = {"question": _dialogue(sample, said, turn)}
    for number, asked in enumerate(sample.turns[: turn + 1], 1):
        fields[f"question_{number}"] = asked
    for number, references in enumerate(sample.references[: turn + 1], 1):
        if references:
            fields[f"ref_answer_{number}"] = references[0]
    if turn < len(sample.references) and sample.references[turn]:
        fields["reference"] = sample.references[turn][0]
    return fields


def _answers(name: str, said: Sequence[str], turn: int) -> dict[str, str]:
    numbered = {f"{name}_{number}": text for number, text in enumerate(said[: turn + 1], 1)}
    return {name: said[turn], **numbered}


def _dialogue(sample: Sample, said: Sequence[str], turn: int) -> str:
    """The conversation up to the turn that is graded; earlier replies are the model's own."""
    lines = []
    for earlier in range(turn):
        lines.append(f"[user] {sample.turns[earlier]}")
        lines.append(f"[assistant] {said[earlier]}")
    return "\n".join([*lines, f"[user] {sample.turns[turn]}"]) if lines else sample.turns[turn]


def _needs_reference(sample: Sample) -> bool:
    return sample.meta.get("category") in NEEDS_REFERENCE or sample.meta.get("form") == "dialogue"


def _both_orders(
    sample: Sample, said: Sequence[str], dense: Sequence[str], turn: int, rubric: str | None
) -> Iterator[Question]:
    """The method is B in the first and A in the second: a judge of places contradicts itself."""
    for name, a, b in (("judge_pair.second", dense, said), ("judge_pair.first", said, dense)):
        fields = _fields(sample, said, turn)
        fields |= _answers("answer_a", a, turn) | _answers("answer_b", b, turn)
        base = _question(sample, turn, rubric or "pairwise", fields)
        yield replace(base, choice=True, metric=name)


def graded(judge: Judge, asked: Sequence[Question], samples: Sequence[Sample]) -> Graded:
    """Ask, and turn verdicts into scores; the mean over votes that could be read."""
    bill = Bill(model=judge.name)
    verdicts = judge.grade(asked)
    scores: list[Score] = []
    for question, votes in zip(asked, verdicts, strict=True):
        for vote in votes:
            bill.add(vote)
        scores += _scores(question, votes, judge.name)
    scores += _pairs(asked, verdicts, judge.name)
    told = {**bill.told(), "agreement": _alpha(verdicts)}
    firsts = [s.value for s in scores if s.metric == "judge_position_bias" and s.value is not None]
    if firsts:
        told["position_bias"] = float(np.mean(firsts))
    return Graded(scores=scores, judge=told, bill=bill)


def _scores(question: Question, votes: Sequence[Verdict], name: str) -> Iterator[Score]:
    metric = "reference_score" if name == "reference" else question.metric
    read = [vote.values for vote in votes if vote.values is not None]
    reason = None if read else next((vote.reason for vote in votes), "no vote")
    axes = question.axes or ("",)
    means = {axis: float(np.mean([v[axis] for v in read])) if read else None for axis in axes}
    for axis, value in means.items():
        if axis:
            yield Score(sample_id=question.sample_id, turn=question.turn, metric=f"judge.{axis}",
                        value=value, reason=reason, judge=name)  # fmt: skip
    known = [value for value in means.values() if value is not None]
    whole = float(np.mean(known)) if len(known) == len(means) else None
    yield Score(sample_id=question.sample_id, turn=question.turn, metric=metric,
                value=whole, reason=reason, judge=name)  # fmt: skip


def _pairs(
    asked: Sequence[Question], verdicts: Sequence[Sequence[Verdict]], name: str
) -> Iterator[Score]:
    """Wins over dense from both orders: contradictory verdicts are a tie, and told as such."""
    by: dict[tuple[str, int], dict[str, Sequence[Verdict]]] = {}
    for question, votes in zip(asked, verdicts, strict=True):
        if question.choice:
            by.setdefault((question.sample_id, question.turn), {})[question.metric[11:]] = votes
    for (sample_id, turn), two in by.items():
        second, first = (
            [vote.values[""] for vote in two[order] if vote.values is not None]
            for order in ("second", "first")
        )
        reason = next((v.reason for order in two.values() for v in order if v.reason), None)
        win = bias = consistent = None
        if second and first:
            won = _majority(second), 1 - _majority(first)  # was the method preferred, in each order
            consistent = float(won[0] == won[1])
            win = won[0] if consistent else 0.5
            bias = float(np.mean(second) + np.mean(first)) / 2  # 0: the first place, 1: the second
        for metric, value in (
            ("judge_win", win),
            ("judge_consistent", consistent),
            ("judge_position_bias", bias),
        ):
            yield Score(sample_id=sample_id, turn=turn, metric=metric, value=value,
                        reason=reason if value is None else None, judge=name)  # fmt: skip


def _majority(votes: Sequence[float]) -> float:
    """What most votes say: 0 for A, 1 for B, 0.5 for a tie or where none is ahead."""
    ahead = Counter(votes).most_common(2)
    return 0.5 if len(ahead) == 2 and ahead[0][1] == ahead[1][1] else ahead[0][0]


def identity(judge: Judge, mode: str, rubric: str | None) -> dict[str, Any]:
    """What a grade depends on beside the reply: grades of two identities are never compared."""
    return {
        "model": judge.name,
        "votes": judge.votes,
        "mode": mode,
        "rubric": digest(mode, rubric),
        **getattr(judge, "identity", {}),
    }


def _alpha(verdicts: Sequence[Sequence[Verdict]]) -> float | None:
    """Krippendorff's alpha (interval) of the votes; None for one vote or no variation."""
    if not verdicts or len(verdicts[0]) < 2:
        return None
    table = np.array(
        [
            [np.nan if v.values is None else float(np.mean(list(v.values.values()))) for v in votes]
            for votes in verdicts
        ]
    ).T
    known = table[~np.isnan(table)]
    if len(known) < 2 or len(np.unique(known)) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="interval"))
