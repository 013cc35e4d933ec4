"""FFN-SkipLLM (Jaiswal et al., arXiv 2404.03865): skip FFNs once they stop changing the token.

Rule, as the first author's code has it (Ajay1994/layer-skip at 60fadcb, model_ffn_cosine.py): with
a = state after attention and o = a + FFN(a), a token whose cos(o, a) in the block before exceeds
the threshold skips the FFNs of the next `budget` blocks, once, and never inside the cold regions.
Attention always runs, so keys and values are complete. Decided for each token by itself.
"""

from dataclasses import dataclass
from typing import ClassVar

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
    counts_up_to,
    one_of,
    whole,
    within,
)
from skipbench.records import BadInput


@dataclass(frozen=True, kw_only=True)
class Schedule(Policy):
    """Cold regions, warm-up, budget and refresh: what the method shares with its controls.

    `cold_start`, `cold_end`: first and last blocks that always run, as count or fraction of depth.
    `warmup_tokens`: that many first tokens are computed in full; the prefill's token is one of them.
    `budget`: FFNs a token may skip; a list is cycled over tokens; None: as far as the cold end.
    `refresh_every`: every n-th token after warm-up is computed in full; None: never.
    """

    kv: str = "full"  # type: ignore[assignment]
    cold_start: float = 0.25
    cold_end: float = 0.25
    warmup_tokens: int = 1
    budget: int | list[int] | None = None
    refresh_every: int | None = None

    unit: ClassVar = "ffn"
    bounds: ClassVar = (
        "method.cold_start, cold_end, warmup_tokens, refresh_every and a list as budget"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method.kv", self.kv, ("full",))
        whole("method.warmup_tokens", self.warmup_tokens, 1)
        if self.refresh_every is not None:
            whole("method.refresh_every", self.refresh_every, 2)
        budgets = self.budget if isinstance(self.budget, list) else [self.budget]
        if not budgets:
            raise BadInput("method.budget=[] is empty; a number, a list of numbers or null")
        for budget in budgets:
            if budget is not None:
                whole("method.budget", budget, 0)

    def window(self, num_layers: int) -> range:
        """Blocks whose FFN may be skipped."""
        first = count_of("method.cold_start", self.cold_start, num_layers)
        last = num_layers - count_of("method.cold_end", self.cold_end, num_layers)
        return range(first, last)

    def check(self, num_layers: int) -> None:
        if not self.window(num_layers):
            raise BadInput(
                f"method.cold_start={self.cold_start} and method.cold_end={self.cold_end} cover all "
                f"{num_layers} blocks; together they must leave at least one"
            )

    def requests_skipping(self, num_layers: int) -> bool:
        return self.budget != 0

    def budget_at(self, step: int, num_layers: int) -> int:
        """FFNs that a token computed in forward `step` may skip; the prefill counts as after warm-up."""
        since = step - self.warmup_tokens if step else 0
        if since < 0:
            return 0
        if self.refresh_every is not None:
            since %= self.refresh_every
            if since == self.refresh_every - 1:
                return 0
        if isinstance(self.budget, list):
            return self.budget[since % len(self.budget)]
        return num_layers if self.budget is None else self.budget


@dataclass(frozen=True, kw_only=True)
class FFNSkip(Schedule):
    """`threshold`: similarity cos(o, a) above which (strictly) a token starts to skip."""

    threshold: float = 0.95

    observes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        within("method.threshold", self.threshold, -1.0, 1.0)

    def knob(self, num_layers: int) -> Knob:
        if isinstance(self.budget, int):
            return Knob("budget", "ffn", counts_up_to(len(self.window(num_layers))))
        return Knob("threshold", "ffn", (1.0, *THRESHOLDS, -1.0))

    def begin(self, start: Start) -> State:
        return _Adaptive(self, start)


class _Adaptive(State):
    def __init__(self, policy: FFNSkip, start: Start) -> None:
        self.policy, self.num_layers = policy, start.num_layers
        self.window = policy.window(start.num_layers)

    def start(self, step: int, x: Tensor) -> None:
        self.budget = self.policy.budget_at(step, self.num_layers)
        shape = x.shape[:-1]
        self.left = torch.zeros(shape, dtype=torch.long, device=x.device)
        self.spent = torch.zeros(shape, dtype=torch.bool, device=x.device)
        self.similarity = torch.full(shape, -2.0, device=x.device)

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        if site.sublayer is Sublayer.ATTN or site.layer not in self.window or not self.budget:
            return False
        trigger = ~self.spent & (self.similarity > self.policy.threshold)
        self.spent = self.spent | trigger
        self.left = torch.where(trigger, self.budget, self.left)
        skipped = self.left > 0
        self.left = self.left - skipped.long()
        return skipped

    def observe(self, site: Site, x: Tensor, y: Tensor) -> None:
        wanted = site.layer + 1 in self.window and self.budget
        if site.sublayer is Sublayer.FFN and wanted:
            self.similarity = torch.cosine_similarity(y.float(), x.float(), dim=-1)


@dataclass(frozen=True, kw_only=True)
class RandomWindow(Schedule):
    """The paper's two controls: a run of `budget` FFNs at a random start, drawn for each token.

    `ffnskip_noadapt` keeps the schedule and draws inside the cold regions; `ffnskip_random` has no
    cold regions, no warm-up, no refresh, and acts in the prefill too (model_ffn_baseline.py, same
    repository and commit). One draw serves all prompt tokens of a prefill, as there.
    """

    budget: int | list[int] | None = 4
    seed: int = 0

    def knob(self, num_layers: int) -> Knob:
        return Knob("budget", "ffn", counts_up_to(len(self.window(num_layers))))

    def check(self, num_layers: int) -> None:
        super().check(num_layers)
        longest = max(self.budget) if isinstance(self.budget, list) else self.budget
        if longest is not None and longest > len(self.window(num_layers)):
            raise BadInput(
                f"method.budget={self.budget} is more than the {len(self.window(num_layers))} blocks "
                "that the cold regions leave"
            )

    def begin(self, start: Start) -> State:
        return _Window(self, start)


class _Window(State):
    def __init__(self, policy: RandomWindow, start: Start) -> None:
        self.policy, self.num_layers = policy, start.num_layers
        self.window = policy.window(start.num_layers)
        draws = [
            torch.rand(
                start.max_new_tokens + 1,
                generator=torch.Generator().manual_seed(seed + policy.seed),
                dtype=torch.float64,
            )
            for seed in start.seeds
        ]
        self.draws = torch.stack(draws).to(start.device)

    def start(self, step: int, x: Tensor) -> None:
        budget = self.policy.budget_at(step, self.num_layers)
        self.budget = min(budget, len(self.window))
        starts = len(self.window) - self.budget + 1
        self.first = self.window.start + (self.draws[:, step, None] * starts).long()
        self.first = self.first.expand(x.shape[:-1])

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        if site.sublayer is Sublayer.ATTN or site.layer not in self.window or not self.budget:
            return False
        return (site.layer >= self.first) & (site.layer < self.first + self.budget)
