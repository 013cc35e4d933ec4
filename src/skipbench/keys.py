"""The keys that a command line may set: a misspelt one is refused before anything runs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml

from skipbench import paths
from skipbench.records import BadInput

_WORD = re.compile(r"(~|\+{0,2})([A-Za-z_][\w.]*)(?:=(.*))?", re.DOTALL)
_DIR_OPTIONS = ("--config-dir", "-cd")


@dataclass(frozen=True)
class Known:
    """`top`: keys of the top level; `groups`: group -> keys of its chosen configuration, None where
    they cannot be told; `chosen`: group -> name."""

    top: list[str]
    groups: dict[str, list[str] | None]
    chosen: dict[str, str]


def folders_of(arguments: Sequence[str]) -> list[Path]:
    """Where configurations are: the package's folder, and the user's, named by --config-dir."""
    folders = [paths.conf_dir()]
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        option, _, value = word.partition("=")
        if option in _DIR_OPTIONS:
            folders.append(Path(value or following))
    return folders


def check_keys(words: Sequence[str], folders: Sequence[Path]) -> None:
    """Raises BadInput for the first word whose key the chosen configurations do not have."""
    for word, reason in unknown(words, folders):
        raise BadInput(f"{word}: {reason}")


def unknown(words: Sequence[str], folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Words that set what is not there, each with the reason.

    Names of configurations that do not exist are left to Hydra, and so are Hydra's own keys.
    """
    matches = [(word, _WORD.fullmatch(word)) for word in words]
    parts = [(word, m) for word, m in matches if m and (m[3] is not None or m[1] == "~")]
    known = _known({m[2]: m[3] for _, m in parts if m[3] is not None}, folders)
    for word, match in parts:
        group, dot, name = match[2].partition(".")
        if group == "hydra":
            continue
        if match[1] == "~":
            yield word, "nothing can be taken away; give KEY=VALUE"
        elif dot and group in known.groups:
            keys = known.groups[group]
            if keys is not None and name.split(".")[0] not in keys:
                yield word, _reason(match[2], f"{group}={known.chosen[group]}", keys, known)
        elif dot or group not in known.top:
            yield word, _reason(match[2], "the configuration", known.top, known)


def for_each_cell(words: Sequence[str]) -> list[str]:
    """The words of a sweep, with those that not every cell may know put as a list of one value.

    Hydra composes the words that are no lists once for the sweep itself, and would end it there; lists
    it leaves to the cells, which are looked at one by one.
    """
    top = _known({}, folders_of(words)).top
    return [
        f"{m[1]}{m[2]}=choice({m[3]})"
        if (m := _WORD.fullmatch(word))
        and m[2] not in top
        and m[3]
        and not m[2].startswith("hydra.")
        and not re.match(r"\w+\(", m[3])
        else word
        for word in words
    ]


def _known(given: dict[str, str], folders: Sequence[Path]) -> Known:
    config = yaml.safe_load((folders[0] / "config.yaml").read_text())
    defaults = dict(next(iter(e.items())) for e in config.pop("defaults") if isinstance(e, dict))
    chosen = {g: given.get(g, str(name)) for g, name in defaults.items() if " " not in g}
    config.pop("hydra")
    groups = {group: _keys_of(group, name, folders) for group, name in chosen.items()}
    return Known([*chosen, *config], groups, chosen)


def _keys_of(group: str, name: str, folders: Sequence[Path]) -> list[str] | None:
    """None: no such file, or one that is made of others."""
    path = next((p for folder in folders if (p := folder / group / f"{name}.yaml").is_file()), None)
    config = None if path is None else yaml.safe_load(path.read_text())
    if not isinstance(config, dict) or "defaults" in config:
        return None
    return list(config)


def _reason(key: str, where: str, keys: Sequence[str], known: Known) -> str:
    full = [*known.top]
    full += [f"{group}.{name}" for group, names in known.groups.items() for name in names or ()]
    by_last: dict[str, list[str]] = {}
    for name in full:
        by_last.setdefault(name.split(".")[-1], []).append(name)
    near = [
        n for last in get_close_matches(key.split(".")[-1], by_last, 2, 0.75) for n in by_last[last]
    ]
    meant = f"did you mean {' or '.join(near[:3])}? " if near else ""
    listed = ", ".join(sorted(k for k in keys if not k.startswith("_")))
    return f"{where} has no such key; {meant}it has {listed}"
