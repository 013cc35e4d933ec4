"""What the scores say of single replies: outcome, kinds of collapse, and values worth a look."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from skipbench.metrics.answers import OUTCOMES
from skipbench.report.text import HEADLINE, shown

Json = dict[str, Any]
_VALUES = ("fact_recall", "rougeL", "judge_score", "reference_score")


@dataclass(frozen=True)
class Mark:
    """What the scores say of one turn. `outcome`: outcome.*, or else what accuracy says."""

    outcome: str = "unscored"
    reason: str | None = None
    collapse: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def state(self) -> tuple[str, bool]:
        return self.outcome, bool(self.collapse)


Marks = dict[int, Mark]


def marks_of(lines: Iterable[Json]) -> Marks:
    """Marks by turn, from the score lines of one sample."""
    turns: dict[int, Json] = {}
    for line in lines:
        turns.setdefault(line["turn"], {})[line["metric"]] = line
    return {turn: _mark(by) for turn, by in sorted(turns.items()) if "accuracy" in by}


def _mark(by: Mapping[str, Json]) -> Mark:
    names = [name for name in OUTCOMES if by.get(f"outcome.{name}", {}).get("value") == 1.0]
    accuracy = by["accuracy"]["value"]
    if not names and accuracy is not None:
        names = ["correct" if accuracy == 1.0 else "not correct"]
    collapse = [m.removeprefix("collapse.") for m in by if m.startswith("collapse.")]
    return Mark(
        outcome=names[0].replace("_", " ") if names else "unscored",
        reason=None if names else by["accuracy"]["reason"] or "no reason given",
        collapse=tuple(c.replace("_", " ") for c in collapse if by[f"collapse.{c}"]["value"]),
        values=tuple(
            f"{HEADLINE[m]} {'unscored' if by[m]['value'] is None else shown(m, by[m]['value'])}"
            for m in _VALUES
            if m in by
        ),
    )


def compact(scores: Iterable[Json]) -> dict[str, Marks]:
    """Marks of all samples; equal ones are kept once, so that a million is no burden."""
    same: dict[tuple[Any, ...], Marks] = {}
    found: dict[str, Marks] = {}
    for sample_id, lines in groupby(scores, key=itemgetter("sample_id")):
        marks = marks_of(lines)
        if marks:  # scores against dense and of a judge come later, in runs of their own
            found[sample_id] = same.setdefault(tuple(marks.items()), marks)
    return found
