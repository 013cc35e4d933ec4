"""Cells as a run leaves them, made by hand: small, and with whatever a test wants to be wrong."""

import json
from pathlib import Path

from skipbench.records import pack_map

NASTY = (
    "</script><script>document.title='broken'</script><img src=x onerror=alert(1)> &amp; ]]> <!--"
)


def scored(
    sample_id: str, outcome: str | None, turn: int = 0, collapse: str = "", **values
) -> list:
    """Score lines of one turn; `outcome` None is a reply that could not be scored."""
    lines = {"accuracy": None if outcome is None else float(outcome == "correct")}
    for name in ("correct", "collapsed", "wrong_entity") if outcome else ():
        lines[f"outcome.{name}"] = float(name == outcome)
    for name in ("loop", "empty"):
        lines[f"collapse.{name}"] = float(name == collapse)
    return [
        {
            "sample_id": sample_id,
            "turn": turn,
            "metric": metric,
            "value": value,
            "reason": "the judge was silent" if value is None else None,
            "judge": None,
        }
        for metric, value in {**lines, **values}.items()
    ]


def record(
    sample_id: str, *replies: str, error: str | None = None, bits=(((0, 1), (1, 0)),)
) -> dict:
    return {
        "sample_id": sample_id,
        "replies": [] if error else list(replies),
        "skip_map": [] if error else [pack_map(bits) for _ in replies],
        "error": error,
    }


def sample(sample_id: str, *turns: str, reference: str = "the reference") -> dict:
    return {
        "sample_id": sample_id,
        "turns": list(turns),
        "references": [[reference] for _ in turns],
    }


def metric(value, n=3, unscored=0):
    return {"value": value, "low": value, "high": value, "n": n, "unscored": unscored}


def difference(value, p=0.25):
    made = {"difference": value, "low": value, "high": value, "p": p, "p_holm": 2 * p, "n": 3}
    return made | {"minimum_detectable": 0.5, "p_noninferior": 0.5}


def write_cell(
    root: Path, method: str, fingerprint: str, files: dict | None = None, model="tiny", **summary
) -> Path:
    """`files`: records, scores and samples, as lists of lines. `summary` overrides what is there."""
    directory = root / "factoid" / model / method / fingerprint
    directory.mkdir(parents=True)
    made = {
        "status": "complete",
        "n": 3,
        "errors": {},
        "metrics": {"accuracy": metric(0.5)},
        "skip": {"requested": None, "unit": "ffn", "ffn": 0.25, "attn": 0.0, "block": 0.0}
        | {"weight_bytes": 0.125},
        "speed": {},
        "paired": {},
        "task": "factoid",
        "model": model,
        "method": method,
        **summary,
    }
    made["speed"] = {
        **{"speedup": None, "speedup_reason": "no dense twin", "tpot_s": {"p50": 0.01}},
        **made["speed"],
    }
    manifest = {
        "config": {"task": {"form": "short"}, "method": {}},
        "decides": {"task": {"data": "world"}, "batch_size": 16, "dtype": "float32"},
        "decode": {"mode": "task", "seed": 0},
        "method": {"phase": "decode"},
        "num_layers": 2,
        "versions": {"torch": "2.9.1"},
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "hardware": {"cpu": "A processor", "cores": 2},
    }
    (directory / "summary.json").write_text(json.dumps(made))
    (directory / "run.json").write_text(json.dumps(manifest))
    for name, lines in (files or {}).items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (directory / f"{name}.jsonl").write_text(text)
    return directory


def write_results(root: Path) -> Path:
    """Dense, a method that changes an answer, one that failed, one that skipped nothing."""
    asked = [sample(f"s{i}", f"question {i}?") for i in range(3)]
    dense = {
        "samples": asked,
        "records": [record(f"s{i}", f"The answer is {i}.") for i in range(3)],
        "scores": [
            *scored("s0", "correct"),
            *scored("s1", "correct"),
            *scored("s2", "wrong_entity"),
        ],
    }
    write_cell(root, "dense", "d0", dense)
    method = {
        "samples": asked,
        "records": [
            record("s0", "The answer is 0."),
            record("s1", "The answer was was was"),
            record("s2", NASTY),
        ],
        "scores": [
            *scored("s0", "correct"),
            *scored("s1", "collapsed", collapse="loop"),
            *scored("s2", "wrong_entity", fact_recall=0.5),
        ],
    }
    paired = {"accuracy": difference(-0.125)}
    speed = {"speedup": {"value": 1.25, "low": 1.1, "high": 1.4}}
    write_cell(root, "ffnskip", "f0", method, twin="d0", paired=paired, speed=speed)
    broken = {
        "samples": asked,
        "records": [
            record("s0", error="Timeout: <b>600 s</b>"),
            record("s1", error="Timeout: soon gone"),
            record("s1", "The answer is 1."),
            record("s2", "Nobody knows."),
        ],
        "scores": [*scored("s1", "correct"), *scored("s2", None)],
    }
    write_cell(
        root,
        "layerdrop",
        "l0",
        broken,
        twin="d0",
        status="partial",
        errors={"Timeout": 1},
        metrics={"accuracy": metric(None, n=0, unscored=3)},
    )
    write_cell(root, "earlyexit", "e0", status="nothing_skipped", twin="gone")
    write_cell(root, "shortgpt", "g0", status="failed", errors={"<i>Memory</i>": 3})
    return root
