"""Where the package keeps its configuration and the shipped model, in a checkout and in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """The Hydra configuration: beside the package in a wheel, at the top of a checkout."""
    for root in (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf"):
        if (root / "config.yaml").is_file():
            return root
    raise FileNotFoundError(f"no conf/config.yaml beside {_PACKAGE}")


def tiny_dir() -> Path:
    """The shipped model."""
    return _PACKAGE / "tiny"
