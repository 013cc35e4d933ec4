"""How figures look, and how they are saved so that the same numbers give the same bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skipbench.report.files import whole

WIDTH = 3.3  # inches: one column of a two-column paper
# Okabe and Ito, colours that colour-blind readers tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vP*X"
LINES = ("-", "--", ":", "-.")
_ORDER = (
    "ffnskip",
    "earlyexit",
    "layerdrop",
    "shortgpt",
    "skipdecode",
    "replay",
    "static_matched",
    "ffnskip_noadapt",
    "ffnskip_random",
    "ffnskip_code",
    "ffnskip_paper",
)
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
    "figure.constrained_layout.w_pad": 0.02,
    "savefig.dpi": 300,
}


@contextmanager
def figure(height: float) -> Iterator[Figure]:
    """A figure of column width with the style of all of them."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(WIDTH, height))


def save(made: Figure, out: Path, name: str) -> list[str]:
    """Write PDF and PNG without time and version; returns the file names."""
    metadata = {
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": "skipbench", "Producer": None},
        "png": {"Software": None},
    }
    for suffix, told in metadata.items():
        with matplotlib.rc_context(_STYLE), whole(out / f"{name}.{suffix}") as new:
            made.savefig(new, format=suffix, metadata=told)
    return [f"{name}.{suffix}" for suffix in metadata]


def look(method: str) -> dict[str, Any]:
    """Colour and marker of a method, the same in all figures."""
    place = _ORDER.index(method) if method in _ORDER else sum(map(ord, method))
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[(place * 3 + place // len(COLOURS)) % len(MARKERS)],
    }


def legend_below(made: Figure, axes: Axes, columns: int = 3) -> None:
    """One legend under all panels, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if once:
        made.legend(
            once.values(),
            once.keys(),
            loc="outside lower center",
            ncols=min(columns, len(once)),
            columnspacing=1.0,
            handletextpad=0.4,
        )
