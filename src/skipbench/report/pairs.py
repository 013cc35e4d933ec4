"""Which of two methods is better: paired differences to the matched controls, and among methods."""

from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skipbench.metrics.stats import holm, paired_difference
from skipbench.report.captions import caption
from skipbench.report.cells import CellData
from skipbench.report.entries import asked_entry, difference_entries, name_entry, unit_of
from skipbench.report.groups import (
    Group,
    Read,
    asked_of,
    executed,
    failed,
    fingerprint,
    phase_of,
)
from skipbench.report.tables import Entry, Number, Row, Table
from skipbench.report.text import HEADLINE, graded, percent

_MATCHED = ("replay", "static_matched", "ffnskip_random")
_CLUSTERS = 2000  # more are merged into as many: a coarser permutation is still a valid one
_GRADES = 9.0  # width of the scale of grades, 1 to 10
Pair = tuple[CellData, CellData]
Json = dict[str, Any]


def pair_table(group: Group, reads: dict[Path, Read], provenance: str) -> Table | None:
    """A row for each pair that can be compared; None where a group has none."""
    found = pairs_of(group)
    if not found:
        return None
    measured = [_measured(pair, reads, group.primary) for pair in found]
    known = [each["p"] for each in measured if each["n"]]
    adjusted = iter(holm(known))
    rows = [
        _row(pair, each, next(adjusted) if each["n"] else None, group)
        for pair, each in zip(found, measured, strict=True)
    ]
    name = HEADLINE.get(group.primary, group.primary)
    return Table(
        name=f"table_pairs_{group.slug}",
        title=f"Method against method: {group.title}",
        caption=caption(
            group,
            f"Paired differences of {name}, each method minus what it is compared with",
            "Above 0 the first is better. Controls: those made from a method's own cell, and random "
            "skipping (in the prefill too, where it says both); methods: of equal unit and phase; all "
            "at the same request. Brackets: 95 % intervals over the replies that both have scored, "
            "clustered by entity or question. Asterisk: p < "
            f"0.05, Holm over the {len(known)} tests of this table. Dagger: executed more than 5 points "
            "off its request: such a row compares amounts as well. MDE: difference that so many "
            "samples show with 80 % power. p NI: of a loss of the margin or more.",
        ),
        columns=(
            *("method", "compared with", "asked, %", "executed, %"),
            f"Δ {name}{'' if graded(group.primary) else ', points'}",
            *("p", "n", "unscored"),
        ),
        keys=3,
        rows=tuple(rows),
        provenance=provenance,
    )


def pairs_of(group: Group) -> list[Pair]:
    """Each method with its controls, then methods of equal unit and phase; at equal requests."""
    asked = [(cell, asked_of(cell, group.cells)) for cell in group.skipping]
    made: list[Pair] = []
    for request in sorted({ratio for _, ratio in asked if ratio is not None}):
        block = [cell for cell, ratio in asked if ratio == request]
        controls = [cell for cell in block if cell.summary["method"] in _MATCHED]
        methods = [cell for cell in block if cell not in controls]
        made += [(m, c) for m in methods for c in controls if _controls(c, m, group)]
        made += [(a, b) for a, b in combinations(methods, 2) if _alike(a, b)]
    return made


def _alike(a: CellData, b: CellData) -> bool:
    return unit_of(a) == unit_of(b) and phase_of(a) == phase_of(b)


def _controls(control: CellData, method: CellData, group: Group) -> bool:
    """A control made from a cell belongs to that cell; random skipping to all of its unit, though
    it is run in the prefill as well, as the paper does."""
    source = control.manifest["decides"].get("method", {}).get("cell")
    if source and any(fingerprint(cell) == Path(str(source)).name for cell in group.cells):
        return fingerprint(method) == Path(str(source)).name
    named = control.manifest["decides"].get("method", {}).get("source")
    return named in (None, method.summary["method"]) and unit_of(control) == unit_of(method)


def _measured(pair: Pair, reads: dict[Path, Read], metric: str) -> Json:
    """The paired difference, and how many of all replies it leaves out; `why` where there is none."""
    why = next((f"{c.summary['method']}: {w}" for c in pair if (w := failed(c))), None)
    ours, theirs = (reads[cell.directory].values for cell in pair)
    a = pd.DataFrame({"a": ours.values, "cluster": ours.clusters}, index=pd.Index(ours.ids))
    b = pd.DataFrame({"b": theirs.values}, index=pd.Index(theirs.ids))
    every = a.join(b, how="outer")
    both = every.dropna(subset=["a", "b"])
    if why is not None or both.empty:
        return {"why": why or "no reply is scored in both", "n": 0, "unscored": len(every)}
    margin = float(pair[0].manifest["config"].get("margin") or 0.02)
    found = paired_difference(
        both["a"].tolist(),
        both["b"].tolist(),
        _merged(both["cluster"].to_numpy()),
        margin * (_GRADES if graded(metric) else 1.0),
    )
    told = {
        k: None if isinstance(v, float) and np.isinf(v) else v for k, v in asdict(found).items()
    }
    return {**told, "unscored": len(every) - len(both)}


def _merged(clusters: np.ndarray) -> list[str]:
    names, place = np.unique(clusters, return_inverse=True)
    if len(names) > _CLUSTERS:
        place = np.random.default_rng(0).integers(0, _CLUSTERS, len(names))[place]
    return place.tolist()


def _row(pair: Pair, found: Json, adjusted: float | None, group: Group) -> Row:
    method, other = pair
    metric, asked = group.primary, asked_of(method, group.cells)
    if found["n"]:
        origin = f"{fingerprint(method)} minus {fingerprint(other)} {metric}"
        made = difference_entries(found, metric, adjusted, origin)
        if adjusted is not None and adjusted < 0.05:
            made[0] = replace(made[0], mark="*")
    else:
        made = [Entry(text=found["why"]), Entry(text="–")]
    counts = [Entry(text=str(found[k]), numbers=(_number(found[k]),)) for k in ("n", "unscored")]
    return Row(
        entries=(
            *(name_entry(cell) for cell in pair),
            asked_entry(pair, group),
            _executed(pair),
            *made,
            *counts,
        ),
        block=str(asked),
        facts={
            "asked": asked,
            "fingerprint": fingerprint(method),
            "other": fingerprint(other),
            "metric": metric,
        },
    )


def _number(value: int) -> Number:
    return Number("value", value, str(value))


def _executed(pair: Pair) -> Entry:
    """What both skipped of their unit; where they differ, so does more than the method."""
    shares = [executed(cell, unit_of(cell)) for cell in pair]
    numbers = [Number(n, s, percent(s)) for n, s in zip(("value", "other"), shares, strict=True)]
    return Entry(text=" / ".join(map(percent, shares)), numbers=tuple(numbers))
