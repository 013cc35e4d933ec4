"""What a reply claims about the world or a story, sentence by sentence, and whether it is so."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from skipbench.world import stories, wording
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
    for field in "xn":
        escaped = escaped.replace(rf"\{{{field}\}}", "(?P<x>.+?)")
    return re.compile(escaped.replace(r"\{v\}", "(?P<v>.+)") + "$")


# 'is a {v}' also fits 'is a city in {v}', so the longer wording is tried first
_ANSWERS = sorted(
    ((attribute, _pattern(text)) for attribute, text in wording.ANSWERS.items()),
    key=lambda pair: -len(wording.ANSWERS[pair[0]]),
)
_EVENTS = [(kind, _pattern(plain)) for kind, (plain, _) in stories.EVENTS.items()]


def sentences(reply: str) -> list[str]:
    return [part for part in (part.strip() for part in reply.split(".")) if part]


def claims(world: World, reply: str) -> list[Claim]:
    """Each sentence of the reply, read in the answer wordings and held against the facts.

    Contradicted: the world knows another value. Unsupported: it knows nothing of the kind, or the
    sentence cannot be read.
    """
    return [_about_the_world(world, sentence) for sentence in sentences(reply)]


def _about_the_world(world: World, sentence: str) -> Claim:
    for attribute, pattern in _ANSWERS:
        match = pattern.match(sentence)
        known = world.facts.get(match["x"], {}).get(attribute) if match else None
        if match is not None and known is not None:
            verdict: Verdict = "supported" if known == match["v"] else "contradicted"
            return Claim(sentence, match["x"], attribute, match["v"], verdict)
    return Claim(sentence, None, None, None, "unsupported")


def story_claims(hero: str, facts: Sequence[dict[str, str]], reply: str) -> list[Claim]:
    """Each sentence of a summary, held against the facts of its story ({type, value} each).

    Contradicted: the story tells the same of somebody or something else (intrinsic hallucination).
    Unsupported: it tells nothing of the kind, or the sentence cannot be read (extrinsic).
    """
    told = {fact["type"]: fact["value"] for fact in facts}
    return [_about_a_story(hero, told, sentence) for sentence in sentences(reply)]


def _about_a_story(hero: str, told: dict[str, str], sentence: str) -> Claim:
    for kind, pattern in _EVENTS:
        match = pattern.match(sentence)
        if match is None or kind not in told:
            continue
        right = match["x"] == hero and match["v"] == told[kind]
        return Claim(
            sentence, match["x"], kind, match["v"], "supported" if right else "contradicted"
        )
    return Claim(sentence, None, None, None, "unsupported")
