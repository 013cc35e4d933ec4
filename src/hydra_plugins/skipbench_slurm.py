"""The launcher behind `hydra/launcher=slurm`: an array job for each stage, and every job waited for.

Jobs are submitit's, as the stock `submitit_slurm` makes them. That one gives up at the first job
that is lost, with the others still running, and needs Slurm's accounting to see it at all; here a
sweep ends when all its jobs have ended, and says of each lost one what Slurm knows and where its
log is.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

_STOCK = "hydra_plugins.hydra_submitit_launcher"
_GONE = "no longer known to Slurm"
_ENDED = {
    *"BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY TIMEOUT".split(),
    _GONE,
}


class Slurm(Launcher):
    """`poll_s`: seconds between two questions to Slurm. `requeue`: a job whose node is lost, or that
    is preempted, starts again by itself. All else: the keys of `submitit_slurm`."""

    def __init__(self, poll_s: float, requeue: bool, **params: Any) -> None:
        extra = OmegaConf.to_container(params.pop("additional_parameters"), resolve=True)
        assert isinstance(extra, dict)
        word = "requeue" if requeue else "no-requeue"
        self.poll_s = poll_s
        self.params = {**params, "additional_parameters": {**extra, word: True}}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from skipbench.records import BadInput

        if importlib.util.find_spec(_STOCK) is None:
            raise BadInput('hydra/launcher=slurm is not installed; pip install "skipbench[slurm]"')
        if shutil.which("sbatch") is None:
            raise BadInput("hydra/launcher=slurm: there is no sbatch here; use a login node")
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

        self.stock = SlurmLauncher(**self.params)
        self.stock.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Submit, and wait until every job has ended. Raises sweep.Lost naming those that were lost."""
        from skipbench.sweep import Lost

        jobs = self._submit(job_overrides, initial_job_idx)
        array = jobs[0].job_id.split("_")[0]
        folder = Path(str(jobs[0].paths.folder)).parent
        print(f"slurm: job {array}, {len(jobs)} cells; logs in {folder}", file=sys.stderr)
        try:
            lost = self._lost(array, jobs)
        except KeyboardInterrupt:
            print(
                f"slurm: job {array} goes on; `scancel {array}` ends it, and the same command then "
                "does what is left",
                file=sys.stderr,
            )
            raise
        if lost:
            raise Lost(lost)
        return []

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Any]:
        import submitit

        params = dict(self.stock.params)
        executor = submitit.SlurmExecutor(
            folder=params.pop("submitit_folder"), max_num_timeout=params.pop("max_num_timeout")
        )
        executor.update_parameters(**executor._convert_parameters(params))
        numbers = range(first, first + len(job_overrides))
        return executor.map_array(
            self.stock,
            [list(overrides) for overrides in job_overrides],
            ["hydra.sweep.dir"] * len(numbers),
            numbers,
            [str(number) for number in numbers],
            [Singleton.get_state()] * len(numbers),
        )

    def _lost(self, array: str, jobs: list[Any]) -> dict[int, str]:
        """Wait for all jobs. Position -> reason, for those that left no result or an error."""
        waiting, suspects, lost = dict(enumerate(jobs)), set[int](), dict[int, str]()
        asked = time.monotonic()
        while waiting:
            time.sleep(min(1.0, self.poll_s))
            for number, job in list(waiting.items()):
                if _has_result(job):
                    reason = _error_of(waiting.pop(number))
                    print(f"slurm: {job.job_id} ended, {len(waiting)} to go", file=sys.stderr)
                    if reason:
                        lost[number] = f"job {job.job_id}: {reason}; log: {job.paths.stderr}"
            if not waiting or time.monotonic() - asked < self.poll_s:
                continue
            asked = time.monotonic()
            states = _states(array)
            if states is None:  # Slurm does not answer now; its jobs may well run
                continue
            gone = {n for n, job in waiting.items() if states.get(job.job_id, _GONE) in _ENDED}
            # twice in a row: a requeue passes through such states, a file may be slow to be seen
            for number in gone & suspects:
                job = waiting.pop(number)
                state = states.get(job.job_id, _GONE)
                lost[number] = f"job {job.job_id}: lost, {state}; log: {job.paths.stderr}"
            suspects = gone
        return lost


def _has_result(job: Any) -> bool:
    folder = job.paths.folder
    if folder.exists():
        list(folder.iterdir())  # makes a network file system look again
    return job.paths.result_pickle.exists()


def _error_of(job: Any) -> str | None:
    """Last line of what a job raised; None if it ended well."""
    error = job.exception()
    if error is None:
        return None
    lines = [line for line in re.split(r"\n-{5,}\n", str(error))[1].split("\n") if line.strip()]
    return lines[-1].strip()[:300]


def _states(array: str) -> dict[str, str] | None:
    """Job id -> state, of one array or job; None where Slurm cannot be asked."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={array}"]
    try:
        asked = subprocess.run(
            [*command, "--format=%i %T"], capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return None
    if asked.returncode:
        return {} if "Invalid job id" in asked.stderr else None
    return dict(line.split() for line in asked.stdout.splitlines() if line.strip())
