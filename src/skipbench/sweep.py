"""Many cells: from an experiment or comma lists to jobs, their order, and what became of each.

Cells are addressed by content, so a sweep keeps no state of its own: any launcher, order, crash or
requeue ends in the same folders, and re-issuing the command does what is left.
"""

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from skipbench.job import Setup, selected, systems
from skipbench.keys import check_keys, unknown
from skipbench.outcome import Job, summary_status, tell_plan, worst, write_list
from skipbench.paths import conf_dir
from skipbench.provenance import model_directory
from skipbench.records import BadInput, read_json
from skipbench.setup import setup_from

Compose = Callable[[Sequence[str]], tuple[Any, dict[str, str]]]  # words -> config, chosen names
# these put several jobs on one device at once
_TOGETHER = ("JoblibLauncher", "RayLauncher", "LocalLauncher")


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What became of a sweep: the worst exit code of its cells, and where they are."""

    code: int
    results_dir: Path


class Lost(Exception):
    """What a launcher raises once all its jobs have ended: position -> why it left no result."""

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


finished: list[Swept] = []  # the sweep of this process, once it has ended


def jobs_of(
    arguments: Sequence[str], parse: Callable[[list[str]], Any], folders: Sequence[Path]
) -> tuple[str | None, list[tuple[str, ...]]]:
    """Name of the experiment, if any, and the overrides of each cell.

    The cells are the experiment's, times the product of the user's comma lists; what the user says
    wins, and takes along what the preset set of a configuration that it replaces. Raises BadInput for
    a sweep that is no list.
    """
    named = [a.removeprefix("experiment=") for a in arguments if a.startswith("experiment=")]
    name = named[-1] if named and named[-1] != "null" else None
    presets = list(_cells(name)) if name else [{}]
    choices: list[list[tuple[str, str]]] = []
    for override in parse([a for a in arguments if not a.startswith("experiment=")]):
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices.append([(key, override.get_value_element_as_str())])
        elif override.is_discrete_sweep():
            choices.append([(key, str(value)) for value in override.sweep_string_iterator()])
        else:
            raise BadInput(f"{override.input_line}: only lists of values can be swept")
    jobs = [
        _merged(preset, dict(chosen), folders)
        for chosen in itertools.product(*choices)
        for preset in presets
    ]
    return name, list(dict.fromkeys(jobs))


def _merged(
    preset: dict[str, str], said: dict[str, str], folders: Sequence[Path]
) -> tuple[str, ...]:
    merged = {**preset, **said}
    foreign = {
        word.partition("=")[0]
        for word, _ in unknown([f"{key}={value}" for key, value in merged.items()], folders)
    }
    changed = {group for group in preset if preset[group] != merged[group]}
    gone = {key for key in foreign - said.keys() if key.partition(".")[0] in changed}
    return tuple(f"{key}={value}" for key, value in merged.items() if key not in gone)


def _cells(name: str) -> Iterator[dict[str, str]]:
    """Overrides of an experiment's cells: `common` for all, then each entry's product of lists."""
    preset = yaml.safe_load((conf_dir() / "experiment" / f"{name}.yaml").read_text())
    for entry in preset["cells"]:
        merged = {**preset.get("common", {}), **entry}
        lists = [value if isinstance(value, list) else [value] for value in merged.values()]
        for values in itertools.product(*lists):
            yield {key: _text(value) for key, value in zip(merged, values, strict=True)}


def _text(value: Any) -> str:
    """A YAML value as Hydra reads it on a command line."""
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def planned(
    jobs: Sequence[tuple[str, ...]], compose: Compose, launcher: str, folders: Sequence[Path]
) -> list[Job]:
    """Each job with its setup and address, or with the reason why it cannot be run.

    A name or word that Hydra cannot read ends the command; a combination that makes no sense, like a
    key that only another method has, is told and left out.
    """
    made = []
    for overrides in jobs:
        try:
            check_keys(overrides, folders)
            config, choices = compose(overrides)
            setup = setup_from(config, choices, overrides)
            _check(setup, launcher)
            directory = systems(setup, selected(setup))[0].cell.directory
            made.append(Job(overrides=overrides, setup=setup, directory=directory))
        except BadInput as error:
            made.append(Job(overrides=overrides, setup=None, reason=str(error)))
    return made


def _check(setup: Setup, launcher: str) -> None:
    """What can be said against a cell before a model is loaded."""
    config = model_directory(setup.model.path, setup.model.revision) / "config.json"
    depth = read_json(config).get("num_hidden_layers")
    if depth is not None:
        setup.policy.check(depth)
    if setup.decoding.mode == "forced_length" and launcher in _TOGETHER:
        raise BadInput(
            "decode=forced_length compares times, which cells that share a device cannot; use the "
            "serial launcher or one job a device"
        )


def carry_out(name: str | None, jobs: list[Job], launch: Callable[..., Any], alone: bool) -> None:
    """Launch what can be run, in stages, and say what became of every cell.

    `alone`: jobs run one after another in this process. Cells that play maps of others come last;
    dense twins first, where jobs run side by side and would wait for one of them to make it.
    """
    some = next((job.setup for job in jobs if job.setup is not None), None)
    if some is None:
        raise BadInput(jobs[0].reason or "the sweep has no cells")
    if some.dry_run:
        tell_plan(jobs)
        finished.append(Swept(code=worst(jobs), results_dir=some.results_dir))
        return
    try:
        (some.results_dir / "sweeps").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"results_dir={some.results_dir}: {error.strerror}") from None
    lost: dict[tuple[str, ...], str] = {}
    try:
        for number, stage in enumerate(_stages(jobs, alone, lost)):
            if stage:
                try:
                    launch([list(o) for o in stage], initial_job_idx=1000 * number)
                except Lost as error:
                    lost |= {stage[position]: why for position, why in error.reasons.items()}
                except Exception as error:  # must not take the list of the others along
                    print(f"skipbench: launcher: {error}", file=sys.stderr)
    finally:
        write_list(name, jobs, lost, some.results_dir)
        finished.append(Swept(code=worst(jobs), results_dir=some.results_dir))


def _stages(
    jobs: Sequence[Job], alone: bool, lost: dict[tuple[str, ...], str]
) -> Iterator[list[tuple[str, ...]]]:
    """What to launch together; each stage is made once the one before has ended.

    A cell that would play the maps of one that did not get done is `lost`, without being launched.
    """
    for job in jobs:
        if job.setup is None:
            words = " ".join(job.overrides)
            print(f"skipbench: not applicable: {words}: {job.reason}", file=sys.stderr)
    good = [job for job in jobs if job.setup is not None]
    yield [] if alone else _twins(good)
    yield [job.overrides for job in good if job.setup and job.setup.source is None]
    ready = []
    for job in good:
        source = job.setup.source if job.setup else None
        if source is not None and summary_status(source) == "complete":
            ready.append(job.overrides)
        elif source is not None:
            lost[job.overrides] = f"needs {source}, which is not complete"
    yield ready


def _twins(jobs: Sequence[Job]) -> list[tuple[str, ...]]:
    """Jobs for the dense cells that others will be paired with, each once."""
    found: dict[Path, tuple[str, ...]] = {}
    for job in jobs:
        assert job.setup is not None
        twin = systems(job.setup, selected(job.setup))[1]
        if twin is not None and not twin.cell.summary_path.exists():
            keep = (o for o in job.overrides if not o.startswith(("method", "skip=")))
            found[twin.cell.directory] = (*keep, "method=dense")
    return list(found.values())
