"""Questions of one's own: JSON Lines of {"id", "question", "answers"}; `id` may be left out."""

from skipbench.records import BadInput, Sample
from skipbench.tasks import local
from skipbench.tasks.freebaseqa import question_of

_KEYS = {"id", "question", "answers"}


def samples(split: str, given: local.Given) -> list[Sample]:
    """Questions in file order. `task.path`: the file, or a folder with eval.jsonl and others.

    Raises BadInput where there is no file, or a line does not follow the schema (naming it).
    """
    if given.path is None:
        raise BadInput("task.data=own needs task.path=FILE, a jsonl file with question and answers")
    source = given.find(split, f"{split}.jsonl")
    assert source is not None  # files were named, so it is found or refused
    found = []
    for where, row in local.rows_of(source):
        if not row.keys() <= _KEYS:
            other = sorted(row.keys() - _KEYS)[0]
            raise BadInput(f"{where}: {other!r} is not one of {', '.join(sorted(_KEYS))}")
        key = row.get("id", int(where.rpartition(":")[2]))
        found.append(
            question_of(
                local.identity(key, where, "id"),
                local.text(row.get("question"), where, "question"),
                local.texts(row.get("answers"), where, "answers"),
            )
        )
    return local.distinct(found, source)
