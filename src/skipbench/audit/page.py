"""audit.json told as one page: what was seen, what it means, what to do."""

from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]
_METRICS = {
    "accuracy": "accuracy (strict)",
    "accuracy_contains": "accuracy (contains)",
    "hallucination_rate": "hallucination",
    "collapse_rate": "collapse",
}
_SURE = 0.05
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
    return "\n".join([*lines, "", *_verdicts(found)])


def page(found: Json) -> str:
    policy, model = found["policy"], found["model"]
    parts = [
        f"# Audit of `{policy['class']}`",
        *_verdicts(found),
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
    parts += ["## What to do", *(f"- {step}" for step in _advice(found))]
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


def _verdicts(found: Json) -> list[str]:
    applied = [check for check in found["checks"] if check["passed"] is not None]
    failed = [check["name"] for check in applied if not check["passed"]]
    told = f"Contract: {len(applied) - len(failed)} of {len(applied)} checks pass"
    lines = [told + (f"; failed: {', '.join(failed)}." if failed else ".")]
    measured = found["measured"]
    if measured is None:
        return lines
    if "summary" not in measured or measured["summary"]["status"] != "complete":
        status = measured.get("summary", {}).get("status", "failed")
        return [*lines, f"Run: not complete (status {status})."]
    lines += [_no_loss(measured), _choice(measured), _speed(measured)]
    return lines


def _no_loss(measured: Json) -> str:
    """The verdict on quality, by the test at the margin and never by a large p of a difference."""
    pair = measured["summary"]["paired"].get("accuracy")
    dense = measured["dense"]["metrics"]["accuracy"]
    if pair is None or dense["value"] is None:
        return "Quality: not compared, accuracy is unscored."
    margin = 100 * pair["margin"]
    if dense["value"] <= pair["margin"]:
        return (
            f"Quality: not compared, dense itself answers {100 * dense['value']:.1f} % right; give "
            "questions the model can know."
        )
    told = f"accuracy {_points(pair)} points against dense, n {pair['n']}"
    if pair["p_noninferior"] < _SURE:
        return f"Quality: no loss of {margin:g} points or more ({told}; p {pair['p_noninferior']:.3g})."
    if pair["high"] is not None and pair["high"] < 0:
        return f"Quality: a loss ({told})."
    return f"Quality: no loss of {margin:g} points is *not shown* ({told}; p {pair['p_noninferior']:.3g})."


def _choice(measured: Json) -> str:
    """Whether it matters which prompt, and which place, the policy chose."""
    controls = measured["controls"]
    if "reason" in controls:
        return f"Controls: none, {controls['reason']}."
    told = []
    for control in controls.values():
        pair = control["against"].get("accuracy")
        if pair is None or pair["low"] is None:
            told.append(f"not compared with {control['what']}")
        elif pair["low"] > 0:
            told.append(f"better than {control['what']} ({_points(pair)} points)")
        elif pair["high"] < 0:
            told.append(f"*worse* than {control['what']} ({_points(pair)} points)")
        else:
            told.append(f"not told from {control['what']} ({_points(pair)} points)")
    return "Controls: " + "; ".join(told) + "."


def _speed(measured: Json) -> str:
    forced = measured["forced"]
    found = forced["speed"]["speedup"]
    if found is None:
        return f"Speed: not stated, {forced['speed']['speedup_reason']}."
    saved = forced["skip"]["weight_bytes_single"] or 0.0
    told = f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}] times dense's speed"
    bound = f"; weights not read would allow {1 / (1 - saved):.2f}" if 0 <= saved < 1 else ""
    return f"Speed: {told} at batch size 1 and forced length{bound}."


def _points(pair: Json) -> str:
    """A difference in percentage points with its interval."""
    if pair["low"] is None:
        return f"{100 * pair['difference']:+.1f}"
    values = (100 * pair[key] for key in ("difference", "low", "high"))
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*values)


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
                _percent(control["skip"]["ffn"]),
                _percent(control["skip"]["attn"]),
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
    parts += ["## Speed", _speed(measured)]
    times = measured["forced"]["speed"]["tpot_s"]["p50"]
    if times is not None:
        parts.append(
            f"{1000 * times:.2f} ms a token (median of {measured['forced']['n']} replies). Timed on "
            "this machine, in turns with dense in one process."
        )
    return parts


def _skipped(skip: Json) -> list[tuple[str, str]]:
    rows = [(half, _percent(skip[half])) for half in ("ffn", "attn", "block")]
    rows.append(("weight bytes, one row alone", _percent(skip["weight_bytes_single"])))
    rows.append(("weight bytes, union of a batch", _percent(skip["weight_bytes"])))
    entropy = skip["trigger_entropy_bits"]
    told = "-" if entropy is None else f"{entropy:.2f} bits"
    rows.append(("entropy of the first skipped block, given the step", told))
    return rows


def _percent(value: float | None) -> str:
    return "unscored" if value is None else f"{100 * value:.1f} %"


def _share(metric: Json) -> str:
    if metric["value"] is None:
        return f"unscored ({metric['unscored']})"
    text = f"{100 * metric['value']:.1f}"
    if metric["low"] is not None:
        text += f" [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]"
    return text + (f" ({metric['unscored']} unscored)" if metric["unscored"] else "")


def _paired(pair: Json | None) -> tuple[str, str]:
    return ("-", "-") if pair is None else (_points(pair), f"{pair['p_noninferior']:.3g}")


def _advice(found: Json) -> Iterator[str]:
    """What the numbers ask for, most urgent first."""
    if any(check["passed"] is False for check in found["checks"]):
        yield "Mend what failed, with the hint below the table, and run the same command again."
        return
    measured = found["measured"]
    summary = measured.get("summary")
    if summary is None or summary["status"] != "complete":
        status = None if summary is None else summary["status"]
        if status == "nothing_skipped":
            yield "Real replies are shorter than the forced ones: skip earlier, or warm up shorter."
        else:
            yield f"Read the errors in `{measured['cell']}/records.jsonl`, and run it again."
        return
    pair = summary["paired"].get("accuracy")
    if pair and pair["p_noninferior"] >= _SURE and pair["minimum_detectable"] > pair["margin"]:
        yield (
            f"{pair['n']} questions can tell a change of {100 * pair['minimum_detectable']:.1f} points "
            f"apart and the margin is {100 * pair['margin']:g}: raise --limit before you claim no loss."
        )
    entropy = summary["skip"]["trigger_entropy_bits"]
    if entropy == 0:
        yield "Every prompt skips the same: compare with layerdrop and shortgpt, not with adaptive methods."
    speed, saved = measured["forced"]["speed"]["speedup"], measured["forced"]["skip"]
    if speed and speed["high"] < 1:
        yield (
            f"It is slower than dense although {_percent(saved['weight_bytes_single'])} of the weight "
            "bytes are not read: the rule costs more than it saves, on a model of this size."
        )
    if summary["skip"]["weight_bytes"] < (summary["skip"]["weight_bytes_single"] or 0.0) / 2:
        yield "In a batch rows skip different blocks, so most weights are read all the same: quote batch 1."
    yield "Before a claim about a large model: the same command with --model DIR --data FILE."
