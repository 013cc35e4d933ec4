"""Numbers and names as a reader sees them: percent, intervals, LaTeX, slugs."""

import hashlib
import re
from typing import Any

Json = dict[str, Any]

# order is the order of columns; what a group does not have is left out
HEADLINE = {
    "accuracy": "accuracy",
    "accuracy_contains": "acc. (contains)",
    "accuracy_llmkick": "acc. (LLM-KICK)",
    "fact_recall": "facts told",
    "rougeL": "ROUGE-L",
    "reference_score": "reference score",
    "judge_score": "judge score",
    "hallucination_rate": "hallucination",
    "collapse_rate": "collapse",
    "abstention_rate": "abstention",
}
LOWER_IS_BETTER = ("hallucination_rate", "collapse_rate")
NEITHER = ("abstention_rate",)
_GRADED = ("judge_score", "judge.", "reference_score")
_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "−": r"$-$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
}


def tex(text: str) -> str:
    """Any text as LaTeX that prints it; letters that no font of pdfLaTeX has become '?'."""
    known = (_TEX.get(c, c if c.isascii() or c in "äöüÄÖÜßéèêáàâíóôúñç" else "?") for c in text)
    return "".join(known).replace("\n", " ")


def markdown(text: str) -> str:
    """Any text as a cell of a Markdown table."""
    return re.sub(r"([\\|*`<])", r"\\\1", text).replace("\n", " ")


def graded(metric: str) -> bool:
    """Is on a scale of 1 to 10, and not a share of replies?"""
    return metric.startswith(_GRADED)


def shown(metric: str, value: float | None, sign: bool = False) -> str:
    """A value of a metric: percent with one decimal, or a grade with two."""
    if value is None:
        return "–"
    scaled, digits = (value, 2) if graded(metric) else (100 * value, 1)
    return minus(f"{scaled:+.{digits}f}" if sign else f"{scaled:.{digits}f}")


def minus(text: str) -> str:
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    return "–" if value is None else minus(f"{100 * value:.1f}")


def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float | None, high: float | None, metric: str, sign: bool = False) -> str:
    if low is None or high is None:
        return "no interval"
    return f"[{shown(metric, low, sign)}, {shown(metric, high, sign)}]"


def count(n: int, unscored: int) -> str:
    """How many replies a number rests on; what could not be scored is never left unsaid."""
    return f"n {n}" + (f", {unscored} unscored" if unscored else "")


def slug(*parts: str) -> str:
    """A file name from names; what was lost on the way is kept apart by a short digest."""
    plain = "-".join(filter(None, parts))
    made = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    lost = re.sub(r"[-_ ]+", "_", plain) != made
    return f"{made[:60]}_{hashlib.sha256(plain.encode()).hexdigest()[:4]}" if lost else made


_SPELLED = "Zero One Two Three Four Five Six Seven Eight Nine".split()


def letters(text: str) -> str:
    """A name of letters only, as LaTeX wants of a macro: digits and their points are spelled."""
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", text)
    words = re.findall(r"[A-Za-z]+|[0-9]", text)
    return "".join(
        _SPELLED[int(word)] if word.isdigit() else word[:1].upper() + word[1:] for word in words
    )
