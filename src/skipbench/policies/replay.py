"""Skip maps of another cell, played again: the same decisions without the rule that made them.

On its own prompts a map is a frozen trace and must give the same tokens. Dealt to other prompts it
is a yoked control: the same number and shape of skips, blind to the input. `static_matched` goes
further: one pattern for all inputs, with the same frequency in every block.
"""

from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Literal

import torch
from torch import Tensor

from skipbench.policies.base import Policy, Site, Start, State, Sublayer, one_of
from skipbench.records import BadInput

Bits = list[list[list[int]]]  # step × block × (attn, ffn); 1 = skipped
_COLUMN = {Sublayer.ATTN: 0, Sublayer.FFN: 1}


@dataclass(frozen=True, kw_only=True)
class FromCell(Policy):
    """`cell`: directory of the source cell; None: that of method `source` with its own values, at
    the asked ratio `skip` if one is given, and everything else as in this run.

    `kv` is the source's. `maps` are read from it when it runs: sample_id -> one map for each turn.
    """

    cell: str | None = None
    source: str = "ffnskip"
    maps: dict[str, list[Bits]] = field(default_factory=dict, repr=False)

    needs_cell: ClassVar[bool] = True

    def check(self, num_layers: int) -> None:
        for turns in self.maps.values():
            for bits in turns:
                if bits and len(bits[0]) != num_layers:
                    raise BadInput(
                        f"method.cell={self.cell!r} was made with {len(bits[0])} blocks, "
                        f"the model has {num_layers}"
                    )


@dataclass(frozen=True, kw_only=True)
class Replay(FromCell):
    """`order=own`: each sample gets its own map; `shuffled`: another sample's, drawn from `seed`."""

    order: Literal["own", "shuffled"] = "own"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method.order", self.order, ("own", "shuffled"))

    def donor(self, sample_id: str) -> str:
        """Whose map a sample gets; shuffled, nobody keeps their own (a random cycle through all)."""
        if sample_id not in self.maps:
            raise BadInput(f"method.cell={self.cell!r} holds no sample {sample_id!r}")
        if self.order == "own":
            return sample_id
        ring = sorted(self.maps)
        Random(self.seed).shuffle(ring)
        return ring[(ring.index(sample_id) + 1) % len(ring)]

    def begin(self, start: Start) -> State:
        rows = []
        for sample_id in start.sample_ids:
            turns = self.maps[self.donor(sample_id)]
            bits = turns[min(start.turn, len(turns) - 1)]
            steps = [bits[i % len(bits)] for i in range(start.max_new_tokens)] if bits else []
            empty = [[[0, 0]] * start.num_layers] * start.max_new_tokens
            rows.append(torch.tensor(steps or empty, dtype=torch.bool))
        return _Given(torch.stack(rows).to(start.device))


class _Given(State):
    """`maps`: bool [rows, steps, blocks, 2]."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps

    def start(self, step: int, x: Tensor) -> None:
        self.now = self.maps[:, step - 1] if step else self.maps[:, 0] & False

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        return self.now[:, site.layer, _COLUMN[site.sublayer], None]


@dataclass(frozen=True, kw_only=True)
class StaticMatched(FromCell):
    """One pattern for every input, with the frequencies of the source cell.

    `order=pattern`: block by block the same frequency, spread evenly over the steps;
    `order=set`: the most frequent blocks, as many as a step skips on average, in every step.
    """

    order: Literal["pattern", "set"] = "pattern"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method.order", self.order, ("pattern", "set"))

    def frequencies(self, num_layers: int) -> list[list[float]]:
        """Share of decode forwards in which each half-block was skipped: [blocks][attn, ffn]."""
        totals, steps = [[0, 0] for _ in range(num_layers)], 0
        for turns in self.maps.values():
            for bits in turns:
                steps += len(bits)
                for step in bits:
                    for total, pair in zip(totals, step, strict=True):
                        total[0] += pair[0]
                        total[1] += pair[1]
        return [[count / max(steps, 1) for count in pair] for pair in totals]

    def begin(self, start: Start) -> State:
        frequency = torch.tensor(self.frequencies(start.num_layers), dtype=torch.float64)
        if self.order == "set":
            chosen = torch.zeros_like(frequency, dtype=torch.bool)
            for half in (0, 1):
                count = round(float(frequency[:, half].sum()))
                chosen[frequency[:, half].argsort(descending=True)[:count], half] = True
            pattern = chosen.expand(start.max_new_tokens, -1, -1)
        else:
            # block l is skipped whenever its running total passes a whole number; the offsets
            # keep blocks of one frequency from falling into the same steps
            steps = torch.arange(1, start.max_new_tokens + 1, dtype=torch.float64)[:, None, None]
            offset = torch.arange(start.num_layers, dtype=torch.float64)[None, :, None]
            offset = offset * 0.6180339887498949 % 1
            pattern = (steps * frequency + offset).floor() > (
                (steps - 1) * frequency + offset
            ).floor()
        return _Given(pattern.expand(start.rows, -1, -1, -1).to(start.device))
