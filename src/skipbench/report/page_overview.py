"""What a page says before its table: what was compared, on what, and how far dense is from itself."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from skipbench.report.cells import CellData
from skipbench.report.failures import Failure
from skipbench.report.page_rows import facts, paired
from skipbench.report.text import HEADLINE

Json = dict[str, Any]
_STATUSES = ("complete", "partial", "failed", "nothing_skipped")


def distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def overview(cells: Sequence[CellData], failures: Sequence[Failure] = ()) -> Json:
    known = [facts(cell) for cell in cells]
    statuses = Counter(cell.summary["status"] for cell in cells)
    statuses.update(failure.status for failure in failures)
    order = [*_STATUSES, *sorted(statuses.keys() - set(_STATUSES))]
    manifests = [cell.manifest for cell in cells]
    models = {
        fact["model"]: f"{fact['model']} ({manifest.get('num_layers', '?')} blocks)"
        for fact, manifest in zip(known, manifests, strict=True)
    }
    return {
        "tiny": "tiny" in models,
        "only_tiny": list(models) == ["tiny"],
        "statuses": {name.replace("_", " "): statuses[name] for name in order},
        "cells": len(cells),
        "facts": {
            "Models": list(models.values()),
            "Tasks": distinct(fact["task"] for fact in known),
            "Methods": distinct(fact["method"] for fact in known),
            "Hardware": distinct(_hardware(manifest) for manifest in manifests),
            "Numerics": distinct(_numerics(manifest) for manifest in manifests),
            "Versions": distinct(_versions(manifest) for manifest in manifests),
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


def floors(cells: Sequence[CellData]) -> list[Json]:
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
                        HEADLINE[m]: paired(floor["paired"][m], m)
                        for m in HEADLINE
                        if m in floor["paired"]
                    },
                },
            )
    return list(made.values())
