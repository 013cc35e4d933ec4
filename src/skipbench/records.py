"""What is asked, what came back, and how it was scored; and the JSON Lines files they live in.

Standard library only: reading results never needs torch.
"""

import base64
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FinishReason = Literal["stop", "length"]


class BadInput(ValueError):
    """Something the user gave cannot be used. The message is one line: the value, what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One thing to ask: `turns` are the user's messages, `references[t]` the accepted replies.

    `cluster` groups samples that share an entity or a question; intervals are clustered by it.
    """

    sample_id: str
    cluster: str
    turns: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One reply of the model.

    `token_ids`: emitted ids, end-of-sequence included; the only token count there is.
    `counts`: module calls of this row's decode forwards, by the names used in `skip` of the summary.
    `times`: seconds; `prefill_s` and `decode_s` are what this row waited, `*_share_s` its share of
    a batch's time, so that shares add up to time really spent.
    `skip_map`: see `pack_map`.
    """

    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    counts: dict[str, int | float]
    times: dict[str, float]
    skip_map: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of records.jsonl: everything that was generated for one sample, or why it failed."""

    sample_id: str
    prompt_sha256: list[str]
    replies: list[str]
    token_ids: list[list[int]]
    finish_reasons: list[FinishReason]
    times: list[dict[str, Any]]
    counts: list[dict[str, int | float]]
    skip_map: list[dict[str, Any]]
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """One line of scores.jsonl. `value` None is *unscored*, and `reason` says why; never 0, never -1."""

    sample_id: str
    turn: int
    metric: str
    value: float | None
    reason: str | None = None
    judge: str | None = None


def pack_map(bits: Sequence[Sequence[Sequence[int]]]) -> dict[str, Any]:
    """A step × block × sub-layer map (1 = skipped; attn before ffn) as base64 of packed bits."""
    shape = [len(bits), len(bits[0]) if bits else 0, 2]
    flat = [bit for step in bits for block in step for bit in block]
    flat += [0] * (-len(flat) % 8)
    octets = bytes(
        sum(bit << (7 - i) for i, bit in enumerate(flat[start : start + 8]))
        for start in range(0, len(flat), 8)
    )
    return {"shape": shape, "bits": base64.b64encode(octets).decode()}


def unpack_map(packed: dict[str, Any]) -> list[list[list[int]]]:
    """The inverse of `pack_map`."""
    steps, blocks, halves = packed["shape"]
    octets = base64.b64decode(packed["bits"])
    flat = [octet >> (7 - i) & 1 for octet in octets for i in range(8)]
    return [
        [flat[(s * blocks + b) * halves : (s * blocks + b + 1) * halves] for b in range(blocks)]
        for s in range(steps)
    ]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a JSON Lines file; a torn last line (a kill while writing) is passed over.

    Raises BadInput naming file and line where anything else is not a JSON object.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise BadInput(f"{path}:{number} is not a JSON object: {line[:60]!r}")
            yield value


def repair(path: Path) -> None:
    """Cut a torn last line off, so that appending starts on a line of its own."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


def append_lines(path: Path, values: Iterable[dict[str, Any]]) -> None:
    """Append objects and flush them to the disk before returning."""
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write whole or not at all: a reader never sees half a file, whoever else writes it."""
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Raises BadInput with the file's name where it is missing or no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist") from None
    except ValueError:
        raise BadInput(f"{path} is not valid JSON") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} does not hold a JSON object")
    return value


def latest_records(path: Path) -> dict[str, dict[str, Any]]:
    """sample_id -> its last line; a retried sample has several, the last one counts."""
    return {line["sample_id"]: line for line in read_lines(path)}


def answer_ids(record: dict[str, Any], turn: int) -> list[int]:
    """The emitted ids of a turn up to its first end-of-sequence; a forced length goes on behind it."""
    return record["token_ids"][turn][: record["counts"][turn]["reply_tokens"]]
