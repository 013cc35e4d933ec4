"""audit.json told as one page: what was seen, what it means, what to do."""

from collections.abc import Iterator, Sequence
from typing import Any

from skipbench.audit.verdicts import advice, percent, points, speed_told, verdicts

Json = dict[str, Any]
_METRICS = {
    "accuracy": "accuracy (strict)",
    "accuracy_contains": "accuracy (contains)",
    "hallucination_rate": "hallucination",
    "collapse_rate": "collapse",
}
_RESULT = {True: "pass", False: "FAIL", None: "does not apply"}
_MECHANISM = (
    "This is a *mechanism check* on the shipped model of 3.7 M parameters: it shows whether the policy "
    "does what it says, and is no evidence about a large model."
)


def short(found: Json) -> str:
    """What the terminal shows: one line a check, and one for each verdict."""
    lines = [
        f"{_RESULT[check['passed']]:15} {check['name']:32} {check['evidence']}"
        for check in found["checks"]
    ]
    return "\n".join([*lines, "", *verdicts(found)])


def page(found: Json) -> str:
    policy, model = found["policy"], found["model"]
    parts = [
        f"# Audit of `{policy['class']}`",
        *verdicts(found),
        *([_MECHANISM] if model["name"] == "tiny" else []),
        "## What was audited",
        _table(("", ""), list(_subject(found))),
        "## Contract",
        "In float32, each prompt alone and all in one batch.",
        _table(("check", "result", "seen"), [_row(check) for check in found["checks"]]),
        *[
            f"- **{check['name']}**: {check['advice']}."
            for check in found["checks"]
            if check["passed"] is False
        ],
    ]
    if found["measured"] is None:
        parts.append("Nothing was measured: numbers of a policy that fails mean something else.")
    else:
        parts += _measured(found["measured"])
    parts += ["## What to do", *(f"- {step}" for step in advice(found))]
    return "\n\n".join(parts) + "\n"


def _subject(found: Json) -> Iterator[tuple[str, str]]:
    policy, model = found["policy"], found["model"]
    yield "file", f"`{policy['file']}`, class `{policy['class']}`, digest `{policy['digest']}`"
    yield "fields", ", ".join(f"`{key}={value!r}`" for key, value in found["fields"].items())
    asked = "its own fields" if found["skip"] is None else f"calibrated to {found['skip']:g}"
    yield "asked for", asked
    yield "model", f"{model['name']}, sha256 `{model['sha256'][:12]}`"
    yield "questions", found["data"]
    yield "versions", ", ".join(f"{name} {text}" for name, text in found["versions"].items())


def _row(check: Json) -> tuple[str, str, str]:
    return check["name"], _RESULT[check["passed"]], check["evidence"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    clean = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *clean]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _measured(measured: Json) -> list[str]:
    if "summary" not in measured:
        return ["## Measured", f"No sample was answered; see `{measured['cell']}/records.jsonl`."]
    summary, dense = measured["summary"], measured["dense"]
    floor = summary.get("noise_floor", {})
    rows = [
        (
            label,
            _share(dense["metrics"][metric]),
            _share(summary["metrics"][metric]),
            *_paired(summary["paired"].get(metric)),
            *_paired(floor.get("paired", {}).get(metric))[:1],
        )
        for metric, label in _METRICS.items()
        if metric in summary["metrics"]
    ]
    head = ("", "dense", "policy", "difference [95 %], points", "p of a loss at the margin")
    floor_name = f"dense at batch size {floor.get('batch_size')}, points"
    parts = [
        "## Quality",
        f"n = {summary['n']}, failed {sum(summary['errors'].values())}. All in percent. A small p in "
        "the fifth column speaks for *no loss* of the margin (2 points) or more; the last column is "
        "what dense differs from itself by: no difference below it means anything.",
        _table((*head, floor_name), rows),
        "## What was skipped",
        _table(("in decode", "share"), _skipped(summary["skip"])),
    ]
    if summary["status"] == "complete":
        parts += _compared(measured)
    parts.append(f"Cells: `{measured['cell']}` and beside it, under the folder of this page.")
    return parts


def _compared(measured: Json) -> list[str]:
    controls = measured["controls"]
    parts = ["## Matched controls"]
    if "reason" in controls:
        parts.append(f"None: {controls['reason']}.")
    else:
        rows = [
            (
                control["what"],
                percent(control["skip"]["ffn"]),
                percent(control["skip"]["attn"]),
                _paired(control["against"].get("accuracy"))[0],
                _paired(control["against"].get("hallucination_rate"))[0],
            )
            for control in controls.values()
        ]
        head = ("control", "ffn", "attn", "policy minus control, accuracy", "hallucination")
        parts += [
            "As much is skipped, but not where this policy chose to. If it is no better than its own "
            "maps on other prompts, looking at the prompt brings nothing; if no better than one "
            "pattern, a fixed set of blocks does as well.",
            _table(head, rows),
        ]
    parts += ["## Speed", speed_told(measured)]
    forced = measured.get("forced")
    times = forced and forced["speed"]["tpot_s"]["p50"]
    if times is not None:
        parts.append(
            f"{1000 * times:.2f} ms a token (median of {measured['forced']['n']} replies). Timed on "
            "this machine, in turns with dense in one process."
        )
    return parts


def _skipped(skip: Json) -> list[tuple[str, str]]:
    rows = [(half, percent(skip[half])) for half in ("ffn", "attn", "block")]
    rows.append(("weight bytes, one row alone", percent(skip["weight_bytes_single"])))
    rows.append(("weight bytes, union of a batch", percent(skip["weight_bytes"])))
    entropy = skip["trigger_entropy_bits"]
    told = "-" if entropy is None else f"{entropy:.2f} bits"
    rows.append(("entropy of the first skipped block, given the step", told))
    return rows


def _share(metric: Json) -> str:
    if metric["value"] is None:
        return f"unscored ({metric['unscored']})"
    text = f"{100 * metric['value']:.1f}"
    if metric["low"] is not None:
        text += f" [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]"
    return text + (f" ({metric['unscored']} unscored)" if metric["unscored"] else "")


def _paired(pair: Json | None) -> tuple[str, str]:
    return ("-", "-") if pair is None else (points(pair), f"{pair['p_noninferior']:.3g}")
