"""Published files, kept in the user's cache once they have come."""

import hashlib
import os
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from skipbench.records import BadInput


def fetched(url: str, name: str, sha256: str | None) -> Path:
    """The file of a URL, from the cache if it is there.

    Raises BadInput where it cannot be fetched (saying how to go on without), or where it is not
    the file that was pinned.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    target = root / "skipbench" / name
    if not target.exists():
        try:
            with urlopen(url, timeout=20) as answer:
                body = answer.read()
        except (URLError, OSError) as error:
            raise BadInput(
                f"{name} cannot be fetched ({getattr(error, 'reason', error)}); give a local copy "
                "with task.path=FILE or SKIPBENCH_DATA=DIR"
            ) from None
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f"{target.name}.{os.getpid()}.new")
        new.write_bytes(body)
        new.replace(target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    if sha256 is not None and digest != sha256:
        raise BadInput(f"{target} is not the pinned file (sha256 {digest[:12]}…); delete it")
    return target
