"""From a composed configuration to the objects of a run; everything wrong in it is said here."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import yaml

from skipbench.engine.decode import Decoding
from skipbench.engine.load import DTYPES, ModelSpec
from skipbench.job import Setup, directory_of
from skipbench.paths import conf_dir
from skipbench.policies.base import UNKNOWN_DEPTH, Dense, whole, within
from skipbench.policies.replay import FromCell
from skipbench.records import BadInput, read_json

_TWINS = ("run", "find", "off")
_AS_THEY_ARE = (
    *("twin", "split", "limit", "batch_size", "overwrite", "noise_floor", "dry_run"),
    *("divergence", "similarity"),
)


def setup_from(config: Any, choices: Mapping[str, str], overrides: Sequence[str]) -> Setup:
    """Build task, method and decoding, cheapest first; the model is only named, not loaded.

    `choices`: config group -> chosen name. `overrides`: the words of the command line, since a knob
    set by hand must not be calibrated away. Raises BadInput naming the value and what is allowed.
    """
    from omegaconf import OmegaConf

    plain: dict[str, Any] = OmegaConf.to_container(  # type: ignore[assignment]
        config, resolve=True, throw_on_missing=True
    )
    plain.pop("experiment", None)
    _check_top(plain)
    if plain["task"]["data"] == "auto":
        plain["task"]["data"] = _data_of(plain["model"]["data"], choices["task"])
    task_config, method_config = dict(plain["task"]), dict(plain["method"])
    task = _build(task_config, "task")
    policy = _build(method_config, "method")
    skip = _skip(plain, policy, overrides)
    model = plain["model"]
    names = (choices["task"], model["name"] or _slug(model["path"]), choices["method"])
    results_dir = Path(plain["results_dir"]).expanduser().absolute()
    task_config.pop("path", None)
    calibration = task_config.pop("calibration_path", None)
    if calibration is not None:  # what was asked is in the fingerprint, wherever it lies
        task_config["calibration_sha256"] = hashlib.sha256(
            Path(calibration).read_bytes()
        ).hexdigest()
    setup = Setup(
        task=task,
        policy=policy,
        model=_model(plain),
        decoding=_decoding(plain),
        **_judge(plain, names, results_dir),
        names=names,
        task_config=task_config,
        method_config={k: v for k, v in method_config.items() if k != "skip"},
        config=plain,
        skip=skip,
        timeout_s=plain["sample_timeout_s"],
        results_dir=results_dir,
        **{key: plain[key] for key in _AS_THEY_ARE},
    )
    return _with_source(setup) if isinstance(policy, FromCell) else setup


def _model(plain: dict[str, Any]) -> ModelSpec:
    if plain["dtype"] not in DTYPES:
        raise BadInput(f"dtype={plain['dtype']!r} is not one of {', '.join(DTYPES)}")
    model = plain["model"]
    return ModelSpec(
        path=model["path"],
        revision=model["revision"],
        template=model["template"],
        dtype=plain["dtype"],
        device=plain["device"],
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
    for key in ("overwrite", "dry_run", "noise_floor", "divergence", "similarity"):
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
    skip = plain["skip"]
    if skip is None:
        return None
    within("skip", skip, 0.0, 1.0)
    if isinstance(policy, Dense):  # it ignores a ratio, so that one sweep can hold it as well
        return None
    if isinstance(policy, FromCell):
        return float(skip)  # the ratio that the source was asked for
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


def _judge(plain: dict[str, Any], names: tuple[str, str, str], results_dir: Path) -> dict[str, Any]:
    """The judge, or None, and how it grades. `auto`: rules for closed-world conversations, which
    have references. What a judge could only refuse after hours of answers is refused here."""
    from skipbench.judges import configured

    config = dict(plain["judge"])
    if config.get("kind") == "auto":
        checkable = (names[0], plain["task"]["data"]) == ("mtbench", "world")
        config["kind"] = "reference" if checkable else "none"
    mode = configured.mode(config, names[0], plain["twin"])
    judge = configured.judge(config, mode, results_dir, asks=not plain["dry_run"])
    return {
        "judge": judge,
        "judge_mode": mode,
        "judge_rubric": config.get("rubric"),
        "judge_ladder": config["ladder"],
    }


def _decoding(plain: dict[str, Any]) -> Decoding:
    decode = plain["decode"]
    modes = ("task", "greedy", "sampled", "forced_length")
    if decode["mode"] not in modes:
        raise BadInput(f"decode.mode={decode['mode']!r} is not one of {', '.join(modes)}")
    within("decode.temperature", decode["temperature"], 0.0, 100.0)
    within("decode.top_p", decode["top_p"], 1e-6, 1.0)
    whole("decode.forced_length", decode["forced_length"], 1)
    return Decoding(**decode, seed=plain["seed"])


def _slug(path: str) -> str:
    """A folder name for a model given by path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", str(path).rstrip("/").split("/")[-1]) or "model"


def _with_source(setup: Setup) -> Setup:
    """A replay with the directory of its source; the source's fingerprint decides its answers."""
    policy = cast(FromCell, setup.policy)
    if policy.cell is not None:
        source = Path(policy.cell)
        if not (source / "summary.json").exists():
            raise BadInput(f"method.cell={policy.cell!r} is no finished cell (no summary.json)")
        manifest = read_json(source / "run.json")
        phase, kv = (manifest["method"].get(k, v) for k, v in (("phase", "decode"), ("kv", "none")))
        fingerprint = manifest["fingerprint"]
    else:
        original = _source(setup, policy)
        source, phase, kv = directory_of(original), original.policy.phase, original.policy.kv
        fingerprint = source.name
    if phase != "decode":
        raise BadInput(
            f"method.cell={str(source)!r} skips with phase={phase}; maps cover decode alone"
        )
    found = {**setup.method_config, "cell": fingerprint, "kv": kv}
    return replace(setup, policy=replace(policy, kv=kv), method_config=found, source=source)


def _source(setup: Setup, policy: FromCell) -> Setup:
    """The setup of the cell that a replay takes its maps from: method `source` as its YAML has it."""
    path = conf_dir() / "method" / f"{policy.source}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in (conf_dir() / "method").glob("*.yaml")))
        raise BadInput(
            f"method.source={policy.source!r} is not one of {known}; a folder goes to method.cell"
        )
    config = yaml.safe_load(path.read_text())
    original = _build(dict(config), "method.source")
    skip = config["skip"] if setup.skip is None else setup.skip
    plain = {**setup.config, "method": config, "skip": skip}
    return replace(
        setup,
        policy=original,
        names=(*setup.names[:2], policy.source),
        method_config={k: v for k, v in config.items() if k != "skip"},
        skip=_skip(plain, original, ()),
        config=plain,
    )
