"""One self-contained HTML page: what was compared, all cells, and samples beside their dense twin."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from skipbench.report.cells import CellData
from skipbench.report.failures import Failure
from skipbench.report.files import write_text
from skipbench.report.page_overview import distinct, floors, overview
from skipbench.report.page_rows import RATIOS, facts, row
from skipbench.report.page_samples import Pool, embedded, gather
from skipbench.report.text import HEADLINE

Json = dict[str, Any]
_HERE = Path(__file__).parent
_FIRST = ("accuracy", "hallucination_rate", "collapse_rate")


@dataclass(frozen=True)
class Shown:
    """A figure of the gallery: its PNG, and what the index says of it."""

    path: Path
    what: str
    caption: str = ""

    @classmethod
    def of(cls, entry: Json, folder: Path) -> "Shown":
        return cls(folder / entry["file"], entry["what"], entry.get("caption", ""))


def write_page(
    cells: Sequence[CellData],
    figures: Sequence[Shown],
    out: Path,
    provenance: str,
    failures: Sequence[Failure] = (),
    samples_per_cell: int = 40,
) -> Path:
    """Write `out/report.html` and return its path.

    It needs nothing but itself: style, script, samples and `figures` are inside.
    The same cells and figures give the same bytes. Raises BadInput where a file of a cell is broken.
    """
    pool = Pool()
    found = {one.cell.directory: (one, made) for one, made in gather(cells, samples_per_cell, pool)}
    order = [*_FIRST, *(m for m in HEADLINE if m not in _FIRST)]
    metrics = [m for m in order if any(m in cell.summary["metrics"] for cell in cells)]
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    samples = {cell.directory.name: found[cell.directory][1] for cell in cells}
    html = environment.get_template("page.html").render(
        overview=overview(cells, failures),
        failures=failures,
        floors=floors(cells),
        figures=[_figure(shown) for shown in sorted(figures, key=lambda s: s.path.name)],
        metrics=[HEADLINE[m][0].upper() + HEADLINE[m][1:] for m in metrics],
        lead=sum(m in _FIRST for m in metrics),
        ratios=RATIOS,
        rows=[row(found[cell.directory][0], metrics) for cell in cells],
        choices={key: distinct(facts(cell)[key] for cell in cells) for key in facts(cells[0])},
        provenance=provenance,
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=embedded({"texts": pool.texts, "cells": samples}),
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.html"
    write_text(path, html.encode("utf-8", "replace").decode())
    return path


def _figure(shown: Shown) -> Json:
    octets = base64.b64encode(shown.path.read_bytes()).decode()
    uri = f"data:image/png;base64,{octets}"
    name = shown.path.stem.replace("_", " ")
    return {"name": name, "what": shown.what, "caption": shown.caption, "uri": uri}
