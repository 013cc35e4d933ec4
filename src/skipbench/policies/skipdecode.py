"""SkipDecode (Del Corro et al., arXiv 2307.02628): fewer blocks the later the token.

The number of blocks falls linearly with the position in the reply and is shared by all rows. The
first blocks and the last ones run, the skipped ones lie between, so that a later token only reads
keys and values that every earlier token wrote: no KV rule is needed.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from skipbench.policies.base import (
    Knob,
    Policy,
    Site,
    Start,
    State,
    count_of,
    one_of,
    whole,
)
from skipbench.records import BadInput


@dataclass(frozen=True, kw_only=True)
class SkipDecode(Policy):
    """`max_blocks` at the first decode step fall to `min_blocks` at step `horizon`, then stay.

    `bottom`: first blocks that always run. `horizon` None: the longest reply allowed. Counts or
    fractions of depth.
    """

    max_blocks: float | None = None
    min_blocks: float = 0.5
    bottom: float = 2
    horizon: int | None = None

    unit: ClassVar = "block"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method.phase", self.phase, ("decode",))
        one_of("method.kv", self.kv, ("none",))
        if self.horizon is not None:
            whole("method.horizon", self.horizon, 1)

    def limits(self, num_layers: int) -> tuple[int, int, int]:
        most = num_layers
        if self.max_blocks is not None:
            most = count_of("method.max_blocks", self.max_blocks, num_layers)
        least = count_of("method.min_blocks", self.min_blocks, num_layers)
        bottom = count_of("method.bottom", self.bottom, num_layers)
        return most, least, bottom

    def check(self, num_layers: int) -> None:
        most, least, bottom = self.limits(num_layers)
        if not bottom <= least <= most <= num_layers or least < 1:
            raise BadInput(
                f"method.bottom={self.bottom}, method.min_blocks={self.min_blocks} and "
                f"method.max_blocks={self.max_blocks} must not fall, from 1 to {num_layers} blocks"
            )

    def requests_skipping(self, num_layers: int) -> bool:
        return self.limits(num_layers)[1] < num_layers

    def knob(self, num_layers: int) -> Knob:
        bottom = max(1, self.limits(num_layers)[2])
        return Knob("min_blocks", "block", tuple(range(num_layers, bottom - 1, -1)))

    def blocks_at(self, step: int, num_layers: int, max_new_tokens: int) -> int:
        most, least, _ = self.limits(num_layers)
        horizon = self.horizon or max_new_tokens
        share = min(step / horizon, 1.0)
        return round(most - (most - least) * share)

    def begin(self, start: Start) -> State:
        return _Position(self, start)


class _Position(State):
    def __init__(self, policy: SkipDecode, start: Start) -> None:
        self.policy, self.num_layers = policy, start.num_layers
        self.max_new_tokens = start.max_new_tokens
        self.bottom = policy.limits(start.num_layers)[2]

    def start(self, step: int, x: Tensor) -> None:
        run = self.policy.blocks_at(step, self.num_layers, self.max_new_tokens)
        self.skipped = range(self.bottom, self.bottom + self.num_layers - run)

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        return site.layer in self.skipped
