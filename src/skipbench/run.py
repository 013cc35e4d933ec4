"""One cell, told once: samples × engine × task -> records -> scores -> summary.

The dense twin is a second cell of the same shape. Where both have work to do their batches take
turns, in one process and in alternating order, so that their times can be compared.
"""

import resource
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tqdm import tqdm

from skipbench import device, plan
from skipbench.converse import (
    load_model,
    prepared,
    records_of,
    request_for,
    write_divergence,
    write_similarity,
)
from skipbench.job import COMPLETE, INTERRUPTED, Setup, Side, selected, systems
from skipbench.policies.base import Dense, Policy
from skipbench.policies.replay import FromCell
from skipbench.records import (
    BadInput,
    Sample,
    append_lines,
    latest_records,
    read_json,
    unpack_map,
)
from skipbench.scoring import finish, note_floor

if TYPE_CHECKING:
    from skipbench.engine.decode import Engine
    from skipbench.engine.load import Loaded


def run(setup: Setup) -> tuple[int, Path]:
    """Do whatever is left to do of a cell and its twin. Returns exit code and the cell's directory.

    Raises BadInput for anything the user can mend; what was done until then stays on disk, and the
    reason stands in the cell's failed.json.
    """
    samples = selected(setup)
    ours, twin, floor = systems(setup, samples)
    if setup.dry_run:
        plan.tell(setup, [side for side in (twin, ours, floor) if side is not None])
        return COMPLETE, ours.cell.directory
    try:
        if setup.source is not None:
            ours.policy = _with_maps(setup.policy, setup.source, samples)
        return _run(setup, samples, ours, twin, floor), ours.cell.directory
    except KeyboardInterrupt:  # before the first batch, or while scoring: the files say how far
        return INTERRUPTED, ours.cell.directory
    except Exception as error:
        ours.cell.note_failure(error)
        raise


def _with_maps(policy: Policy, source: Path, samples: list[Sample]) -> Policy:
    """A replay with the maps of its source. Raises BadInput where that is not complete."""
    summary = source / "summary.json"
    if not summary.exists() or read_json(summary)["status"] != "complete":
        raise BadInput(
            f"there is no complete cell in {source}; run method={source.parent.name} first, or name "
            "another with method.cell"
        )
    maps = {
        record["sample_id"]: [unpack_map(packed) for packed in record["skip_map"]]
        for record in latest_records(source / "records.jsonl").values()
    }
    missing = [sample.sample_id for sample in samples if sample.sample_id not in maps]
    if missing:
        raise BadInput(f"method.cell={str(source)!r} holds no sample {missing[0]!r}")
    return replace(cast(FromCell, policy), maps=maps)


def _run(
    setup: Setup, samples: list[Sample], ours: Side, twin: Side | None, floor: Side | None
) -> int:
    sides = [side for side in (twin, ours, floor) if side is not None]
    if setup.twin == "find" and twin is not None:
        if not twin.cell.summary_path.exists():
            raise BadInput(
                f"twin=find: there is no finished dense cell at {twin.cell.directory}; use twin=run"
            )
        sides.remove(twin)
    code = COMPLETE
    try:
        left = _opened(setup, sides, ours, twin)
        try:
            _generate(setup, samples, sides)
            if setup.divergence and twin is not None:
                write_divergence(setup, samples, ours, twin, _ready)
            if setup.similarity:
                write_similarity(setup, samples, twin or ours, load_model(setup.model))
        except KeyboardInterrupt:
            code = INTERRUPTED
        for side in left:
            if code != INTERRUPTED or side.cell.records():
                code = max(code, _finish(setup, side, ours, twin))
        if floor is not None:
            note_floor(ours.cell, floor.cell)
    finally:
        for side in sides:
            side.cell.close()
    return code


def _opened(setup: Setup, sides: list[Side], ours: Side, twin: Side | None) -> list[Side]:
    """Open the cells, in this order wherever they are shared. Returns those that are ours to finish.

    A dense cell that is done is let go at once: other cells are paired with it at the same time.
    """
    left = []
    for side in sides:
        side.cell.open(setup.overwrite and side is ours)
        done = side is not ours and not side.cell.pending()
        pair = _pair(side, ours, twin)
        if done and pair is not ours and pair not in left:
            _finish(setup, side, ours, twin)
            side.cell.close()
        else:
            left.append(side)
        if done and side is twin and setup.decoding.mode == "forced_length":
            side.timed_for = ours.cell  # its answers are there; its times must be this process's
    return left


def _pair(side: Side, ours: Side, twin: Side | None) -> Side | None:
    """What a side is compared with: the noise floor with dense, a method with its twin."""
    pair = ours if isinstance(ours.policy, Dense) else twin
    return None if side is pair else pair


def _finish(setup: Setup, side: Side, ours: Side, twin: Side | None) -> int:
    pair = _pair(side, ours, twin)
    return finish(setup, side.cell, pair.cell if pair else None)


def _generate(setup: Setup, samples: list[Sample], sides: list[Side]) -> None:
    """Run every batch in which some side has a pending sample. The model is loaded only then."""
    pending = [(side.timed_for or side.cell).pending() for side in sides]
    if not any(pending):
        return
    with device.held(setup.model.device, setup.decoding.mode == "forced_length"):
        _generate_pending(setup, samples, sides, pending)


def _generate_pending(
    setup: Setup, samples: list[Sample], sides: list[Side], pending: list[set[str]]
) -> None:
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
                fresh = [r for r in records if r.sample_id in left]
                if side.timed_for is None:
                    side.cell.append(fresh)
                else:
                    append_lines(
                        side.timed_for.twin_times,
                        [{"times": r.times, "counts": r.counts} for r in fresh],
                    )
                bar.update(len(wanted))
    for side in sides:
        if side.engine is not None and side.timed_for is None:
            side.cell.update_manifest(peak_memory_bytes=_peak_memory())


def _ready(setup: Setup, side: Side, loaded: "Loaded") -> "Engine":
    """The side's engine, calibrated; what calibration found goes into the manifest."""
    from skipbench.engine.decode import Engine
    from skipbench.engine.load import half_bytes

    target = None if setup.source is not None else side.skip  # maps skip what their source did
    side.policy = prepared(setup, side.policy, target, loaded)
    engine = Engine(loaded, side.policy)
    method = {key: value for key, value in vars(side.policy).items() if key != "maps"}
    # a ratio asked for is a request, even where calibration can only give it nothing
    asked = side.policy.requests_skipping(loaded.num_layers) if side.skip is None else side.skip > 0
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
