"""A policy under observation, and one pass without a cache that its cached answers must equal."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from skipbench.engine.forward import modules_of
from skipbench.engine.load import Loaded
from skipbench.policies.base import Policy, Site, Start, State, Sublayer


class Broken(Exception):
    """The policy did what the contract does not allow; the message says what and where."""


@dataclass
class Seen:
    """What a watched policy did to one row. `answers[step][layer, half]`: bools [tokens]; `touched`:
    the first place where it changed a tensor that it was only shown."""

    answers: dict[int, dict[tuple[int, Sublayer], Tensor]] = field(default_factory=dict)
    touched: str | None = None


class Watched(Policy):
    """Passes everything on to `inner` and notes it. With `obey` false nothing is skipped."""

    inner: Policy
    seen: Seen
    obey: bool

    def __init__(self, inner: Policy, obey: bool = True) -> None:
        super().__init__(phase=inner.phase, kv=inner.kv)
        noted = {"inner": inner, "seen": Seen(), "obey": obey, "observes": True}
        for name, value in noted.items():
            object.__setattr__(self, name, value)

    def begin(self, start: Start) -> State:
        return _WatchedState(self, self.inner.begin(start))


class _WatchedState(State):
    """Of a batch of one row, which never shrinks."""

    def __init__(self, policy: Watched, state: State) -> None:
        self.policy, self.state, self.seen = policy, state, policy.seen

    def start(self, step: int, x: Tensor) -> None:
        before = x.clone()
        self.state.start(step, x)
        self._hands_off(f"start of step {step}", (before, x))

    def skip(self, site: Site, x: Tensor) -> bool | Tensor:
        before = x.clone()
        answer = self.state.skip(site, x)
        self._hands_off(f"skip({_at(site)})", (before, x))
        noted = _checked(answer, site, x)
        self.seen.answers.setdefault(site.step, {})[site.layer, site.sublayer] = noted
        return answer if self.policy.obey else False

    def observe(self, site: Site, x: Tensor, y: Tensor) -> None:
        if self.policy.inner.observes:
            before = x.clone(), y.clone()
            self.state.observe(site, x, y)
            self._hands_off(f"observe({_at(site)})", (before[0], x), (before[1], y))

    def _hands_off(self, where: str, *pairs: tuple[Tensor, Tensor]) -> None:
        if self.seen.touched is None and not all(torch.equal(a, b) for a, b in pairs):
            self.seen.touched = where


def _at(site: Site) -> str:
    return f"block {site.layer}, {site.sublayer.value}, step {site.step}"


def _checked(answer: Any, site: Site, x: Tensor) -> Tensor:
    """The answer for each token of the row. Raises Broken where it is none."""
    if isinstance(answer, bool):
        return torch.full((x.shape[1],), answer)
    if not isinstance(answer, Tensor) or answer.dtype != torch.bool:
        what = answer.dtype if isinstance(answer, Tensor) else type(answer).__name__
        raise Broken(f"skip answered with {what} at {_at(site)}; give a bool or a bool tensor")
    try:
        full = answer.expand(x.shape[:-1])[0].clone()
    except RuntimeError:
        raise Broken(
            f"skip answered with shape {list(answer.shape)} at {_at(site)}; it must broadcast to "
            f"[rows, tokens] = {list(x.shape[:-1])}"
        ) from None
    if site.sublayer is Sublayer.ATTN and bool((full != full[-1]).any()):
        raise Broken(f"tokens of one prompt disagree on attention at {_at(site)}; the row decides")
    return full


def skipped_of(seen: Seen, prompt: int, steps: int, num_layers: int) -> Tensor:
    """Bools [prompt + steps, blocks, 2] of all tokens that were fed, from the answers of one row."""
    parts = []
    for step in range(steps + 1):
        answers = seen.answers.get(step, {})  # none where the phase does not ask
        runs = torch.zeros(1 if step else prompt, dtype=torch.bool)
        halves = [
            [answers.get((layer, half), runs) for half in Sublayer] for layer in range(num_layers)
        ]
        parts.append(torch.stack([torch.stack(pair, -1) for pair in halves], 1))
    return torch.cat(parts)


@torch.inference_mode()
def one_pass(loaded: Loaded, ids: list[int], skipped: Tensor, hidden: bool) -> Tensor:
    """Logits [tokens, vocabulary] of one forward over `ids` without a cache, every module called.

    Token i leaves out what `skipped[i]` names: it passes on unchanged. Keys and values of a token that
    left attention out are those of its passing state, or are seen by nobody (`hidden`).
    """
    model, run = loaded.model.model, (~skipped).float()
    x = model.embed_tokens(torch.tensor([ids]))
    places = torch.arange(len(ids))
    rotary = model.rotary_emb(x, places[None])
    low = torch.finfo(torch.float32).min
    for layer, block in enumerate(model.layers):
        sees = places[None, :] <= places[:, None]
        window = loaded.windows[layer]
        if window is not None:
            sees = sees & (places[None, :] > places[:, None] - window)
        if hidden:
            sees = sees & ~skipped[None, :, layer, 0]
        mask = torch.zeros(1, 1, len(ids), len(ids)).masked_fill(~sees, low)
        attended, _ = block.self_attn(
            block.input_layernorm(x), position_embeddings=rotary, attention_mask=mask
        )
        x = x + run[None, :, layer, :1] * attended
        x = x + run[None, :, layer, 1:] * block.mlp(block.post_attention_layernorm(x))
    return loaded.model.lm_head(model.norm(x))[0]


class Calls:
    """Counts tokens that go through the modules by hooks of its own, whatever the engine says."""

    def __init__(self, loaded: Loaded) -> None:
        self.rows = dict.fromkeys(Sublayer, 0)
        self._loaded = loaded

    def __enter__(self) -> "Calls":
        self._handles = [
            (module.o_proj if half is Sublayer.ATTN else module).register_forward_hook(
                self._hook(half)
            )
            for _, half, module in modules_of(self._loaded)
        ]
        return self

    def _hook(self, half: Sublayer) -> Any:
        def count(module: Any, inputs: Any, output: Any) -> None:
            self.rows[half] += inputs[0].shape[:-1].numel()

        return count

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
