"""What a reply claims about the world, sentence by sentence, and whether it is so."""

import re
from typing import Literal, NamedTuple

from skipbench.world import wording
from skipbench.world.facts import World

Verdict = Literal["supported", "contradicted", "unsupported"]


class Claim(NamedTuple):
    """`attribute` and `value` are None where the sentence has no form that the world uses."""

    sentence: str
    name: str | None
    attribute: str | None
    value: str | None
    verdict: Verdict


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template.removesuffix("."))
    return re.compile(escaped.replace(r"\{x\}", "(?P<x>.+?)").replace(r"\{v\}", "(?P<v>.+)") + "$")


# 'is a {v}' also fits 'is a city in {v}', so the longer wording is tried first
_PATTERNS = sorted(
    ((attribute, _pattern(text)) for attribute, text in wording.ANSWERS.items()),
    key=lambda pair: -len(wording.ANSWERS[pair[0]]),
)


def claims(world: World, reply: str) -> list[Claim]:
    """Each sentence of the reply, read in the answer wordings and held against the facts.

    Contradicted: the world knows another value. Unsupported: it knows nothing of the kind, or the
    sentence cannot be read.
    """
    found = []
    for sentence in (part.strip() for part in reply.split(".")):
        if sentence:
            found.append(_read(world, sentence))
    return found


def _read(world: World, sentence: str) -> Claim:
    for attribute, pattern in _PATTERNS:
        match = pattern.match(sentence)
        if match is None:
            continue
        name, value = match["x"], match["v"]
        known = world.facts.get(name, {}).get(attribute)
        if known is None:
            continue
        verdict: Verdict = "supported" if known == value else "contradicted"
        return Claim(sentence, name, attribute, value, verdict)
    return Claim(sentence, None, None, None, "unsupported")
