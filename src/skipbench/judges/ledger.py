"""What a results folder has spent on judges in all: one line an event, summed."""

import json
from contextlib import suppress
from pathlib import Path

from filelock import FileLock


class Ledger:
    """Shared by all cells and processes of a results folder.

    A call is written down at its upper bound before it is sent, and corrected once its price is
    known. A process that is killed in between leaves the bound: the sum is never too small.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "spent.jsonl"
        self._lock = FileLock(directory / ".spent.lock")
        self._read_to, self._sum = 0, 0.0

    def reserve(self, usd: float, budget_usd: float | None) -> bool:
        """Whether that much may still be spent; if so, it is counted from now on."""
        if usd == 0:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if budget_usd is not None and self._total() + usd > budget_usd:
                return False
            self._append(usd)
        return True

    def settle(self, reserved: float, usd: float) -> None:
        """The call cost `usd`, not what was reserved for it."""
        if usd != reserved:
            with self._lock:
                self._append(usd - reserved)

    def spent_usd(self) -> float:
        if not self.path.exists():
            return 0.0
        with self._lock:
            return self._total()

    def _total(self) -> float:
        """The sum, read on from where it was read last."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self._read_to)
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read_to += len(whole)
            self._sum += sum(_usd(line) for line in whole.splitlines())
        return self._sum

    def _append(self, usd: float) -> None:
        self._total()
        with self.path.open("ab") as file:
            torn = b"\n" if file.tell() > self._read_to else b""
            file.write(torn + json.dumps({"usd": usd}).encode() + b"\n")


def _usd(line: bytes) -> float:
    """A line that a full disk cut short counts nothing: its call was not sent."""
    try:
        return float(json.loads(line)["usd"])
    except (ValueError, TypeError, KeyError):
        return 0.0
