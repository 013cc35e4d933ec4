"""What a finished cell gets: scores of the task, of the judge and against dense, and the summary."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skipbench import summary
from skipbench.cell import Cell
from skipbench.job import COMPLETE, NOTHING_SKIPPED, SAMPLE_FAILED, Setup
from skipbench.metrics.agreement import agreement
from skipbench.records import (
    Sample,
    Score,
    answer_ids,
    append_lines,
    read_json,
    read_lines,
    write_json,
)
from skipbench.tasks.base import Prompt, Reply, Task

if TYPE_CHECKING:
    from skipbench.judges.grading import Graded


def finish(setup: Setup, cell: Cell, twin: Cell | None) -> int:
    """Score what is there, write the summary, and say how it went."""
    records = cell.records()
    if not any(record["error"] is None for record in records.values()):
        reasons = sorted({str(r["error"]) for r in records.values()}) or ["nothing was generated"]
        print(f"no sample of {cell.directory} was answered: {reasons[0]}", file=sys.stderr)
        return SAMPLE_FAILED
    lines = list(_task_scores(setup, cell, records))
    if twin is not None:
        lines += [vars(score) for score in _faithfulness(cell, records, twin.records())]
    judged = _judged(setup, cell, records, twin)
    lines_of_judges, judge = _with_earlier(cell, judged, records)
    new = cell.scores_path.with_suffix(".new")
    new.unlink(missing_ok=True)
    append_lines(new, [*lines, *lines_of_judges])
    new.replace(cell.scores_path)
    groups = {sample.sample_id: setup.task.groups(sample) for sample in cell.samples}
    made = summary.summarise(cell, groups, twin, _apart(cell, twin, judge))
    made["judge"] = judge
    write_json(cell.summary_path, made)
    if made["status"] in ("complete", "nothing_skipped"):
        cell.update_manifest(finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    codes = {"complete": COMPLETE, "nothing_skipped": NOTHING_SKIPPED}
    code = codes.get(made["status"], SAMPLE_FAILED)
    return max(code, SAMPLE_FAILED) if judged is not None and _tell_silence(cell, judged) else code


def _with_earlier(
    cell: Cell, judged: "Graded | None", records: dict[str, dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Lines of judges, and what the summary says of them: what was paid for before stays."""
    from skipbench.judges.kept import merged

    former = read_json(cell.summary_path)["judge"] if cell.summary_path.exists() else None
    if judged is None:
        lines, told = [], None
    else:
        lines, told = [vars(score) for score in judged.scores], judged.judge
    old = [line for line in cell.scores() if line["judge"] is not None]
    return merged(told, lines, former, old, records)


def _apart(cell: Cell, twin: Cell | None, judge: dict[str, Any] | None) -> dict[str, str]:
    """Metrics that cannot be compared with dense, and why; told in one line."""
    from skipbench.judges.kept import apart

    if twin is None or not twin.summary_path.exists():
        return {}
    found = apart(judge, read_json(twin.summary_path)["judge"])
    if found:
        metric, reason = next(iter(found.items()))
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        print(f"{cell.directory}: {metric}{more} is not compared: {reason}", file=sys.stderr)
    return found


def _tell_silence(cell: Cell, judged: "Graded") -> bool:
    """Whether the judge graded nothing at all; then that is told, with the reasons."""
    if judged.bill.scored:
        return False
    reasons = ", ".join(f"{n} × {why}" for why, n in judged.bill.reasons.items())
    print(
        f"judge {judged.bill.model} scored nothing of {cell.directory}: {reasons}; the answers are "
        "kept, and the same command asks again",
        file=sys.stderr,
    )
    return True


def note_floor(cell: Cell, floor: Cell) -> None:
    """How far dense differs from itself: what a difference to dense has to exceed."""
    for path in (cell.summary_path, floor.summary_path):
        if not path.exists():
            return
    made = read_json(floor.summary_path)
    keep = ("fingerprint", "paired", "transitions")
    found = {"batch_size": floor.identity["decides"]["batch_size"], **{k: made[k] for k in keep}}
    write_json(cell.summary_path, {**read_json(cell.summary_path), "noise_floor": found})


def _task_scores(
    setup: Setup, cell: Cell, records: dict[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The task's own scores of all answered samples: cheap, and without a model."""
    forced = setup.decoding.mode == "forced_length"
    for sample in cell.samples:
        record = records.get(sample.sample_id)
        if record is not None and record["error"] is None:
            replies = list(_replies(setup.task, sample, record, forced))
            yield from (vars(score) for score in setup.task.score(sample, replies))


def _judged(
    setup: Setup, cell: Cell, records: dict[str, dict[str, Any]], twin: Cell | None
) -> "Graded | None":
    """What the judge says; its cache makes repeating this free. None: there is nothing to ask."""
    if setup.judge is None:
        return None
    from skipbench.judges.grading import graded, identity, questions
    from skipbench.judges.ladder import climb

    def replies_of(some: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
        return {key: r["replies"] for key, r in some.items() if r["error"] is None}

    dense = replies_of(twin.records()) if twin is not None else {}
    asked = list(
        questions(setup.judge_mode, cell.samples, replies_of(records), dense, setup.judge_rubric)
    )
    if not asked:
        return None
    made = graded(setup.judge, asked, cell.samples)
    told = {**made.judge, "by": identity(setup.judge, setup.judge_mode, setup.judge_rubric)}
    if setup.judge_ladder:
        found = climb(setup.judge, setup.judge_mode, cell.samples, setup.judge_rubric, made.bill)
        told |= {**made.bill.told(), "ladder": found}
    return replace(made, judge=told)


def _faithfulness(
    cell: Cell, records: dict[str, dict[str, Any]], dense: dict[str, dict[str, Any]]
) -> Iterator[Score]:
    """How a reply differs from the dense one, whatever either is worth."""
    forced = {
        (x["sample_id"], x["turn"]): x for x in read_lines(cell.directory / "divergence.jsonl")
    }
    for sample_id, record in records.items():
        other = dense.get(sample_id)
        if other is None or record["error"] is not None or other["error"] is not None:
            continue
        for turn in range(min(len(record["token_ids"]), len(other["token_ids"]))):
            measured = agreement(answer_ids(record, turn), answer_ids(other, turn))
            line = forced.get((sample_id, turn))
            if line is not None:
                measured["divergence.kl"] = sum(line["kl"]) / len(line["kl"])
                measured["divergence.delta_logp"] = sum(line["delta_logp"]) / len(line["kl"])
                measured["divergence.reply_logp"] = sum(line["reply_logp"]) / len(
                    line["reply_logp"]
                )
            for metric, value in measured.items():
                yield Score(sample_id=sample_id, turn=turn, metric=metric, value=value)


def _replies(task: Task, sample: Sample, record: dict[str, Any], forced: bool) -> Iterator[Reply]:
    for turn, text in enumerate(record["replies"]):
        prompt = task.prompt(sample, record["replies"][:turn])
        yield Reply(
            text=text,
            token_ids=answer_ids(record, turn),
            finish_reason=record["finish_reasons"][turn],
            prompt=_text_of(prompt),
            forced=forced,
        )


def _text_of(prompt: Prompt | None) -> str:
    if prompt is None:
        return ""
    if prompt.text is not None:
        return prompt.text
    return "\n".join(message["content"] for message in prompt.messages or [])
