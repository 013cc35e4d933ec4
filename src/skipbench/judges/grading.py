"""Replies of a cell -> questions to a judge -> scores. Knows nothing of how a judge works."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import krippendorff
import numpy as np

from skipbench.judges.base import Bill, Judge, Question, Verdict
from skipbench.records import Sample, Score

SUMMARY_AXES = ("coherence", "consistency", "fluency", "relevance")
NEEDS_REFERENCE = ("math", "reasoning", "coding")  # as FastChat's llm_judge has it
MODES = ("single", "pairwise", "summary")


@dataclass(frozen=True, kw_only=True)
class Graded:
    """Scores to be written, and what the summary says of the judge."""

    scores: list[Score]
    judge: dict[str, Any]


def questions(
    mode: str,
    samples: Sequence[Sample],
    replies: Mapping[str, Sequence[str]],
    dense: Mapping[str, Sequence[str]],
    rubric: str | None = None,
) -> Iterator[Question]:
    """What to ask, a turn at a time, of all samples that have replies."""
    for sample in samples:
        for turn, answer in enumerate(replies.get(sample.sample_id, ())):
            base = Question(
                sample_id=sample.sample_id,
                turn=turn,
                rubric=rubric or "single",
                fields={"question": _dialogue(sample, replies, turn), "answer": answer},
                truth=tuple(sample.references[turn]) if turn < len(sample.references) else (),
            )
            if mode == "single":
                yield _with_reference(base, sample, rubric)
            elif mode == "summary":
                yield replace(base, rubric=rubric or "summary", axes=SUMMARY_AXES)
            elif turn < len(dense.get(sample.sample_id, ())):
                yield from _both_orders(base, dense[sample.sample_id][turn], rubric)


def _dialogue(sample: Sample, replies: Mapping[str, Sequence[str]], turn: int) -> str:
    """The conversation up to the turn that is graded; earlier replies are the model's own."""
    lines = []
    for earlier in range(turn):
        lines.append(f"[user] {sample.turns[earlier]}")
        lines.append(f"[assistant] {replies[sample.sample_id][earlier]}")
    return "\n".join([*lines, f"[user] {sample.turns[turn]}"]) if lines else sample.turns[turn]


def _with_reference(question: Question, sample: Sample, rubric: str | None) -> Question:
    question = replace(question, untrusted=("answer", "question"))
    if not question.truth:
        return question
    fields = {**question.fields, "reference": question.truth[0]}
    needed = sample.meta.get("category") in NEEDS_REFERENCE or sample.meta.get("form") == "dialogue"
    named = rubric or ("single_reference" if needed else "single")
    return replace(question, fields=fields, rubric=named)


def _both_orders(base: Question, other: str, rubric: str | None) -> Iterator[Question]:
    """The method is B in the first and A in the second: a judge of places contradicts itself."""
    for name, a, b in (
        ("judge_pair.second", other, base.fields["answer"]),
        ("judge_pair.first", base.fields["answer"], other),
    ):
        fields = {**base.fields, "answer_a": a, "answer_b": b}
        yield replace(
            base,
            rubric=rubric or "pairwise",
            fields=fields,
            untrusted=("answer", "answer_a", "answer_b", "question"),
            choice=True,
            metric=name,
        )


def graded(judge: Judge, asked: Sequence[Question], samples: Sequence[Sample]) -> Graded:
    """Ask, and turn verdicts into scores; the mean over votes that could be read."""
    bill = Bill(model=judge.name)
    verdicts = judge.grade(asked)
    scores: list[Score] = []
    for question, votes in zip(asked, verdicts, strict=True):
        for vote in votes:
            bill.add(vote)
        scores += _scores(question, votes, judge.name)
    scores += _pairs(scores, judge.name)
    told = {**vars(bill), "agreement": _alpha(verdicts)}
    firsts = [s.value for s in scores if s.metric == "judge_position_bias" and s.value is not None]
    if firsts:
        told["position_bias"] = float(np.mean(firsts))
    return Graded(scores=scores, judge=told)


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


def _pairs(scores: Sequence[Score], name: str) -> Iterator[Score]:
    """Wins over dense from both orders: contradictory verdicts are a tie, and told as such."""
    by: dict[tuple[str, int], dict[str, Score]] = {}
    for score in scores:
        if score.metric.startswith("judge_pair."):
            by.setdefault((score.sample_id, score.turn), {})[score.metric[11:]] = score
    for (sample_id, turn), two in by.items():
        second, first = two["second"].value, two["first"].value
        reason = two["second"].reason or two["first"].reason
        win = bias = consistent = None
        if second is not None and first is not None:
            won = second, 1 - first  # how far the method was preferred in each order
            consistent = float(won[0] == won[1])
            win = won[0] if consistent else 0.5
            bias = (second + first) / 2  # 0: always the first place, 1: always the second
        for metric, value in (
            ("judge_win", win),
            ("judge_consistent", consistent),
            ("judge_position_bias", bias),
        ):
            yield Score(sample_id=sample_id, turn=turn, metric=metric, value=value,
                        reason=reason if value is None else None, judge=name)  # fmt: skip


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
