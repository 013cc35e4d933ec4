"""Data in files of the user's own: where they are, and whether they are what they should be.

`task.path` is the file that is scored (split `eval`), or a folder that holds the published files by
their names. Other splits are looked for under those names beside the file; the calibration split may
also be named by `task.calibration_path`. SKIPBENCH_DATA is a folder for everything.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipbench.records import BadInput, Sample


@dataclass(frozen=True)
class Given:
    """`path` and `calibration` as the configuration has them."""

    path: str | None = None
    calibration: str | None = None

    def check(self, data: str, takes: Sequence[str]) -> None:
        """Raises BadInput where a file does not exist, or the data set has no files."""
        for key, value in (("path", self.path), ("calibration_path", self.calibration)):
            if value is not None and data not in takes:
                raise BadInput(
                    f"task.{key}={value!r}: task.data={data} is not read from files; a path goes "
                    f"with task.data={' or '.join(takes)}"
                )
            if value is not None and not Path(value).exists():
                raise BadInput(f"task.{key}={value!r} does not exist")
        if self.calibration is not None and Path(self.calibration).is_dir():
            raise BadInput(f"task.calibration_path={self.calibration!r} is a folder; give a file")

    def find(self, split: str, *names: str) -> Path | None:
        """The file of a split; `names` are patterns of published names. None: ask the owners.

        Raises BadInput where files were named and none of them is this split.
        """
        if split == "calibration" and self.calibration is not None:
            return Path(self.calibration)
        if self.path is None:
            return _below(os.environ.get("SKIPBENCH_DATA"), names)
        given = Path(self.path)
        if given.is_dir():
            found = _below(given, names)
        else:
            found = given if split == "eval" else _beside(given, names)
        if split == "calibration" and found is None:
            found = _below(os.environ.get("SKIPBENCH_DATA"), names)
        if found is not None:
            return found
        place = f"{'in' if given.is_dir() else 'beside'} task.path={self.path!r}"
        missing = f"there is no {' or '.join(names)} {place}, which split={split} needs"
        if split == "calibration":
            missing += "; give task.calibration_path=FILE, or set the method's knob with skip=null"
        raise BadInput(missing)

    def samples(self, load: Callable[[str, "Given"], list[Sample]], split: str) -> list[Sample]:
        """What `load` finds for a split; of calibration without the questions that are scored.

        Raises BadInput where none is left.
        """
        found = load(split, self)
        if split != "calibration" or self == Given():
            return found
        asked = {sample.turns for sample in load("eval", self)}
        left = [sample for sample in found if sample.turns not in asked]
        if not left:
            raise BadInput(
                f"all questions for calibration ({self.calibration or self.path}) are scored as "
                "well; give others with task.calibration_path=FILE, or set the method's knob with "
                "skip=null"
            )
        return left


def _below(folder: Path | str | None, names: Sequence[str]) -> Path | None:
    if not folder:
        return None
    found = (path for name in names for path in sorted(Path(folder).rglob(name)))
    return next((path for path in found if path.is_file()), None)


def _beside(given: Path, names: Sequence[str]) -> Path | None:
    """In the file's folder, or beside that for a name with a folder of its own; never the file."""
    for name in names:
        folders = [given.parent, given.absolute().parent.parent] if "/" in name else [given.parent]
        for path in (path for folder in folders for path in sorted(folder.glob(name))):
            if path.is_file() and not path.samefile(given):
                return path
    return None


def text_of(path: Path) -> str:
    """The text of a file. Raises BadInput where it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror})") from None


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """('file:line', object) of each line that is not empty. Raises BadInput naming a bad line."""
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadInput(f"{path}:{number} is not JSON ({error}); one object a line") from None
        if not isinstance(row, dict):
            raise BadInput(f"{path}:{number} is not a JSON object; one object a line")
        yield f"{path}:{number}", row


def text(value: Any, where: str, field: str) -> str:
    """A text that is not empty. Raises BadInput."""
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{where}: {field}={_short(value)} is not a text of at least one letter")
    return value


def texts(value: Any, where: str, field: str) -> tuple[str, ...]:
    """A list of at least one text. Raises BadInput."""
    if not isinstance(value, list) or not value:
        raise BadInput(f"{where}: {field}={_short(value)} is not a list of at least one text")
    return tuple(text(one, where, f"{field}[{i}]") for i, one in enumerate(value))


def identity(value: Any, where: str, field: str) -> str:
    """An id: a text or a whole number. Raises BadInput."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value, where, field)


def distinct(samples: list[Sample], source: Path | str) -> list[Sample]:
    """The samples. Raises BadInput where two have one id, or where there are none."""
    seen: set[str] = set()
    for sample in samples:
        if sample.sample_id in seen:
            raise BadInput(f"{source} has the id {sample.sample_id!r} twice; each needs its own")
        seen.add(sample.sample_id)
    if not samples:
        raise BadInput(f"{source} holds no questions")
    return samples


def _short(value: Any) -> str:
    said = json.dumps(value, ensure_ascii=False, default=str)
    return said if len(said) <= 60 else f"{said[:57]}…"
