"""The cells of an audit: the policy and dense, its controls, the noise floor, and forced length.

All are real cells, made by the same runner as any other; what is reported is read from their files.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from skipbench.audit.checks import Bench
from skipbench.audit.source import Audited
from skipbench.converse import load_model, prepared, request_for
from skipbench.engine.decode import Decoding
from skipbench.engine.load import ModelSpec
from skipbench.job import INTERRUPTED, Setup
from skipbench.metrics import stats
from skipbench.paths import conf_dir, tiny_dir
from skipbench.policies.base import UNKNOWN_DEPTH, Policy, knob_of, within
from skipbench.policies.replay import Replay, StaticMatched
from skipbench.provenance import sha256_of
from skipbench.records import BadInput, latest_records, read_json, read_lines, unpack_map
from skipbench.run import run
from skipbench.summary import values_of
from skipbench.tasks.factoid import Factoid

Json = dict[str, Any]
T = TypeVar("T")
BATCH = 16
MARGIN = 0.02
PROMPTS, STEPS = 4, 24  # of the contract: so many, continued by so many tokens
FORCED = 48  # tokens of a reply when time is measured
TIMED = 24  # samples at most, one at a time: what a single user waits for
_CONTROLS = {
    "shuffled": "its own skip maps, dealt to other prompts",
    "pattern": "one pattern for all prompts, each block as often",
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user asked for. `model`: `tiny`, or a directory; `data`: a FreebaseQA file."""

    model: str = "tiny"
    data: Path | None = None
    skip: float | None = None
    limit: int = 300
    out: Path


def setup_of(source: Audited, wanted: Wanted, by_hand: Sequence[str]) -> Setup:
    """The policy's own cell. Raises BadInput for what does not fit together."""
    if wanted.limit < 1:
        raise BadInput(f"--limit {wanted.limit} is not a whole number of at least 1")
    world, tiny = wanted.data is None, wanted.model == "tiny"
    path = str(tiny_dir()) if tiny else wanted.model
    name = "tiny" if tiny else Path(path).name
    spec = ModelSpec(path=path)
    config = yaml.safe_load((conf_dir() / "task" / "factoid.yaml").read_text())
    config |= {"data": "world" if world else "freebaseqa"}
    if world and not load_model(spec).tokenizer.chat_template:
        config["chat"] = False
    fields = {key: value for key, value in config.items() if key not in ("_target_", "path")}
    task = Factoid(**fields, path=None if world else str(wanted.data))
    config.pop("path")
    skip = _target(source.policy, wanted.skip, by_hand)
    method = source.config
    return Setup(
        task=task,  # type: ignore[arg-type]
        policy=source.policy,
        model=spec,
        decoding=Decoding(mode="task"),
        names=("factoid", name, source.name),
        task_config=config,
        method_config=method,
        config={"task": config, "method": method, "skip": skip, "margin": MARGIN},
        skip=skip,
        twin="run",
        split="eval",
        limit=wanted.limit,
        batch_size=BATCH,
        timeout_s=600,
        results_dir=wanted.out.absolute(),
        overwrite=False,
        noise_floor=True,
    )


def _target(policy: Policy, skip: float | None, by_hand: Sequence[str]) -> float | None:
    """The ratio to calibrate to: `--skip`, else the policy's own, unless its knob is set by hand."""
    knob = _of_the_file("knob()", lambda: knob_of(policy, UNKNOWN_DEPTH))
    set_by_hand = knob is not None and knob.field in by_hand
    if skip is None:
        return None if set_by_hand else policy.skip
    within("--skip", skip, 0.0, 1.0)
    if knob is None:
        raise BadInput(f"--skip {skip}: this policy has no knob to reach a ratio")
    if set_by_hand:
        raise BadInput(f"--skip {skip} sets {knob.field} by calibration; give one of the two")
    return skip


def bench_of(setup: Setup) -> Bench:
    """Model, calibrated policy and some prompts of the calibration split, for the contract."""
    loaded = load_model(setup.model)
    policy = _of_the_file(
        f"calibration to {setup.skip}", lambda: prepared(setup, setup.policy, setup.skip, loaded)
    )
    asked = [
        request_for(loaded, setup, sample, 0, [])
        for sample in setup.task.samples("calibration")[:PROMPTS]
    ]
    requests = [request for request in asked if request is not None]
    return Bench(loaded=loaded, policy=policy, requests=requests, steps=STEPS)


def _of_the_file(what: str, call: Callable[[], T]) -> T:
    """Call what runs the user's code before any check does: its error is told in one line."""
    try:
        return call()
    except BadInput:
        raise
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise BadInput(f"{what} of the policy cannot be used ({told})") from None


def measured(setup: Setup) -> Json:
    """Run all cells and read what they say. Raises KeyboardInterrupt when a run was stopped."""
    own = _cell(setup)
    found: Json = {"cell": str(own.relative_to(setup.results_dir)), "failed": _failed(own)}
    if not (own / "summary.json").exists():
        return found
    summary = read_json(own / "summary.json")
    dense = own.parents[1] / "dense" / summary["twin"] / "summary.json"
    found |= {"summary": summary, "dense": read_json(dense), "controls": {}}
    found["method"] = read_json(own / "run.json")["method"]
    if summary["status"] != "complete":
        return found
    reason = _no_controls(setup.policy, summary)
    found["controls"] = {"reason": reason} if reason else _controls(setup, own)
    # a folder of its own for each policy: dense must run again, in turns with it
    key = sha256_of([setup.method_config, setup.skip, setup.limit])[:8]
    timed = replace(
        setup,
        results_dir=setup.results_dir / "timed" / key,
        decoding=Decoding(mode="forced_length", forced_length=FORCED),
        batch_size=1,
        limit=min(setup.limit or TIMED, TIMED),
        noise_floor=False,
    )
    where = _cell(timed)
    found["failed"] += _failed(where)
    if not (where / "summary.json").exists():
        return found
    forced = read_json(where / "summary.json")
    found["forced"] = {
        "cell": str(where.relative_to(setup.results_dir)),
        "n": forced["n"],
        **{key: forced[key] for key in ("speed", "skip")},
    }
    return found


def _cell(setup: Setup) -> Path:
    code, directory = run(setup)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return directory


def _failed(cell: Path) -> list[str]:
    """The errors of a cell's samples in words, each with how many it hit."""
    records = latest_records(cell / "records.jsonl").values()
    errors = Counter(str(r["error"]) for r in records if r["error"] is not None)
    return [f"{n} of {len(records)} samples: {error}" for error, n in errors.items()]


def _no_controls(policy: Policy, summary: Json) -> str | None:
    """Why there is nothing to deal out; None where there is."""
    if policy.phase != "decode":
        return f"it acts in phase={policy.phase}; skip maps cover decode alone"
    if not any(summary["skip"][half] for half in ("ffn", "attn")):
        return "it skipped nothing in decode"
    if summary["n"] < 2:
        return "one prompt has no other to be dealt to"
    return None


def _controls(setup: Setup, own: Path) -> Json:
    """Both controls, each as a cell of its own and compared with the policy sample by sample."""
    records = latest_records(own / "records.jsonl").values()
    maps = {r["sample_id"]: [unpack_map(packed) for packed in r["skip_map"]] for r in records}
    given: Json = {"cell": own.name, "maps": maps, "kv": setup.policy.kv}
    policies: dict[str, Policy] = {
        "shuffled": Replay(order="shuffled", **given),
        "pattern": StaticMatched(order="pattern", **given),
    }
    made: Json = {}
    for name, policy in policies.items():
        method = {key: value for key, value in vars(policy).items() if key not in ("maps", "skip")}
        control = replace(
            setup,
            policy=policy,
            skip=None,
            names=(*setup.names[:2], f"{setup.names[2]}-{name}"),
            method_config={"_target_": f"replay:{type(policy).__name__}", **method},
            config={**setup.config, "method": method, "skip": None},
            noise_floor=False,
        )
        where = _cell(control)
        made[name] = {
            "what": _CONTROLS[name],
            "cell": str(where.relative_to(setup.results_dir)),
            "skip": read_json(where / "summary.json")["skip"],
            "against": against(own, where),
        }
    return made


def against(own: Path, control: Path) -> Json:
    """The policy minus a control, on the samples that both scored."""
    ours, theirs = (values_of(list(read_lines(c / "scores.jsonl"))) for c in (own, control))
    clusters = {s["sample_id"]: s["cluster"] for s in read_lines(own / "samples.jsonl")}
    made: Json = {}
    for metric in ("accuracy", "accuracy_contains", "hallucination_rate", "collapse_rate"):
        a, b = ours.get(metric, {}), theirs.get(metric, {})
        both = [s for s in clusters if a.get(s) is not None and b.get(s) is not None]
        if both:
            pair = [[side[s] for s in both] for side in (a, b)]
            groups = [clusters[s] for s in both]
            lower = not metric.startswith("accuracy")
            found = asdict(stats.paired_difference(*pair, groups, MARGIN, lower))  # type: ignore[arg-type]
            endless = [key for key, v in found.items() if isinstance(v, float) and np.isinf(v)]
            made[metric] = found | dict.fromkeys(endless)  # one cluster: no interval
    return made
