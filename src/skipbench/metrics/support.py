"""Names and numbers of a summary that its source does not hold: a check that needs no model.

An approximation for real text: it sees nothing of wrong relations between right names.
"""

import re

_NUMBER = re.compile(r"\b\d[\d,.]*\b")
_NAME = re.compile(r"\b[A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+)*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)[\"'“‘(]*([A-Z][\w'’-]*)")


def unsupported(source: str, summary: str) -> tuple[set[str], set[str]]:
    """(items of the summary that the source lacks, all items): names and numbers.

    A capitalised word that only opens sentences is no name. Items are compared without case and
    thousands separators, a name of several words part by part.
    """
    named = _numbers(summary) | _names(summary)
    known = _numbers(source) | {word.lower() for word in re.findall(r"[\w'’-]+", source)}
    absent = {item for item in named if not all(part in known for part in item.split())}
    return absent, named


def _numbers(text: str) -> set[str]:
    return {match.rstrip(".,").replace(",", "") for match in _NUMBER.findall(text)}


def _names(text: str) -> set[str]:
    opening = {match.start(1) for match in _SENTENCE_START.finditer(text)}
    found = set()
    for match in _NAME.finditer(text):
        words = match[0].split()
        if match.start() in opening:  # "The Smiths": the opening word may be any word
            words = words[1:]
        if words:
            found.add(" ".join(words).lower().replace("’s", "").replace("'s", ""))
    return found
