"""A cell as a line of the page's table: every number formatted, with what it rests on."""

from collections.abc import Sequence
from typing import Any

from skipbench.report.cells import CellData
from skipbench.report.page_samples import Chosen
from skipbench.report.text import interval, p_value, percent, shown

Json = dict[str, Any]
RATIOS = {
    "ffn": "FFN skipped",
    "attn": "Attn. skipped",
    "block": "Block skipped",
    "weight_bytes": "Bytes saved",
}


def facts(cell: CellData) -> dict[str, str]:
    """What cells are filtered by."""
    summary = cell.summary
    return {
        "task": cell.title,
        "model": summary["model"],
        "method": summary["method"],
        "status": summary["status"].replace("_", " "),
    }


def row(chosen: Chosen, metrics: Sequence[str]) -> Json:
    """One line of the table of cells, every number formatted with what it rests on."""
    cell, summary = chosen.cell, chosen.cell.summary
    skip, decides = summary["skip"], cell.manifest["decides"]
    return {
        "id": cell.directory.name,
        "facts": facts(cell),
        "label": cell.label,
        "set": f"batches of {decides.get('batch_size', '?')}, seed {_seed(cell)}",
        "status": summary["status"].replace("_", " "),
        "reason": _reason(summary),
        "unit": skip.get("unit") or "",
        "phase": "" if summary["method"] == "dense" else _phase(cell),
        "asked": {"text": percent(skip.get("requested")), "sort": skip.get("requested")},
        "executed": {
            key: {"text": percent(skip.get(key)), "sort": skip.get(key)} for key in RATIOS
        },
        "metrics": {m: _metric(chosen, m) for m in metrics},
        "speedup": _speedup(summary),
    }


def _seed(cell: CellData) -> str:
    return str((cell.manifest.get("decode") or {}).get("seed", "?"))


def _phase(cell: CellData) -> str:
    return str((cell.manifest.get("method") or {}).get("phase") or "")


def _reason(summary: Json) -> str:
    """Why a cell is not complete."""
    if summary["status"] == "nothing_skipped":
        return "skipping was asked for, and no module was left out"
    errors = summary.get("errors") or {}
    if not errors and summary["status"] != "complete":
        return "samples without a record"
    return "; ".join(f"{count} × {reason}" for reason, count in errors.items())[:300]


def _metric(chosen: Chosen, metric: str) -> Json | None:
    """None where the cell does not have the metric."""
    summary = chosen.cell.summary
    found = summary["metrics"].get(metric)
    if found is None:
        return None
    other = (summary.get("paired") or {}).get(metric)
    reasons = chosen.reasons.get(metric)
    return {
        "text": shown(metric, found["value"]),
        "sort": found["value"],
        "interval": interval(found["low"], found["high"], metric),
        "n": found["n"],
        "unscored": found["unscored"],
        "reason": "; ".join(f"{n} × {why}" for why, n in reasons.most_common(3)) if reasons else "",
        "paired": paired(other, metric) if other and other["difference"] is not None else None,
    }


def paired(found: Json, metric: str) -> Json:
    holm = found.get("p_holm")
    return {
        "text": shown(metric, found["difference"], sign=True),
        "sort": found["difference"],
        "interval": interval(found["low"], found["high"], metric, sign=True),
        "p": p_value(found["p"]),
        "holm": None if holm is None else p_value(holm),
        "n": found["n"],
    }


def _speedup(summary: Json) -> Json:
    speed = summary.get("speed") or {}
    found = speed.get("speedup")
    if found is None:
        dense = summary["method"] == "dense" and not summary.get("twin")
        reason = "the reference" if dense else speed.get("speedup_reason") or "no reason given"
        return {"text": "–", "note": reason, "sort": None}
    low, high = found["low"], found["high"]
    return {
        "text": f"{found['value']:.2f}×",
        "note": "no interval" if low is None else f"[{low:.2f}, {high:.2f}]",
        "sort": found["value"],
    }
