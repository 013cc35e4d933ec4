"""Who may use a device when: timed work alone, other work together."""

import getpass
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import ReadWriteLock, Timeout

_LOCKS = Path(tempfile.gettempdir())


@contextmanager
def held(device: str, alone: bool) -> Iterator[None]:
    """Wait for the device and hold it: `alone` (times are compared), or with others that do not time.

    The lock is the operating system's, for all processes of one user on one machine; a process that
    dies lets go.
    """
    name = re.sub(r"\W+", "-", f"skipbench-{getpass.getuser()}-{_physical(device)}")
    lock = ReadWriteLock(_LOCKS / f"{name}.lock")
    acquire = lock.acquire_write if alone else lock.acquire_read
    try:
        acquire(timeout=1)  # others may be taking it at this very moment
    except Timeout:
        why = "timed work goes alone" if alone else "timed work is running"
        print(f"waiting for {device}: {why}", file=sys.stderr, flush=True)
        acquire(timeout=-1)
    try:
        yield
    finally:
        lock.release()


def _physical(device: str) -> str:
    """The GPU of the machine that a process calls `cuda`: jobs with a GPU each need not wait."""
    kind, _, index = device.partition(":")
    if kind != "cuda" or not (index or "0").isdigit():
        return device
    # Slurm's own list first: in a job's container the other one may count from 0 again
    seen = os.environ.get("SLURM_JOB_GPUS") or os.environ.get("CUDA_VISIBLE_DEVICES") or ""
    names, number = [name for name in seen.split(",") if name], int(index or 0)
    return f"cuda:{names[number] if number < len(names) else number}"
