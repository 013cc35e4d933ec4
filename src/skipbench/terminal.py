"""What a person sees at the end of a run: one table, from summary.json alone."""

import sys
from pathlib import Path
from typing import Any, TypeGuard

from rich.console import Console
from rich.table import Table

from skipbench.records import latest_records, read_json

MISSED = 0.1  # of the asked ratio: executed further away than that is told in a line of its own
_NONE = "–"
_ROWS = (
    ("accuracy", "accuracy (strict)"),
    ("accuracy_contains", "accuracy (contains)"),
    ("accuracy_llmkick", "accuracy (LLM-KICK)"),
    ("rougeL", "ROUGE-L"),
    ("fact_recall", "facts told"),
    ("fact_precision", "facts right of those told"),
    ("reference_score", "reference score (1–10)"),
    ("judge_score", "judge score (1–10)"),
    ("judge_win", "wins over dense (judge)"),
    ("hallucination_rate", "hallucination"),
    ("collapse_rate", "collapse"),
    ("abstention_rate", "abstention"),
)


def show_summary(directory: Path, console: Console | None = None) -> None:
    """Print the table of a cell; says nothing where no summary was written."""
    path = directory / "summary.json"
    if not path.exists():
        return
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    summary = read_json(path)
    twin_path = directory.parents[1] / "dense" / str(summary.get("twin")) / "summary.json"
    twin = read_json(twin_path) if twin_path.exists() else None
    console.print(_quality(summary, twin, _state(directory, summary)))
    if any(label.startswith(" ") for _, label in _wanted(summary)):
        console.print("indented: parts of the data (docs/metrics.md)", highlight=False)
    for line in _lines(summary, twin, _knob(directory)):
        console.print(line, soft_wrap=True, highlight=False)


def progress(directory: Path, n: int) -> str:
    """How many of a cell's `n` samples have an answer, in words."""
    records = latest_records(directory / "records.jsonl").values()
    return f"{sum(record['error'] is None for record in records)} of {n} samples"


def missed(skip: dict[str, Any]) -> str | None:
    """A warning where the executed ratio is not the asked one; None where it is near."""
    asked, unit = skip["requested"], skip["unit"]
    if asked is None or skip[unit] is None or abs(skip[unit] - asked) <= MISSED * asked:
        return None
    return f"warning: asked {unit} {asked:.3f}, executed {skip[unit]:.3f}: compare by what was executed"


def _state(directory: Path, summary: dict[str, Any]) -> str:
    """What stands at the head of a table that is not of a whole cell."""
    if summary["status"] == "complete":
        return ""
    return f"{summary['status'].upper()}, {progress(directory, summary['n'])} · "


def _knob(directory: Path) -> str:
    """The calibrated field and its value; nothing for cells that do not name it."""
    path = directory / "run.json"
    manifest = read_json(path) if path.exists() else {}
    field = manifest.get("skip_knob")
    value = manifest.get("method", {}).get(field)
    return f" ({field} {value:.8g})" if isinstance(value, int | float) else ""


def show_line(directory: Path) -> None:
    """A cell of a sweep in one line."""
    path = directory / "summary.json"
    if not path.exists():
        return
    summary = read_json(path)
    skip, parts = summary["skip"], []
    for metric, label in _ROWS:
        found = summary["metrics"].get(metric)
        if (
            found
            and found["value"] is not None
            and metric not in ("accuracy_contains", "accuracy_llmkick")
        ):
            pair = summary["paired"].get(metric)
            change = f" ({pair['difference']:+.3f})" if _compared(pair) else ""
            parts.append(f"{label.split(' (')[0]} {found['value']:.3f}{change}")
    asked = "" if skip["requested"] is None else f" skip={skip['requested']:g}{_knob(directory)}"
    warning = missed(skip)
    if warning:
        parts.append(warning)
    print(
        f"{summary['task']} {summary['method']}{asked}: {summary['status']}, executed ffn "
        f"{_ratio(skip['ffn'])} attn {_ratio(skip['attn'])}; {', '.join(parts)}; {directory}"
    )


def _quality(summary: dict[str, Any], twin: dict[str, Any] | None, state: str) -> Table:
    title = (
        f"{state}{summary['task']} · {summary['model']} · {summary['method']} · n = {summary['n']}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column(summary["method"], justify="right")
    if twin is not None:
        table.add_column("dense", justify="right")
        table.add_column("difference [95 %]", justify="right")
        table.add_column("p", justify="right")
    for metric, label in _wanted(summary):
        part = label.startswith(" ")  # parts of the data: the mean alone, with its n
        row = [label, _with_interval(summary["metrics"][metric], part)]
        if twin is not None:
            other = twin["metrics"].get(metric)
            row.append(_with_interval(other, part) if other else "")
            row += _difference(summary["paired"].get(metric))
        table.add_row(*row)
    return table


def _wanted(summary: dict[str, Any]) -> list[tuple[str, str]]:
    found = [(metric, label) for metric, label in _ROWS if metric in summary["metrics"]]
    rows: list[tuple[str, str]] = []
    for metric, label in found:
        rows.append((metric, label))
        if metric in ("accuracy", "rougeL"):
            parts = [m for m in summary["metrics"] if m.startswith(f"{metric}.")]
            rows += [(m, f"  {m.split('.', 1)[1]}") for m in parts]
    return rows


def _with_interval(metric: dict[str, Any], part: bool = False) -> str:
    if metric["value"] is None:
        return f"unscored ({metric['unscored']})"
    text = f"{metric['value']:.3f}"
    if part:
        return f"{text} (n {metric['n']})"
    if metric["low"] is not None:
        text += f" [{metric['low']:.3f}, {metric['high']:.3f}]"
    return text + (f" ({metric['unscored']} unscored)" if metric["unscored"] else "")


def _compared(pair: dict[str, Any] | None) -> TypeGuard[dict[str, Any]]:
    """Grades of two judges are not; `reason` in the summary says so."""
    return pair is not None and pair["difference"] is not None


def _difference(pair: dict[str, Any] | None) -> list[str]:
    if not _compared(pair):
        return ["" if pair is None else "not compared", ""]
    text = f"{pair['difference']:+.3f}"
    if pair["low"] is not None:
        text += f" [{pair['low']:+.3f}, {pair['high']:+.3f}]"
    return [text, _number(pair["p"])]


def _number(value: float | None, form: str = ".3g") -> str:
    return _NONE if value is None else format(value, form)


def _lines(summary: dict[str, Any], twin: dict[str, Any] | None, knob: str) -> list[str]:
    """`knob`: the calibrated field with its value, as it follows the ratio asked for."""
    skip, prefill, speed = summary["skip"], summary["skip_prefill"], summary["speed"]
    asked = ""
    if skip["requested"] is not None:
        asked = f"; asked {skip['unit']} {skip['requested']:.3f}{knob}"
    lines = [
        f"status: {summary['status']}"
        + (f", failed: {summary['errors']}" if summary["errors"] else ""),
        f"executed skip, decode: ffn {_ratio(skip['ffn'])} attn {_ratio(skip['attn'])} block "
        f"{_ratio(skip['block'])} weight bytes {_ratio(skip['weight_bytes'])}{asked}; "
        f"prefill: ffn {_ratio(prefill['ffn'])} attn {_ratio(prefill['attn'])}",
    ]
    entropy = skip.get("trigger_entropy_bits")
    if entropy is not None and (skip["ffn"] or skip["attn"]):
        told = "not adaptive here" if entropy == 0 else f"{entropy:.2f} bits"
        lines.append(f"entropy of where skipping starts, given the step: {told}")
    if summary["method"] != "dense":
        lines += _against_dense(summary)
    floor = summary.get("noise_floor", {}).get("paired", {}).get("accuracy")
    if floor:
        lines.append(
            f"noise floor (dense at batch size {summary['noise_floor']['batch_size']}): accuracy "
            f"{floor['difference']:+.3f}, {floor['lost']} lost, {floor['won']} won"
        )
    for judge in _judges(summary):
        lines += _judge_lines(judge)
    lines += _speed_lines(speed, twin)
    warning = missed(skip)
    return [*lines, warning] if warning else lines


def _against_dense(summary: dict[str, Any]) -> list[str]:
    lines, accuracy = [], summary["paired"].get("accuracy")
    if accuracy and accuracy["lost"] is not None:
        lines.append(
            f"flips against dense: {accuracy['lost']} lost, {accuracy['won']} won; exact "
            f"McNemar p {_number(accuracy['p_exact'])}; detectable "
            f"{_number(accuracy['minimum_detectable'], '.3f')}"
        )
    moved = [
        f"{before} to {after} {n}"
        for before, row in summary["transitions"].items()
        for after, n in row.items()
        if before != after
    ]
    if moved:
        lines.append(f"outcomes that changed, dense to {summary['method']}: {', '.join(moved)}")
    if accuracy:
        lines.append(
            f"no loss of {accuracy['margin']:g} or more: p {_number(accuracy['p_noninferior'])} "
            f"(equivalence p {_number(accuracy['p_equivalent'])})"
        )
    return lines


def _judges(summary: dict[str, Any]) -> list[dict[str, Any]]:
    judge = summary.get("judge")
    return [judge, *judge.get("earlier", [])] if judge else []


def _judge_lines(judge: dict[str, Any]) -> list[str]:
    unscored = f"{judge['unscored']} unscored" + (
        f" {judge['reasons']}" if judge["reasons"] else ""
    )
    if judge["by"]["kind"] == "reference":
        line = f"judge reference (rules): {judge['scored']} scored, {unscored}"
    else:
        line = (
            f"judge {judge['model']}: {judge['calls']} calls, {judge['cached']} from the cache, "
            f"{judge['scored']} scored, {unscored}, {judge['cost_usd']:.4f} USD in all, "
            f"{judge['cost_now_usd']:.4f} now"
        )
    lines = [line]
    if judge.get("ladder", {}).get("sensitivity"):
        seen = ", ".join(f"{k} {v:+.2f}" for k, v in judge["ladder"]["sensitivity"].items())
        lines.append(f"judge's sensitivity to planted damage (rank correlation, -1 best): {seen}")
    return lines


def _speed_lines(speed: dict[str, Any], twin: dict[str, Any] | None) -> list[str]:
    def milliseconds(value: float | None) -> str:
        return "-" if value is None else f"{1000 * value:.2f} ms"

    line = f"time per token p50 {milliseconds(speed['tpot_s']['p50'])}"
    if twin is not None:
        line += f" (dense {milliseconds(twin['speed']['tpot_s']['p50'])})"
    line += f", first token {milliseconds(speed['ttft_s']['p50'])}"
    if speed["decode_tok_per_s"]:
        line += f", decode {speed['decode_tok_per_s']:.0f} tok/s"
    lines = [line]
    if speed["speedup"]:
        s = speed["speedup"]
        lines.append(f"speed-up {s['value']:.2f} [{s['low']:.2f}, {s['high']:.2f}]")
    elif twin is not None:
        text = f"no speed-up stated: {speed['speedup_reason']}"
        natural = speed.get("speedup_natural_stop")
        lines.append(text + (f" (at natural stops {natural:.2f})" if natural else ""))
    return lines


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
