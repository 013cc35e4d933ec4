"""What a report relies on in a cell's files, checked once when they are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any

from skipbench.records import BadInput, read_lines

Json = dict[str, Any]
# A spec is a kind, or an object's fields; 'name?' may be missing or null, and ... is any name.
_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "count": (int,),
    "number": (int, float),
    "number or null": (int, float, NoneType),
    "anything": (object,),
}
_NUMBER, _PERHAPS = "number", "number or null"
_INTERVAL = {"value": _NUMBER, "low": _PERHAPS, "high": _PERHAPS}
_COUNTS = {...: {...: "count"}}
_PAIRED = {
    ...: {
        # null where another judge graded the twin
        **{"difference": _PERHAPS, "low": _PERHAPS, "high": _PERHAPS, "p": _PERHAPS},
        **{"n?": "count", "minimum_detectable": _PERHAPS, "p_noninferior": _PERHAPS},
    }
}
SUMMARY = {
    **{"task": "text", "model": "text", "method": "text", "status": "text", "n": "count"},
    "metrics": {
        ...: {
            **{"value": _PERHAPS, "low": _PERHAPS, "high": _PERHAPS},
            **{"n": "count", "unscored": "count"},
            **{"worst_case?": _NUMBER, "best_case?": _NUMBER},
        }
    },
    "skip": {"requested": _PERHAPS, "unit?": "text", **{f"{k}?": _NUMBER for k in ("ffn", "attn")}},
    "skip_prefill?": {...: _PERHAPS},
    "speed": {"tpot_s": {"p50": _PERHAPS}, "speedup?": _INTERVAL, "speedup_reason?": "text"},
    "paired": _PAIRED,
    "transitions?": _COUNTS,
    "errors?": {...: "count"},
    "fingerprint?": "text",
    "twin?": "text",
    "judge?": {"model": "anything"},
    "noise_floor?": {
        **{"fingerprint": "text", "batch_size": "count"},
        **{"paired": _PAIRED, "transitions": _COUNTS},
    },
}
MANIFEST = {
    "config": {"task": {"form?": "text"}, "method": {...: "anything"}},
    "decides": {"task": {"data": "anything"}, "method?": {...: "anything"}},
    "decode": {"mode": "text"},
    "method?": {...: "anything"},
    "num_layers?": "count",
    "versions?": {...: "anything"},
    "git?": {...: "anything"},
    "hardware?": {...: "anything"},
}
SWEEP_CELL = {"directory?": "text"}


def check(value: Any, spec: Any, path: Path, place: str = "") -> None:
    """Raises BadInput naming file and place where `value` is not of `spec`."""
    if isinstance(spec, str):
        kinds = _KINDS[spec]
        if not isinstance(value, kinds) or (isinstance(value, bool) and spec != "anything"):
            raise BadInput(f"{path}: {place} is {str(value)[:40]!r}, not a {spec}")
        return
    if not isinstance(value, dict):
        raise BadInput(f"{path}: {place or 'it'} is {str(value)[:40]!r}, not an object")
    for key, inner in _fields(value, spec, path, place):
        check(value[key], inner, path, f"{place}.{key}".lstrip("."))


def _fields(value: Json, spec: Any, path: Path, place: str) -> Iterator[tuple[str, Any]]:
    if ... in spec:
        yield from ((key, spec[...]) for key in value)
        return
    missing = {key for key in spec if not key.endswith("?")} - value.keys()
    if missing:
        name = f"{place}.{sorted(missing)[0]}".lstrip(".")
        raise BadInput(f"{path} has no {name!r}")
    for key, inner in spec.items():
        plain = key.removesuffix("?")
        if plain == key or value.get(plain) is not None:
            yield plain, inner


def lines_with(path: Path, *keys: str) -> Iterator[Json]:
    """Lines of a JSON Lines file. Raises BadInput naming the first that lacks one of `keys`."""
    for number, line in enumerate(read_lines(path), 1):
        for key in keys:
            if key not in line:
                raise BadInput(f"{path}:{number} has no {key!r}")
        yield line


@contextmanager
def blaming(directory: Path) -> Iterator[None]:
    """Names the cell whose files hold something of another form than they should."""
    try:
        yield
    except BadInput:
        raise
    except (KeyError, IndexError, TypeError, ValueError) as error:
        told = " ".join(repr(error).split())[:200]
        raise BadInput(f"{directory} holds scores or records of another form ({told})") from None
