"""What decided a run's answers, and what they were made with. No torch."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from skipbench.records import BadInput, Sample

# Raised by hand when the meaning of stored answers changes.
SCHEMA = 2

_LIBRARIES = ("skipbench", "torch", "transformers", "tokenizers", "hydra-core", "numpy")


def sha256_of(value: Any) -> str:
    """Digest of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def data_digest(samples: Sequence[Sample]) -> str:
    """Digest of everything that is asked and expected, in order."""
    return sha256_of([asdict(sample) for sample in samples])


def model_directory(path: str, revision: str | None) -> Path:
    """Directory of a checkpoint, fetched from the hub if `path` is a hub id.

    Raises BadInput where nothing is there, or the hub cannot be reached.
    """
    directory = Path(path).expanduser()
    if directory.is_dir():
        return directory
    if path.startswith((".", "~", "/")) or path.count("/") != 1:
        raise BadInput(f"model.path={path!r} is no directory and no hub id (owner/name)")
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "*.model", "*.jinja"]
    try:
        found = snapshot_download(path, revision=revision, allow_patterns=wanted, etag_timeout=5)
    except Exception as error:  # the hub client raises errors of several libraries
        reason = " ".join(str(error).split())[:120]
        raise BadInput(
            f"model.path={path!r} cannot be fetched ({type(error).__name__}: {reason}); "
            "give a local directory, or check the network and the login"
        ) from None
    return Path(found)


@lru_cache(maxsize=8)
def model_digest(directory: Path) -> str:
    """SHA-256 over names and contents of weights, configuration and tokenizer."""
    digest = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        if path.suffix in (".safetensors", ".json", ".jinja", ".model"):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout this code runs from, and whether it was changed; None in a wheel."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def hardware() -> dict[str, Any]:
    """The machine, in words that tell two machines apart; accelerators only where torch is loaded."""
    found: dict[str, Any] = {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        found["cpu"] = names[0].split(":", 1)[1].strip() if names else None
    torch = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
    return found
