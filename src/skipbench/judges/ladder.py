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

from skipbench.judges.base import Bill, Judge, Question, Verdict
from skipbench.judges.grading import questions
from skipbench.records import Sample

_NAME = re.compile(r"\b[A-Z][\w’-]+(?: [A-Z][\w’-]+)*|\b\d[\d,.]*\d\b")
DAMAGES = ("loop", "swap")
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
    """The text with its last name or value of the pool replaced by another of the pool; as it is where
    there is none, or no other."""
    present = [name for name in names if name in text]
    if not present:
        return text
    old = max(present, key=text.rfind)
    others = [name for name in names if name != old]
    if not others:
        return text
    new = rng.choice(others)
    at = text.rfind(old)
    return text[:at] + new + text[at + len(old) :]


def names_in(answers: Sequence[str]) -> list[str]:
    """What can be swapped between answers: capitalised names, numbers, and each answer's last word."""
    found = {match for answer in answers for match in _NAME.findall(answer)}
    last = {words[-1].strip(".,;:!?\"'") for answer in answers if (words := answer.split())}
    return sorted(name for name in found | last if name)


def damaged(
    asked_of: Sequence[Question], names: Sequence[str], damage: str, seed: int = 0
) -> list[tuple[Question, Question]]:
    """(good, damaged) of all answers that this damage changes."""
    pairs = []
    for number, question in enumerate(asked_of):
        rng = Random(f"{seed}:{damage}:{number}")
        answer = question.fields["answer"]
        change = looped(answer, rng) if damage == "loop" else swapped(answer, names, rng)
        if change != answer:
            new = {"answer": change, f"answer_{question.turn + 1}": change}
            pairs.append((question, replace(question, fields={**question.fields, **new})))
    return pairs


def ladder(
    judge: Judge,
    asked_of: Sequence[Question],
    names: Sequence[str],
    seed: int = 0,
    bill: Bill | None = None,
) -> tuple[list[Rung], dict[str, float]]:
    """Rungs for both kinds of damage, and Spearman's correlation of rate and grade for each.

    `asked_of` holds good answers. The correlation is over single grades; -1 is a perfect judge.
    Each answer is graded once as it is and once with each damage; rungs are put together from that.
    """
    rungs: list[Rung] = []
    sensitivity: dict[str, float] = {}

    def grades_of(asked: Sequence[Question]) -> list[float | None]:
        verdicts = judge.grade(asked) if asked else []
        for votes in verdicts if bill is not None else ():
            for vote in votes:
                bill.pay(vote)  # type: ignore[union-attr]
        return [_grade(votes) for votes in verdicts]

    whole = dict(zip(map(id, asked_of), grades_of(asked_of), strict=True))
    for damage in DAMAGES:
        pairs = damaged(asked_of, names, damage, seed)
        broken = grades_of([bad for _, bad in pairs])
        rates: list[float] = []
        grades: list[float] = []
        for rate in RATES if pairs else ():
            mixed = [
                broken[i] if (i + 0.5) / len(pairs) < rate else whole[id(good)]
                for i, (good, _) in enumerate(pairs)
            ]
            known = [grade for grade in mixed if grade is not None]
            mean = float(np.mean(known)) if known else None
            rungs.append(Rung(damage, rate, mean, len(mixed), len(mixed) - len(known)))
            rates += [rate] * len(known)
            grades += known
        if len(set(grades)) > 1:
            found: Any = stats.spearmanr(rates, grades)
            sensitivity[damage] = float(found.statistic)
    return rungs, sensitivity


def _grade(votes: Sequence[Verdict]) -> float | None:
    read = [float(np.mean(list(vote.values.values()))) for vote in votes if vote.values]
    return float(np.mean(read)) if read else None


def good_answers(mode: str, samples: Sequence[Sample], rubric: str | None) -> list[Question]:
    """Questions about the references of samples that have one for every turn."""
    good = {
        s.sample_id: [references[0] for references in s.references]
        for s in samples
        if s.references and all(s.references)
    }
    alone = "single" if mode == "pairwise" else mode  # no pairs here, nor a rubric for them
    return list(questions(alone, samples, good, {}, None if mode == "pairwise" else rubric))


def all_asked(mode: str, samples: Sequence[Sample], rubric: str | None) -> list[Question]:
    """Everything that the ladder asks, for its price."""
    good = good_answers(mode, samples, rubric)
    names = names_in([q.fields["answer"] for q in good])
    return good + [bad for damage in DAMAGES for _, bad in damaged(good, names, damage)]


def climb(
    judge: Judge, mode: str, samples: Sequence[Sample], rubric: str | None, bill: Bill
) -> dict[str, Any]:
    """The ladder over the references of a cell's samples, for the summary: what `judge` is worth.

    `n` says how many turns were graded; what that took is added to `bill`.
    """
    asked = good_answers(mode, samples, rubric)
    if not asked:
        return {"n": 0, "reason": "no sample has references to damage"}
    names = names_in([q.fields["answer"] for q in asked])
    rungs, sensitivity = ladder(judge, asked, names, bill=bill)
    return {"n": len(asked), "rungs": [vars(rung) for rung in rungs], "sensitivity": sensitivity}
