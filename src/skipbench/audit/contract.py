"""What every policy has to keep, tried on a few prompts in float32. Each check says what it saw."""

from collections.abc import Callable
from dataclasses import dataclass

from skipbench.audit import checks
from skipbench.audit.checks import Bench, Result


@dataclass(frozen=True, kw_only=True)
class Check:
    """`passed` None: the check does not apply. `advice`: what to do where it failed."""

    name: str
    passed: bool | None
    evidence: str
    advice: str


def contract(bench: Bench) -> list[Check]:
    """All checks. Where the policy cannot run at all, that is the only one."""
    first = _tried(_RUNS, bench)
    return [first, *(_tried(check, bench) for check in _CHECKS)] if first.passed else [first]


def to_the_end(failed: list[str]) -> Check:
    """The check that only the measured runs can make; `failed`: the errors of their samples."""
    return Check(
        name="runs to the end",
        passed=not failed,
        evidence="; ".join(failed)[:300] or "every question had its reply, in all measured runs",
        advice="mend the error; it came in real replies, after the short ones of the other checks",
    )


def _tried(check: "tuple[str, Callable[[Bench], Result], str]", bench: Bench) -> Check:
    name, find, advice = check
    try:
        passed, evidence = find(bench)
    except Exception as error:  # whatever the user's code raises is the finding
        passed, evidence = False, " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Check(name=name, passed=passed, evidence=evidence, advice=advice)


_RUNS = (
    "runs",
    checks.runs,
    "mend the error; answers are a Python bool, or a bool tensor that fits [rows, tokens]",
)
_CHECKS = (
    (
        "frozen",
        checks.frozen,
        "decorate the class with @dataclass(frozen=True, kw_only=True); what changes while decoding "
        "belongs into the State that begin() makes",
    ),
    (
        "deterministic",
        checks.deterministic,
        "draw random numbers from generators seeded with start.seeds, and keep nothing between runs",
    ),
    (
        "rows decide alone",
        checks.rows,
        "a row's answer may not depend on the other rows, their number or its place: no means, "
        "maxima or indices over rows; hold tensors with rows first, so that keep() can drop rows",
    ),
    (
        "hands off",
        checks.hands_off,
        "skip() and observe() only look: copy before you change anything in place",
    ),
    (
        "zero is dense",
        checks.zero,
        "the lowest value of the knob must skip nothing and change nothing, and a policy that "
        "skips must say so in requests_skipping",
    ),
    (
        "more of the knob skips more",
        checks.knob,
        "knob() names a field, the unit that is counted and the field's values, ascending in what "
        "they skip; every value must be one that the policy takes",
    ),
    (
        "really skips",
        checks.skips,
        "return true where a half-block is to be left out: what is masked or zeroed afterwards was "
        "computed all the same; or lower warm-up and thresholds until something is skipped",
    ),
    (
        "skipped modules are not called",
        checks.not_called,
        "leave the model's modules alone: no calls, no hooks and no patches in a policy",
    ),
    (
        "cached equals recomputed",
        checks.exact,
        "say in kv what later tokens find where attention was skipped: project, mask, copy or "
        "recompute; none is for blocks that are never attended to again",
    ),
)
