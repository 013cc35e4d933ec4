"""Every configuration file composes, and its objects can be built."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from skipbench.paths import conf_dir
from skipbench.policies.base import Policy
from skipbench.setup import _build
from skipbench.tasks.base import Task


def composed(*overrides: str) -> dict:
    OmegaConf.register_new_resolver("tiny", lambda: "x", replace=True)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose("config", overrides=list(overrides)))  # type: ignore[return-value]


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


@pytest.mark.parametrize("name", names("method"))
def test_methods(name):
    config = composed(f"method={name}")["method"]
    policy = _build(config, "method")
    assert isinstance(policy, Policy)
    given = {"maps", "kv"} if getattr(policy, "needs_cell", False) else set()  # by the source
    fields = {key for key in vars(policy) if key not in given}
    if name not in ("dense",):  # every knob stands in the YAML, where it can be found and swept
        assert fields <= set(config), fields - set(config)
    policy.check(32)


@pytest.mark.parametrize("name", names("task"))
def test_tasks(name):
    config = composed(f"task={name}")["task"]
    config["data"] = "world"
    assert isinstance(_build(config, "task"), Task)


@pytest.mark.parametrize("group", ["model", "judge", "decode"])
def test_the_other_groups(group):
    for name in names(group):
        assert composed(f"{group}={name}")[group]


def test_every_file_says_what_it_is():
    for path in conf_dir().glob("*/*.yaml"):
        assert path.read_text().startswith("# "), path
