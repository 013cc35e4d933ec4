"""What a drawing function takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from skipbench.report.groups import Group, Read
from skipbench.report.pareto import Point

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """What figures are made of."""

    group: Group
    reads: dict[Path, Read]
    points: Sequence[Point]
    without: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Drawn:
    """A figure and the records it shows."""

    suffix: str
    what: str
    figure: Figure
    records: Records


class Absent(Exception):
    """The data of a figure do not exist; the message says which."""
