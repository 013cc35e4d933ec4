"""A skipping model for lm-evaluation-harness: its tasks through our engine's decode path.

`python -m skipbench.lm_eval_model --model skipbench --model_args method=ffnskip,… --tasks …` is the
harness's own command line with this model registered; in Python: `lm_eval.simple_evaluate(
model=SkipbenchLM(...), tasks=[...])`. Needs the extra `skipbench[lm-eval]`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM  # type: ignore[import-not-found]
from lm_eval.api.registry import register_model  # type: ignore[import-not-found]
from lm_eval.utils import (  # type: ignore[import-not-found]
    get_rolling_token_windows,
    make_disjoint_window,
)
from tqdm import tqdm

from skipbench.engine.decode import Decoding, Engine, Request
from skipbench.engine.divergence import forced
from skipbench.engine.load import ModelSpec, load
from skipbench.engine.until import generate_until
from skipbench.paths import tiny_dir
from skipbench.policies.base import Policy
from skipbench.policies.named import named
from skipbench.records import BadInput, Generation

_KNOWN = ("until", "max_gen_toks", "do_sample", "temperature", "top_p")


class NothingSkipped(RuntimeError):
    """A method that asks for skipping ran, and every module was called."""


@register_model("skipbench")
class SkipbenchLM(TemplateLM):
    """A checkpoint under a policy.

    `pretrained`: `tiny`, a directory or a hub id. `method`: a name of `conf/method`, with `fields` as its
    values; or `cell`: a finished cell, whose calibrated method is taken; or `policy`: an object.
    `forced_context`: that many last tokens of a context go through decode steps as well, so that a
    method that acts in decode is at work when a continuation of one token is scored.
    After every call `engagement` holds what was executed. Raises NothingSkipped from a call in which
    a method that asks for skipping skipped nothing; BadInput for what cannot be used.
    """

    def __init__(
        self,
        pretrained: str = "tiny",
        method: str = "dense",
        cell: str | None = None,
        policy: Policy | None = None,
        dtype: str = "float32",
        device: str | None = None,
        batch_size: int | str = 1,
        max_gen_toks: int = 256,
        forced_context: int = 0,
        seed: int = 0,
        **fields: Any,
    ) -> None:
        super().__init__()
        fields = {k: v for k, v in fields.items() if k not in ("max_batch_size",)}
        path = str(tiny_dir()) if pretrained == "tiny" else pretrained
        loaded = load(ModelSpec(path=path, dtype=dtype, device=device or "cpu"))
        self.engine = Engine(loaded, policy or named(method, cell, fields))
        self.tokenizer = loaded.tokenizer
        self.batch_size = int(batch_size)
        self.max_gen_toks, self.forced_context, self.seed = max_gen_toks, forced_context, seed
        self.engagement: dict[str, float] = {}

    @property
    def max_length(self) -> int:
        return self.engine.loaded.model.config.max_position_embeddings

    @property
    def eot_token_id(self) -> int:
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        first = self.tokenizer.bos_token_id
        return self.eot_token_id if first is None else first

    @property
    def tokenizer_name(self) -> str:
        return self.engine.loaded.digest

    def chat_template(self, chat_template: bool | str = False) -> str:
        return self.tokenizer.chat_template or ""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Ids; where it is left open, special tokens are added unless the text begins with one."""
        if add_special_tokens is None:
            begun = self.tokenizer.bos_token and string.startswith(self.tokenizer.bos_token)
            add_special_tokens = not begun
        return self.tokenizer.encode(string, add_special_tokens=add_special_tokens)

    def _loglikelihood_tokens(
        self,
        requests: list[Any],  # each: both texts or None, ids of the context and of the continuation
        disable_tqdm: bool = False,
        **_: Any,
    ) -> list[tuple[float, bool]]:
        """The context is prefilled; the continuation is forced token by token through decode."""

        def score(chunk: Sequence[tuple[int, Any]]) -> Iterator[tuple[Any, Generation]]:
            asked, given, tails = [], [], []
            for number, (_, context, continuation) in chunk:
                if not continuation:
                    raise BadInput("a continuation without tokens cannot be scored")
                context = context[-(self.max_length + 1 - len(continuation)) :]
                tail = min(self.forced_context, len(context) - 1)
                tails.append(tail)
                given.append([*context[len(context) - tail :], *continuation])
                asked.append(self._request(number, context[: len(context) - tail], 1))
            for found, tail in zip(forced(self.engine, asked, given), tails, strict=True):
                yield (sum(found.logp[tail:]), all(found.greedy[tail:])), found.generation

        return self._run("loglikelihood", requests, lambda r: len(r[1]), score, disable_tqdm)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Of whole texts, in windows of the model's length that share no scored token."""
        windows = [
            (number, (None, *make_disjoint_window(window)))
            for number, request in enumerate(requests)
            for window in get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
        ]
        sums = [0.0] * len(requests)
        found = self._loglikelihood_tokens([window for _, window in windows], disable_tqdm)
        for (number, _), (logp, _) in zip(windows, found, strict=True):
            sums[number] += logp
        return sums

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Replies without the string they ended at. Settings that the engine has not are refused."""
        settings = [self._settings(request.args[1]) for request in requests]

        def reply(chunk: Sequence[tuple[int, Any]]) -> Iterator[tuple[Any, Generation]]:
            asked, ends = [], []
            decoding = settings[chunk[0][0]][2]
            for number, request in chunk:
                until, limit, _ = settings[number]
                ids = self.tok_encode(request.args[0])[-(self.max_length - limit) :]
                asked.append(self._request(number, ids, limit))
                ends.append(until)
            yield from generate_until(self.engine, asked, ends, decoding)

        def order(request: Any) -> tuple[str, int]:
            return str(self._settings(request.args[1])[2]), len(request.args[0])

        return self._run("generate_until", requests, order, reply, disable_tqdm)

    def _settings(self, given: dict[str, Any]) -> tuple[list[str], int, Decoding]:
        """Ends, most new tokens, and decoding of the harness's generation settings."""
        unknown = sorted(given.keys() - set(_KNOWN))
        if unknown:
            raise BadInput(f"generation setting {unknown[0]!r} is not one of {', '.join(_KNOWN)}")
        until = given.get("until") or []
        ends = [until] if isinstance(until, str) else list(until)
        heat = float(given.get("temperature") or 0.0)
        sampled = bool(given.get("do_sample", heat > 0)) and heat > 0
        decoding = Decoding(
            mode="sampled" if sampled else "greedy",
            temperature=heat if sampled else 1.0,
            top_p=float(given.get("top_p") or 1.0),
            seed=self.seed,
        )
        return [e for e in ends if e], int(given.get("max_gen_toks", self.max_gen_toks)), decoding

    def _request(self, number: int, ids: Sequence[int], limit: int) -> Request:
        return Request(sample_id=str(number), turn=0, prompt_ids=tuple(ids), max_new_tokens=limit)

    def _run(
        self,
        what: str,
        requests: Sequence[Any],
        order: Callable[[Any], Any],
        one: Callable[[Sequence[tuple[int, Any]]], Iterator[tuple[Any, Generation]]],
        quiet: bool,
    ) -> list[Any]:
        """Batches of like requests, the longest first; answers in the order asked."""
        numbered = sorted(enumerate(requests), key=lambda pair: order(pair[1]), reverse=True)
        answers: dict[int, Any] = {}
        made: list[Generation] = []
        starts = range(0, len(numbered), self.batch_size)
        for start in tqdm(starts, desc=what, disable=quiet, mininterval=1.0):
            chunk = numbered[start : start + self.batch_size]
            for (number, _), (answer, generation) in zip(chunk, one(chunk), strict=True):
                answers[number] = answer
                made.append(generation)
        self._engaged(what, made)
        return [answers[number] for number in range(len(requests))]

    def _engaged(self, what: str, made: Sequence[Generation]) -> None:
        """Count what was executed, tell it, and stop where skipping was asked for and none was done."""
        layers = self.engine.loaded.num_layers

        def total(name: str) -> float:
            return sum(float(generation.counts[name]) for generation in made)

        sites, prefill = total("decode_forwards") * layers, total("prefill_sites")
        caught = total("caught_up")
        self.engagement = {"decode_forwards": total("decode_forwards")}
        for half in ("ffn", "attn"):
            ran = total(f"{half}_run")
            self.engagement[half] = 1 - ran / sites if sites else 0.0
            self.engagement[f"prefill_{half}"] = 1 - total(f"prefill_{half}_run") / prefill
        told = ", ".join(f"{name} {value:.3g}" for name, value in self.engagement.items())
        print(f"skipbench {what}: executed skip: {told}", file=sys.stderr)
        skipped = any(v for k, v in self.engagement.items() if k != "decode_forwards") or caught
        if made and self.engine.policy.requests_skipping(layers) and not skipped:
            raise NothingSkipped(
                f"{what}: {type(self.engine.policy).__name__} skipped nothing in {len(made)} replies and "
                f"{self.engagement['decode_forwards']:g} decode steps; continuations of one token have "
                "none (forced_context=1 gives them one), else lower thresholds and warm-up"
            )


def main() -> None:
    """The harness's command line; exit code 2 for bad input, 3 where nothing was skipped."""
    from lm_eval.__main__ import cli_evaluate  # type: ignore[import-not-found]

    try:
        cli_evaluate()
    except (BadInput, NothingSkipped) as error:
        print(f"skipbench.lm_eval_model: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, BadInput) else 3) from None


if __name__ == "__main__":
    main()
