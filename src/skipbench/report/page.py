"""One self-contained HTML page: what was compared, all cells, and samples beside their dense twin."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from skipbench.report.cells import CellData
from skipbench.report.files import write_text
from skipbench.report.samples import Chosen, Pool, embedded, gather
from skipbench.report.text import HEADLINE, interval, p_value, percent, shown

Json = dict[str, Any]
_HERE = Path(__file__).parent
_RATIOS = {
    "ffn": "FFN skipped",
    "attn": "Attn. skipped",
    "block": "Block skipped",
    "weight_bytes": "Bytes saved",
}
_FIRST = ("accuracy", "hallucination_rate", "collapse_rate")
_STATUSES = ("complete", "partial", "failed", "nothing_skipped")


def write_page(
    cells: Sequence[CellData],
    figures: Path,
    out: Path,
    provenance: str,
    samples_per_cell: int = 40,
) -> Path:
    """Write `out/report.html` and return its path.

    It needs nothing but itself: style, script, samples and the PNG files of `figures` are inside.
    The same cells and figures give the same bytes. Raises BadInput where a file of a cell is broken.
    """
    pool = Pool()
    found = {one.cell.directory: (one, made) for one, made in gather(cells, samples_per_cell, pool)}
    order = [*_FIRST, *(m for m in HEADLINE if m not in _FIRST)]
    metrics = [m for m in order if any(m in cell.summary["metrics"] for cell in cells)]
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    samples = {cell.directory.name: found[cell.directory][1] for cell in cells}
    html = environment.get_template("page.html").render(
        overview=_overview(cells),
        floors=_floors(cells),
        figures=[_figure(path) for path in sorted(figures.glob("*.png"))],
        metrics=[HEADLINE[m][0].upper() + HEADLINE[m][1:] for m in metrics],
        lead=sum(m in _FIRST for m in metrics),
        ratios=_RATIOS,
        rows=[_row(found[cell.directory][0], metrics) for cell in cells],
        choices={key: _distinct(_facts(cell)[key] for cell in cells) for key in _facts(cells[0])},
        provenance=provenance,
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=embedded({"texts": pool.texts, "cells": samples}),
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.html"
    write_text(path, html.encode("utf-8", "replace").decode())
    return path


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _facts(cell: CellData) -> dict[str, str]:
    """What cells are filtered by."""
    summary = cell.summary
    return {
        "task": cell.title,
        "model": summary["model"],
        "method": summary["method"],
        "status": summary["status"].replace("_", " "),
    }


def _overview(cells: Sequence[CellData]) -> Json:
    facts = [_facts(cell) for cell in cells]
    statuses = Counter(cell.summary["status"] for cell in cells)
    order = [*_STATUSES, *sorted(statuses.keys() - set(_STATUSES))]
    manifests = [cell.manifest for cell in cells]
    models = {
        fact["model"]: f"{fact['model']} ({manifest.get('num_layers', '?')} blocks)"
        for fact, manifest in zip(facts, manifests, strict=True)
    }
    return {
        "tiny": "tiny" in models,
        "only_tiny": list(models) == ["tiny"],
        "statuses": {name.replace("_", " "): statuses[name] for name in order},
        "cells": len(cells),
        "facts": {
            "Models": list(models.values()),
            "Tasks": _distinct(fact["task"] for fact in facts),
            "Methods": _distinct(fact["method"] for fact in facts),
            "Hardware": _distinct(_hardware(manifest) for manifest in manifests),
            "Numerics": _distinct(_numerics(manifest) for manifest in manifests),
            "Versions": _distinct(_versions(manifest) for manifest in manifests),
        },
    }


def _hardware(manifest: Json) -> str:
    known = dict(manifest.get("hardware") or {})
    named = [str(known.pop(key)) for key in ("gpu", "cpu") if known.get(key)]
    return ", ".join([*named, *(f"{key} {value}" for key, value in known.items() if value)])


def _numerics(manifest: Json) -> str:
    decides = manifest["decides"]
    keys = {
        "dtype": "{}",
        "device": "on {}",
        "attention": "{} attention",
        "batch_size": "batches of {}",
    }
    return ", ".join(form.format(decides[key]) for key, form in keys.items() if key in decides)


def _versions(manifest: Json) -> str:
    named = [f"{name} {version}" for name, version in (manifest.get("versions") or {}).items()]
    git = manifest.get("git") or {}
    if git.get("commit"):
        named.append(f"commit {git['commit'][:12]}{' with changes' if git.get('dirty') else ''}")
    return ", ".join(named)


def _floors(cells: Sequence[CellData]) -> list[Json]:
    """Each noise floor once: how far dense differs from itself at another batch size."""
    made: dict[tuple[str, ...], Json] = {}
    for cell in cells:
        floor = cell.summary.get("noise_floor")
        if floor:
            moved = sum(
                count
                for before, row in floor["transitions"].items()
                for after, count in row.items()
                if after != before
            )
            replies = sum(sum(row.values()) for row in floor["transitions"].values())
            made.setdefault(
                (*cell.key, floor["fingerprint"], cell.summary.get("twin", "")),
                {
                    "title": cell.title,
                    "model": cell.summary["model"],
                    "batch_size": floor["batch_size"],
                    "moved": f"{moved} of {replies}" if replies else "no outcomes",
                    "differences": {
                        HEADLINE[m]: _paired(floor["paired"][m], m)
                        for m in HEADLINE
                        if m in floor["paired"]
                    },
                },
            )
    return list(made.values())


def _figure(path: Path) -> Json:
    octets = base64.b64encode(path.read_bytes()).decode()
    return {"name": path.stem.replace("_", " "), "uri": f"data:image/png;base64,{octets}"}


def _row(chosen: Chosen, metrics: Sequence[str]) -> Json:
    """One line of the table of cells, every number formatted with what it rests on."""
    cell, summary = chosen.cell, chosen.cell.summary
    skip, decides = summary["skip"], cell.manifest["decides"]
    return {
        "id": cell.directory.name,
        "facts": _facts(cell),
        "label": cell.label,
        "set": f"batches of {decides.get('batch_size', '?')}, seed {_seed(cell)}",
        "status": summary["status"].replace("_", " "),
        "reason": _reason(summary),
        "unit": skip.get("unit") or "",
        "phase": "" if summary["method"] == "dense" else _phase(cell),
        "asked": {"text": percent(skip.get("requested")), "sort": skip.get("requested")},
        "executed": {
            key: {"text": percent(skip.get(key)), "sort": skip.get(key)} for key in _RATIOS
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
    return "; ".join(f"{count} × {reason}" for reason, count in errors.items())[:300]


def _metric(chosen: Chosen, metric: str) -> Json | None:
    """None where the cell does not have the metric."""
    summary = chosen.cell.summary
    found = summary["metrics"].get(metric)
    if found is None:
        return None
    reasons = chosen.reasons.get(metric)
    return {
        "text": shown(metric, found["value"]),
        "sort": found["value"],
        "interval": interval(found["low"], found["high"], metric),
        "n": found["n"],
        "unscored": found["unscored"],
        "reason": "; ".join(f"{n} × {why}" for why, n in reasons.most_common(3)) if reasons else "",
        "paired": _paired(summary["paired"][metric], metric)
        if metric in summary["paired"]
        else None,
    }


def _paired(found: Json, metric: str) -> Json:
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
