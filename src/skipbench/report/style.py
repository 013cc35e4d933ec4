"""How figures look, and how they are saved so that the same numbers give the same bytes."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from skipbench.report.cells import CellData
from skipbench.report.files import whole

WIDTH = 3.3  # inches: one column of a two-column paper
_DPI = 300  # of the layout as well: at another one letters have other widths, and labels are cut
# Okabe and Ito, colours that colour-blind readers tell apart
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#777777"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
LINES = ("-", "--", ":", "-.")
MOST = 24  # lines of a figure
# colour, markers of the first and further settings, hollow: a control
_LOOKS = {
    "ffnskip": (BLUE, "ophH8", False),
    "ffnskip_code": (BLUE, "Dd", False),
    "ffnskip_paper": (BLUE, "PX", False),
    "ffnskip_noadapt": (SKY, "ophH8", True),
    "ffnskip_random": (SKY, "sDdP", True),
    "replay": (BLACK, "o^v<", True),
    "static_matched": (BLACK, "sDdP", True),
    "earlyexit": (VERMILION, "^<>vPX*d", False),
    "layerdrop": (GREEN, "sDdP", False),
    "shortgpt": (PURPLE, "DdsX", False),
    "skipdecode": (ORANGE, "v^<>", False),
}
_STYLE: Any = {
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 0.9,
    "lines.markersize": 3.2,
    "errorbar.capsize": 1.2,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "skipbench",
    "font.family": "DejaVu Sans",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.04,
    "savefig.dpi": _DPI,
}


@contextmanager
def figure(height: float) -> Iterator[Figure]:
    """A figure of column width with the style of all of them."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(WIDTH, height), dpi=_DPI)


def save(made: Figure, out: Path, name: str, provenance: str) -> list[str]:
    """Write PDF and PNG without time and version, with `provenance`; returns the file names."""
    told = f"provenance {provenance}"
    nothing = {"CreationDate": None, "ModDate": None, "Producer": None}
    metadata = {
        "pdf": {**nothing, "Creator": "skipbench", "Keywords": told},
        "png": {"Software": None, "provenance": provenance},
    }
    with matplotlib.rc_context(_STYLE):
        made.draw_without_rendering()
        made.draw_without_rendering()  # long labels need a second pass
    made.set_layout_engine("none")  # laid out once, for both files
    for suffix, told in metadata.items():
        with matplotlib.rc_context(_STYLE), whole(out / f"{name}.{suffix}") as new:
            made.savefig(new, format=suffix, metadata=told)
    return [f"{name}.{suffix}" for suffix in metadata]


def look(method: str, variant: int = 0, of: int = 1) -> dict[str, Any]:
    """Colour, marker and line of a method, the same in all figures; its further settings differ in
    marker and line, and where there are more than the lines, in shade: no two of `of` are alike."""
    colour, markers, hollow = _LOOKS.get(method, (GREY, "XP*d", False))
    shade = _shade(colour, variant // len(LINES), -(-of // len(LINES)))
    made: dict[str, Any] = {"color": shade, "marker": markers[variant % len(markers)]}
    made["ls"] = LINES[variant % len(LINES)]
    return made | ({"mfc": "white"} if hollow else {})


def _shade(colour: str, place: int, of: int) -> str:
    """One of `of` shades of a colour, from dark to light; black has lighter ones alone."""
    if of < 2:
        return colour
    share = place / (of - 1)
    mix = 0.65 * share if colour == BLACK else share - 0.45
    towards = 1.0 if mix > 0 else 0.0
    red, green, blue = ((1 - abs(mix)) * part + abs(mix) * towards for part in to_rgb(colour))
    return to_hex((red, green, blue))


def shades(methods: Sequence[str]) -> list[dict[str, Any]]:
    """Looks of the lines of one figure, told by their methods; no two are alike."""
    return [
        look(method, methods[:place].count(method), methods.count(method))
        for place, method in enumerate(methods)
    ]


def looks(cells: Sequence[CellData]) -> dict[str, dict[str, Any]]:
    """Label -> look, for the cells of one figure."""
    methods = {cell.label: cell.summary["method"] for cell in cells}
    return dict(zip(methods, shades(list(methods.values())), strict=True))


def brief(label: str) -> str:
    """A label without the names of values that speak for themselves: `earlyexit random`."""
    return re.sub(r"\b[a-z_]+=([A-Za-z])", r"\1", label)


_LONG = 26  # letters of a label: two of these do not stand side by side


def height_of(labels: int, columns: int) -> float:
    """Inches that a legend of so many labels takes."""
    return 0.13 * -(-labels // columns)


def legend_below(made: Figure, axes: Axes, columns: int = 3) -> None:
    """One legend under all panels, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if once:
        if max(map(len, once)) > _LONG and columns > 1:
            width, height = made.get_size_inches()
            more = height_of(len(once), 1) - height_of(len(once), columns)
            made.set_size_inches(width, height + more)
            columns = 1
        made.legend(
            once.values(),
            once.keys(),
            loc="outside lower center",
            ncols=min(columns, len(once)),
            columnspacing=1.0,
            handletextpad=0.4,
        )
