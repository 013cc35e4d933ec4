"""What the numbers of an audit mean, and what to do about them. Each verdict is one sentence."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
_SURE = 0.05


def verdicts(found: Json) -> list[str]:
    applied = [check for check in found["checks"] if check["passed"] is not None]
    failed = [check["name"] for check in applied if not check["passed"]]
    told = f"Contract: {len(applied) - len(failed)} of {len(applied)} checks pass"
    lines = [told + (f"; failed: {', '.join(failed)}." if failed else ".")]
    ended = next((check for check in applied if check["name"] == "runs to the end"), None)
    if ended and not ended["passed"]:
        lines.append(f"Errors: {ended['evidence']}.")
    measured = found["measured"]
    if measured is None:
        return lines
    if "summary" not in measured or measured["summary"]["status"] != "complete":
        status = measured.get("summary", {}).get("status", "failed")
        return [*lines, f"Run: not complete (status {status})."]
    lines += [_no_loss(measured), _choice(measured), speed_told(measured)]
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
    told = f"accuracy {points(pair)} points against dense, n {pair['n']}"
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
            told.append(f"better than {control['what']} ({points(pair)} points)")
        elif pair["high"] < 0:
            told.append(f"*worse* than {control['what']} ({points(pair)} points)")
        else:
            told.append(f"not told from {control['what']} ({points(pair)} points)")
    return "Controls: " + "; ".join(told) + "."


def speed_told(measured: Json) -> str:
    forced = measured.get("forced")
    if forced is None:
        return "Speed: not measured, no reply of forced length came to its end."
    found = forced["speed"]["speedup"]
    if found is None:
        return f"Speed: not stated, {forced['speed']['speedup_reason']}."
    saved = forced["skip"]["weight_bytes_single"] or 0.0
    told = f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}] times dense's speed"
    bound = f"; weights not read would allow {1 / (1 - saved):.2f}" if 0 <= saved < 1 else ""
    return f"Speed: {told} at batch size 1 and forced length{bound}."


def points(pair: Json) -> str:
    """A difference in percentage points with its interval."""
    if pair["low"] is None:
        return f"{100 * pair['difference']:+.1f}"
    values = (100 * pair[key] for key in ("difference", "low", "high"))
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*values)


def percent(value: float | None) -> str:
    return "unscored" if value is None else f"{100 * value:.1f} %"


def advice(found: Json) -> Iterator[str]:
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
            f"It is slower than dense although {percent(saved['weight_bytes_single'])} of the weight "
            "bytes are not read: the rule costs more than it saves, on a model of this size."
        )
    if summary["skip"]["weight_bytes"] < (summary["skip"]["weight_bytes_single"] or 0.0) / 2:
        yield "In a batch rows skip different blocks, so most weights are read all the same: quote batch 1."
    yield "Before a claim about a large model: the same command with --model DIR --data FILE."
