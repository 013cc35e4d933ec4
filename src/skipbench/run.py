"""One cell, told once: samples × engine × task -> records -> scores -> summary.

The dense twin is a second cell of the same shape. Where both have work to do their batches take
turns, in one process and in alternating order, so that their times can be compared.
"""

import resource
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from skipbench import provenance, summary
from skipbench.cell import Cell
from skipbench.policies.base import Dense, Policy
from skipbench.records import BadInput, Record, Sample, append_lines, read_json, write_json
from skipbench.tasks.base import Prompt, Reply, Task

if TYPE_CHECKING:
    from skipbench.engine.decode import Decoding, Engine, Generation, Request
    from skipbench.engine.load import Loaded, ModelSpec
    from skipbench.judges.base import Judge
    from skipbench.judges.grading import Graded

COMPLETE, SAMPLE_FAILED, BAD_INPUT, NOTHING_SKIPPED, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything a run needs. `names`: (task, model, method) as folders; `skip`: target ratio."""

    task: Task
    policy: Policy
    model: "ModelSpec"
    decoding: "Decoding"
    names: tuple[str, str, str]
    task_config: dict[str, Any]
    method_config: dict[str, Any]
    config: dict[str, Any]
    skip: float | None
    twin: str
    split: str
    limit: int | None
    batch_size: int
    timeout_s: float | None
    results_dir: Path
    overwrite: bool
    judge: "Judge | None" = None
    judge_mode: str = "single"
    judge_rubric: str | None = None
    noise_floor: bool = False
    dry_run: bool = False


@dataclass
class _Side:
    """One of the two systems of a run: its cell, its policy, and its engine once there is one."""

    cell: Cell
    policy: Policy
    skip: float | None
    batch_size: int
    engine: "Engine | None" = None


def run(setup: Setup) -> tuple[int, Path]:
    """Do whatever is left to do of a cell and its twin. Returns exit code and the cell's directory.

    Raises BadInput for anything the user can mend; what was done until then stays on disk.
    """
    samples = _selected(setup)
    ours = _side(setup, samples, setup.policy, setup.skip)
    twin = None
    dense = replace(
        setup,
        names=(*setup.names[:2], "dense"),
        method_config=_DENSE,
        config={**setup.config, "method": _DENSE, "skip": None},
    )
    if setup.twin != "off" and not isinstance(setup.policy, Dense):
        twin = _side(dense, samples, Dense(), None)
    floor = None
    if setup.noise_floor:  # dense against itself, in batches of another size
        other = max(1, setup.batch_size // 2) if setup.batch_size > 1 else 2
        again = replace(dense, batch_size=other)
        floor = _side(again, samples, Dense(), None)
    sides = [side for side in (twin, ours, floor) if side is not None]
    if setup.twin == "find" and twin is not None:
        if not twin.cell.summary_path.exists():
            raise BadInput(
                f"twin=find: there is no finished dense cell at {twin.cell.directory}; use twin=run"
            )
        sides.remove(twin)
    if setup.dry_run:
        _tell_plan(setup, sides)
        return COMPLETE, ours.cell.directory
    code = COMPLETE
    try:
        for side in sides:
            side.cell.open(setup.overwrite and side is ours)
        try:
            _generate(setup, samples, sides)
        except KeyboardInterrupt:
            code = INTERRUPTED
        for side in sides:
            pair = ours if side is floor and isinstance(ours.policy, Dense) else twin
            pair = None if side is pair else pair
            code = max(code, _finish(setup, side.cell, pair.cell if pair else None))
        if floor is not None:
            _note_floor(ours.cell, floor.cell)
    finally:
        for side in sides:
            side.cell.close()
    return code, ours.cell.directory


_DENSE = {"_target_": "skipbench.policies.base.Dense"}


def _tell_plan(setup: Setup, sides: list[_Side]) -> None:
    """What a run would do, without a model: samples and the most tokens they can ask for."""
    for side in sides:
        pending = side.cell.pending()
        prompts = [setup.task.prompt(s, []) for s in side.cell.samples if s.sample_id in pending]
        limit = sum(p.max_new_tokens for p in prompts if p is not None)
        if setup.decoding.mode == "forced_length":
            limit = setup.decoding.forced_length * len(prompts)
        method = side.cell.identity["method_name"]
        print(
            f"{method}: {len(pending)} of {len(side.cell.samples)} samples to do, at most {limit} "
            f"new tokens in the first turn, in {side.cell.directory}"
        )


def _note_floor(cell: Cell, floor: Cell) -> None:
    """How far dense differs from itself: what a difference to dense has to exceed."""
    for path in (cell.summary_path, floor.summary_path):
        if not path.exists():
            return
    made = read_json(floor.summary_path)
    keep = ("fingerprint", "paired", "transitions")
    found = {"batch_size": floor.identity["decides"]["batch_size"], **{k: made[k] for k in keep}}
    write_json(cell.summary_path, {**read_json(cell.summary_path), "noise_floor": found})


def _selected(setup: Setup) -> list[Sample]:
    samples = setup.task.samples(setup.split)
    if setup.limit is not None and not setup.limit >= 1:
        raise BadInput(f"limit={setup.limit} is not a whole number of at least 1")
    chosen = samples[: setup.limit]
    if not chosen:
        raise BadInput(f"split={setup.split!r} of {setup.names[0]} holds no samples")
    return chosen


def _side(setup: Setup, samples: list[Sample], policy: Policy, skip: float | None) -> _Side:
    """The cell of one system, addressed by what decides its answers."""
    directory = provenance.model_directory(setup.model.path, setup.model.revision)
    decides = {
        "schema": provenance.SCHEMA,
        "model": provenance.model_digest(directory),
        "template": setup.model.template,
        "task": setup.task_config,
        "data_sha256": provenance.data_digest(samples),
        "method": setup.method_config,
        "skip": skip,
        "decode": vars(setup.decoding),
        "dtype": setup.model.dtype,
        "device": setup.model.device.split(":")[0],
        "attention": "sdpa",
        "batch_size": setup.batch_size,
    }
    fingerprint = provenance.sha256_of(decides)[:16]
    task, model, method = setup.names
    identity = {
        "task_name": task,
        "model_name": model,
        "method_name": method,
        "model_path": str(directory),
        "split": setup.split,
        "decides": decides,
        "decode": vars(setup.decoding),
        "config": setup.config,
        "skip_requested": skip,
        "skip_unit": policy.unit,
    }
    path = setup.results_dir / task / model / method / fingerprint
    return _Side(Cell(path, samples, identity), policy, skip, setup.batch_size)


def _generate(setup: Setup, samples: list[Sample], sides: list[_Side]) -> None:
    """Run every batch in which some side has a pending sample. The model is loaded only then."""
    pending = [side.cell.pending() for side in sides]
    if not any(pending):
        return
    loaded = _load(setup.model)
    for side, left in zip(sides, pending, strict=True):
        if left:
            side.engine = _ready(setup, side, loaded)
    session = uuid.uuid4().hex[:12]
    _warm_up(setup, samples[0], sides)
    todo = sum(len(left) for left in pending)
    smallest = min(side.batch_size for side in sides)
    with tqdm(total=todo, unit="sample", file=sys.stderr, dynamic_ncols=True) as bar:
        for number in range(-(-len(samples) // smallest)):
            # which side goes first alternates, so that drift falls on both alike
            for side, left in list(zip(sides, pending, strict=True))[:: 1 - 2 * (number % 2)]:
                chunk = samples[number * side.batch_size : (number + 1) * side.batch_size]
                wanted = [sample for sample in chunk if sample.sample_id in left]
                if not wanted:
                    continue
                bar.set_description(side.cell.identity["method_name"], refresh=False)
                # the whole chunk is generated whatever is missing of it: the same batch gives the
                # same tokens, so that an interrupted run ends like an uninterrupted one
                records = _records(setup, side, chunk, {"session": session, "batch": number})
                side.cell.append([r for r in records if r.sample_id in left])
                bar.update(len(wanted))
    for side in sides:
        if side.engine is not None:
            side.cell.update_manifest(peak_memory_bytes=_peak_memory())


def _ready(setup: Setup, side: _Side, loaded: "Loaded") -> "Engine":
    """The side's engine, calibrated; what calibration found goes into the manifest."""
    from skipbench.calibrate import SAMPLES, Calibration, calibrated
    from skipbench.engine.decode import Engine
    from skipbench.engine.load import half_bytes

    side.policy.check(loaded.num_layers)
    if getattr(side.policy, "needs_influence", False) or side.skip is not None:
        split = setup.task.samples("calibration")[:SAMPLES]
        calibration = Calibration(
            loaded=loaded,
            requests=[
                request for s in split if (request := _request(loaded, setup, s, 0, [])) is not None
            ],
            decoding=setup.decoding,
            cache=setup.results_dir / "calibration",
            data_sha256=provenance.data_digest(split),
        )
        side.policy = calibrated(side.policy, side.skip, calibration)
    engine = Engine(loaded, side.policy)
    method = {key: value for key, value in vars(side.policy).items() if key != "maps"}
    asked = side.policy.requests_skipping(loaded.num_layers) and side.skip != 0
    side.cell.update_manifest(
        method=method,
        num_layers=loaded.num_layers,
        bytes_of=half_bytes(loaded),
        requests_skipping=asked,
    )
    return engine


@lru_cache(maxsize=1)
def _load(spec: "ModelSpec") -> "Loaded":
    from skipbench.engine.load import load

    return load(spec)


def _request(
    loaded: "Loaded", setup: Setup, sample: Sample, turn: int, replies: list[str]
) -> "Request | None":
    from skipbench.engine.decode import Request
    from skipbench.engine.load import chat_ids

    prompt = setup.task.prompt(sample, replies)
    if prompt is None:
        return None
    if prompt.messages is not None:
        ids = chat_ids(loaded, prompt.messages)
    else:
        ids = loaded.tokenizer(prompt.text)["input_ids"]
    limit = prompt.max_new_tokens
    if prompt.length_ratio is not None:
        limit = max(1, int(prompt.length_ratio * len(ids)))
    return Request(
        sample_id=sample.sample_id,
        turn=turn,
        prompt_ids=tuple(ids),
        max_new_tokens=limit,
        temperature=prompt.temperature,
    )


def _warm_up(setup: Setup, sample: Sample, sides: list[_Side]) -> None:
    """A few discarded tokens on each engine: the first calls of a process are slow."""
    for side in sides:
        if side.engine is not None:
            request = _request(side.engine.loaded, setup, sample, 0, [])
            if request is not None:
                short = replace(setup.decoding, mode="forced_length", forced_length=4)
                side.engine.generate([request], short)


def _records(
    setup: Setup, side: _Side, chunk: Sequence[Sample], stamp: dict[str, Any]
) -> list[Record]:
    """Records of one batch. If it fails, its samples are tried alone, and only the bad ones fail."""
    try:
        return _converse(setup, side, chunk, stamp)
    except Exception as error:
        if len(chunk) > 1:
            alone = [_records(setup, side, [sample], stamp) for sample in chunk]
            return [record for records in alone for record in records]
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return [_failed(chunk[0], reason)]


def _failed(sample: Sample, reason: str) -> Record:
    return Record(
        sample_id=sample.sample_id,
        prompt_sha256=[],
        replies=[],
        token_ids=[],
        finish_reasons=[],
        times=[],
        counts=[],
        skip_map=[],
        error=reason,
    )


def _converse(
    setup: Setup, side: _Side, chunk: Sequence[Sample], stamp: dict[str, Any]
) -> list[Record]:
    """All turns of a batch of samples; each sample sees its own earlier replies."""
    assert side.engine is not None
    loaded = side.engine.loaded
    replies: dict[str, list[str]] = {sample.sample_id: [] for sample in chunk}
    made: dict[str, list[tuple[Request, Generation]]] = {s.sample_id: [] for s in chunk}
    turn = 0
    while True:
        asked = [_request(loaded, setup, s, turn, replies[s.sample_id]) for s in chunk]
        requests = [request for request in asked if request is not None]
        if not requests:
            break
        generations = side.engine.generate(requests, setup.decoding, setup.timeout_s)
        for request, generation in zip(requests, generations, strict=True):
            made[request.sample_id].append((request, generation))
            kept = [i for i in generation.token_ids if i not in loaded.eos_ids]
            text = loaded.tokenizer.decode(kept, skip_special_tokens=True)
            replies[request.sample_id].append(text.strip())
        turn += 1
    return [
        Record(
            sample_id=sample,
            prompt_sha256=[provenance.sha256_of(list(r.prompt_ids)) for r, _ in turns],
            replies=replies[sample],
            token_ids=[list(g.token_ids) for _, g in turns],
            finish_reasons=[g.finish_reason for _, g in turns],
            times=[{**g.times, **stamp} for _, g in turns],
            counts=[g.counts for _, g in turns],
            skip_map=[g.skip_map for _, g in turns],
        )
        for sample, turns in made.items()
    ]


def _peak_memory() -> int:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _finish(setup: Setup, cell: Cell, twin: Cell | None) -> int:
    """Score what is there, write the summary, and say how it went."""
    records = cell.records()
    if not any(record["error"] is None for record in records.values()):
        reasons = sorted({str(r["error"]) for r in records.values()}) or ["nothing was generated"]
        print(f"no sample of {cell.directory} was answered: {reasons[0]}", file=sys.stderr)
        return SAMPLE_FAILED
    lines = list(_task_scores(setup, cell, records))
    judged = _judged(setup, cell, records, twin)
    if judged is not None:
        lines += [vars(score) for score in judged.scores]
    new = cell.scores_path.with_suffix(".new")
    new.unlink(missing_ok=True)
    append_lines(new, lines)
    new.replace(cell.scores_path)
    groups = {sample.sample_id: setup.task.groups(sample) for sample in cell.samples}
    made = summary.summarise(cell, groups, twin)
    made["judge"] = None if judged is None else judged.judge
    write_json(cell.summary_path, made)
    if made["status"] in ("complete", "nothing_skipped"):
        cell.update_manifest(finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    codes = {"complete": COMPLETE, "nothing_skipped": NOTHING_SKIPPED}
    return codes.get(made["status"], SAMPLE_FAILED)


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
    """What the judge says; its cache makes repeating this free."""
    if setup.judge is None:
        return None
    from skipbench.judges.grading import graded, questions

    def replies_of(some: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
        return {key: r["replies"] for key, r in some.items() if r["error"] is None}

    dense = replies_of(twin.records()) if twin is not None else {}
    asked = list(
        questions(setup.judge_mode, cell.samples, replies_of(records), dense, setup.judge_rubric)
    )
    return graded(setup.judge, asked, cell.samples) if asked else None


def _replies(task: Task, sample: Sample, record: dict[str, Any], forced: bool) -> Iterator[Reply]:
    for turn, text in enumerate(record["replies"]):
        prompt = task.prompt(sample, record["replies"][:turn])
        yield Reply(
            text=text,
            token_ids=record["token_ids"][turn],
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


def source_cell(setup_dir: Path, cell: str | None, names: tuple[str, str, str]) -> Path:
    """Directory of the cell that a replay takes its maps from.

    Raises BadInput where `cell` is no complete cell, or none of `names` is there.
    """
    if cell is not None:
        path = Path(cell)
        if not (path / "summary.json").exists():
            raise BadInput(f"method.cell={cell!r} is no finished cell (no summary.json)")
        return path
    folder = setup_dir.joinpath(*names)
    done = [
        path.parent
        for path in sorted(folder.glob("*/summary.json"), key=lambda p: p.stat().st_mtime)
        if read_json(path)["status"] == "complete"
    ]
    if not done:
        raise BadInput(
            f"method.cell=null: there is no complete cell under {folder}; run method={names[2]} first"
        )
    return done[-1]
