"""One call to an OpenAI-compatible endpoint: patient with failures that pass, strict with replies."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import openai
import tenacity

_LONGEST_REPLY = 400_000  # bytes; longer ones are no verdicts


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back. `reason`: why it says nothing, if so; `tokens`: billed in and out, if told."""

    text: str = ""
    reason: str | None = None
    tokens: tuple[int, int] | None = None


async def ask(
    client: openai.AsyncOpenAI, request: dict[str, Any], timeout_s: float, max_retries: int
) -> Reply:
    """The call, again after passing failures; each attempt ends after `timeout_s`, whatever
    trickles in, and one that timed out is not repeated. Raises what the last attempt met."""
    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(_passing),
        stop=tenacity.stop_after_attempt(max_retries + 1),
        wait=_wait,
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            return await asyncio.wait_for(_once(client, request), timeout_s)
    raise AssertionError("tenacity ends with a result or an error")


async def _once(client: openai.AsyncOpenAI, request: dict[str, Any]) -> Reply:
    body = bytearray()
    async with client.chat.completions.with_streaming_response.create(
        model=request["model"],
        messages=request["messages"],
        temperature=request["temperature"],
        max_tokens=request["max_tokens"],
    ) as response:
        async for part in response.iter_bytes():  # parsing megabytes would hold up all others
            body += part
            if len(body) > _LONGEST_REPLY:
                return Reply(reason="reply_too_long")
    return reply_of(bytes(body))


def reply_of(body: bytes) -> Reply:
    """Text and usage of a completion. What is billed is read first, whatever else is wrong."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Reply(reason="malformed_reply")
    tokens = _tokens(found)
    try:
        choice = found["choices"][0]
        message = dict(choice["message"])
    except (LookupError, TypeError, ValueError):
        return Reply(reason="malformed_reply", tokens=tokens)
    text = message.get("content")
    text = text if isinstance(text, str) else ""
    if message.get("refusal"):
        return Reply(reason="refusal", tokens=tokens)
    if choice.get("finish_reason") == "length":  # what stands there may be half a thought
        return Reply(text=text, reason="truncated", tokens=tokens)
    if not text.strip():
        return Reply(reason="empty_reply", tokens=tokens)
    return Reply(text=text, tokens=tokens)


def _tokens(found: Any) -> tuple[int, int] | None:
    usage = found.get("usage") if isinstance(found, dict) else None
    if not isinstance(usage, dict):
        return None
    sent, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (type(sent) is int and type(made) is int and sent >= 0 and made >= 0):
        return None
    return sent, made


def reason_of(error: BaseException) -> str:
    """A short name for a failure; never the message, which may quote the request."""
    if isinstance(error, openai.APIStatusError):
        return f"http_{error.status_code}"
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return "timeout"
    if isinstance(error, openai.APIConnectionError | OSError):
        return "connection"
    return "malformed_reply"


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
