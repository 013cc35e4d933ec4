"""Who may use a device when: timed work alone, other work together."""

import getpass
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import ReadWriteLock, Timeout


@contextmanager
def held(device: str, alone: bool) -> Iterator[None]:
    """Wait for the device and hold it: `alone` (times are compared), or with others that do not time.

    The lock is the operating system's, for all processes of one user on one machine; a process that
    dies lets go.
    """
    name = re.sub(r"\W+", "-", f"skipbench-{getpass.getuser()}-{device}")
    lock = ReadWriteLock(Path(tempfile.gettempdir()) / f"{name}.lock")
    acquire = lock.acquire_write if alone else lock.acquire_read
    try:
        acquire(timeout=0)
    except Timeout:
        why = "timed work goes alone" if alone else "timed work is running"
        print(f"waiting for {device}: {why}", file=sys.stderr, flush=True)
        acquire(timeout=-1)
    try:
        yield
    finally:
        lock.release()
