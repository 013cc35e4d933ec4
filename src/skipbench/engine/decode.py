"""The decode loop: prefill, then a step a token for all rows, until every row has ended."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from skipbench.engine.forward import Forward
from skipbench.engine.load import Loaded
from skipbench.policies.base import Policy, Start
from skipbench.records import BadInput, FinishReason, Generation, pack_map


class SampleTimeout(RuntimeError):
    """A batch took longer than its samples are allowed."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the next token is chosen, and when a reply ends.

    `task`: sampled where the request names a temperature (what the benchmark prescribes), else
    greedy. `sampled`: always, at `temperature`. `forced_length`: greedy, that many ids, and
    end-of-sequence ignored. Sampling uses common random numbers: the noise of a draw depends on
    (seed, sample, turn, step) alone, so twins share it.
    """

    mode: Literal["task", "greedy", "sampled", "forced_length"] = "greedy"
    temperature: float = 1.0
    top_p: float = 1.0
    forced_length: int = 64
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Request:
    """One reply wanted: `prompt_ids` must not be empty; `temperature` is the benchmark's."""

    sample_id: str
    turn: int
    prompt_ids: tuple[int, ...]
    max_new_tokens: int
    temperature: float | None = None


class Engine:
    """A loaded model and a policy. `generate` is the whole interface."""

    def __init__(self, loaded: Loaded, policy: Policy) -> None:
        policy.check(loaded.num_layers)
        self.loaded, self.policy = loaded, policy

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[Request], decoding: Decoding, timeout_s: float | None = None
    ) -> list[Generation]:
        """One reply for each request, all in one batch.

        Raises BadInput for a prompt that does not fit the model's positions, SampleTimeout where
        the batch takes longer than `timeout_s` for each of its samples.
        """
        limits = [_limit(request, decoding) for request in requests]
        self.check(requests, limits)
        batch = _Batch(self.loaded, self.policy, requests, limits, decoding)
        deadline = None if timeout_s is None else time.perf_counter() + timeout_s * len(requests)
        batch.prefill()
        while batch.alive:
            if deadline is not None and time.perf_counter() > deadline:
                raise SampleTimeout(f"no end after {timeout_s:g} s a sample")
            batch.decode()
        return [generation for generation in batch.done if generation is not None]

    def check(self, requests: Sequence[Request], limits: list[int]) -> None:
        """Raises BadInput for an empty prompt, and one that does not fit the model's positions."""
        positions = self.loaded.model.config.max_position_embeddings
        for request, limit in zip(requests, limits, strict=True):
            if not request.prompt_ids:
                raise BadInput(f"sample {request.sample_id!r} has an empty prompt")
            if len(request.prompt_ids) + limit > positions:
                raise BadInput(
                    f"sample {request.sample_id!r}: {len(request.prompt_ids)} prompt tokens and "
                    f"{limit} new ones exceed the model's {positions} positions"
                )


def _limit(request: Request, decoding: Decoding) -> int:
    return decoding.forced_length if decoding.mode == "forced_length" else request.max_new_tokens


def row_seed(seed: int, sample_id: str, turn: int) -> int:
    """The seed of one reply's random numbers; the same in any batch and for any method."""
    digest = hashlib.sha256(f"{seed}:{turn}:{sample_id}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


class _Batch:
    """Rows that run in step. Finished rows leave; `index` says which request a row belongs to."""

    def __init__(
        self,
        loaded: Loaded,
        policy: Policy,
        requests: Sequence[Request],
        limits: list[int],
        decoding: Decoding,
    ) -> None:
        self.loaded, self.decoding, self.limits = loaded, decoding, limits
        self.device = loaded.device
        self.requests = requests
        lengths = [len(request.prompt_ids) for request in requests]
        self.width = max(lengths)
        rows = [[0] * (self.width - len(r.prompt_ids)) + list(r.prompt_ids) for r in requests]
        self.prompt = torch.tensor(rows, device=self.device)
        padding = torch.tensor([self.width - n for n in lengths], device=self.device)
        seeds = tuple(row_seed(decoding.seed, r.sample_id, r.turn) for r in requests)
        start = Start(
            num_layers=loaded.num_layers,
            rows=len(requests),
            limits=tuple(limits),
            device=self.device,
            sample_ids=tuple(r.sample_id for r in requests),
            seeds=seeds,
            turn=requests[0].turn,
            readout=lambda x: self.forward.readout(x),
        )
        self.forward = Forward(
            loaded, policy, policy.begin(start), padding, self.width + max(limits)
        )
        self.noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.index = list(range(len(requests)))
        self.done: list[Generation | None] = [None] * len(requests)
        self.tokens: list[list[int]] = [[] for _ in requests]
        self.counts: list[dict[str, int | float]] = [_no_counts() for _ in requests]
        self.maps: list[list[Tensor]] = [[] for _ in requests]
        self.share = [0.0] * len(requests)
        self.seen = self._seen(lengths)
        self.step = 0
        self.started = 0.0

    @property
    def alive(self) -> bool:
        return bool(self.index)

    def _seen(self, lengths: list[int]) -> Tensor | None:
        """Ids each row has met [rows, vocabulary], for the repetition penalty; padding is not met."""
        if self.loaded.repetition_penalty == 1.0:
            return None
        vocabulary = self.loaded.model.config.vocab_size
        seen = torch.zeros(len(lengths), vocabulary, dtype=torch.bool, device=self.device)
        for row, request in enumerate(self.requests):
            seen[row, list(request.prompt_ids)] = True
        return seen

    def prefill(self) -> None:
        _synchronise(self.device)
        self.started = time.perf_counter()
        logits = self.forward(self.prompt, slice(0, self.width), 0)
        tokens = self._choose(logits)
        _synchronise(self.device)
        self.prefill_s = time.perf_counter() - self.started
        self.decode_started = time.perf_counter()
        ran = self.forward.counter.ran.tolist()
        for row, counts in enumerate(self.counts):
            prompt = len(self.requests[row].prompt_ids)
            wanted = prompt * self.loaded.num_layers
            counts["prefill_attn_run"], counts["prefill_ffn_run"] = ran[row]
            counts["prefill_sites"] = wanted
        self._accept(tokens)

    def decode(self) -> None:
        """One token for every row; rows of one batch are always at the same step."""
        self.step += 1
        began = time.perf_counter()
        slot = self.width + self.step - 1
        last = torch.tensor([[self.tokens[i][-1]] for i in self.index], device=self.device)
        logits = self.forward(last, slice(slot, slot + 1), self.step)
        tokens = self._choose(logits)
        _synchronise(self.device)
        spent = (time.perf_counter() - began) / len(self.index)
        self._count(spent)
        self._accept(tokens)

    def _count(self, spent: float) -> None:
        counter = self.forward.counter
        ran, caught_up = counter.ran.tolist(), counter.caught_up.tolist()
        projected = counter.projected.tolist()
        share = counter.bytes_read / len(self.index)
        full = (sum(map(sum, self.forward.bytes)) + self.forward.head_bytes) / len(self.index)
        for row, i in enumerate(self.index):
            counts = self.counts[i]
            counts["decode_forwards"] += 1
            counts["attn_run"] += ran[row][0] + caught_up[row][0]
            counts["ffn_run"] += ran[row][1] + caught_up[row][1]
            counts["caught_up"] += caught_up[row][1]
            counts["readouts"] += counter.readouts
            counts["kv_projected"] += projected[row]
            counts["weight_bytes"] += share
            counts["weight_bytes_dense"] += full
            self.maps[i].append(counter.skipped[row])
            self.share[i] += spent

    def _choose(self, logits: Tensor) -> list[int]:
        logits = logits.float()
        if self.seen is not None:
            penalty = self.loaded.repetition_penalty
            scaled = torch.where(logits < 0, logits * penalty, logits / penalty)
            logits = torch.where(self.seen, scaled, logits)
        heat = [self._temperature(i) for i in self.index]
        if not any(heat):
            return logits.argmax(-1).tolist()
        return [self._draw(logits[row], i, heat[row]) for row, i in enumerate(self.index)]

    def _temperature(self, i: int) -> float:
        """0: greedy. Below 1e-4 nothing is drawn, as FastChat does."""
        mode = self.decoding.mode
        asked = self.decoding.temperature if mode == "sampled" else self.requests[i].temperature
        return asked if mode in ("sampled", "task") and asked and asked >= 1e-4 else 0.0

    def _draw(self, logits: Tensor, i: int, temperature: float) -> int:
        """Gumbel-max over the nucleus; every step draws once, so the noise is keyed by the step."""
        noise = torch.empty(len(logits)).exponential_(generator=self.noise[i]).to(logits.device)
        if not temperature:
            return int(logits.argmax())
        logp = (logits / temperature).log_softmax(-1)
        if self.decoding.top_p < 1.0:
            ordered, order = logp.sort(descending=True)
            outside = ordered.exp().cumsum(-1) - ordered.exp() >= self.decoding.top_p
            logp = logp.masked_fill(
                torch.zeros_like(outside).scatter(0, order, outside), -torch.inf
            )
        return int((logp - noise.log()).argmax())

    def _accept(self, tokens: list[int]) -> None:
        """Append a token to every row; rows that end are handed over and leave the batch."""
        stay = []
        for row, (i, token) in enumerate(zip(self.index, tokens, strict=True)):
            self.tokens[i].append(token)
            if self.seen is not None:
                self.seen[row, token] = True
            stop = self._stops(i, token)
            if stop or len(self.tokens[i]) >= self.limits[i]:
                self.done[i] = self._finish(i, "stop" if stop else "length")
            else:
                stay.append(row)
        if len(stay) < len(self.index):
            self.index = [self.index[row] for row in stay]
            if stay:
                rows = torch.tensor(stay, device=self.device)
                self.forward.keep(rows)
                self.seen = None if self.seen is None else self.seen[rows]

    def _stops(self, i: int, token: int) -> bool:
        return self.decoding.mode != "forced_length" and token in self.loaded.eos_ids

    def _finish(self, i: int, reason: FinishReason) -> Generation:
        elapsed = time.perf_counter() - self.decode_started if self.step else 0.0
        bits = torch.stack(self.maps[i]).int().tolist() if self.maps[i] else []
        return Generation(
            token_ids=tuple(self.tokens[i]),
            finish_reason=reason,
            prompt_tokens=len(self.requests[i].prompt_ids),
            counts={**self.counts[i], "prompt_tokens": len(self.requests[i].prompt_ids)},
            times={
                "prefill_s": self.prefill_s,
                "prefill_share_s": self.prefill_s / len(self.requests),
                "decode_s": elapsed,
                "decode_share_s": self.share[i],
            },
            skip_map=pack_map(bits),
        )


def _no_counts() -> dict[str, int | float]:
    names = (
        "decode_forwards",
        "attn_run",
        "ffn_run",
        "caught_up",
        "readouts",
        "kv_projected",
    )
    counts: dict[str, int | float] = dict.fromkeys(names, 0)
    return counts | {"weight_bytes": 0.0, "weight_bytes_dense": 0.0}


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
