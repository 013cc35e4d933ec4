"""Names and numbers of a summary that its source does not hold: a check that needs no model.

An approximation for real text: it sees nothing of wrong relations between right names.
"""

import re

_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)*")  # of '$9.9m' 9.9, of '1,200' 1200
_WORD = re.compile(r"\w+(?:'\w+)*")
_PART = r"[A-Z](?:\w|'\w)+"  # of two letters at least: "O'Neill" whole, of "'Rome'" Rome
_NAME = re.compile(rf"\b{_PART}(?:\s+{_PART})*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)[\"“‘'(]*([A-Z][\w']*)")
_HYPHENS = str.maketrans({"’": "'", "-": " ", "‐": " ", "‑": " ", "–": " ", "—": " "})
_GENITIVE = re.compile(r"'s\b|(?<=s)'(?!\w)")


def unsupported(source: str, summary: str) -> tuple[set[str], set[str]]:
    """(items of the summary that the source lacks, all items): names and numbers.

    A capitalised word that only opens sentences is no name. Items are compared without case,
    genitives, hyphens (which join words of their own) and thousands separators, a name of several
    words part by part. Units of numbers are not compared.
    """
    source, summary = _plain(source), _plain(summary)
    named = _numbers(summary) | _names(summary)
    known = _numbers(source) | {word.lower() for word in _WORD.findall(source)}
    absent = {item for item in named if not all(part in known for part in item.split())}
    return absent, named


def _plain(text: str) -> str:
    return _GENITIVE.sub("", text.translate(_HYPHENS))


def _numbers(text: str) -> set[str]:
    return {match.replace(",", "") for match in _NUMBER.findall(text)}


def _names(text: str) -> set[str]:
    opening = {match.start(1) for match in _SENTENCE_START.finditer(text)}
    found = set()
    for match in _NAME.finditer(text):
        words = match[0].split()
        if match.start() in opening:  # "The Smiths": the opening word may be any word
            words = words[1:]
        if words:
            found.add(" ".join(words).lower())
    return found
