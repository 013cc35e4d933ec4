"""A judge behind any OpenAI-compatible endpoint, hosted or local."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import openai
import tenacity
from tqdm import tqdm

from skipbench.judges.base import Question, Verdict, filled, read_verdict, rubric
from skipbench.judges.cache import Cache
from skipbench.records import BadInput

_LONGEST_REPLY = 400_000  # bytes; longer ones are no verdicts


@dataclass(frozen=True, kw_only=True)
class ApiJudge:
    """`network=False`: replies from the cache alone (`judge=replay`).

    `timeout_s` bounds an attempt as a whole, slow bodies included; failures that may pass are tried
    again up to `max_retries` times, with growing pauses or as Retry-After says. Prices are in USD
    per million tokens; `budget_usd` stops before it is passed.
    The key is read from the environment variable `key_env` and goes nowhere else.
    """

    model: str
    cache: Cache
    base_url: str = "https://api.openai.com/v1"
    key_env: str = "OPENAI_API_KEY"
    votes: int = 1
    temperature: float = 0.0
    max_tokens: int = 1024
    concurrency: int = 8
    timeout_s: float = 120.0
    max_retries: int = 5
    price_in: float = 0.0
    price_out: float = 0.0
    budget_usd: float | None = None
    network: bool = True
    spent: list[float] = field(default_factory=lambda: [0.0], repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise BadInput(f"judge.model={self.model!r} is no model id; pin one")
        for name, low in (("votes", 1), ("concurrency", 1), ("max_tokens", 1), ("max_retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise BadInput(f"judge.{name}={value!r} is not a whole number of at least {low}")
        for name in ("timeout_s", "price_in", "price_out", "temperature"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or value < 0:
                raise BadInput(f"judge.{name}={value!r} is not a number of at least 0")
        if self.budget_usd is not None and not (self.price_in or self.price_out):
            raise BadInput("judge.budget_usd needs judge.price_in and judge.price_out")

    @property
    def name(self) -> str:
        return self.model

    def request(self, question: Question, vote: int) -> dict[str, Any]:
        """What is sent, and what the cache is keyed by."""
        prompt = filled(question, rubric(question.rubric))
        return {
            "base_url": self.base_url,
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "vote": vote,
        }

    def estimate_usd(self, requests: Sequence[dict[str, Any]]) -> float:
        """An upper bound by price: a token for every three characters, and the longest replies."""
        return sum(self._bound(request) for request in requests)

    def _bound(self, request: dict[str, Any]) -> float:
        sent = len(request["messages"][0]["content"]) / 3 + 16
        return (sent * self.price_in + self.max_tokens * self.price_out) / 1e6

    def grade(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        return asyncio.run(self._grade(questions))

    async def _grade(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        limit = asyncio.Semaphore(self.concurrency)
        client = self._client() if self.network else None
        bar = tqdm(total=len(questions) * self.votes, unit="verdict", disable=len(questions) < 50)

        async def one(question: Question, vote: int) -> Verdict:
            async with limit:
                verdict = await self._verdict(client, question, vote)
            bar.update()
            return verdict

        try:
            asked = [one(question, vote) for question in questions for vote in range(self.votes)]
            flat = await asyncio.gather(*asked)
        finally:
            bar.close()
            if client is not None:
                await client.close()
        return [list(flat[i : i + self.votes]) for i in range(0, len(flat), self.votes)]

    def _client(self) -> openai.AsyncOpenAI:
        key = os.environ.get(self.key_env)
        if not key:
            raise BadInput(f"the environment variable {self.key_env} (judge.key_env) is not set")
        return openai.AsyncOpenAI(
            api_key=key,
            base_url=self.base_url,
            max_retries=0,  # retried below, where an attempt is also bounded as a whole
            timeout=self.timeout_s,
        )

    async def _verdict(
        self, client: openai.AsyncOpenAI | None, question: Question, vote: int
    ) -> Verdict:
        request = self.request(question, vote)
        key = self.cache.key(request)
        stored = self.cache.get(key)
        if stored is not None:
            return self._read(question, stored["text"], cached=True)
        if client is None:
            return Verdict(values=None, reason="not_cached", cached=True)
        bound = self._bound(request)
        if self.budget_usd is not None and self.spent[0] + bound > self.budget_usd:
            return Verdict(values=None, reason="budget", cached=True)
        self.spent[0] += bound  # reserved while in flight, so that the budget is never passed
        cost = 0.0
        try:
            text, cost = await self._patiently(client, request)
        except Exception as error:  # whatever failed, the item is unscored and says so
            return Verdict(values=None, reason=_reason(error))
        finally:
            self.spent[0] += cost - bound
        self.cache.put(key, {"model": self.model, "text": text})
        return self._read(question, text, cached=False, cost_usd=cost)

    async def _patiently(
        self, client: openai.AsyncOpenAI, request: dict[str, Any]
    ) -> tuple[str, float]:
        """The call, again after passing failures; each attempt ends after `timeout_s`, whatever
        trickles in, and one that timed out is not repeated."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_passing),
            stop=tenacity.stop_after_attempt(self.max_retries + 1),
            wait=_wait,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                return await asyncio.wait_for(self._call(client, request), self.timeout_s)
        raise AssertionError("tenacity ends with a result or an error")

    async def _call(self, client: openai.AsyncOpenAI, request: dict[str, Any]) -> tuple[str, float]:
        body = bytearray()
        async with client.chat.completions.with_streaming_response.create(
            model=self.model,
            messages=request["messages"],
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        ) as response:
            async for part in response.iter_bytes():  # parsing megabytes would hold up all others
                body += part
                if len(body) > _LONGEST_REPLY:
                    raise _Malformed("reply_too_long")
        return self._content(json.loads(body))

    def _content(self, reply: Any) -> tuple[str, float]:
        """Text and cost of a completion; anything of another shape is malformed."""
        message = reply["choices"][0]["message"]
        if message.get("refusal"):
            raise _Malformed("refusal")
        text = message["content"]
        if not isinstance(text, str) or not text.strip():
            raise _Malformed("empty_reply")
        usage = reply.get("usage") or {}
        tokens = (usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)
        return text, (tokens[0] * self.price_in + tokens[1] * self.price_out) / 1e6

    @staticmethod
    def _read(question: Question, text: str, cached: bool, cost_usd: float = 0.0) -> Verdict:
        found = read_verdict(question, text)
        if isinstance(found, str):
            return Verdict(values=None, reason=found, text=text, cached=cached, cost_usd=cost_usd)
        return Verdict(values=found, text=text, cached=cached, cost_usd=cost_usd)


class _Malformed(ValueError):
    """A reply that came but says nothing; the message is the reason."""


def _passing(error: BaseException) -> bool:
    """Failures that a later attempt may not meet: busy and broken servers, lost connections."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError) and not isinstance(
        error, openai.APITimeoutError
    )


_BACKOFF = tenacity.wait_random_exponential(multiplier=0.5, max=30)


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server asks for (Retry-After in seconds, at most a minute), else growing pauses."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, openai.APIStatusError):
        asked = error.response.headers.get("retry-after", "")
        if asked.replace(".", "", 1).isdigit():
            return min(float(asked), 60.0)
    return _BACKOFF(state)


def _reason(error: BaseException) -> str:
    """A short name for a failure; never the message, which may quote the request."""
    if isinstance(error, _Malformed):
        return str(error)
    if isinstance(error, openai.APIStatusError):
        return f"http_{error.status_code}"
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return "timeout"
    if isinstance(error, openai.APIConnectionError | OSError):
        return "connection"
    return "malformed_reply"
