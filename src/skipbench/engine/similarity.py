"""How little each half-block changes a token: the quantity that FFN-SkipLLM's Figure 2 shows."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from skipbench.engine.decode import Decoding, Engine, Request
from skipbench.engine.load import Loaded
from skipbench.policies.base import Phase, Policy, Site, Start, State, Sublayer

PARTS = ("attn", "ffn", "block")
S = TypeVar("S", bound=State)


class _Sums(State):
    """Cosine of the residual stream before and after each half and each whole block, decode only."""

    def __init__(self, num_layers: int) -> None:
        self.sums = {part: np.zeros((2, num_layers)) for part in PARTS}
        self.tokens = 0

    def observe(self, site: Site, x: Tensor, y: Tensor) -> None:
        if not site.step:
            return
        if site.sublayer is Sublayer.ATTN:
            self.entered = x
        self._add(site.sublayer.value, site.layer, x, y)
        if site.sublayer is Sublayer.FFN:
            self._add("block", site.layer, self.entered, y)
            self.tokens += len(x) if site.layer == 0 else 0

    def _add(self, part: str, layer: int, x: Tensor, y: Tensor) -> None:
        cosine = torch.cosine_similarity(x.double(), y.double(), dim=-1)
        self.sums[part][0, layer] += float(cosine.sum())
        self.sums[part][1, layer] += float((cosine**2).sum())


class Probe(Policy, Generic[S]):
    """Skips nothing, and keeps what its states measured; `make` gives one for a number of blocks."""

    observes = True

    def __init__(self, make: Callable[[int], S], phase: Phase = "decode") -> None:
        super().__init__(phase=phase)
        object.__setattr__(self, "make", make)
        object.__setattr__(self, "states", [])

    make: Callable[[int], S]
    states: list[S]

    def begin(self, start: Start) -> State:
        self.states.append(self.make(start.num_layers))
        return self.states[-1]


def similarities(
    loaded: Loaded, requests: Sequence[Request], decoding: Decoding, batch_size: int
) -> dict[str, Any]:
    """part (attn, ffn, block) -> mean and standard deviation of the cosine by block, and n tokens.

    Measured on the dense model while it replies: every decoded token counts once. For `ffn` it is
    the residual stream just before and just after the FFN is added (arXiv 2404.03865, Figure 2).
    """
    probe = Probe(_Sums)
    engine = Engine(loaded, probe)
    for start in tqdm(range(0, len(requests), batch_size), unit="batch", desc="similarity"):
        engine.generate(requests[start : start + batch_size], decoding)
    tokens = sum(state.tokens for state in probe.states)
    made: dict[str, Any] = {}
    for part in PARTS if tokens else ():
        total, squares = np.sum([state.sums[part] for state in probe.states], axis=0) / tokens
        spread = (squares - total**2).clip(min=0) ** 0.5
        made[part] = {"mean": total.tolist(), "std": spread.tolist(), "n": tokens}
    return made
