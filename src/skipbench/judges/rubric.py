"""What a judge is told: our own rubrics, a text file of the user's, or one of FastChat's prompts."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from skipbench.provenance import sha256_of
from skipbench.records import BadInput

RUBRICS = Path(__file__).parent / "rubrics"
OWN = {"single": ("single", "single_reference"), "pairwise": ("pairwise",), "summary": ("summary",)}
_ONE = r"question|answer|reference|(?:question|answer|ref_answer)_\d"
_GIVEN = {
    "single": (_ONE, "question, answer, reference, question_N, answer_N, ref_answer_N"),
    "summary": (_ONE, "question, answer, reference, question_N, answer_N, ref_answer_N"),
    "pairwise": (
        r"question|reference|answer_[ab]|(?:question|ref_answer|answer_[ab])_\d",
        "question, answer_a, answer_b, reference, question_N, answer_a_N, answer_b_N, ref_answer_N",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """`template` has fields in braces; `system` goes before it as a message of its own."""

    template: str
    system: str | None = None

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(re.findall(r"{(\w+)}", self.template))

    @property
    def turn(self) -> int:
        """The first turn, from 0, at which there is something for every field."""
        numbers = [int(name[-1]) for name in self.fields if name[-1].isdigit()]
        return max(numbers, default=1) - 1


@cache  # read once a run: all questions are graded by the same text
def rubric(name: str) -> Rubric:
    """One of our own by name, a file by path, or FILE:NAME of a file of FastChat's prompts (FILE#NAME
    is the same; Hydra wants it in quotes).

    Raises BadInput where that is not there or cannot be read.
    """
    if not isinstance(name, str) or not name:
        raise BadInput(f"judge.rubric={name!r} is no name of a rubric and no path of a file")
    own = RUBRICS / f"{name}.txt"
    path = own if own.is_file() else Path(name)
    if path.suffix == ".jsonl" and path.is_file():
        known = ", ".join(_prompts(path))
        raise BadInput(f"judge.rubric={name!r} holds several; name one as FILE:NAME, of {known}")
    if path.is_file():
        try:
            return Rubric(template=path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, OSError) as error:
            raise BadInput(f"judge.rubric={name!r} is no readable text: {error}") from None
    file, chosen = _parts(name)
    if file.is_file():
        prompts = _prompts(file)
        if chosen not in prompts:
            known = ", ".join(prompts)
            raise BadInput(f"judge.rubric={name!r}: {chosen!r} is not one of {known}")
        return prompts[chosen]
    known = ", ".join(sorted(p.stem for p in RUBRICS.glob("*.txt")))
    raise BadInput(f"judge rubric {name!r} is no file and none of {known}")


@cache
def _prompts(path: Path) -> dict[str, Rubric]:
    """name -> prompt, of JSON lines as FastChat publishes them (`judge_prompts.jsonl`)."""
    made = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        if line.strip():
            try:
                row: Any = json.loads(line)
                system, template = str(row.get("system_prompt") or ""), str(row["prompt_template"])
                made[str(row["name"])] = Rubric(template=template, system=system or None)
            except (ValueError, KeyError, AttributeError):
                raise BadInput(
                    f"{path}:{number} is no judge prompt; needed: name, prompt_template"
                ) from None
    return made


def _parts(name: str) -> tuple[Path, str]:
    """File and name of FILE:NAME."""
    found = re.fullmatch(r"(.+)[#:]([^#:/]+)", name)
    return (Path(found[1]), found[2]) if found else (Path(name), "")


def rubric_at(name: str, turn: int) -> str:
    """FastChat grades later turns with the prompt NAME-multi-turn, where the file has one."""
    file, chosen = _parts(name)
    if turn and chosen and file.is_file() and f"{chosen}-multi-turn" in _prompts(file):
        return f"{name}-multi-turn"
    return name


def check(name: str, mode: str) -> None:
    """Raises BadInput where a rubric asks for what `mode` never gives, or shows no answer."""
    rubric(name)
    pattern, given = _GIVEN[mode]
    for one in (name, rubric_at(name, 1)):
        fields = rubric(one).fields
        strange = sorted(f for f in fields if not re.fullmatch(pattern, f))
        if strange:
            raise BadInput(f"judge.rubric={one!r} asks for {{{strange[0]}}}, which judge.mode={mode} "
                           f"does not give; it gives {given}")  # fmt: skip
        for needed in ("answer_a", "answer_b") if mode == "pairwise" else ("answer",):
            if not any(f.startswith(needed) for f in fields):
                raise BadInput(f"judge.rubric={one!r} has no field {{{needed}}}: nothing to grade")


def digest(mode: str, name: str | None) -> str:
    """Of all text that a judge is told in this mode."""
    names = OWN[mode] if name is None else (name, rubric_at(name, 1))
    return sha256_of([vars(rubric(one)) for one in names])[:16]
