"""What a run needs, and the two systems it compares."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skipbench import provenance
from skipbench.cell import Cell
from skipbench.policies.base import UNKNOWN_DEPTH, Dense, Policy
from skipbench.records import BadInput, Sample
from skipbench.tasks.base import Task

if TYPE_CHECKING:
    from skipbench.engine.decode import Decoding, Engine
    from skipbench.engine.load import ModelSpec
    from skipbench.judges.base import Judge

COMPLETE, SAMPLE_FAILED, BAD_INPUT, NOTHING_SKIPPED, INTERRUPTED = 0, 1, 2, 3, 130
_DENSE = {"_target_": "skipbench.policies.base.Dense"}


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
    judge_ladder: bool = False
    noise_floor: bool = False
    dry_run: bool = False
    divergence: bool = False
    similarity: bool = False
    source: Path | None = None  # the cell whose skip maps are played again


@dataclass
class Side:
    """One of the two systems of a run: its cell, its policy, and its engine once there is one."""

    cell: Cell
    policy: Policy
    skip: float | None
    batch_size: int
    engine: "Engine | None" = None
    timed_for: Cell | None = None  # run again for its times alone, which this cell keeps


def selected(setup: Setup) -> list[Sample]:
    """The samples of a run, in their fixed order. Raises BadInput where there are none."""
    samples = setup.task.samples(setup.split)
    chosen = samples[: setup.limit]
    if not chosen:
        raise BadInput(f"split={setup.split!r} of {setup.names[0]} holds no samples")
    return chosen


def side_of(setup: Setup, samples: list[Sample], policy: Policy, skip: float | None) -> Side:
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
        "skip_knob": None if knob is None or skip is None else knob.field,
    }
    path = setup.results_dir / task / model / method / fingerprint
    return Side(Cell(path, samples, identity), policy, skip, setup.batch_size)


def systems(setup: Setup, samples: list[Sample]) -> tuple[Side, Side | None, Side | None]:
    """The cell asked for, its dense twin, and dense in batches of another size: the noise floor."""
    dense = replace(
        setup,
        names=(*setup.names[:2], "dense"),
        method_config=_DENSE,
        config={**setup.config, "method": _DENSE, "skip": None},
    )
    twin = floor = None
    if setup.twin != "off" and not isinstance(setup.policy, Dense):
        twin = side_of(dense, samples, Dense(), None)
    if setup.noise_floor:
        other = max(1, setup.batch_size // 2) if setup.batch_size > 1 else 2
        floor = side_of(replace(dense, batch_size=other), samples, Dense(), None)
    return side_of(setup, samples, setup.policy, setup.skip), twin, floor


def directory_of(setup: Setup) -> Path:
    """Where the cell of a setup is, or will be. Needs the model's files, but does not load them."""
    return side_of(setup, selected(setup), setup.policy, setup.skip).cell.directory
