"""From a composed configuration to the objects of a run; everything wrong in it is said here."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from skipbench.records import BadInput, latest_records, read_json, unpack_map

_TWINS = ("run", "find", "off")


def setup_from(config: Any, overrides: Sequence[str]) -> Any:
    """Build task, method and decoding, cheapest first; the model is only named, not loaded.

    `overrides` are the words of the command line: a knob set by hand must not be calibrated away.
    Raises BadInput naming the value and what is allowed.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    choices = HydraConfig.get().runtime.choices
    plain: dict[str, Any] = OmegaConf.to_container(  # type: ignore[assignment]
        config, resolve=True, throw_on_missing=True
    )
    _check_top(plain)
    if plain["task"]["data"] == "auto":
        plain["task"]["data"] = _data_of(plain["model"]["data"], choices["task"])
    task_config, method_config = dict(plain["task"]), dict(plain["method"])
    task = _build(task_config, "task")
    policy = _build(method_config, "method")
    skip = _skip(plain, policy, overrides)
    from skipbench.engine.decode import Decoding
    from skipbench.engine.load import DTYPES, ModelSpec
    from skipbench.job import Setup

    if plain["dtype"] not in DTYPES:
        raise BadInput(f"dtype={plain['dtype']!r} is not one of {', '.join(DTYPES)}")
    model = plain["model"]
    names = (choices["task"], model["name"] or _slug(model["path"]), choices["method"])
    results_dir = Path(plain["results_dir"]).expanduser().absolute()
    if getattr(policy, "needs_cell", False):
        policy, method_config = _from_cell(policy, method_config, results_dir, names)
    task_config.pop("path", None)
    return Setup(
        task=task,
        policy=policy,
        model=ModelSpec(
            path=model["path"],
            revision=model["revision"],
            template=model["template"],
            dtype=plain["dtype"],
            device=plain["device"],
        ),
        decoding=_decoding(plain, Decoding),
        judge=_judge(plain, names[0], results_dir),
        judge_mode=_judge_mode(plain["judge"]["mode"], names[0]),
        judge_rubric=plain["judge"].get("rubric"),
        judge_ladder=plain["judge"]["ladder"],
        names=names,
        task_config=task_config,
        method_config={k: v for k, v in method_config.items() if k != "skip"},
        config=plain,
        skip=skip,
        twin=plain["twin"],
        split=plain["split"],
        limit=plain["limit"],
        batch_size=plain["batch_size"],
        timeout_s=plain["sample_timeout_s"],
        results_dir=results_dir,
        overwrite=plain["overwrite"],
        noise_floor=plain["noise_floor"],
        dry_run=plain["dry_run"],
        divergence=plain["divergence"],
    )


def _data_of(model_data: str, task: str) -> str:
    """What `auto` stands for: the closed world for the model that knows it, else published data."""
    if model_data == "world":
        return "world"
    published = {"factoid": "freebaseqa", "summarization": "cnn_dailymail", "mtbench": "mtbench"}
    return published.get(task, model_data)


def _check_top(plain: dict[str, Any]) -> None:
    if plain["twin"] not in _TWINS:
        raise BadInput(f"twin={plain['twin']!r} is not one of {', '.join(_TWINS)}")
    for key in ("batch_size", "limit", "seed"):
        value = plain[key]
        low = 0 if key == "seed" else 1
        if value is None and key == "limit":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise BadInput(f"{key}={value!r} is not a whole number of at least {low}")
    revision = plain["model"]["revision"]
    if revision is not None and not isinstance(revision, str):
        raise BadInput(f"model.revision={revision!r} was read as a number; quote it: \"'60e1234'\"")
    timeout = plain["sample_timeout_s"]
    if timeout is not None and (not isinstance(timeout, int | float) or timeout <= 0):
        raise BadInput(f"sample_timeout_s={timeout!r} is not a positive number of seconds or null")
    margin = plain["margin"]
    if not isinstance(margin, int | float) or not 0 < margin < 1:
        raise BadInput(f"margin={margin!r} is not a number between 0 and 1")
    if not isinstance(plain["judge"].get("ladder"), bool):
        raise BadInput(f"judge.ladder={plain['judge'].get('ladder')!r} is not true or false")
    for key in ("overwrite", "dry_run", "noise_floor", "divergence"):
        if not isinstance(plain[key], bool):
            raise BadInput(f"{key}={plain[key]!r} is not true or false")


def _build(config: dict[str, Any], group: str) -> Any:
    """An object of the package from its YAML; wrong values are refused by the object itself."""
    from hydra.utils import get_class

    fields = {key: value for key, value in config.items() if key != "_target_"}
    target = str(config.get("_target_"))
    if not re.fullmatch(r"[A-Za-z_][\w.]*", target):
        raise BadInput(f"{group}._target_={target!r} is no class name")
    try:
        return get_class(target)(**fields)
    except TypeError as error:
        raise BadInput(f"{group}: {error}") from None
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{group}._target_={target!r} cannot be used: {error}") from None


def _skip(plain: dict[str, Any], policy: Any, overrides: Sequence[str]) -> float | None:
    """The target ratio. A knob set by hand takes the default target away; both at once is refused."""
    from skipbench.policies.base import UNKNOWN_DEPTH, Dense, within

    skip = plain["skip"]
    if isinstance(policy, Dense):
        return None
    if skip is None:
        return None
    within("skip", skip, 0.0, 1.0)
    by_hand = {o.split("=", 1)[0].lstrip("+") for o in overrides if "=" in o}
    knob = policy.knob(UNKNOWN_DEPTH)
    if knob is None:
        raise BadInput(f"skip={skip}: this method has no knob to reach a ratio; use skip=null")
    if f"method.{knob.field}" in by_hand:
        if "skip" in by_hand or "method.skip" in by_hand:
            raise BadInput(
                f"skip={skip} sets method.{knob.field} by calibration; give one of the two"
            )
        return None
    return float(skip)


def _judge(plain: dict[str, Any], task: str, results_dir: Path) -> Any:
    """The judge, or None. `auto`: rules for closed-world conversations, which have references."""
    config = dict(plain["judge"])
    kind = config.pop("kind")
    if kind == "auto":
        kind = "reference" if (task, plain["task"]["data"]) == ("mtbench", "world") else "none"
    if kind == "none":
        return None
    if kind == "reference":
        from skipbench.judges.reference import ReferenceJudge

        return ReferenceJudge()
    from skipbench.judges.api import ApiJudge
    from skipbench.judges.cache import Cache

    fields = {
        key: value for key, value in config.items() if key not in ("mode", "rubric", "ladder")
    }
    if config.get("rubric"):
        from skipbench.judges.base import rubric

        rubric(config["rubric"])
    cache = Cache(results_dir / "judge_cache")
    try:
        return ApiJudge(**fields, cache=cache, network=kind == "openai")
    except TypeError as error:
        raise BadInput(f"judge: {error}") from None


def _judge_mode(mode: str, task: str) -> str:
    from skipbench.judges.grading import MODES

    if mode == "auto":
        return "summary" if task == "summarization" else "single"
    if mode not in MODES:
        raise BadInput(f"judge.mode={mode!r} is not one of auto, {', '.join(MODES)}")
    return mode


def _decoding(plain: dict[str, Any], kind: type) -> Any:
    decode = plain["decode"]
    modes = ("task", "greedy", "sampled", "forced_length")
    if decode["mode"] not in modes:
        raise BadInput(f"decode.mode={decode['mode']!r} is not one of {', '.join(modes)}")
    from skipbench.policies.base import whole, within

    within("decode.temperature", decode["temperature"], 0.0, 100.0)
    within("decode.top_p", decode["top_p"], 1e-6, 1.0)
    whole("decode.forced_length", decode["forced_length"], 1)
    return kind(**decode, seed=plain["seed"])


def _slug(path: str) -> str:
    """A folder name for a model given by path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", str(path).rstrip("/").split("/")[-1]) or "model"


def _from_cell(
    policy: Any, method_config: dict[str, Any], results_dir: Path, names: tuple[str, str, str]
) -> tuple[Any, dict[str, Any]]:
    """A replay with the maps of its source; the source's fingerprint decides its answers."""
    source = _source_cell(results_dir, policy.cell, (*names[:2], policy.source))
    manifest = read_json(source / "run.json")
    records = latest_records(source / "records.jsonl").values()
    maps = {
        r["sample_id"]: [unpack_map(packed) for packed in r["skip_map"]]
        for r in records
        if r["error"] is None
    }
    phase = manifest["method"].get("phase", "decode")
    if phase != "decode":
        raise BadInput(
            f"method.cell={str(source)!r} skipped with phase={phase}; maps cover decode alone"
        )
    kv = manifest["method"].get("kv", "none")
    found = {**method_config, "cell": manifest["fingerprint"], "kv": kv}
    return replace(policy, maps=maps, kv=kv), found


def _source_cell(setup_dir: Path, cell: str | None, names: tuple[str, str, str]) -> Path:
    """Directory of the cell that a replay takes its maps from.

    Raises BadInput where `cell` is no complete cell, or none of `names` is there.
    """
    if cell is not None:
        path = Path(cell)
        if not (path / "summary.json").exists():
            raise BadInput(f"method.cell={cell!r} is no finished cell (no summary.json)")
        return path
    folder = setup_dir.joinpath(*names)
    done = [
        path.parent
        for path in sorted(folder.glob("*/summary.json"), key=lambda p: p.stat().st_mtime)
        if read_json(path)["status"] == "complete"
    ]
    if not done:
        raise BadInput(
            f"method.cell=null: there is no complete cell under {folder}; run method={names[2]} first"
        )
    return done[-1]
