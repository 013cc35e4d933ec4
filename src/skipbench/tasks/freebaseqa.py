"""FreebaseQA in its released JSON schema, from a local file or from its owners' repository."""

import json
from pathlib import Path
from typing import Any

from skipbench.records import BadInput, Sample
from skipbench.tasks.fetch import find

# where the owners publish it; the digest of what came is recorded in every manifest
_SOURCE = "https://raw.githubusercontent.com/kelvin-jiang/FreebaseQA/d16aae5/FreebaseQA-{part}.json"
_PARTS = {"train": "train", "calibration": "dev", "eval": "eval"}


def samples(split: str, path: str | None) -> list[Sample]:
    """Questions of a split in file order; gold is the first parse's first answer (LLM-KICK).

    Raises BadInput where the file cannot be had, or does not follow the schema (naming the item).
    """
    if split not in _PARTS:
        raise BadInput(f"split={split!r}: freebaseqa has {', '.join(_PARTS)}")
    part = _PARTS[split]
    source = find(f"FreebaseQA-{part}.json", path, _SOURCE.format(part=part), sha256=None)
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BadInput(f"{source} is not readable JSON ({error})") from None
    if not isinstance(data, dict) or not isinstance(data.get("Questions"), list):
        raise BadInput(f"{source} has no list 'Questions': not the FreebaseQA schema")
    return [_read(question, source, number) for number, question in enumerate(data["Questions"])]


def _read(question: Any, source: Path, number: int) -> Sample:
    try:
        text = question["RawQuestion"]
        names = [str(name) for name in question["Parses"][0]["Answers"][0]["AnswersName"]]
        identity = str(question["Question-ID"])
        if not isinstance(text, str) or not names:
            raise TypeError("no text, or no answer")
    except (KeyError, IndexError, TypeError) as error:
        raise BadInput(
            f"{source}: Questions[{number}] does not follow the schema ({type(error).__name__}: "
            f"{error}); needed: Question-ID, RawQuestion, Parses[0].Answers[0].AnswersName"
        ) from None
    return Sample(
        sample_id=identity,
        cluster=identity,
        turns=(text,),
        references=(tuple(names),),
        meta={"form": "short", "value": names[0], "value_type": None},
    )
