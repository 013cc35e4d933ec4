"""FreebaseQA in its released JSON schema, from a local file or from its owners' repository."""

import json
from pathlib import Path
from typing import Any

from skipbench.records import BadInput, Sample
from skipbench.tasks import local
from skipbench.tasks.fetch import fetched

# where the owners publish it; the digest of what came is recorded in every manifest
_SOURCE = "https://raw.githubusercontent.com/kelvin-jiang/FreebaseQA/d16aae5/{name}"
_PARTS = {"train": "train", "calibration": "dev", "eval": "eval"}


def samples(split: str, given: local.Given) -> list[Sample]:
    """Questions of a split in file order; gold is the first parse's first answer (LLM-KICK).

    Raises BadInput where the file cannot be had, or does not follow the schema (naming the item).
    """
    if split not in _PARTS:
        raise BadInput(f"split={split!r}: freebaseqa has {', '.join(_PARTS)}")
    name = f"FreebaseQA-{_PARTS[split]}.json"
    source = given.find(split, name) or fetched(_SOURCE.format(name=name), name, sha256=None)
    try:
        data = json.loads(local.text_of(source))
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{source} is not readable JSON ({error})") from None
    if not isinstance(data, dict) or not isinstance(data.get("Questions"), list):
        raise BadInput(f"{source} has no list 'Questions': not the FreebaseQA schema")
    found = [_read(question, source, number) for number, question in enumerate(data["Questions"])]
    return local.distinct(found, source)


def _read(question: Any, source: Path, number: int) -> Sample:
    where = f"{source}: Questions[{number}]"
    try:
        asked, key = question["RawQuestion"], question["Question-ID"]
        names = question["Parses"][0]["Answers"][0]["AnswersName"]
    except (KeyError, IndexError, TypeError) as error:
        raise BadInput(
            f"{where} does not follow the schema ({type(error).__name__}: {error}); needed: "
            "Question-ID, RawQuestion, Parses[0].Answers[0].AnswersName"
        ) from None
    return question_of(
        local.identity(key, where, "Question-ID"),
        local.text(asked, where, "RawQuestion"),
        local.texts(names, where, "AnswersName"),
    )


def question_of(identity: str, asked: str, answers: tuple[str, ...]) -> Sample:
    """A question with its accepted answers, the first of them the one that is shown."""
    return Sample(
        sample_id=identity,
        cluster=identity,
        turns=(asked,),
        references=(answers,),
        meta={"form": "short", "value": answers[0], "value_type": None},
    )
