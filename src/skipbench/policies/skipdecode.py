"""SkipDecode (Del Corro et al., arXiv 2307.02628): fewer blocks the later the token.

The number of blocks falls linearly with the position in the reply and is shared by all rows that
may be equally long. The first blocks and the last ones run, the skipped ones lie between, so that a
later token only reads keys and values that every earlier token wrote: no KV rule is needed.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
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

    `bottom`: first blocks that always run. `horizon` None: the most a reply may have. Counts or
    fractions of depth.
    """

    max_blocks: float | None = None
    min_blocks: float = 0.5
    bottom: float = 2
    horizon: int | None = None

    unit: ClassVar = "block"
    bounds: ClassVar = "method.horizon (null: the longest reply allowed), bottom and max_blocks"

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
    """`run` [rows, steps]: blocks that run. Rows share a schedule unless their limits differ."""

    def __init__(self, policy: SkipDecode, start: Start) -> None:
        self.num_layers, self.bottom = start.num_layers, policy.limits(start.num_layers)[2]
        limits = start.limits if policy.horizon is None else (policy.horizon,)
        steps = range(start.max_new_tokens + 1)
        schedules = {
            limit: [policy.blocks_at(step, start.num_layers, limit) for step in steps]
            for limit in limits
        }
        self.shared = next(iter(schedules.values())) if len(schedules) == 1 else None
        rows = [schedules[limit] for limit in (limits if self.shared is None else ())]
        self.run = torch.tensor(rows, device=start.device)

    def start(self, step: int, x: Tensor) -> None:
        run = self.run[:, step, None] if self.shared is None else self.shared[step]
        self.until = self.bottom + self.num_layers - run

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        return site.layer < self.until if site.layer >= self.bottom else False

    def keep(self, rows: Tensor) -> None:
        if self.shared is None:
            super().keep(rows)
