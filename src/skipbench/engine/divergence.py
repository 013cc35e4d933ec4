"""How far a method's distributions are from the dense model's, token by token.

The dense reply is forced through both decode paths in step, so that budgets, refreshes and KV rules
of the method act as they would; what differs is then the method alone and not an earlier token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skipbench.engine.decode import Decoding, Engine, Request, _Batch, _limit
from skipbench.records import Generation

_TASK = Decoding(mode="task")


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """Of one reply. `kl`: KL(dense ‖ method) in nats at each token of the dense reply;
    `delta_logp`: the method's log-probability of that token minus dense's; `reply_logp`: dense's
    log-probability of each token of the method's own reply."""

    kl: list[float]
    delta_logp: list[float]
    reply_logp: list[float]


class _Forced(_Batch):
    """A batch whose tokens are given; `last` holds the log-probabilities they were given against.

    The policy is told the limits that the reply was generated under, since schedules go by them.
    """

    def __init__(
        self,
        engine: Engine,
        requests: Sequence[Request],
        targets: Sequence[Sequence[int]],
        decoding: Decoding,
    ) -> None:
        asked = [_limit(request, decoding) for request in requests]
        limits = [max(one, len(target)) for one, target in zip(asked, targets, strict=True)]
        super().__init__(engine.loaded, engine.policy, requests, limits, decoding)
        self.targets = targets
        self.last: tuple[list[int], Tensor] | None = None

    def _stops(self, i: int, token: int) -> bool:
        return len(self.tokens[i]) == len(self.targets[i])

    def _choose(self, logits: Tensor) -> list[int]:
        self.last = (list(self.index), logits.float().log_softmax(-1))
        return [self.targets[i][len(self.tokens[i])] for i in self.index]


@torch.inference_mode()
def diverge(
    method: Engine,
    dense: Engine,
    requests: Sequence[Request],
    dense_ids: Sequence[Sequence[int]],
    decoding: Decoding,
) -> list[tuple[list[float], list[float]]]:
    """(KL, change of log-probability) at each token of the dense replies `dense_ids`."""
    two = tuple(_Forced(engine, requests, dense_ids, decoding) for engine in (method, dense))
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in requests]
    for batch in two:
        batch.prefill()
    _compare(two[0], two[1], found)
    while two[0].alive:
        for batch in two:
            batch.decode()
        _compare(two[0], two[1], found)
    return found


def _compare(method: _Forced, dense: _Forced, found: list[tuple[list[float], list[float]]]) -> None:
    assert method.last is not None
    assert dense.last is not None
    (index, ours), (_, theirs) = method.last, dense.last
    kl = (theirs.exp() * (theirs - ours)).sum(-1).clamp(min=0).tolist()
    for row, i in enumerate(index):
        token = dense.targets[i][len(found[i][0])]
        found[i][0].append(kl[row])
        found[i][1].append(float(ours[row, token] - theirs[row, token]))


@dataclass(frozen=True, kw_only=True)
class Forced:
    """Of one given reply: its log-probability in nats at each token, whether each token is the one
    that greedy decoding takes, and what was executed meanwhile."""

    logp: list[float]
    greedy: list[bool]
    generation: Generation


@torch.inference_mode()
def forced(
    engine: Engine,
    requests: Sequence[Request],
    ids: Sequence[Sequence[int]],
    decoding: Decoding = _TASK,
) -> list[Forced]:
    """Take given replies through the engine's decode path; none of `ids` may be empty.

    `decoding`: what the replies are, or would be, generated with.
    """
    batch = _Forced(engine, requests, ids, decoding)
    logp: list[list[float]] = [[] for _ in requests]
    greedy: list[list[bool]] = [[] for _ in requests]
    batch.prefill()
    while True:
        assert batch.last is not None
        index, now = batch.last
        best = now.argmax(-1).tolist()
        for row, i in enumerate(index):
            token = ids[i][len(logp[i])]
            logp[i].append(float(now[row, token]))
            greedy[i].append(best[row] == token)
        if not batch.alive:
            break
        batch.decode()
    done = [generation for generation in batch.done if generation is not None]
    parts = zip(logp, greedy, done, strict=True)
    return [Forced(logp=one, greedy=two, generation=three) for one, two, three in parts]


def logp_of(
    engine: Engine, requests: Sequence[Request], ids: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Log-probability in nats of each given token after those before it."""
    return [found.logp for found in forced(engine, requests, ids)]


def divergences(
    method: Engine,
    dense: Engine,
    prompts: tuple[Sequence[Request], Sequence[Request]],
    replies: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]],
    decoding: Decoding = _TASK,
) -> list[Divergence]:
    """For each reply; pairs are (dense's, the method's) conversations and emitted ids."""
    apart = diverge(method, dense, prompts[0], replies[0], decoding)
    own = logp_of(dense, prompts[1], replies[1])
    return [
        Divergence(kl=kl, delta_logp=delta, reply_logp=logp)
        for (kl, delta), logp in zip(apart, own, strict=True)
    ]
