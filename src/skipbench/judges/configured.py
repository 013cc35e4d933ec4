"""From the words of a configuration to a judge; what it cannot do is said before anything is run."""

from pathlib import Path
from typing import Any

from skipbench.judges import rubric
from skipbench.judges.api import ApiJudge
from skipbench.judges.cache import Cache
from skipbench.judges.grading import MODES
from skipbench.judges.reference import ReferenceJudge
from skipbench.records import BadInput

KINDS = ("auto", "none", "reference", "openai", "replay")


def mode(config: dict[str, Any], task: str, twin: str) -> str:
    """How is graded. Raises BadInput for a mode that is not there, or that this judge has not."""
    kind, chosen = config.get("kind"), config.get("mode")
    if kind not in KINDS:
        raise BadInput(f"judge.kind={kind!r} is not one of {', '.join(KINDS)}")
    if chosen not in ("auto", *MODES):
        raise BadInput(f"judge.mode={chosen!r} is not one of auto, {', '.join(MODES)}")
    if kind == "none":
        return "single"
    if kind == "reference":
        if chosen not in ("auto", "single"):
            raise BadInput(f"judge.mode={chosen!r}: rules (judge=reference) grade with mode=single")
        return "single"
    if chosen == "pairwise" and twin == "off":
        raise BadInput(
            "judge.mode=pairwise compares with dense: use twin=run or twin=find, not off"
        )
    if chosen == "auto":
        return "summary" if task == "summarization" else "single"
    return chosen


def judge(
    config: dict[str, Any], mode: str, results_dir: Path, asks: bool
) -> ApiJudge | ReferenceJudge | None:
    """The judge, or None. `asks`: it will be asked, so that its key must be there.

    Raises BadInput for values, a rubric or a key that it cannot work with.
    """
    if config["kind"] == "none":
        return None
    if config["kind"] == "reference":
        return ReferenceJudge()
    chosen = config.get("rubric")
    if chosen is not None:
        rubric.check(chosen, mode)
    own = ("kind", "mode", "rubric", "ladder")
    fields = {key: value for key, value in config.items() if key not in own}
    live = config["kind"] == "openai"
    try:
        made = ApiJudge(**fields, cache=Cache(results_dir / "judge_cache"), network=live)
    except TypeError as error:
        raise BadInput(f"judge: {error}") from None
    if live and asks:
        made.check_key()
    return made
