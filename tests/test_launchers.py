"""Sweeps whose cells run in other processes: side by side here, and on a Slurm of this machine."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from skipbench.records import latest_records, read_json

SCRIPT = Path(__file__).parents[1] / "scripts" / "slurm_here.sh"
# dense is a stage of its own, replay the last: it plays the maps of ffnskip
CELLS = (
    "task=factoid",
    "method=ffnskip,layerdrop,replay",
    "limit=200",
    "batch_size=4",
)
ON_SLURM = ("hydra/launcher=slurm_cpu", "hydra.launcher.poll_s=2")


_started: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def _nothing_goes_on():
    yield
    for process in _started:
        process.kill()
        process.communicate()
    _started.clear()


def sweep(results: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    """A sweep in a process and a working directory of its own, which must stay empty."""
    away = results.with_name(results.name + "_cwd")
    away.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "skipbench", "-m", *arguments, f"results_dir={results}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=away,
        env={**os.environ, **environment},
    )
    _started.append(process)
    return process


def ended(process: subprocess.Popen, results: Path) -> tuple[int, str]:
    """Exit code and what was told."""
    out, err = process.communicate(timeout=240)
    if process.returncode == 0:
        assert out.strip().split("\n")[-1] == str(results)
    assert not list(results.with_name(results.name + "_cwd").iterdir())
    return process.returncode, err


def answers(results: Path) -> dict:
    """All records of all cells, without what the clock decides."""
    return {
        path.parent.relative_to(results): {
            key: {k: v for k, v in record.items() if k != "times"}
            for key, record in latest_records(path).items()
        }
        for path in results.glob("*/*/*/*/records.jsonl")
    }


def until(happened: Callable[[], object], what: str, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def test_timed_cells_do_not_share_a_device(cli):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    ran = cli("-m", "hydra/launcher=parallel", "task=factoid", "limit=4", "method=layerdrop",
              "method.blocks=2,4", "decode=forced_length")  # fmt: skip
    assert ran.code == 2
    assert "one job a device" in ran.err


def test_jobs_with_a_gpu_each_do_not_wait_for_each_other(monkeypatch):
    from skipbench.device import _physical

    for name in ("SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    assert _physical("cpu") == "cpu"
    assert _physical("cuda") == _physical("cuda:0") == "cuda:0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert [_physical("cuda"), _physical("cuda:1")] == ["cuda:2", "cuda:3"]
    monkeypatch.setenv("SLURM_JOB_GPUS", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert _physical("cuda") == "cuda:5"


def test_a_launcher_that_is_not_installed_is_named(cli, monkeypatch):
    found = importlib.util.find_spec
    absent = "hydra_plugins.hydra_"
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda n, *a: None if n.startswith(absent) else found(n, *a)
    )
    for name, extra in (("parallel", "joblib"), ("slurm", "slurm")):
        ran = cli("-m", f"hydra/launcher={name}", "limit=4", "method=layerdrop")
        assert ran.code == 2
        assert f"skipbench[{extra}]" in ran.err
        assert len(ran.err.strip().split("\n")) == 1


def test_a_finished_dense_cell_is_not_held_while_a_method_runs(cli, monkeypatch, tmp_path):
    from filelock import FileLock

    from skipbench import run

    small = ("task=factoid", "limit=8", "batch_size=4", "noise_floor=true")
    assert cli(*small, "method=dense").code == 0
    made, free = run.records_of, []

    def watched(*arguments):
        for lock in (tmp_path / "results").glob("factoid/tiny/dense/*/.lock"):
            with FileLock(lock).acquire(timeout=0):
                free.append(lock)
        return made(*arguments)

    monkeypatch.setattr(run, "records_of", watched)
    ran = cli(*small, "method=layerdrop")
    assert ran.code == 0, ran.err
    assert len(set(free)) == 2  # the twin, and the noise floor


def waited(monkeypatch, tmp_path, answers: list) -> dict[int, str]:
    """What the Slurm launcher says of two jobs without results, when Slurm answers like this."""
    from hydra_plugins import skipbench_slurm

    replies = iter(answers)
    monkeypatch.setattr(skipbench_slurm, "_states", lambda array: next(replies))
    paths = SimpleNamespace(folder=tmp_path, result_pickle=tmp_path / "result", stderr="log.err")
    jobs = [SimpleNamespace(job_id=f"7_{n}", paths=paths) for n in range(2)]
    launcher = object.__new__(skipbench_slurm.Slurm)
    launcher.poll_s = 0.0
    return launcher._lost("7", jobs)


def test_lost_jobs_are_named_once_slurm_has_said_so_twice(monkeypatch, tmp_path):
    states = [
        {"7_0": "NODE_FAIL", "7_1": "RUNNING"},
        None,  # Slurm does not answer
        {"7_0": "PENDING", "7_1": "RUNNING"},  # it was on its way back
        {"7_0": "NODE_FAIL", "7_1": "COMPLETING"},
        {"7_0": "NODE_FAIL", "7_1": "COMPLETING"},
        {},
        {},
    ]
    assert waited(monkeypatch, tmp_path, states) == {
        0: "job 7_0: lost, NODE_FAIL; log: log.err",
        1: "job 7_1: lost, no longer known to Slurm; log: log.err",
    }


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> dict:
    """The records of the same cells, one after another."""
    results = tmp_path_factory.mktemp("serial") / "results"
    code, err = ended(sweep(results, *CELLS), results)
    assert code == 0, err
    found = answers(results)
    assert {path.parts[2] for path in found} == {"dense", "ffnskip", "layerdrop", "replay"}
    assert {len(records) for records in found.values()} == {200}
    return found


@pytest.mark.slow
def test_cells_side_by_side_end_like_a_serial_sweep(serial, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    results = tmp_path / "results"
    code, err = ended(sweep(results, *CELLS, "hydra/launcher=parallel"), results)
    assert code == 0, err
    assert answers(results) == serial


class Slurm:
    """A Slurm of two nodes, and what a test does to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {"SLURM_CONF": str(directory / "slurm.conf")}

    def start(self) -> None:
        made = subprocess.run([SCRIPT, "start", self.directory], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        assert made.stdout == f"export SLURM_CONF={self.env['SLURM_CONF']}\n"

    def ask(self, *command: str) -> str:
        """Output of a Slurm command; empty where it fails."""
        env = {**os.environ, **self.env}
        return subprocess.run(command, capture_output=True, text=True, env=env).stdout

    def job_of(self, cell: Path) -> SimpleNamespace:
        """The job that holds a cell."""
        pid = (cell / ".holder").read_text().split()[1]
        pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
        env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        task = env.get("SLURM_ARRAY_TASK_ID")
        name = f"{env['SLURM_ARRAY_JOB_ID']}_{task}" if task else env["SLURM_JOB_ID"]
        return SimpleNamespace(
            name=name, raw=env["SLURM_JOB_ID"], node=env["SLURMD_NODENAME"], pid=int(pid)
        )

    def state(self, job: SimpleNamespace) -> str:
        return self.ask("squeue", "-h", "-t", "all", "-j", job.name, "-o", "%T").strip()

    def requeue(self, job: SimpleNamespace) -> None:
        """Queue a running job again. Its process may go on for KillWait; it is not given that time,
        in which a quick machine would end the cell."""
        self.ask("scontrol", "requeue", job.name)
        os.kill(job.pid, signal.SIGKILL)

    def time_out(self, job: SimpleNamespace) -> None:
        """Send what Slurm sends before a time limit."""
        self.ask("scancel", "--signal=USR2", job.name)

    def wake(self, job: SimpleNamespace) -> None:
        """A job that was queued again waits for two minutes; not here. But what is left of its first
        run must be gone: it would be taken for the end of the second."""
        until(lambda: self.state(job) == "PENDING", f"{job.name} to be queued again")
        until(lambda: not list(processes_of(job)), f"the first run of {job.name} to be gone")
        self.ask("scontrol", "update", f"jobid={job.name}", "StartTime=now")

    def lose_node(self, job: SimpleNamespace) -> None:
        """Kill the daemon of the node that a job runs on, and everything of the job."""
        pid = (self.directory / "run" / f"slurmd.{job.node}.pid").read_text()
        os.kill(int(pid), signal.SIGKILL)
        for process in processes_of(job):
            os.kill(process, signal.SIGKILL)


def processes_of(job: SimpleNamespace) -> Iterator[int]:
    """A job's processes, and the ones of Slurm that watch over its steps."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        step = name.startswith(f"slurmstepd: [{job.raw}.".encode())
        if step or f"SLURM_JOB_ID={job.raw}".encode() in environment:
            yield int(process.name)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    if shutil.which("slurmctld") is None or shutil.which("munged") is None:
        pytest.skip("slurm-wlm and munge are not installed")
    if os.geteuid() != 0:
        pytest.skip("slurmd needs root")
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    cluster.start()
    yield cluster
    subprocess.run([SCRIPT, "stop", cluster.directory], check=True)
    assert not cluster.directory.exists()


def begun(results: Path, method: str) -> Path | None:
    """The cell of a method, once some of it is done; by then it must not be all."""
    for path in results.glob(f"factoid/tiny/{method}/*/records.jsonl"):
        done = len(latest_records(path))
        if done >= 4:
            assert done < 200
            return path.parent
    return None


def midway(results: Path, method: str) -> Path:
    """Wait until some of a cell is done."""
    until(lambda: begun(results, method), f"the first records of {method}")
    cell = begun(results, method)
    assert cell is not None
    return cell


def sessions(cell: Path) -> int:
    """Processes that wrote the records of a cell."""
    records = latest_records(cell / "records.jsonl").values()
    return len({record["times"][0]["session"] for record in records})


@pytest.mark.slow
def test_jobs_that_are_queued_again_go_on_from_their_records(slurm, serial, tmp_path):
    results = tmp_path / "results"
    process = sweep(results, *CELLS, *ON_SLURM, **slurm.env)
    stop = {"ffnskip": slurm.requeue, "layerdrop": slurm.time_out}
    jobs = {}

    def stopped() -> bool:
        for method in stop.keys() - jobs.keys():
            cell = begun(results, method)
            if cell is not None:
                jobs[method] = slurm.job_of(cell)
                stop[method](jobs[method])
        return len(jobs) == 2

    until(stopped, "two cells to be midway")
    for job in jobs.values():
        slurm.wake(job)
    code, err = ended(process, results)
    assert code == 0, err
    for method in stop:
        (cell,) = results.glob(f"factoid/tiny/{method}/*")
        assert sessions(cell) == 2
    assert answers(results) == serial


@pytest.mark.slow
def test_a_lost_node_is_told_and_the_same_command_does_what_is_left(slurm, serial, tmp_path):
    results = tmp_path / "results"
    arguments = (*CELLS, *ON_SLURM, "hydra.launcher.requeue=false")
    process = sweep(results, *arguments, **slurm.env)
    cell = midway(results, "ffnskip")
    slurm.lose_node(slurm.job_of(cell))
    code, err = ended(process, results)
    assert code == 1, err
    (listed,) = (results / "sweeps").glob("*.json")
    told = {c["overrides"][1]: c for c in read_json(listed)["cells"]}
    assert told["method=layerdrop"]["status"] == "complete"
    assert told["method=ffnskip"]["status"] == "not finished"
    assert "NODE_FAIL" in told["method=ffnskip"]["reason"]
    assert told["method=replay"]["status"] == "not run"
    assert str(cell) in told["method=replay"]["reason"]  # it plays the maps of the lost one
    assert "NODE_FAIL" in err
    assert "1 complete" in err
    slurm.start()  # the node comes back
    code, err = ended(sweep(results, *arguments, **slurm.env), results)
    assert code == 0, err
    assert sessions(cell) == 2
    assert answers(results) == serial


@pytest.mark.slow
def test_a_job_whose_node_is_lost_starts_again_by_itself(slurm, serial, tmp_path):
    results = tmp_path / "results"
    process = sweep(results, *CELLS, *ON_SLURM, **slurm.env)  # requeue=true is the preset's
    cell = midway(results, "ffnskip")
    job = slurm.job_of(cell)
    slurm.lose_node(job)
    slurm.wake(job)
    code, err = ended(process, results)  # on the other node: this one is still down
    assert code == 0, err
    assert sessions(cell) == 2
    assert answers(results) == serial
    slurm.start()


@pytest.mark.slow
def test_an_interrupted_sweep_leaves_its_jobs_and_says_so(slurm, serial, tmp_path):
    results = tmp_path / "results"
    arguments = ("task=factoid", "method=layerdrop", "limit=200", "batch_size=4", *ON_SLURM)
    process = sweep(results, *arguments, **slurm.env)
    midway(results, "layerdrop")
    process.send_signal(signal.SIGINT)
    code, err = ended(process, results)
    assert code == 130
    assert "scancel" in err
    assert "1 not finished" in err
    # its jobs still run: the new ones wait for them, and find nothing left to do
    code, err = ended(sweep(results, *arguments, **slurm.env), results)
    assert code == 0, err
    found = answers(results)
    assert {path.parts[2] for path in found} == {"dense", "layerdrop"}
    assert found == {path: serial[path] for path in found}
    for path in (results / ".sweep").rglob("*"):
        assert "slurm" in path.parts
