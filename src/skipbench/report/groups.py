"""What stands in one table: cells of one task, part and model; and the same within an experiment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skipbench.report.cells import CellData, experiments_of
from skipbench.report.scan import Scan
from skipbench.report.scores import Values
from skipbench.report.text import HEADLINE, LOWER_IS_BETTER, NEITHER, percent, slug

CONTROLS = ("replay", "static_matched", "ffnskip_random", "ffnskip_noadapt")


@dataclass(frozen=True)
class Read:
    """What was read of a cell beside its summary: one metric by sample, and the scan."""

    values: Values
    scan: Scan


@dataclass(frozen=True, kw_only=True)
class Group:
    """`cells` in the order of the results folder, dense first. `whole`: all there are of a key."""

    slug: str
    title: str
    cells: tuple[CellData, ...]
    experiment: str | None
    whole: bool = True

    @property
    def dense(self) -> list[CellData]:
        return [cell for cell in self.cells if cell.summary["method"] == "dense"]

    @property
    def skipping(self) -> list[CellData]:
        return [cell for cell in self.cells if cell.summary["method"] != "dense"]

    @property
    def headline(self) -> list[str]:
        """Headline metrics that some cell has a value of."""
        return [m for m in HEADLINE if any(value_of(cell, m) is not None for cell in self.cells)]

    @property
    def primary(self) -> str:
        """The metric that methods are compared by: the first headline one where more is better."""
        return primary_of(self.cells)

    @property
    def tiny(self) -> bool:
        return any(cell.summary["model"] == "tiny" for cell in self.cells)


def value_of(cell: CellData, metric: str) -> float | None:
    return cell.summary["metrics"].get(metric, {}).get("value")


def primary_of(cells: Sequence[CellData]) -> str:
    if any(value_of(cell, "fact_recall") is not None for cell in cells):
        return "fact_recall"  # of many facts, all or nothing is the wrong measure
    for metric in HEADLINE:
        better = metric not in (*LOWER_IS_BETTER, *NEITHER)
        if better and any(value_of(cell, metric) is not None for cell in cells):
            return metric
    return "accuracy"


def groups_of(cells: Sequence[CellData], results: Path) -> list[Group]:
    """One group for each (task, part, model), then those of each experiment that are less than it.

    A table of an experiment holds what it is compared with as well: its dense twins, and the
    matched controls of the same task where they were run outside of it.
    """
    keys = list(_by_key(cells).items())
    made = [
        Group(
            slug=slug(*_names(members, cells)),
            title=_title(members, cells),
            cells=tuple(members),
            experiment=None,
        )
        for _, members in keys
    ]
    for name, directories in experiments_of(results).items():
        inside = {directory.resolve() for directory in directories}
        for place, (_, members) in enumerate(keys):
            chosen = [cell for cell in members if cell.directory.resolve() in inside]
            group = _experiment(name, chosen, members, made[place]) if chosen else None
            if group is not None and len(group.cells) == len(members):
                made[place] = replace(made[place], experiment=name)  # not the same tables twice
            elif group is not None:
                made.append(group)
    return made


def _names(members: Sequence[CellData], cells: Sequence[CellData]) -> tuple[str, ...]:
    """Task, part, model and number of samples; the samples' digest where two sets are as large.

    Names must not depend on what else is in the folder: texts refer to them.
    """
    key, n = members[0].key, members[0].summary["n"]
    sets = {cell.key[3]: cell.summary["n"] for cell in cells if cell.key[:3] == key[:3]}
    alike = list(sets.values()).count(n) > 1
    return tuple(filter(None, (*key[:3], f"n{n} {key[3][:4]}" if alike else f"n{n}")))


def _title(members: Sequence[CellData], cells: Sequence[CellData]) -> str:
    told = _names(members, cells)[-1].replace("n", "n = ", 1)
    return ", ".join((members[0].title, members[0].key[2], told))


def _by_key(cells: Sequence[CellData]) -> dict[tuple[str, str, str, str], list[CellData]]:
    found: dict[tuple[str, str, str, str], list[CellData]] = {}
    for cell in cells:
        found.setdefault(cell.key, []).append(cell)
    return found


def _experiment(
    name: str, chosen: Sequence[CellData], members: Sequence[CellData], whole: Group
) -> Group:
    twins = {cell.summary.get("twin") for cell in chosen}
    twins |= {cell.summary.get("noise_floor", {}).get("fingerprint") for cell in chosen}
    wanted = {asked_of(cell, members) for cell in chosen if cell.summary["method"] != "dense"}

    def control(cell: CellData) -> bool:
        return cell.summary["method"] in CONTROLS and asked_of(cell, members) in wanted

    cells = [c for c in members if c in chosen or fingerprint(c) in twins or control(c)]
    return Group(
        slug=slug(name, whole.slug),
        title=f"{name}: {whole.title}",
        cells=tuple(cells),
        experiment=name,
        whole=False,
    )


def fingerprint(cell: CellData) -> str:
    return cell.summary.get("fingerprint", cell.directory.name)


def asked_of(cell: CellData, cells: Sequence[CellData]) -> float | None:
    """The ratio a cell asked for; of a matched control, what its source asked for."""
    asked = cell.summary["skip"].get("requested")
    source = cell.manifest["decides"].get("method", {}).get("cell")
    if asked is None and source:
        for other in cells:
            if fingerprint(other) == Path(str(source)).name:
                return other.summary["skip"].get("requested")
    return asked


def label_of(cell: CellData) -> str:
    """The method and what was changed of it; dense with its batch size where that is not the run's."""
    size = cell.manifest["decides"].get("batch_size")
    if cell.summary["method"] == "dense" and size is not None:
        return f"dense, batches of {size}"
    return cell.label


def name_of(cell: CellData, cells: Sequence[CellData]) -> str:
    """A cell in few words: its label and what it asked for."""
    asked = asked_of(cell, cells)
    return label_of(cell) + ("" if asked is None else f" {percent(asked).removesuffix('.0')} %")


def executed(cell: CellData, key: str) -> float | None:
    return cell.summary["skip"].get(key)


def phase_of(cell: CellData) -> str:
    """Where a method skips: decode, prefill or both; dense nowhere."""
    if cell.summary["method"] == "dense":
        return "–"
    for place in (cell.manifest["decides"].get("method", {}), cell.manifest.get("method", {})):
        if place.get("phase"):
            return place["phase"]
    return "–"


def failed(cell: CellData) -> str | None:
    """Why a cell has no numbers to show: its status and what it rests on; None if complete."""
    summary: dict[str, Any] = cell.summary
    if summary["status"] == "complete":
        return None
    errors = sum(summary.get("errors", {}).values())
    told = f" ({errors} of {summary.get('n')} failed)" if errors else ""
    return summary["status"].replace("_", " ") + told
