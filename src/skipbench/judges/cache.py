"""Replies of judges, one small file each, named by a hash of everything that was sent."""

import json
import os
from pathlib import Path
from typing import Any

from skipbench.provenance import sha256_of


class Cache:
    """Shared by all cells of a results directory; a crash loses at most calls in flight."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def key(self, request: dict[str, Any]) -> str:
        return sha256_of(request)

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """The stored reply; None if there is none, or a crash left half a file."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("text"), str) else None

    def put(self, key: str, reply: dict[str, Any]) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}.new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(reply, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
