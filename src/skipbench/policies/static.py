"""Fixed sets: layer drop in several orders, and ShortGPT.

ShortGPT (Men et al., arXiv 2403.03853): block influence BI = 1 - E[cos(block input, block output)]
over all tokens of calibration text; the blocks of least influence are removed.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from torch import Tensor

from skipbench.policies.base import (
    Knob,
    Phase,
    Policy,
    Site,
    Start,
    State,
    Sublayer,
    count_of,
    counts_up_to,
    one_of,
    whole,
)
from skipbench.records import BadInput

ORDERS = ("given", "last", "middle", "uniform", "random")
PARTS = ("block", "attn", "ffn")


@dataclass(frozen=True, kw_only=True)
class Static(Policy, ABC):
    """A set of blocks, or halves of blocks, that never run in the phase.

    Where only the prefill is skipped, decode attends to the prompt in those blocks too: their keys
    and values are then projected from the passing residual stream.
    """

    phase: Phase = "both"
    kv: Literal["none", "project"] | None = None  # type: ignore[assignment]
    part: Literal["block", "attn", "ffn"] = "block"
    blocks: float | list[int] = 0.25

    unit: ClassVar = "block"
    bounds: ClassVar = "method.phase: the ratio is that of decode"

    def __post_init__(self) -> None:
        one_of("method.part", self.part, PARTS)
        one_of("method.kv", self.kv, (None, "none", "project"))
        needed = "project" if self.phase == "prefill" else "none"
        if self.kv is None:
            object.__setattr__(self, "kv", needed)
        super().__post_init__()
        if needed == "project" and self.kv == "none":
            raise BadInput("method.kv='none' with method.phase='prefill' leaves holes; use project")

    @abstractmethod
    def chosen(self, num_layers: int) -> frozenset[int]:
        """The blocks that are dropped."""

    def check(self, num_layers: int) -> None:
        self.chosen(num_layers)

    def requests_skipping(self, num_layers: int) -> bool:
        return bool(self.chosen(num_layers))

    def knob(self, num_layers: int) -> Knob:
        return Knob("blocks", self.part, counts_up_to(num_layers))

    def begin(self, start: Start) -> State:
        return _Fixed(self.chosen(start.num_layers), self.part)


class _Fixed(State):
    def __init__(self, chosen: frozenset[int], part: str) -> None:
        self.chosen, self.part = chosen, part

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        return site.layer in self.chosen and self.part in ("block", site.sublayer.value)


@dataclass(frozen=True, kw_only=True)
class LayerDrop(Static):
    """`blocks`: how many (count or fraction), or with `order=given` which ones.

    `middle` is centred in depth; `uniform` spreads evenly and keeps both ends while it can;
    `random` draws once from `seed`.
    """

    order: Literal["given", "last", "middle", "uniform", "random"] = "middle"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method.order", self.order, ORDERS)
        if isinstance(self.blocks, Sequence) != (self.order == "given"):
            raise BadInput(
                f"method.blocks={self.blocks!r} with method.order={self.order}: a list of block "
                "numbers goes with order=given, a count or fraction with the others"
            )

    def knob(self, num_layers: int) -> Knob | None:  # type: ignore[override]
        return None if self.order == "given" else super().knob(num_layers)

    def chosen(self, num_layers: int) -> frozenset[int]:
        if isinstance(self.blocks, Sequence):
            for block in self.blocks:
                whole("method.blocks", block, 0, num_layers - 1)
            return frozenset(self.blocks)
        count = count_of("method.blocks", self.blocks, num_layers)
        if self.order == "last":
            return frozenset(range(num_layers - count, num_layers))
        if self.order == "middle":
            first = (num_layers - count) // 2
            return frozenset(range(first, first + count))
        if self.order == "uniform":
            return frozenset(int((i + 0.5) * num_layers / count) for i in range(count))
        return frozenset(Random(self.seed).sample(range(num_layers), count))


@dataclass(frozen=True, kw_only=True)
class ShortGPT(Static):
    """`influence`: block influence of each block, filled in by calibration."""

    influence: list[float] | None = None

    needs_influence: ClassVar[bool] = True

    def chosen(self, num_layers: int) -> frozenset[int]:
        count = count_of("method.blocks", self.blocks, num_layers)  # type: ignore[arg-type]
        if self.influence is None:
            return frozenset(range(count))  # before calibration only the number is known
        order = sorted(range(num_layers), key=lambda layer: (self.influence or [])[layer])
        return frozenset(order[:count])


class Influence(State):
    """Runs everything and adds up cos(block input, block output), padding included in no sum."""

    def __init__(self, num_layers: int) -> None:
        self.sums = [0.0] * num_layers
        self.tokens = 0

    def start(self, step: int, x: Tensor) -> None:
        self.entered = x

    def observe(self, site: Site, x: Tensor, y: Tensor) -> None:
        if site.sublayer is Sublayer.ATTN:
            self.entered = x
            return
        cosine = self.entered.float(), y.float()
        total = cosine[0].mul(cosine[1]).sum(-1)
        total = total / cosine[0].norm(dim=-1) / cosine[1].norm(dim=-1)
        self.sums[site.layer] += float(total.sum())
        self.tokens += total.numel() if site.layer == 0 else 0
