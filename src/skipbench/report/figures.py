"""All figures of a group: each is drawn with the CSV behind it, or named with the reason why not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from skipbench.report import plots_method, plots_quality, plots_trace, plots_warmup, plots_where
from skipbench.report.drawing import Absent, Drawn, Source
from skipbench.report.files import write_text
from skipbench.report.style import save
from skipbench.report.tables import to_csv_text

Draw = Callable[[Source], Iterator[Drawn]]
FIGURES: dict[str, tuple[str, Draw]] = {
    "quality": ("quality against executed skip", plots_quality.quality),
    "pareto": ("quality and speed, with joint confidence", plots_quality.pareto),
    "speed": ("speed that bytes would allow, and measured", plots_quality.speed),
    "similarity": ("similarity of each layer", plots_trace.similarity),
    "map": ("skipped share by step and block", plots_trace.maps),
    "transitions": ("outcomes, dense to method", plots_method.transitions),
    "onset": ("token at which loops set in", plots_trace.onsets),
    "cache": ("early exit by rule and cache", plots_method.cache_rules),
    "warmup": ("quality against the warm-up", plots_warmup.warm_up),
    "where": ("layer drop by part, place and phase", plots_where.where_and_when),
    "grades": ("grades by category", plots_method.grades),
}


def draw_all(source: Source, out: Path, provenance: str) -> list[dict[str, Any]]:
    """Draw what can be drawn of a group; returns entries of the index."""
    index = []
    for name, (what, make) in FIGURES.items():
        title = f"{what}: {source.group.title}"
        index += draw(f"fig_{name}_{source.group.slug}", title, make(source), out, provenance)
    return index


def draw(
    stem: str, what: str, figures: Iterator[Drawn], out: Path, provenance: str
) -> list[dict[str, Any]]:
    """Save figures, each with its numbers as CSV; or say why there is none."""
    index: list[dict[str, Any]] = []
    told = {"what": what, "provenance": provenance}
    try:
        for drawn in figures:
            name = stem + drawn.suffix
            records = [{**record, "provenance": provenance} for record in drawn.records]
            write_text(out / f"{name}.csv", to_csv_text(records))
            files = [*save(drawn.figure, out, name, provenance), f"{name}.csv"]
            index += [{"file": file, **told, "caption": drawn.what} for file in files]
    except Absent as reason:
        index.append({"file": None, "name": stem, **told, "absent": str(reason)})
    return index
