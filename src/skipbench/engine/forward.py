"""One forward pass over the blocks of a Hugging Face model, with a policy between the halves.

Axes: R rows (sequences), T tokens of this step (the prompt, or 1), D hidden size, H heads, K
key-value heads, S slots of the cache, E head size. All rows of a batch are at the same slot; shorter
prompts are padded on the left.

The modules of the model are called, none is patched: a skipped half-block is one whose modules are
not called for those rows.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.llama.modeling_llama import rotate_half

from skipbench.engine.cache import Behind, Cache, Rows
from skipbench.engine.load import Loaded, kv_bytes, weight_bytes
from skipbench.policies.base import Phase, Policy, Site, State, Sublayer


class Counter:
    """What one step executed, counted where modules are called."""

    def __init__(self, rows: int, num_layers: int, device: torch.device) -> None:
        self.ran = torch.zeros(rows, 2, dtype=torch.long, device=device)
        self.caught_up = torch.zeros(rows, 2, dtype=torch.long, device=device)
        self.skipped = torch.zeros(rows, num_layers, 2, dtype=torch.bool, device=device)
        self.projected = torch.zeros(
            rows, dtype=torch.long, device=device
        )  # K, V of skipped blocks
        self.bytes_read = 0.0  # by the union of rows
        self.readouts = 0  # logits asked for, the final ones included


class Forward:
    """Runs steps of one batch. `padding` [R]: padded slots on the left of each row."""

    def __init__(
        self, loaded: Loaded, policy: Policy, state: State, padding: Tensor, slots: int
    ) -> None:
        self.model = loaded.model.model
        self.head = loaded.model.lm_head
        self.windows = loaded.windows
        self.phase: Phase = policy.phase
        self.kv = policy.kv
        self.observes = policy.observes
        self.state = state
        self.padding = padding
        self.padded = bool(padding.any())
        rows = len(padding)
        self.cache = Cache(loaded, rows, slots, holes=policy.kv == "mask")
        self.behind = Behind(rows, slots, loaded) if policy.kv == "recompute" else None
        self.bytes = [
            (weight_bytes(block.self_attn), weight_bytes(block.mlp)) for block in self.model.layers
        ]
        self.kv_bytes = kv_bytes(loaded)
        self.head_bytes = weight_bytes(self.head)

    def readout(self, x: Tensor) -> Tensor:
        """Logits of a residual stream; each call reads the whole output matrix."""
        self.counter.bytes_read += self.head_bytes
        self.counter.readouts += 1
        return self.head(self.model.norm(x))

    def __call__(self, ids: Tensor, slots: slice, step: int) -> Tensor:
        """Logits [R, vocabulary] after the last of `ids` [R, T], which go to `slots`."""
        x = self.model.embed_tokens(ids)
        self.counter = Counter(len(ids), len(self.bytes), x.device)
        places = torch.arange(slots.start, slots.stop, device=x.device)
        positions = (places[None] - self.padding[:, None]).clamp(min=0)
        self.slots, self.step, self.caught_up_at = slots, step, -1
        self.real = places[None] >= self.padding[:, None]
        self.tokens = self.real.sum(1)
        self.rotary = self.model.rotary_emb(x, positions)
        self.masks = {window: self._mask(places, window) for window in set(self.windows)}
        self.state.start(step, x)
        for layer in range(len(self.bytes)):
            for sublayer in (Sublayer.ATTN, Sublayer.FFN):
                x = self._half(Site(layer, sublayer, step), x)
        return self.readout(x[:, -1])

    def keep(self, rows: Tensor) -> None:
        self.cache.keep(rows)
        self.state.keep(rows)
        self.padding = self.padding[rows]
        if self.behind is not None:
            self.behind.keep(rows)

    def _half(self, site: Site, x: Tensor) -> Tensor:
        acts = self.phase == "both" or (self.phase == "decode") == (self.step > 0)
        skipped: bool | Tensor = self.state.skip(site, x) if acts else False
        half = 0 if site.sublayer is Sublayer.ATTN else 1
        if isinstance(skipped, Tensor):
            skipped = skipped.expand(x.shape[:-1])
            if not skipped.any():
                skipped = False
            elif skipped.all():
                skipped = True
        if skipped is not False:
            self.counter.skipped[:, site.layer, half] = True if skipped is True else skipped[:, -1]
        run = self._attention_half if half == 0 else self._ffn_half
        y = run(site.layer, x, skipped)
        if self.observes:
            self.state.observe(site, x, y)
        return y

    def _ffn_half(self, layer: int, x: Tensor, skipped: bool | Tensor) -> Tensor:
        if skipped is True:
            return x
        block = self.model.layers[layer]
        if self.caught_up_at != layer:  # else these weights were read for earlier tokens already
            self.counter.bytes_read += self.bytes[layer][1]
        if skipped is False:
            self.counter.ran[:, 1] += self.tokens
            return x + block.mlp(block.post_attention_layernorm(x))
        run = ~skipped
        self.counter.ran[:, 1] += (run & self.real).sum(1)
        some = x[run]
        y = x.clone()
        y[run] = some + block.mlp(block.post_attention_layernorm(some))
        return y

    def _attention_half(self, layer: int, x: Tensor, skipped: bool | Tensor) -> Tensor:
        if skipped is True:
            self._fill(layer, x, None)
            if self.kv in ("project", "full") or (self.kv == "copy" and layer == 0):
                self.counter.bytes_read += self.kv_bytes
            return x
        self.counter.bytes_read += self.bytes[layer][0]
        if skipped is False:
            if self.behind is not None and self.step:
                self._catch_up(layer, torch.arange(len(x), device=x.device))
            self.counter.ran[:, 0] += self.tokens
            return x + self._attend(layer, x, None)
        # tokens of one row never disagree on attention: a decode step has one, a prefill bools
        rows, rest = (~skipped[:, -1]).nonzero()[:, 0], skipped[:, -1].nonzero()[:, 0]
        self._fill(layer, x[rest], rest)
        if self.behind is not None:
            self._catch_up(layer, rows)
        self.counter.ran[rows, 0] += self.tokens[rows]
        y = x.clone()
        y[rows] = x[rows] + self._attend(layer, x[rows], rows)
        return y

    @staticmethod
    def _query(attention: Any, h: Tensor, rotary: Any) -> Tensor:
        """Queries [R, H, T, E] of a normalised residual stream."""
        query = attention.q_proj(h).view(*h.shape[:-1], -1, attention.head_dim)
        if hasattr(attention, "q_norm"):
            query = attention.q_norm(query)
        return _rotate(query.transpose(1, 2), rotary)

    def _project(self, layer: int, x: Tensor, rotary: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values [R, K, T, E] of `x`, and `x` as the block's attention reads it."""
        block = self.model.layers[layer]
        attention, h = block.self_attn, block.input_layernorm(x)
        shape = (*h.shape[:-1], -1, attention.head_dim)
        key, value = attention.k_proj(h).view(shape), attention.v_proj(h).view(shape)
        if hasattr(attention, "k_norm"):
            key = attention.k_norm(key)
        return _rotate(key.transpose(1, 2), rotary), value.transpose(1, 2), h

    def _attend(self, layer: int, x: Tensor, rows: Rows) -> Tensor:
        """Write keys and values of `x` [n, T, D], and return what attention adds to it."""
        attention = self.model.layers[layer].self_attn
        rotary = self.rotary if rows is None else tuple(part[rows] for part in self.rotary)
        key, value, h = self._project(layer, x, rotary)
        self.cache.write(layer, rows, self.slots, key, value)
        query = self._query(attention, h, rotary)
        keys = self.cache.keys[layer][:, :, : self.slots.stop]
        values = self.cache.values[layer][:, :, : self.slots.stop]
        mask = self._layer_mask(layer)
        if rows is not None:
            keys, values = keys[rows], values[rows]
            mask = mask[rows] if mask is not None and len(mask) > 1 else mask
        return self._output(attention, query, keys, values, mask)

    @staticmethod
    def _output(
        attention: Any, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        groups = attention.num_key_value_groups
        mixed = scaled_dot_product_attention(
            query,
            keys,
            values,
            attn_mask=mask,
            scale=attention.scaling,
            enable_gqa=groups > 1,
        )
        return attention.o_proj(mixed.transpose(1, 2).flatten(2))

    def _mask(self, places: Tensor, window: int | None) -> Tensor | None:
        """Which slots [R or 1, 1, T, S] the queries at `places` see; None: all of them."""
        stop = int(self.slots.stop)
        short = window is None or stop <= window
        if len(places) == 1 and not self.padded and short:
            return None
        columns = torch.arange(stop, device=places.device)
        seen = columns[None, :] <= places[:, None]
        if not short:
            seen &= columns[None, :] > places[:, None] - window  # type: ignore[operator]
        if not self.padded:
            return seen[None, None]
        real = columns[None, :] >= self.padding[:, None]
        own = columns[None, :] == places[:, None]  # keeps padded queries from seeing nothing
        return (seen & real[:, None, :] | own)[:, None]

    def _layer_mask(self, layer: int) -> Tensor | None:
        mask = self.masks[self.windows[layer]]
        if self.cache.holes is None or self.step == 0:
            return mask
        real = ~self.cache.holes[layer][:, None, None, : self.slots.stop]
        return real if mask is None else mask & real

    def _fill(self, layer: int, x: Tensor, rows: Rows) -> None:
        """The KV rule: what later tokens find where this step's attention is skipped."""
        if self.kv == "none":
            return
        if self.kv == "recompute":
            assert self.behind is not None
            self.behind.leave(layer, x, rows, self.slots)
        elif self.kv == "mask":
            assert self.cache.holes is not None
            where = slice(None) if rows is None else rows
            self.cache.holes[layer][where, self.slots] = True
        elif self.kv == "copy" and layer > 0:
            where = slice(None) if rows is None else rows
            below = self.cache.keys[layer - 1], self.cache.values[layer - 1]
            key, value = (part[where][:, :, self.slots] for part in below)
            self.cache.write(layer, rows, self.slots, key, value)
        else:
            rotary = self.rotary if rows is None else tuple(part[rows] for part in self.rotary)
            key, value, _ = self._project(layer, x, rotary)
            self.cache.write(layer, rows, self.slots, key, value)
            where = slice(None) if rows is None else rows
            self.counter.projected[where] += 1

    def _catch_up(self, layer: int, rows: Tensor) -> None:
        """Take earlier tokens of `rows` that stopped below this block through it, exactly.

        Every such token was taken through the blocks below on the way here, in this same step.
        """
        assert self.behind is not None
        row, slot = self.behind.waiting(layer, rows)
        if not len(row):
            return
        block = self.model.layers[layer]
        x = self.behind.x[row, slot][:, None]
        positions = (slot - self.padding[row])[:, None]
        rotary = self.model.rotary_emb(x, positions)
        key, value, h = self._project(layer, x, rotary)
        self.cache.keys[layer][row, :, slot] = key[:, :, 0]
        self.cache.values[layer][row, :, slot] = value[:, :, 0]
        query = self._query(block.self_attn, h, rotary)
        columns = torch.arange(self.slots.stop, device=x.device)
        seen = (columns <= slot[:, None]) & (columns >= self.padding[row][:, None])
        window = self.windows[layer]
        if window is not None:
            seen &= columns > slot[:, None] - window
        keys = self.cache.keys[layer][row, :, : self.slots.stop]
        values = self.cache.values[layer][row, :, : self.slots.stop]
        x = x + self._output(block.self_attn, query, keys, values, seen[:, None, None])
        x = x + block.mlp(block.post_attention_layernorm(x))
        self.behind.advance(row, slot, x[:, 0])
        counts = torch.bincount(row, minlength=len(self.padding))
        self.counter.caught_up += counts[:, None]
        # the attention of this block is read by the current token as well; its FFN maybe not
        self.counter.bytes_read += self.bytes[layer][1]
        self.caught_up_at = layer


def _rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding of heads [R, H, T, E]; `rotary` is (cos, sin), each [R, T, E]."""
    cos, sin = rotary
    return x * cos[:, None] + rotate_half(x) * sin[:, None]


def modules_of(loaded: Loaded) -> Iterator[tuple[int, Sublayer, Any]]:
    """(block, half, module) of everything that can be skipped."""
    for layer, block in enumerate(loaded.model.model.layers):
        yield layer, Sublayer.ATTN, block.self_attn
        yield layer, Sublayer.FFN, block.mlp
