"""A judge of rules: how near a reply comes to a checkable reference. Offline and deterministic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rouge_score.rouge_scorer import RougeScorer

from skipbench.judges.base import Question, Verdict
from skipbench.metrics import answers, collapse


@dataclass(frozen=True, kw_only=True)
class ReferenceJudge:
    """10: equal to a reference. Else 1 + 8 × ROUGE-L F1 with the nearest; 1 for a collapsed reply.

    Its metric is `reference_score`: it is no opinion and is never mixed into `judge_score`.
    """

    name = "reference"
    votes = 1
    identity: ClassVar[dict[str, Any]] = {"kind": "reference", "mode": "single", "rubric": None}

    def grade(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        scorer = RougeScorer(["rougeL"], use_stemmer=False)
        return [[self._one(question, scorer)] for question in questions]

    @staticmethod
    def _one(question: Question, scorer: RougeScorer) -> Verdict:
        if not question.truth:
            return Verdict(values=None, reason="no_reference")
        said = question.fields["answer"]
        if answers.matches(said, question.truth):
            return Verdict(values={"": 10.0})
        if collapse.detect(said, [], "stop", forced=False).any:
            return Verdict(values={"": 1.0})
        near = scorer.score_multi(list(question.truth), said)["rougeL"].fmeasure
        return Verdict(values={"": 1 + 8 * near})
