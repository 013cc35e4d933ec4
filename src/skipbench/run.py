"""One cell, told once: samples × engine × task -> records -> scores -> summary.

The dense twin is a second cell of the same shape. Where both have work to do their batches take
turns, in one process and in alternating order, so that their times can be compared.
"""

import resource
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from skipbench import provenance
from skipbench.cell import Cell
from skipbench.converse import load_model, prepared, records_of, request_for, write_divergence
from skipbench.job import COMPLETE, INTERRUPTED, Setup, Side
from skipbench.policies.base import UNKNOWN_DEPTH, Dense, Policy
from skipbench.policies.replay import Replay
from skipbench.records import BadInput, Sample
from skipbench.scoring import finish, note_floor

if TYPE_CHECKING:
    from skipbench.engine.decode import Engine
    from skipbench.engine.load import Loaded

_DENSE = {"_target_": "skipbench.policies.base.Dense"}


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
        _tell_judge(setup, sides)
        return COMPLETE, ours.cell.directory
    code = COMPLETE
    try:
        for side in sides:
            side.cell.open(setup.overwrite and side is ours)
        try:
            _generate(setup, samples, sides)
            if setup.divergence and twin is not None:
                write_divergence(setup, samples, ours, twin, _ready)
        except KeyboardInterrupt:
            code = INTERRUPTED
        for side in sides:
            pair = ours if side is floor and isinstance(ours.policy, Dense) else twin
            pair = None if side is pair else pair
            code = max(code, finish(setup, side.cell, pair.cell if pair else None))
        if floor is not None:
            note_floor(ours.cell, floor.cell)
    finally:
        for side in sides:
            side.cell.close()
    return code, ours.cell.directory


def _tell_plan(setup: Setup, sides: list[Side]) -> None:
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


def _tell_judge(setup: Setup, sides: list[Side]) -> None:
    """Calls and highest cost of the judge, before there are replies: as if all were of full length."""
    estimate = getattr(setup.judge, "estimate_usd", None)
    if estimate is None or setup.judge is None:
        return
    from skipbench.judges.grading import questions

    for side in sides:
        filler = {s.sample_id: ["word " * 256] * len(s.turns) for s in side.cell.samples}
        asked = list(
            questions(setup.judge_mode, side.cell.samples, filler, filler, setup.judge_rubric)
        )
        requests = [setup.judge.request(q, v) for q in asked for v in range(setup.judge.votes)]  # type: ignore[attr-defined]
        print(
            f"{side.cell.identity['method_name']}: at most {len(requests)} judge calls, at most "
            f"{estimate(requests):.2f} USD"
        )


def _selected(setup: Setup) -> list[Sample]:
    samples = setup.task.samples(setup.split)
    if setup.limit is not None and not setup.limit >= 1:
        raise BadInput(f"limit={setup.limit} is not a whole number of at least 1")
    chosen = samples[: setup.limit]
    if not chosen:
        raise BadInput(f"split={setup.split!r} of {setup.names[0]} holds no samples")
    if isinstance(setup.policy, Replay):
        for sample in chosen:
            setup.policy.donor(sample.sample_id)
    return chosen


def _side(setup: Setup, samples: list[Sample], policy: Policy, skip: float | None) -> Side:
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
    knob = policy.knob(UNKNOWN_DEPTH)
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
        "skip_unit": knob.unit if knob is not None else policy.unit,
    }
    path = setup.results_dir / task / model / method / fingerprint
    return Side(Cell(path, samples, identity), policy, skip, setup.batch_size)


def _generate(setup: Setup, samples: list[Sample], sides: list[Side]) -> None:
    """Run every batch in which some side has a pending sample. The model is loaded only then."""
    pending = [side.cell.pending() for side in sides]
    if not any(pending):
        return
    loaded = load_model(setup.model)
    for side, left in zip(sides, pending, strict=True):
        if left:
            side.engine = _ready(setup, side, loaded)
    session = uuid.uuid4().hex[:12]
    _warm_up(setup, samples[0], sides)
    todo = sum(len(left) for left in pending)
    smallest = min(side.batch_size for side in sides)
    pause = 0.1 if sys.stderr.isatty() else 10.0  # a line of a log file stays
    with tqdm(
        total=todo, unit="sample", file=sys.stderr, dynamic_ncols=True, mininterval=pause
    ) as bar:
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
                records = records_of(setup, side, chunk, {"session": session, "batch": number})
                side.cell.append([r for r in records if r.sample_id in left])
                bar.update(len(wanted))
    for side in sides:
        if side.engine is not None:
            side.cell.update_manifest(peak_memory_bytes=_peak_memory())


def _ready(setup: Setup, side: Side, loaded: "Loaded") -> "Engine":
    """The side's engine, calibrated; what calibration found goes into the manifest."""
    from skipbench.engine.decode import Engine
    from skipbench.engine.load import half_bytes

    side.policy = prepared(setup, side.policy, side.skip, loaded)
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


def _warm_up(setup: Setup, sample: Sample, sides: list[Side]) -> None:
    """A few discarded tokens on each engine: the first calls of a process are slow."""
    for side in sides:
        if side.engine is not None:
            request = request_for(side.engine.loaded, setup, sample, 0, [])
            if request is not None:
                short = replace(setup.decoding, mode="forced_length", forced_length=4)
                side.engine.generate([request], short)


def _peak_memory() -> int:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
