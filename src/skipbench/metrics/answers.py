"""Short answers: normalising, matching, and the one outcome that a reply has."""

import re
import string
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

Outcome = Literal["correct", "collapsed", "wrong_entity", "abstained", "off_format"]
OUTCOMES: tuple[Outcome, ...] = (
    "correct",
    "collapsed",
    "wrong_entity",
    "abstained",
    "off_format",
)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ABSTAINED = re.compile(
    r"\b(do(es)? not|don t|dont|cannot|can not|cant|could not|couldnt) (know|recall|remember|tell|say)\b"
    r"|\b(not|isnt|is not) (known|sure|certain)\b|\bunknown\b|\bno (idea|information)\b"
    r"|\bunable to (answer|say|tell)\b"
)


@lru_cache(maxsize=1 << 16)  # the same names of the world are looked for in every reply
def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (as SQuAD and TriviaQA score)."""
    text = unicodedata.normalize("NFKC", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def matches(reply: str, references: Iterable[str]) -> bool:
    """Strict: the normalised reply equals a normalised reference."""
    said = normalise(reply)
    return any(said == normalise(reference) for reference in references)


def contains(reply: str, values: Iterable[str]) -> bool:
    """A value stands in the reply as whole words."""
    said = f" {normalise(reply)} "
    found = (normalise(value) for value in values)
    return any(value and f" {value} " in said for value in found)


def abstains(reply: str) -> bool:
    """The reply says in words that it does not answer."""
    return bool(_ABSTAINED.search(normalise(reply)))


def outcome(
    reply: str,
    references: Sequence[str],
    values: Sequence[str],
    others: Iterable[str] | None,
    collapsed: bool,
) -> Outcome:
    """The first that fits: correct, collapsed, wrong entity, abstained, off-format.

    `values`: what a right answer must hold (empty where there is none to hold). `others`: values of
    the same type; None where the type has no list, so that any other answer is a wrong entity.
    """
    if matches(reply, references):
        return "correct"
    if collapsed:
        return "collapsed"
    right = bool(values) and contains(reply, values)
    if others is not None and not right and contains(reply, others):
        return "wrong_entity"
    if abstains(reply):
        return "abstained"
    if others is None and not right and normalise(reply):
        return "wrong_entity"
    return "off_format"


def llmkick_correct(prompt: str, reply: str, aliases: Iterable[str]) -> bool:
    """The LLM-KICK scoring with its quirks (VITA-Group/llm-kick at 70f98d7, main_freebase.py).

    Prompt and reply are searched together, with all spaces taken out and nothing else normalised,
    so an answer that the question names counts, and so does one inside a longer word.
    """
    said = (prompt + reply).strip().replace(" ", "").lower()
    return any(alias.strip().replace(" ", "").lower() in said for alias in aliases)
