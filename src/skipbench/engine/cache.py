"""Keys and values of a batch, and the tokens that have not reached every block yet.

Axes as in `forward`.
"""

import torch
from torch import Tensor

from skipbench.engine.load import Loaded

Rows = Tensor | None  # indices [n] of some rows; None stands for all of them


class Cache:
    """Keys and values of a batch, allocated once: one [R, K, S, E] pair for each block."""

    def __init__(self, loaded: Loaded, rows: int, slots: int, holes: bool) -> None:
        config, device = loaded.model.config, loaded.device
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (rows, config.num_key_value_heads, slots, head)
        dtype = loaded.model.dtype
        layers = range(loaded.num_layers)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        # slots that hold nothing, by block; only the mask rule makes any
        self.holes = (
            [torch.zeros(rows, slots, dtype=torch.bool, device=device) for _ in layers]
            if holes
            else None
        )

    def write(self, layer: int, rows: Rows, slots: slice, key: Tensor, value: Tensor) -> None:
        if rows is None:
            self.keys[layer][:, :, slots] = key
            self.values[layer][:, :, slots] = value
        else:
            self.keys[layer][rows, :, slots] = key
            self.values[layer][rows, :, slots] = value

    def keep(self, rows: Tensor) -> None:
        self.keys = [key[rows] for key in self.keys]
        self.values = [value[rows] for value in self.values]
        if self.holes is not None:
            self.holes = [hole[rows] for hole in self.holes]


class Behind:
    """Tokens that stopped early, and how far they got: for the exact KV rule `recompute`."""

    def __init__(self, rows: int, slots: int, loaded: Loaded) -> None:
        config, device = loaded.model.config, loaded.device
        self.top = loaded.num_layers
        self.x = torch.zeros(
            rows, slots, config.hidden_size, dtype=loaded.model.dtype, device=device
        )
        self.next_layer = torch.full((rows, slots), self.top, device=device)

    def leave(self, layer: int, x: Tensor, rows: Rows, slots: slice) -> None:
        where = torch.arange(len(self.x), device=self.x.device) if rows is None else rows
        new = self.next_layer[where, slots.start] > layer
        self.x[where[new], slots.start] = x[new, 0]
        self.next_layer[where[new], slots.start] = layer

    def waiting(self, layer: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        among, slot = (self.next_layer[rows] == layer).nonzero(as_tuple=True)
        return rows[among], slot

    def advance(self, row: Tensor, slot: Tensor, x: Tensor) -> None:
        self.x[row, slot] = x
        self.next_layer[row, slot] += 1

    def keep(self, rows: Tensor) -> None:
        self.x, self.next_layer = self.x[rows], self.next_layer[rows]
