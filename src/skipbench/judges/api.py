"""A judge behind any OpenAI-compatible endpoint, hosted or local."""

import asyncio
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import openai
from tqdm import tqdm

from skipbench.judges.base import Question, Verdict, filled, read_verdict
from skipbench.judges.cache import Cache
from skipbench.judges.calls import Reply, ask, reason_of
from skipbench.judges.ledger import Ledger
from skipbench.judges.rubric import rubric
from skipbench.records import BadInput


@dataclass(frozen=True, kw_only=True)
class ApiJudge:
    """`network=False`: replies from the cache alone (`judge=replay`).

    `timeout_s` bounds an attempt as a whole, slow bodies included; failures that may pass are tried
    again up to `max_retries` times, with growing pauses or as Retry-After says. Prices are in USD
    per million tokens; `budget_usd` bounds what all cells that share the cache spend together.
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

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise BadInput(f"judge.model={self.model!r} is no model id; pin one")
        if not isinstance(self.base_url, str) or not self.base_url.startswith(("http:", "https:")):
            raise BadInput(f"judge.base_url={self.base_url!r} is no http:// or https:// address")
        if not isinstance(self.key_env, str) or not self.key_env:
            raise BadInput(f"judge.key_env={self.key_env!r} names no environment variable")
        for name, low in (("votes", 1), ("concurrency", 1), ("max_tokens", 1), ("max_retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise BadInput(f"judge.{name}={value!r} is not a whole number of at least {low}")
        for name in ("timeout_s", "price_in", "price_out", "temperature", "budget_usd"):
            value = getattr(self, name)
            if name == "budget_usd" and value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise BadInput(f"judge.{name}={value!r} is not a number of at least 0")
        if self.budget_usd is not None and not (self.price_in or self.price_out):
            raise BadInput("judge.budget_usd needs judge.price_in and judge.price_out")

    @property
    def name(self) -> str:
        return self.model

    @property
    def identity(self) -> dict[str, Any]:
        """What else tells this judge from others; a replayed reply is the same judge's."""
        return {"kind": "openai", "base_url": self.base_url, "temperature": self.temperature}

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.cache.directory)

    def check_key(self) -> str:
        """The key. Raises BadInput where there is none."""
        key = os.environ.get(self.key_env)
        if not key:
            raise BadInput(f"the environment variable {self.key_env} (judge.key_env) is not set")
        return key

    def request(self, question: Question, vote: int) -> dict[str, Any]:
        """What is sent, and what the cache is keyed by."""
        told = rubric(question.rubric)
        system = [{"role": "system", "content": told.system}] if told.system else []
        return {
            "base_url": self.base_url,
            "model": self.model,
            "messages": [*system, {"role": "user", "content": filled(question, told)}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "vote": vote,
        }

    def requests(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        """All that would be sent for these questions."""
        asked = [question for question in questions if _can_be_asked(question)]
        return [self.request(question, vote) for question in asked for vote in range(self.votes)]

    def estimate_usd(self, requests: Sequence[dict[str, Any]]) -> float:
        """An upper bound by price: a token for every two bytes, and the longest replies."""
        return sum(self._bound(request) for request in requests)

    def _bound(self, request: dict[str, Any]) -> float:
        sent = sum(len(m["content"].encode()) / 2 + 16 for m in request["messages"])
        return self._price((sent, self.max_tokens))

    def _price(self, tokens: tuple[float, float]) -> float:
        return (tokens[0] * self.price_in + tokens[1] * self.price_out) / 1e6

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
        return openai.AsyncOpenAI(
            api_key=self.check_key(),
            base_url=self.base_url,
            max_retries=0,  # retried in `ask`, where an attempt is also bounded as a whole
            timeout=self.timeout_s,
        )

    async def _verdict(
        self, client: openai.AsyncOpenAI | None, question: Question, vote: int
    ) -> Verdict:
        if not _can_be_asked(question):
            return Verdict(values=None, reason="no_reference")
        request = self.request(question, vote)
        key = self.cache.key(request)
        stored = self.cache.get(key)
        if stored is not None:
            reply, cost = _stored(stored)
            return _read(question, reply, cost, called=False)
        if client is None:
            return Verdict(values=None, reason="not_cached")
        bound = self._bound(request)
        if not self.ledger.reserve(bound, self.budget_usd):
            return Verdict(values=None, reason="budget")
        try:
            reply = await ask(client, request, self.timeout_s, self.max_retries)
        except Exception as error:  # whatever failed, the item is unscored and says so
            reason = reason_of(error)
            cost = bound if reason == "timeout" else 0.0  # the server may have worked on it
            self.ledger.settle(bound, cost)
            return Verdict(values=None, reason=reason, called=True, cost_usd=cost)
        cost = bound if reply.tokens is None else self._price(reply.tokens)
        self.ledger.settle(bound, cost)
        if reply.reason in (None, "truncated"):  # others may pass; these would come again
            kept = {"model": self.model, **vars(reply), "cost_usd": cost}
            self.cache.put(key, kept)
        return _read(question, reply, cost, called=True)


def _can_be_asked(question: Question) -> bool:
    return rubric(question.rubric).fields <= question.fields.keys()


def _stored(found: dict[str, Any]) -> tuple[Reply, float]:
    """A reply from the cache and what it cost; 0 where that was not noted."""
    tokens = found.get("tokens")
    reply = Reply(
        text=found["text"], reason=found.get("reason"), tokens=tuple(tokens) if tokens else None
    )
    return reply, float(found.get("cost_usd") or 0.0)


def _read(question: Question, reply: Reply, cost_usd: float, called: bool) -> Verdict:
    found = reply.reason or read_verdict(question, reply.text)
    unread = isinstance(found, str)
    return Verdict(
        values=None if unread else found,
        reason=found if unread else None,
        text=reply.text,
        called=called,
        cached=not called,
        cost_usd=cost_usd,
        tokens=reply.tokens or (0, 0),
    )
