"""What a run needs, and the two systems it compares."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skipbench.cell import Cell
from skipbench.policies.base import Policy
from skipbench.tasks.base import Task

if TYPE_CHECKING:
    from skipbench.engine.decode import Decoding, Engine
    from skipbench.engine.load import ModelSpec
    from skipbench.judges.base import Judge

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
    judge_ladder: bool = False
    noise_floor: bool = False
    dry_run: bool = False
    divergence: bool = False


@dataclass
class Side:
    """One of the two systems of a run: its cell, its policy, and its engine once there is one."""

    cell: Cell
    policy: Policy
    skip: float | None
    batch_size: int
    engine: "Engine | None" = None
