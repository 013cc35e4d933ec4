"""A corruption ladder: how well does a judge see what is known to be wrong?

Good answers are damaged at known rates, with loops or with swapped entities, and graded like any
others. A judge worth believing grades lower the more is damaged.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from scipy import stats

from skipbench.judges.base import Judge, Question
from skipbench.judges.grading import questions
from skipbench.records import Sample

_NAME = re.compile(r"\b[A-Z][\w’-]+(?: [A-Z][\w’-]+)*|\b\d[\d,.]*\d\b")
RATES = (0.0, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Rung:
    """Mean grade of answers of which a share `rate` was damaged; `unscored` of `n` are not in it."""

    damage: str
    rate: float
    mean: float | None
    n: int
    unscored: int


def looped(text: str, rng: Random) -> str:
    """The text, stuck from some word on."""
    words = text.split()
    start = rng.randrange(max(1, len(words) // 2))
    block = words[start : start + rng.randint(1, 4)]
    return " ".join(words[:start] + block * (2 + len(words) // max(len(block), 1)))


def swapped(text: str, names: Sequence[str], rng: Random) -> str:
    """The text with its last name or value of the pool replaced by another of the pool."""
    present = [name for name in names if name in text]
    if not present:
        return text
    old = max(present, key=text.rfind)
    new = rng.choice([name for name in names if name != old])
    at = text.rfind(old)
    return text[:at] + new + text[at + len(old) :]


def names_in(answers: Sequence[str]) -> list[str]:
    """What can be swapped between answers: capitalised names, numbers, and each answer's last word."""
    found = {match for answer in answers for match in _NAME.findall(answer)}
    last = {words[-1].strip(".,;:!?\"'") for answer in answers if (words := answer.split())}
    return sorted(name for name in found | last if name)


def ladder(
    judge: Judge, asked_of: Sequence[Question], names: Sequence[str], seed: int = 0
) -> tuple[list[Rung], dict[str, float]]:
    """Rungs for both kinds of damage, and Spearman's correlation of rate and grade for each.

    `asked_of` holds good answers. The correlation is over single grades; -1 is a perfect judge.
    """
    rungs: list[Rung] = []
    sensitivity: dict[str, float] = {}
    for damage in ("loop", "swap"):
        rates: list[float] = []
        grades: list[float] = []
        for rate in RATES:
            rng = Random(f"{seed}:{damage}:{rate}")
            asked = []
            for number, question in enumerate(asked_of):
                answer = question.fields["answer"]
                hit = (number + 0.5) / len(asked_of) < rate
                if hit:
                    change = (
                        looped(answer, rng) if damage == "loop" else swapped(answer, names, rng)
                    )
                    question = replace(question, fields={**question.fields, "answer": change})
                asked.append(question)
            values = [
                float(np.mean([np.mean(list(v.values.values())) for v in votes if v.values]))
                for votes in judge.grade(asked)
                if any(v.values for v in votes)
            ]
            mean = float(np.mean(values)) if values else None
            rungs.append(Rung(damage, rate, mean, len(asked), len(asked) - len(values)))
            rates += [rate] * len(values)
            grades += values
        if len(set(grades)) > 1:
            found: Any = stats.spearmanr(rates, grades)
            sensitivity[damage] = float(found.statistic)
    return rungs, sensitivity


def climb(judge: Judge, mode: str, samples: Sequence[Sample], rubric: str | None) -> dict[str, Any]:
    """The ladder over the references of a cell's samples, for the summary: what `judge` is worth.

    Samples without a reference for every turn are left out; `n` says how many turns were graded.
    """
    good = {
        s.sample_id: [references[0] for references in s.references]
        for s in samples
        if s.references and all(s.references)
    }
    asked = list(questions(mode, samples, good, {}, rubric))
    if not asked:
        return {"n": 0, "reason": "no sample has references to damage"}
    rungs, sensitivity = ladder(judge, asked, names_in([q.fields["answer"] for q in asked]))
    return {"n": len(asked), "rungs": [vars(rung) for rung in rungs], "sensitivity": sensitivity}
