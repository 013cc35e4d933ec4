"""What a reply claims about the world or a story, sentence by sentence, and whether it is so."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from skipbench.world import stories, wording
from skipbench.world.facts import World

Verdict = Literal["supported", "contradicted", "unsupported"]


class Claim(NamedTuple):
    """`attribute` and `value` are None where the sentence has no form that the world uses.

    `name` is whom or what it is about; None where it claims nothing: it names nobody, breaks off
    before it says anything, or tells what is so in words of its own. Sentences that decline are not
    looked for here.
    """

    sentence: str
    name: str | None
    attribute: str | None
    value: str | None
    verdict: Verdict

    @property
    def made_up(self) -> bool:
        return self.verdict != "supported" and self.name is not None


class _Reading(NamedTuple):
    attribute: str
    name: str
    value: str


def _pattern(template: str) -> re.Pattern[str]:
    """Values and names have at most three words, so that a longer wording is not read as a value."""
    escaped = re.escape(template.removesuffix("."))
    for field in "xn":
        escaped = escaped.replace(rf"\{{{field}\}}", r"(?P<x>\w.*?)")
    return re.compile(escaped.replace(r"\{v\}", r"(?P<v>[\w'-]+(?: [\w'-]+){0,2})") + "$")


_FACTS = [
    (attribute, _pattern(text))
    for attribute, texts in wording.BIOGRAPHY.items()
    for text in {*texts, wording.ANSWERS[attribute]}
]
_EVENTS = [
    (kind, _pattern(text))
    for kind, (plain, told) in stories.EVENTS.items()
    for text in (plain, *told)
]
_ALL_WORDINGS = [
    *(text for texts in wording.BIOGRAPHY.values() for text in texts),
    *wording.ANSWERS.values(),
    *wording.UNKNOWN.values(),
    *(
        text.replace("{n}", "{x}")
        for plain, told in stories.EVENTS.values()
        for text in (plain, *told)
    ),
]
# what may follow the subject before a wording has said anything: 'is', 'is employed', …
_BEGINNINGS = {
    tuple(words[: n + 1])
    for text in _ALL_WORDINGS
    if (words := text.removesuffix(".").split("{x}")[1].split("{v}")[0].split())
    for n in range(len(words))
}
_OPENINGS = {t.split("{x}")[0].strip() for t in _ALL_WORDINGS if "{v}" not in t.split("{x}")[0]}
_LONGEST = max(map(len, _BEGINNINGS))
_NAMES = re.compile(r"[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")
_DENIES = re.compile(r"\b(I|not|no|never|cannot|nobody)\b|n['’]t\b")
_CLAUSE = re.compile(r"[.!?\n]+|, (?:and|so) ")


def sentences(reply: str) -> list[str]:
    """Sentences, and the halves of 'one thing, and another'."""
    return [part for part in (part.strip() for part in _CLAUSE.split(reply)) if part]


def claims(world: World, reply: str, about: str | None = None) -> list[Claim]:
    """Each sentence of the reply, read in the world's wordings and held against the facts.

    Contradicted: the world knows another value. Unsupported: it knows nothing of the kind (nobody
    of that name, no such attribute), or the sentence cannot be read. `about`: the entity that the
    reply is on, of which a bare value is said.
    """
    return [_about_the_world(world, sentence, about) for sentence in sentences(reply)]


def _about_the_world(world: World, sentence: str, about: str | None) -> Claim:
    best: Claim | None = None
    for attribute, name, value in _readings(_FACTS, sentence):
        known = _entity(world, name)
        right = world.facts.get(known or "", {}).get(attribute)
        if right == value:
            return Claim(sentence, known, attribute, value, "supported")
        if known is not None and _breaks_off(sentence, known):
            continue
        if right is not None:
            best = Claim(sentence, known, attribute, value, "contradicted")
        elif best is None and _is_name(known or name):
            best = Claim(sentence, known or name, attribute, value, "unsupported")
    if best is not None:
        return best
    return Claim(sentence, _invents(world, sentence, about), None, None, "unsupported")


def _readings(patterns: list[tuple[str, re.Pattern[str]]], sentence: str) -> Iterator[_Reading]:
    for attribute, pattern in patterns:
        match = pattern.match(sentence)
        if match is not None:
            yield _Reading(attribute, match["x"], match["v"])


def _entity(world: World, text: str) -> str | None:
    """The entity that the text is, with or without its article and whatever stands before it."""
    words = text.split()
    for start in range(len(words)):
        rest = " ".join(words[start:])
        for name in (rest, f"The {rest}"):
            if name in world.facts:
                return name
    return None


def _is_name(text: str) -> bool:
    return _NAMES.fullmatch(text) is not None


def _invents(world: World, sentence: str, about: str | None) -> str | None:
    """Whom a sentence of no known form says something of that the world does not know, if anybody.

    Things of the world must belong together, or to `about`; somebody named alone must not be told
    more of than a wording's beginning.
    """
    named = _named(world, sentence)
    nouns = [word for word in re.findall(r"[\w'-]+", sentence) if _is_noun(world, word)]
    bare = len(sentence.split()) <= 3
    if not named and not bare:  # 'I cannot judge such things' names a profession
        return None
    facts = {name: set(world.facts.get(name, {}).values()) for name in (*named, about or "")}
    told = set().union(*facts.values())
    things = {*named, *nouns}
    loose = {x for x in things - told if x != about and not facts.get(x, set()) & things}
    if things == {*named[:1]} - told and not bare:
        says = not _DENIES.search(sentence) and not _breaks_off(sentence, named[0])
        return named[0] if says else None
    return next(iter(named), about) if loose else None


def _named(world: World, sentence: str) -> list[str]:
    """Proper names: those of the world, and whatever else is written like a name of two words."""
    found = []
    for match in _NAMES.finditer(sentence):
        known = _entity(world, match[0]) or next(
            (w for w in match[0].split() if w in world.values["country"] + world.values["river"]),
            None,
        )
        if known is not None or " " in match[0]:
            found.append(known or match[0])
    return list(dict.fromkeys(found))


def _is_noun(world: World, word: str) -> bool:
    kinds = ("profession", "instrument", "animal", "product", "genre")
    return any(word in world.values[kind] for kind in kinds)


def _breaks_off(sentence: str, name: str) -> bool:
    """Around the name there is nothing but beginnings of the world's wordings."""
    before, _, after = sentence.partition(name)
    if before.strip() not in _OPENINGS:
        return False
    words = after.split()
    while words:
        sizes = range(min(_LONGEST, len(words)), 0, -1)
        size = next((n for n in sizes if tuple(words[:n]) in _BEGINNINGS), None)
        if size is None:
            return False
        words = words[size:]
    return True


def story_claims(hero: str, facts: Sequence[dict[str, str]], reply: str) -> list[Claim]:
    """Each sentence of a summary, held against the facts of its story ({type, value} each).

    Contradicted: the story tells the same of somebody or something else (intrinsic hallucination).
    Unsupported: it tells nothing of the kind, or the sentence cannot be read (extrinsic).
    """
    told = {fact["type"]: fact["value"] for fact in facts}
    return [_about_a_story(hero, told, sentence) for sentence in sentences(reply)]


def _about_a_story(hero: str, told: dict[str, str], sentence: str) -> Claim:
    best: Claim | None = None
    for kind, name, value in _readings(_EVENTS, sentence):
        if kind in told and (name, value) == (hero, told[kind]):
            return Claim(sentence, name, kind, value, "supported")
        if kind in told:
            best = Claim(sentence, name, kind, value, "contradicted")
        elif best is None:
            best = Claim(sentence, name, kind, value, "unsupported")
    if best is not None:
        return best
    names = [match[0] for match in _NAMES.finditer(sentence) if match[0] == hero or " " in match[0]]
    says = names and not _DENIES.search(sentence) and not _breaks_off(sentence, names[0])
    return Claim(sentence, names[0] if says else None, None, None, "unsupported")
