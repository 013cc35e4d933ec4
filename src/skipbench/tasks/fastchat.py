"""MT-Bench and Vicuna questions as FastChat publishes them (Apache-2.0), from their owners."""

from pathlib import Path
from typing import Any

from skipbench.records import BadInput, Sample
from skipbench.tasks import local
from skipbench.tasks.fetch import fetched

_SOURCE = "https://raw.githubusercontent.com/lm-sys/FastChat/0e6d3e4/fastchat/llm_judge/data/{part}"
_FOLDERS = {"mtbench": "mt_bench", "vicuna80": "vicuna_bench"}
_ANSWERS = "reference_answer/gpt-4.jsonl"  # for reasoning, math and coding
# the files at that commit
_SHA256 = {
    "mt_bench/question.jsonl": "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
    "vicuna_bench/question.jsonl": "c248c5c98ba45bb0c2aadae2f270e643bd32679c6c306a3b2a503ac4254cdaa5",
    f"mt_bench/{_ANSWERS}": "f957a5bc977badb66885ec970e6cd08527845780313f0995764260e5777b9b3f",
}
_References = dict[str, tuple[tuple[str, ...], ...]]


def samples(data: str, split: str, given: local.Given) -> list[Sample]:
    """The questions, in file order. They are all `eval`; calibration takes the other set's.

    A turn's reference stands in the question file, or in `reference_answer` beside it. Raises
    BadInput where a file cannot be had or does not follow FastChat's schema.
    """
    if split == "calibration":
        data = "vicuna80" if data == "mtbench" else "mtbench"
    elif split != "eval":
        raise BadInput(f"split={split!r}: task.data={data} has calibration and eval")
    part = f"{_FOLDERS[data]}/question.jsonl"
    source = given.find(split, part)
    if source is None:
        source, answers = _published(part), f"{_FOLDERS[data]}/{_ANSWERS}"
        beside = _published(answers) if answers in _SHA256 else None
    else:
        beside = source.parent / _ANSWERS
    references = _references(beside) if beside is not None and beside.exists() else {}
    found = [_read(row, where, references) for where, row in local.rows_of(source)]
    return local.distinct(found, source)


def _published(part: str) -> Path:
    return fetched(_SOURCE.format(part=part), part.replace("/", "-"), _SHA256[part])


def _references(path: Path) -> _References:
    """question_id -> a reference for each turn."""
    found: _References = {}
    for where, row in local.rows_of(path):
        try:
            turns, key = row["choices"][0]["turns"], row["question_id"]
        except (KeyError, IndexError, TypeError) as error:
            raise BadInput(
                f"{where} does not follow the schema ({type(error).__name__}: {error}); needed: "
                "question_id, choices[0].turns"
            ) from None
        asked = local.texts(turns, where, "choices[0].turns")
        found[local.identity(key, where, "question_id")] = tuple((text,) for text in asked)
    return found


def _read(row: dict[str, Any], where: str, references: _References) -> Sample:
    missing = [key for key in ("question_id", "category", "turns") if key not in row]
    if missing:
        raise BadInput(f"{where} has no {missing[0]!r}; needed: question_id, category, turns")
    identity = local.identity(row["question_id"], where, "question_id")
    turns = local.texts(row["turns"], where, "turns")
    told, known = _told(row.get("reference"), len(turns), where), references.get(identity, ())
    return Sample(
        sample_id=identity,
        cluster=identity,
        turns=turns,
        references=tuple(
            own or (known[turn] if turn < len(known) else ()) for turn, own in enumerate(told)
        ),
        meta={"form": "conversation", "category": local.text(row["category"], where, "category")},
    )


def _told(given: Any, turns: int, where: str) -> list[tuple[str, ...]]:
    """References of the question file: a text for each turn; null or '' where there is none."""
    if given is None:
        return [()] * turns
    bad = not isinstance(given, list) or not all(x is None or isinstance(x, str) for x in given)
    if bad or len(given) > turns:
        raise BadInput(f"{where}: reference is no list of at most {turns} texts, one for each turn")
    told = [(text,) if text else () for text in given]
    return told + [()] * (turns - len(told))
