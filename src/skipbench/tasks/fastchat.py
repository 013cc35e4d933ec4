"""MT-Bench and Vicuna questions as FastChat publishes them (Apache-2.0), from their owners."""

import json
from typing import Any

from skipbench.records import BadInput, Sample
from skipbench.tasks.fetch import find

_SOURCE = "https://raw.githubusercontent.com/lm-sys/FastChat/0e6d3e4/fastchat/llm_judge/data/{part}"
_FOLDERS = {"mtbench": "mt_bench", "vicuna80": "vicuna_bench"}
# the files at that commit
_SHA256 = {
    "mt_bench/question.jsonl": "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
    "vicuna_bench/question.jsonl": "c248c5c98ba45bb0c2aadae2f270e643bd32679c6c306a3b2a503ac4254cdaa5",
}


def samples(data: str, split: str, path: str | None) -> list[Sample]:
    """The questions, in file order. They are all `eval`; calibration takes the other set's.

    Raises BadInput where the file cannot be had or does not follow FastChat's schema.
    """
    if split == "calibration":
        data, path = ("vicuna80" if data == "mtbench" else "mtbench"), None
    elif split != "eval":
        raise BadInput(f"split={split!r}: task.data={data} has calibration and eval")
    part = f"{_FOLDERS[data]}/question.jsonl"
    source = find(part, path, _SOURCE.format(part=part), _SHA256[part])
    found = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            found.append(_read(line, f"{source}:{number}"))
    if not found:
        raise BadInput(f"{source} holds no questions")
    return found


def _read(line: str, where: str) -> Sample:
    try:
        row: dict[str, Any] = json.loads(line)
        turns = tuple(str(turn) for turn in row["turns"])
        identity, category = str(row["question_id"]), str(row["category"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{where} does not follow the schema ({type(error).__name__}: {error}); needed: "
            "question_id, category, turns"
        ) from None
    references = [tuple([text] if text else []) for text in row.get("reference") or []]
    references += [()] * (len(turns) - len(references))
    return Sample(
        sample_id=identity,
        cluster=identity,
        turns=turns,
        references=tuple(references),
        meta={"form": "conversation", "category": category},
    )
