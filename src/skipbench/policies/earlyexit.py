"""Early exit: a token stops at some depth, and the blocks above it are not run.

Exit rules: a fixed depth; the softmax gap with a threshold that decays over the reply (CALM, Schuster
et al., arXiv 2207.07061, section 3; rule and decay as in google-research/t5x contrib/calm); the
saturation of the state (cosine of a block's input and output, ibid.); a random depth for each token,
which has no notion of easy and hard and is the control. What later tokens find in the cache of the
blocks that were not run is the KV rule, a separate choice.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from skipbench.policies.base import (
    THRESHOLDS,
    Knob,
    Policy,
    Site,
    Start,
    State,
    Sublayer,
    count_of,
    one_of,
    within,
)
from skipbench.records import BadInput

RULES = ("fixed", "softmax", "state", "random")
KV_RULES = ("project", "copy", "mask", "recompute")


@dataclass(frozen=True, kw_only=True)
class EarlyExit(Policy):
    """`exit_layer`: blocks that always run (count or fraction); for `fixed`, all that run.

    `threshold`: confidence above which (strictly) a token exits, for `softmax` and `state`.
    `decay`: tau of CALM's threshold 0.9 λ + 0.1 λ exp(-tau t / N) at step t of at most N; 0: constant.
    `depth`: mean share of the blocks above `exit_layer` that `random` runs; depths are uniform
    around it as far as the range allows.
    """

    kv: Literal["project", "copy", "mask", "recompute"] = "project"  # type: ignore[assignment]
    exit_rule: Literal["fixed", "softmax", "state", "random"] = "fixed"
    exit_layer: float = 0.75
    threshold: float = 0.9
    decay: float = 4.0
    depth: float = 0.5
    seed: int = 0

    unit: ClassVar = "block"
    bounds: ClassVar = "method.exit_layer, and method.decay with exit_rule=softmax (0: none)"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method.kv", self.kv, KV_RULES)
        one_of("method.exit_rule", self.exit_rule, RULES)
        one_of("method.phase", self.phase, ("decode",))
        within("method.threshold", self.threshold, -1.0, 1.0)
        within("method.decay", self.decay, 0.0, 1e6)
        within("method.depth", self.depth, 0.0, 1.0)

    def floor(self, num_layers: int) -> int:
        return count_of("method.exit_layer", self.exit_layer, num_layers)

    def check(self, num_layers: int) -> None:
        if not 1 <= self.floor(num_layers) <= num_layers:
            raise BadInput(
                f"method.exit_layer={self.exit_layer} leaves no block of {num_layers} to run"
            )

    def requests_skipping(self, num_layers: int) -> bool:
        return self.floor(num_layers) < num_layers and not (
            self.exit_rule == "random" and self.depth == 1.0
        )

    def knob(self, num_layers: int) -> Knob:
        if self.exit_rule == "fixed":
            return Knob("exit_layer", "block", tuple(range(num_layers, 0, -1)))
        if self.exit_rule == "random":
            return Knob("depth", "block", tuple(1 - i / 64 for i in range(65)))
        return Knob("threshold", "block", (1.0, *THRESHOLDS, -1.0))

    def threshold_at(self, step: int, limits: Tensor) -> Tensor:
        """Of each row [rows]; `limits` [rows]: most new tokens of each."""
        if self.exit_rule != "softmax" or not self.decay:
            return torch.full_like(limits, self.threshold, dtype=torch.float64)
        return self.threshold * (0.9 + 0.1 * torch.exp(-self.decay * step / limits.double()))

    def begin(self, start: Start) -> State:
        return _Random(self, start) if self.exit_rule == "random" else _Confident(self, start)


class _Confident(State):
    """`fixed` is the case of full confidence at the floor."""

    def __init__(self, policy: EarlyExit, start: Start) -> None:
        self.policy, self.readout = policy, start.readout
        self.limits = torch.tensor(start.limits, device=start.device)
        self.floor = policy.floor(start.num_layers)

    def start(self, step: int, x: Tensor) -> None:
        self.exited = torch.zeros(x.shape[:-1], dtype=torch.bool, device=x.device)
        self.before = x
        self.threshold = self.policy.threshold_at(step, self.limits)[:, None]

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        if self.policy.exit_rule == "fixed":
            return site.layer >= self.floor
        if site.sublayer is Sublayer.ATTN:
            if site.layer >= self.floor and site.layer > 0:
                self.exited = self.exited | (self._confidence(x) > self.threshold)
            self.before = x
        return self.exited if site.layer >= self.floor else False

    def _confidence(self, x: Tensor) -> Tensor:
        if self.policy.exit_rule == "state":
            return torch.cosine_similarity(x.float(), self.before.float(), dim=-1)
        top = self.readout(x).float().softmax(-1).topk(2, dim=-1).values
        return top[..., 0] - top[..., 1]


class _Random(State):
    def __init__(self, policy: EarlyExit, start: Start) -> None:
        floor, depth = policy.floor(start.num_layers), policy.depth
        self.floor = floor
        half = min(depth, 1 - depth)  # uniform on [depth - half, depth + half], inside [0, 1]
        draws = []
        for seed in start.seeds:
            generator = torch.Generator().manual_seed(seed + policy.seed)
            draws.append(torch.rand(start.max_new_tokens + 1, generator=generator))
        share = depth - half + 2 * half * torch.stack(draws).to(start.device)
        self.depths = floor + (share * (start.num_layers - floor)).round().long()

    def start(self, step: int, x: Tensor) -> None:
        self.now = self.depths[:, step, None].expand(x.shape[:-1])

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        return site.layer >= self.now if site.layer >= self.floor else False
