"""Replies that end at a string: rows stop as soon as their text holds one of theirs."""

from collections.abc import Sequence

import torch

from skipbench.engine.decode import Decoding, Engine, Request, _Batch
from skipbench.records import Generation


class _Until(_Batch):
    """A batch whose row i also ends where its text holds one of `until[i]`."""

    until: Sequence[Sequence[str]]

    def _stops(self, i: int, token: int) -> bool:
        if super()._stops(i, token):
            return True
        text = self.loaded.tokenizer.decode(self.tokens[i], skip_special_tokens=True)
        return any(end in text for end in self.until[i])


@torch.inference_mode()
def generate_until(
    engine: Engine,
    requests: Sequence[Request],
    until: Sequence[Sequence[str]],
    decoding: Decoding,
) -> list[tuple[str, Generation]]:
    """The text of each reply without its end, and what was executed; `until` holds no empty string.

    Raises BadInput for a prompt that does not fit the model's positions.
    """
    limits = [request.max_new_tokens for request in requests]
    engine.check(requests, limits)
    batch = _Until(engine.loaded, engine.policy, requests, limits, decoding)
    batch.until = until
    batch.prefill()
    while batch.alive:
        batch.decode()
    done = [generation for generation in batch.done if generation is not None]
    return [
        (_text(engine, generation, ends), generation)
        for generation, ends in zip(done, until, strict=True)
    ]


def _text(engine: Engine, generation: Generation, ends: Sequence[str]) -> str:
    kept = [i for i in generation.token_ids if i not in engine.loaded.eos_ids]
    text = engine.loaded.tokenizer.decode(kept, skip_special_tokens=True)
    for end in ends:
        text = text.split(end)[0]
    return text
