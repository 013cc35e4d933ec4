"""The checks of the contract, one function each: what it found, and whether that is right."""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from skipbench.audit.watched import Calls, Watched, one_pass, skipped_of
from skipbench.calibrate import with_knob
from skipbench.engine.decode import Decoding, Engine, Request
from skipbench.engine.divergence import logp_of
from skipbench.engine.load import Loaded
from skipbench.policies.base import Dense, Policy, Sublayer, knob_of
from skipbench.records import Generation, unpack_map

NEAR = 1e-3  # nats: more than float32 makes of another order of sums

Result = tuple[bool | None, str]  # None: does not apply


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a check works with: `requests` are continued by `steps` tokens, alone and in one batch.

    `own`, `dense`: what the policy and the dense model make of them alone, at forced length.
    """

    loaded: Loaded
    policy: Policy
    requests: Sequence[Request]
    steps: int

    @cached_property
    def own(self) -> list[Generation]:
        return self.generate(self.policy)

    @cached_property
    def dense(self) -> list[Generation]:
        return self.generate(Dense())

    def generate(self, policy: Policy) -> list[Generation]:
        """Each request in a batch of its own."""
        return [self.alone(policy, request) for request in self.requests]

    def alone(self, policy: Policy, request: Request) -> Generation:
        forced = Decoding(mode="forced_length", forced_length=self.steps)
        return Engine(self.loaded, policy).generate([request], forced)[0]


def runs(bench: Bench) -> Result:
    """Also what it answers: every answer is looked at by `Watched`."""
    bench.policy.check(bench.loaded.num_layers)
    for request in bench.requests:
        bench.alone(Watched(bench.policy), request)
    bench.own  # noqa: B018 - unwatched as well: the other checks use it
    return True, f"{len(bench.requests)} prompts continued by {bench.steps} tokens"


def frozen(bench: Bench) -> Result:
    kind = type(bench.policy)
    if inspect.get_annotations(kind) and "__dataclass_params__" not in vars(kind):
        return False, f"{kind.__name__} has annotated fields and is no dataclass: they are ignored"
    before = copy.deepcopy(vars(bench.policy))
    bench.generate(bench.policy)
    changed = [key for key, value in vars(bench.policy).items() if before.get(key, key) != value]
    if changed:
        return False, f"a run changed {', '.join(changed)}"
    return True, "a frozen dataclass, the same after a run as before"


def deterministic(bench: Bench) -> Result:
    for policy in (bench.policy, copy.deepcopy(bench.policy)):
        difference = _difference(bench, bench.own, bench.generate(policy))
        if difference:
            return False, f"the same prompts again: {difference}"
    return True, "three runs gave the same tokens and the same skips"


def rows(bench: Bench) -> Result:
    # rows end where they like, so that some leave; one limit, since a policy is told the largest
    asked = [replace(request, max_new_tokens=bench.steps) for request in bench.requests]
    engine, greedy = Engine(bench.loaded, bench.policy), Decoding(mode="greedy")
    alone = [engine.generate([request], greedy)[0] for request in asked]
    together = engine.generate(asked, greedy)
    backwards = engine.generate(asked[::-1], greedy)[::-1]
    for batched in (together, backwards):
        difference = _difference(bench, alone, batched)
        if difference:
            return False, f"alone and in a batch of {len(asked)}: {difference}"
    return True, f"alone and in two batches of {len(asked)} rows the same tokens and skips"


def hands_off(bench: Bench) -> Result:
    for request, dense in zip(bench.requests, bench.dense, strict=True):
        watched = Watched(bench.policy, obey=False)
        made = bench.alone(watched, request)
        if watched.seen.touched is not None:
            return False, f"{watched.seen.touched} changed a tensor that it was shown"
        if made.token_ids != dense.token_ids:
            return False, f"all answers taken as false, {request.sample_id} differs from dense"
    return True, "with every answer taken as false the tokens are dense's"


def zero(bench: Bench) -> Result:
    layers = bench.loaded.num_layers
    knob = bench.policy.knob(layers)
    if knob is None:
        if bench.policy.requests_skipping(layers):
            return None, "no knob, and its own fields ask for skipping"
        zero, what = bench.policy, "it requests no skipping"
    else:
        zero = with_knob(bench.policy, knob, knob.values[0])
        what = f"{knob.field}={getattr(zero, knob.field)!r}"
    made = bench.generate(zero)
    skipped = _executed(made, layers)
    if skipped and knob is not None and zero.requests_skipping(layers):
        return None, f"{what}, its lowest, still skips {skipped} half-blocks: it has no zero"
    if skipped:
        return False, f"{what}, and {skipped} half-blocks were skipped"
    difference = _difference(bench, bench.dense, made)
    return not difference, f"{what}: {difference or 'the same tokens as dense'}"


def knob(bench: Bench) -> Result:
    layers = bench.loaded.num_layers
    found = knob_of(bench.policy, layers)
    if found is None:
        return None, "no knob: a ratio cannot be asked of it"
    ends = [with_knob(bench.policy, found, value) for value in (found.values[0], found.values[-1])]
    least, most = (_executed(bench.generate(policy), layers) for policy in ends)
    told = f"{found.field} from {found.values[0]:g} to {found.values[-1]:g}: {least} to {most} half-blocks"
    return least < most, told


def skips(bench: Bench) -> Result:
    layers = bench.loaded.num_layers
    skipped = _executed(bench.own, layers)
    steps = sum(int(g.counts["decode_forwards"]) for g in bench.own)
    told = f"{skipped} of {2 * layers * steps} half-blocks of {steps} decode steps were not run"
    if not bench.policy.requests_skipping(layers):
        return None, f"requests_skipping is false; {told}"
    return skipped > 0, told


def _executed(made: Sequence[Generation], layers: int) -> int:
    """Half-blocks not run, prefill included; those of tokens that caught up are taken off again."""
    total = 0
    for counts in (g.counts for g in made):
        total += 2 * int(counts["decode_forwards"]) * layers + 2 * int(counts["prefill_sites"])
        names = ("attn_run", "ffn_run", "prefill_attn_run", "prefill_ffn_run")
        total -= sum(int(counts[name]) for name in names) - 2 * int(counts["caught_up"])
    return total


def not_called(bench: Bench) -> Result:
    called = told = 0
    for request in bench.requests:
        with Calls(bench.loaded) as calls:
            made = bench.alone(bench.policy, request)
        for half in Sublayer:
            counted = made.counts[f"{half.value}_run"] + made.counts[f"prefill_{half.value}_run"]
            if calls.rows[half] != counted:
                return False, (
                    f"{request.sample_id}: hooks saw {calls.rows[half]} tokens go through "
                    f"{half.value}, the counters say {counted:g}"
                )
            called, told = called + calls.rows[half], told + int(counted)
    return True, f"hooks saw {called} calls of tokens, the counters {told}"


def exact(bench: Bench) -> Result:
    """Log-probabilities of a reply through cache and policy, against one pass that has neither."""
    worst, halves = 0.0, 0
    for request, made in zip(bench.requests, bench.own, strict=True):
        watched, ids = Watched(bench.policy), list(made.token_ids)
        cached = torch.tensor(logp_of(Engine(bench.loaded, watched), [request], [ids])[0])
        prompt, fed = len(request.prompt_ids), [*request.prompt_ids, *ids[:-1]]
        skipped = skipped_of(watched.seen, prompt, len(ids) - 1, bench.loaded.num_layers)
        halves += int(skipped.sum())
        if bench.policy.kv == "copy" and skipped[..., 0].any():
            return None, "kv='copy' is an approximation: no recomputation gives the same tokens"
        logits = _recomputed(bench, fed, prompt, skipped)
        wanted = logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0]
        off = (wanted - cached).abs()
        if float(off.max()) > NEAR:
            at = int((off > NEAR).nonzero()[0, 0])
            return False, (
                f"{request.sample_id}, token {at}: log-probability {float(cached[at]):.4f} with the "
                f"cache, {float(wanted[at]):.4f} recomputed (kv={bench.policy.kv!r})"
            )
        worst = max(worst, float(off.max()))
    return True, f"largest difference {worst:.1e} nats, {halves} half-blocks left out in both"


def _recomputed(bench: Bench, fed: list[int], prompt: int, skipped: torch.Tensor) -> torch.Tensor:
    """Logits [reply, vocabulary] that each token of the reply was chosen from."""
    if bench.policy.kv != "recompute":
        return one_pass(bench.loaded, fed, skipped, bench.policy.kv == "mask")[prompt - 1 :]
    rows = []
    for end in range(prompt, len(fed) + 1):  # all that went before is as if it had skipped nothing
        last = torch.zeros_like(skipped[:end])
        last[-1] = skipped[end - 1]
        rows.append(one_pass(bench.loaded, fed[:end], last, hidden=False)[-1])
    return torch.stack(rows)


def _difference(bench: Bench, some: Sequence[Generation], others: Sequence[Generation]) -> str:
    """The first thing that differs in words; empty where nothing does."""
    for request, a, b in zip(bench.requests, some, others, strict=True):
        pairs = enumerate(zip(a.token_ids, b.token_ids, strict=False))
        at = next((i for i, (x, y) in pairs if x != y), None)
        if at is not None or len(a.token_ids) != len(b.token_ids):
            at = min(len(a.token_ids), len(b.token_ids)) if at is None else at
            return f"{request.sample_id} differs from token {at} on"
        if a.skip_map != b.skip_map:
            return f"{request.sample_id} {_first_skip(a, b)}"
    return ""


def _first_skip(a: Generation, b: Generation) -> str:
    maps: list[Any] = [unpack_map(g.skip_map) for g in (a, b)]
    for step, (x, y) in enumerate(zip(*maps, strict=True), 1):
        for layer, (left, right) in enumerate(zip(x, y, strict=True)):
            if left != right:
                return f"has other skips from step {step}, block {layer} on"
    return "has other skips"
