"""A corruption ladder: how well does a judge see what is known to be wrong?

Good answers are damaged at known rates, with loops or with swapped entities, and graded like any
others. A judge worth believing grades lower the more is damaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from scipy import stats

from skipbench.judges.base import Judge, Question

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


def ladder(
    judge: Judge, questions: Sequence[Question], names: Sequence[str], seed: int = 0
) -> tuple[list[Rung], dict[str, float]]:
    """Rungs for both kinds of damage, and Spearman's correlation of rate and grade for each.

    `questions` hold good answers. The correlation is over single grades; -1 is a perfect judge.
    """
    rungs: list[Rung] = []
    sensitivity: dict[str, float] = {}
    for damage in ("loop", "swap"):
        rates: list[float] = []
        grades: list[float] = []
        for rate in RATES:
            rng = Random(f"{seed}:{damage}:{rate}")
            asked = []
            for number, question in enumerate(questions):
                answer = question.fields["answer"]
                hit = (number + 0.5) / len(questions) < rate
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
