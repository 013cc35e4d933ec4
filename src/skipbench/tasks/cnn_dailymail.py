"""CNN/DailyMail 3.0.0 in bins of article length, from a local parquet file or from its owners."""

import os
from pathlib import Path
from typing import Any

from skipbench.records import BadInput, Sample

_HUB, _VERSION = "abisee/cnn_dailymail", "3.0.0"
_REVISION = "96df5e686bee6baa90b8bee7c28b81fa3fa6223d"
_PARTS = {"train": "train", "calibration": "validation", "eval": "test"}
_BINS = {"short": (1, 470), "medium": (471, 790), "long": (791, 10_000)}  # words of the article


def samples(split: str, path: str | None, per_length: int) -> list[Sample]:
    """The first `per_length` articles of each bin, in file order.

    Raises BadInput where the data cannot be had or lack the columns article, highlights, id.
    """
    if split not in _PARTS:
        raise BadInput(f"split={split!r}: cnn_dailymail has {', '.join(_PARTS)}")
    rows = _load(_PARTS[split], path)
    missing = {"article", "highlights", "id"} - set(rows.column_names)
    if missing:
        raise BadInput(f"task.path={path!r} has no column {sorted(missing)[0]!r}")
    left = dict.fromkeys(_BINS, per_length)
    found: list[Sample] = []
    for row in rows:
        length = _bin(row["article"])
        if length is not None and left[length]:
            left[length] -= 1
            found.append(_sample(row, length))
        if not any(left.values()):
            break
    return found


def _bin(article: str) -> str | None:
    words = len(article.split())
    return next((name for name, (low, high) in _BINS.items() if low <= words <= high), None)


def _sample(row: dict[str, Any], length: str) -> Sample:
    identity = str(row["id"])
    return Sample(
        sample_id=identity,
        cluster=identity,
        turns=(row["article"].strip(),),
        references=(((row["highlights"] or "").strip(),),),
        meta={"form": "news", "length": length},
    )


def _load(part: str, path: str | None) -> Any:
    from datasets import load_dataset

    local = path or _local(part)
    try:
        if local is not None:
            kind = "parquet" if str(local).endswith(".parquet") else "json"
            return load_dataset(kind, data_files=str(local), split="train")
        return load_dataset(_HUB, _VERSION, split=part, revision=_REVISION)
    except Exception as error:  # the libraries below raise errors of many kinds
        reason = " ".join(str(error).split())[:120]
        raise BadInput(
            f"task.data=cnn_dailymail cannot be loaded ({type(error).__name__}: {reason}); give a "
            "local parquet or jsonl file with task.path=FILE or SKIPBENCH_DATA=DIR"
        ) from None


def _local(part: str) -> Path | None:
    root = os.environ.get("SKIPBENCH_DATA")
    if not root:
        return None
    folder = [path for path in Path(root).rglob("*.parquet") if "cnn" in str(path).lower()]
    return next((path for path in sorted(folder) if part in path.name), None)
