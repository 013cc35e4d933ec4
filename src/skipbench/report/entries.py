"""Entries that several tables share: a method's name, a metric, a paired difference."""

from collections.abc import Sequence
from typing import Any

from skipbench.report.cells import CellData
from skipbench.report.groups import Group, asked_of, executed, fingerprint, label_of, phase_of
from skipbench.report.tables import Entry, Number
from skipbench.report.text import count, interval, p_value, percent, shown

_FAIR = 0.05  # further from its request than this, a cell is compared with nothing in its block


def facts(cell: CellData, asked: float | None) -> dict[str, Any]:
    """What the CSV tells of a row beside its entries."""
    return {
        "asked": asked,
        "phase": phase_of(cell),
        "status": cell.summary["status"],
        "fingerprint": fingerprint(cell),
    }


def name_entry(cell: CellData) -> Entry:
    """The method, and under it what was changed of it."""
    method, _, changed = label_of(cell).partition(" ")
    return Entry(text=method.rstrip(","), small=changed)


def unit_of(cell: CellData) -> str:
    """What a request counts: FFNs, attentions or whole blocks."""
    return cell.summary["skip"].get("unit") or "ffn"


def missed(cell: CellData, asked: float | None) -> bool:
    """Whether what was executed is not what was asked for: no fair member of its block."""
    made = executed(cell, unit_of(cell))
    return asked is not None and made is not None and abs(made - asked) > _FAIR


def asked_entry(cells: Sequence[CellData], group: Group) -> Entry:
    """What cells of one request asked for, of which unit, and in which phase. In parentheses: what
    the source of a control asked for. A dagger: one of them executed something else."""
    cell = cells[0]
    asked, own = asked_of(cell, group.cells), cell.summary["skip"].get("requested")
    text = "own" if asked is None else percent(asked)
    text = f"({text})" if asked is not None and own is None else text
    text += "†" if any(missed(each, asked) for each in cells) else ""
    phases = " / ".join(dict.fromkeys(map(phase_of, cells)))
    return Entry(text=text, small=f"{unit_of(cell)}, {phases}")


def origin_of(cell: CellData, metric: str) -> str:
    """Where a number is from, for its LaTeX macro."""
    return f"{fingerprint(cell)} {metric}"


def metric_entry(
    found: dict[str, Any], metric: str, best: bool, mark: str, cell: CellData
) -> Entry:
    """Value, interval, n and unscored of one metric of a summary."""
    note = count(found["n"], found["unscored"])
    numbers = [
        Number(key, found[key], shown(metric, found[key])) for key in ("value", "low", "high")
    ]
    numbers += [Number(key, found[key], str(found[key])) for key in ("n", "unscored")]
    if found["value"] is None:
        return Entry(
            text="unscored", note=note, numbers=tuple(numbers), origin=origin_of(cell, metric)
        )
    return Entry(
        text=shown(metric, found["value"]),
        small=interval(found["low"], found["high"], metric),
        note=note,
        mark=mark,
        bold=best,
        numbers=tuple(numbers),
        origin=origin_of(cell, metric),
    )


def difference_entries(
    pair: dict[str, Any], metric: str, adjusted: float | None, origin: str
) -> list[Entry]:
    """A paired difference with its interval, and its p, raw and adjusted."""
    keys = ("difference", "low", "high")
    numbers = tuple(Number(k, pair[k], shown(metric, pair[k], True)) for k in keys)
    p = (Number("p", pair["p"], p_value(pair["p"])),)
    if adjusted is not None:
        p += (Number("holm", adjusted, p_value(adjusted)),)
    told = "" if adjusted is None else f"Holm {p_value(adjusted)}"
    mde = Number("mde", pair["minimum_detectable"], shown(metric, pair["minimum_detectable"]))
    noninferior = p_value(pair["p_noninferior"])
    p += (Number("noninferior", pair["p_noninferior"], noninferior),)
    return [
        Entry(
            text=shown(metric, pair["difference"], True),
            small=interval(pair["low"], pair["high"], metric, True),
            note=f"{count(pair['n'], 0)}, MDE {shown(metric, mde.exact)}",
            numbers=(*numbers, mde),
            origin=origin,
        ),
        Entry(
            text=p_value(pair["p"]), small=told, note=f"NI {noninferior}", numbers=p, origin=origin
        ),
    ]
