"""A method by its name or from a finished cell, for those who run without Hydra."""

from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from skipbench.paths import conf_dir
from skipbench.policies.base import Policy
from skipbench.records import BadInput, read_json


def named(method: str, cell: str | None, fields: dict[str, Any]) -> Policy:
    """`method` of `conf/method`, or what a finished `cell` ran with; `fields` over its values.

    Raises BadInput for unknown names and refused values, and for a target ratio: that needs a run.
    """
    if cell is not None:
        manifest = read_json(Path(cell) / "run.json")
        target = str(manifest["decides"]["method"]["_target_"])
        values = {**manifest["method"], **fields}
    else:
        path = conf_dir() / "method" / f"{method}.yaml"
        if not path.is_file():
            names = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
            raise BadInput(f"method={method!r} is not one of {names}")
        values = yaml.safe_load(path.read_text())
        target = values.pop("_target_")
        values |= fields
    module, _, name = target.rpartition(".")
    if not module.startswith("skipbench.policies."):
        raise BadInput(f"{target!r} is no method of skipbench; give policy= an object")
    if fields.get("skip") is not None:
        raise BadInput(f"skip={fields['skip']}: calibrate with a run, and give its folder as cell=")
    try:
        return getattr(import_module(module), name)(**values)
    except TypeError as error:
        raise BadInput(f"method: {error}") from None
