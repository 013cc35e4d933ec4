"""From a user's Python file to a policy. The file is executed: that is what the user asks for."""

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from skipbench.policies.base import Policy
from skipbench.provenance import sha256_of
from skipbench.records import BadInput

_MODULE = "skipbench_audited_policy"


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A policy with where it is from. `digest`: of the file's text, the class and the values set."""

    policy: Policy
    path: Path
    digest: str

    @property
    def name(self) -> str:
        return type(self.policy).__name__

    @property
    def config(self) -> dict[str, Any]:
        """What decides its answers, for manifest and fingerprint."""
        return {
            "_target_": f"{self.path.name}:{self.name}",
            "source_digest": self.digest,
            **{key: value for key, value in vars(self.policy).items() if key != "skip"},
        }


def audited(path: Path, class_name: str | None, settings: Sequence[str]) -> Audited:
    """Execute `path` and build its policy; `settings` are words FIELD=VALUE with YAML values.

    Raises BadInput where the file cannot be executed, holds no policy or several, or a field is
    unknown or refused.
    """
    if not path.is_file():
        raise BadInput(f"{str(path)!r} is no file; give a Python file that defines a policy")
    chosen = _chosen(_executed(path), path, class_name)
    values = dict(_setting(word, chosen) for word in settings)
    try:
        policy = chosen(**values)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{path}: {chosen.__name__} cannot be made ({_told(error)})") from None
    try:
        json.dumps(vars(policy), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: fields of {chosen.__name__} cannot be written down as JSON ({error}); use "
            "numbers, text, true or false, null, and lists of them"
        ) from None
    digest = sha256_of([path.read_text(encoding="utf-8"), chosen.__name__, vars(policy)])[:12]
    return Audited(policy=policy, path=path, digest=digest)


def _executed(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{str(path)!r} is no Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses look their module up by name
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise BadInput(f"{path}, line {error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise BadInput(f"{path} cannot be executed ({_told(error)})") from None
    return module


def _chosen(module: ModuleType, path: Path, class_name: str | None) -> type[Policy]:
    own = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Policy) and value.__module__ == _MODULE
    }
    if not own:
        raise BadInput(f"{path} defines no subclass of skipbench.policies.base.Policy")
    names = ", ".join(own)
    if class_name is not None:
        if class_name not in own:
            raise BadInput(f"--class {class_name!r} is not one of {names}")
        return own[class_name]
    if len(own) > 1:
        raise BadInput(f"{path} defines several policies; choose one with --class: {names}")
    return next(iter(own.values()))


def _setting(word: str, chosen: type[Policy]) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    fields = [field.name for field in dataclasses.fields(chosen)]
    if not equals or name not in fields:
        raise BadInput(f"--set {word!r}: give FIELD=VALUE, with a field of {', '.join(fields)}")
    try:
        return name, yaml.safe_load(text)
    except yaml.YAMLError:
        raise BadInput(f"--set {word!r}: the value is no YAML") from None


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
