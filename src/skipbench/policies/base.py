"""What a skipping method is: a frozen `Policy` that begins a `State` for each batch.

The engine asks `state.skip(site, x)` before every half-block and shows it what an executed one did
(`observe`). Answers are a Python bool when all rows agree, else a bool tensor; a policy never reads
a tensor back to the host. Tensors held by a state have rows first, so that rows can be dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from skipbench.records import BadInput

Phase = Literal["decode", "prefill", "both"]
KVRule = Literal["full", "project", "copy", "mask", "recompute", "none"]
PHASES = ("decode", "prefill", "both")
KV_RULES = ("full", "project", "copy", "mask", "recompute", "none")
UNITS = ("ffn", "attn", "block")
UNKNOWN_DEPTH = 1000  # deeper than any model: for asking about a policy before there is one


class Sublayer(StrEnum):
    ATTN = "attn"
    FFN = "ffn"


class Site(NamedTuple):
    """Where a decision falls: block `layer` (from 0), half, step (0: prefill, t: t-th decode)."""

    layer: int
    sublayer: Sublayer
    step: int


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a policy may know of a batch of sequences before the first token."""

    num_layers: int
    rows: int
    limits: tuple[int, ...]  # most new tokens of each row
    device: torch.device
    sample_ids: tuple[str, ...]
    seeds: tuple[int, ...]  # one a row: a hash of seed, sample and turn, the same in any batch
    turn: int
    readout: Callable[[Tensor], Tensor]  # residual stream [..., d] -> logits [..., vocabulary]

    @property
    def max_new_tokens(self) -> int:
        """Steps that the longest row can take. A schedule over a reply goes by the row's own limit,
        or a row would answer differently in other company."""
        return max(self.limits)


class Knob(NamedTuple):
    """The field that is calibrated to reach a target ratio; more of it means more skipping."""

    field: str
    unit: Literal["ffn", "attn", "block"]
    values: tuple[float, ...]  # ascending in the ratio they give


class State:
    """Decisions for one batch. This one never skips."""

    def start(self, step: int, x: Tensor) -> None:
        """Before the first block of a step; `x` [rows, tokens, d] is the embedded input."""

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        """Which rows skip this half-block: a bool, or a bool tensor [rows, tokens]."""
        return False

    def observe(self, site: Site, x: Tensor, y: Tensor) -> None:
        """Residual stream before and after a half-block [rows, tokens, d]; equal where it was skipped."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows [kept] only; the others have finished."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[rows])


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Base of all methods. Subclasses validate in `__post_init__` and in `check` (needs the depth).

    `phase`: where it acts; `kv`: what later tokens find in the cache where attention was skipped;
    `skip`: the method's default target ratio (None: its own fields say what is skipped).
    `bounds`: the fields, beside the knob, that keep a ratio from being reached; told where one is not.
    """

    phase: Phase = "decode"
    kv: KVRule = "none"
    skip: float | None = None

    observes: ClassVar[bool] = False
    unit: ClassVar[Literal["ffn", "attn", "block"]] = "ffn"
    bounds: ClassVar[str] = ""

    def __post_init__(self) -> None:
        one_of("method.phase", self.phase, PHASES)
        one_of("method.kv", self.kv, KV_RULES)
        one_of(f"unit of {type(self).__name__}", self.unit, UNITS)
        if self.skip is not None:
            within("method.skip", self.skip, 0.0, 1.0)

    def check(self, num_layers: int) -> None:
        """Raise BadInput where the fields do not fit a model of this depth."""

    def knob(self, num_layers: int) -> Knob | None:
        """How a target ratio is reached; None: it cannot be asked of this method."""
        return None

    def requests_skipping(self, num_layers: int) -> bool:
        """Whether something must be skipped for a run to be what it says."""
        return True

    def begin(self, start: Start) -> State:
        return State()


@dataclass(frozen=True, kw_only=True)
class Dense(Policy):
    """The unchanged model: every half-block runs."""

    def requests_skipping(self, num_layers: int) -> bool:
        return False


def knob_of(policy: Policy, num_layers: int) -> Knob | None:
    """The policy's knob. Raises BadInput where it is none that a ratio could be reached with."""
    knob, name = policy.knob(num_layers), f"the knob of {type(policy).__name__}"
    if knob is None:
        return None
    if not isinstance(knob, Knob):
        raise BadInput(f"{name} is {knob!r}; give Knob(field, unit, values)")
    one_of(f"field of {name}", knob.field, tuple(vars(policy)))
    one_of(f"unit of {name}", knob.unit, UNITS)
    numbers = (isinstance(value, int | float) for value in knob.values)
    if not knob.values or not all(numbers):
        raise BadInput(f"values of {name} are {knob.values!r}; give numbers, at least one")
    return knob


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise BadInput(f"{name}={value!r} is not one of {', '.join(map(str, allowed))}")


def within(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # type: ignore[operator]
        raise BadInput(f"{name}={value!r} is not a number from {low:g} to {high:g}")


def whole(name: str, value: object, low: int, high: int | None = None) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= low
    if not good or (high is not None and value > high):  # type: ignore[operator]
        limit = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise BadInput(f"{name}={value!r} is not a whole number {limit}")


def count_of(name: str, value: float, num_layers: int) -> int:
    """A number of blocks, given as a count (int) or as a fraction of depth (float below 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadInput(f"{name}={value!r} is neither a count of blocks nor a fraction below 1")
    if isinstance(value, float) and not value.is_integer():
        if value >= 1:
            raise BadInput(f"{name}={value!r} is neither a count of blocks nor a fraction below 1")
        return round(value * num_layers)
    if value > num_layers:
        raise BadInput(f"{name}={value!r} is more than the model's {num_layers} blocks")
    return int(value)


def counts_up_to(most: int) -> tuple[float, ...]:
    return tuple(range(most + 1))


# 1 - 10^-u: the similarity of neighbouring blocks crowds near 1, so thresholds are spaced there
THRESHOLDS = tuple(1 - 10 ** (-u / 16) for u in range(112, -1, -1))
