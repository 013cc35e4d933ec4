"""CNN/DailyMail 3.0.0 in bins of article length, from a local parquet file or from its owners."""

import os
from typing import Any

from skipbench.records import BadInput, Sample
from skipbench.tasks import local

_HUB, _VERSION = "abisee/cnn_dailymail", "3.0.0"
_REVISION = "96df5e686bee6baa90b8bee7c28b81fa3fa6223d"
_PARTS = {"train": "train", "calibration": "validation", "eval": "test"}
_BINS = {"short": (1, 470), "medium": (471, 790), "long": (791, 10_000)}  # words of the article


def samples(split: str, given: local.Given, per_length: int) -> list[Sample]:
    """The first `per_length` articles of each bin, in file order.

    Raises BadInput where the data cannot be had or lack the columns article, highlights, id.
    """
    if split not in _PARTS:
        raise BadInput(f"split={split!r}: cnn_dailymail has {', '.join(_PARTS)}")
    source, rows = _load(split, given)
    missing = {"article", "highlights", "id"} - set(rows.column_names)
    if missing:
        raise BadInput(f"{source} has no column {sorted(missing)[0]!r}")
    left = dict.fromkeys(_BINS, per_length)
    found: list[Sample] = []
    for number, row in enumerate(rows, 1):
        where = f"{source}, row {number} (id {row['id']!r})"
        if not isinstance(row["article"], str):
            raise BadInput(f"{where}: article={row['article']!r} is not a text")
        length = _bin(row["article"])
        if length is not None and left[length]:
            left[length] -= 1
            found.append(_sample(row, length, where))
        if not any(left.values()):
            break
    return local.distinct(found, source)


def _bin(article: str) -> str | None:
    words = len(article.split())
    return next((name for name, (low, high) in _BINS.items() if low <= words <= high), None)


def _sample(row: dict[str, Any], length: str, where: str) -> Sample:
    identity = local.identity(row["id"], where, "id")
    return Sample(
        sample_id=identity,
        cluster=identity,
        turns=(row["article"].strip(),),
        references=((local.text(row["highlights"], where, "highlights").strip(),),),
        meta={"form": "news", "length": length},
    )


def _load(split: str, given: local.Given) -> tuple[str, Any]:
    """(what it is called in messages, the rows)."""
    from datasets import load_dataset

    part = _PARTS[split]
    source = given.find(split, *_names(part, given))
    kind = "parquet" if source is not None and source.suffix == ".parquet" else "json"
    if source is not None and kind == "json":
        local.text_of(source)
    try:
        if source is None:
            return _HUB, load_dataset(_HUB, _VERSION, split=part, revision=_REVISION)
        return str(source), load_dataset(kind, data_files=str(source), split="train")
    except Exception as error:  # the libraries below raise errors of many kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:140]
        if source is not None:
            raise BadInput(
                f"{source} cannot be read ({reason}); needed: a parquet or jsonl file with article, "
                "highlights, id"
            ) from None
        raise BadInput(
            f"task.data=cnn_dailymail cannot be loaded ({reason}); give a local parquet or jsonl "
            "file with task.path=FILE or SKIPBENCH_DATA=DIR"
        ) from None


def _names(part: str, given: local.Given) -> list[str]:
    """Patterns of file names; in SKIPBENCH_DATA, which is for everything, they must tell of CNN."""
    files = [f"*{part}*.{kind}" for kind in ("parquet", "jsonl")]
    if given.path is not None or "cnn" in os.environ.get("SKIPBENCH_DATA", "").lower():
        return files
    return [f"{cnn}{file}" for file in files for cnn in ("*[cC][nN][nN]", "*[cC][nN][nN]*/**/")]
