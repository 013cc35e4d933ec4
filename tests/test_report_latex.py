"""LaTeX tables are read: no letter below 6 points, no float higher than a page."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from skipbench.report import layout, paper
from skipbench.report.build import read
from skipbench.report.cells import cells_of
from skipbench.report.comparison import comparison
from skipbench.report.details import details
from skipbench.report.groups import groups_of
from skipbench.report.tables import Entry, Row, Table, to_tex

REFERENCE = Path(__file__).parents[1] / "results" / "reference"
TOOLS = shutil.which("pdflatex") and shutil.which("pdftotext")
_DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,xcolor,graphicx}
\begin{document}
{\fontsize{6}{7}\selectfont measure}
\clearpage
%s
\end{document}
"""


def table(rows: int, columns: int) -> Table:
    entry = Entry(text="97.25", small="[95.10, 99.30]", note="n 1138, 20 unscored")
    made = Row(entries=(Entry(text="method"), *[entry] * (columns - 1)), block="one")
    names = ("method", *(f"metric {i}" for i in range(1, columns)))
    return Table(name="t", title="T", caption="C", columns=names, rows=(made,) * rows)


def test_a_wide_table_is_stacked_and_nothing_is_lost():
    text = to_tex(table(2, 14))
    widths = re.findall(r"\\begin\{tabular\}\{(l?c*)\}", text)
    wide = [w for w in widths if w.startswith("l")]
    assert len(wide) > 1
    assert sum(len(w) - 1 for w in wide) == 13
    column = layout.width_of([("n 1138, 20 unscored", layout.SMALL)])
    assert all((len(w) - 1) * column < layout.WIDTH for w in wide)


def test_a_tall_table_is_cut_into_parts():
    text = to_tex(table(60, 3))
    floats = text.split(r"\begin{table*}")[1:]
    assert len(floats) > 1
    assert text.count("method & ") == 60
    assert "(part 1 of " in floats[0]
    assert "Continued: T" in floats[1]
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == len(floats)


def test_a_mark_is_a_letter_that_latex_has():
    row = Row(entries=(Entry(text="25.0†", mark="‡"),))
    text = to_tex(Table(name="t", title="T", caption="C", columns=("a",), rows=(row,)))
    assert r"25.0\textdagger{}\textsuperscript{\textdaggerdbl{}}" in text


def words(pdf: Path) -> list[tuple[float, str]]:
    """Height and text of each plain word of a PDF."""
    done = subprocess.run(
        ["pdftotext", "-bbox", pdf, "-"], check=True, capture_output=True, text=True
    )
    found = re.findall(r'yMin="(.*?)".*?yMax="(.*?)">(.*?)</word>', done.stdout)
    plain = [(a, b, w) for a, b, w in found if re.fullmatch(r"[A-Za-z][A-Za-z.,]+", w)]
    return [(float(b) - float(a), word) for a, b, word in plain]


@pytest.mark.slow
@pytest.mark.skipif(not TOOLS, reason="no pdflatex or pdftotext on this machine")
def test_the_reference_is_readable_in_two_columns(tmp_path):
    cells = cells_of(REFERENCE)
    groups = groups_of(cells, REFERENCE)
    reads = read(cells, None)
    made = [comparison(group, "p") for group in groups]
    made += [table for group in groups for table in details(group, reads, "p")]
    for name in ("table2", "table3", "fig3", "fig4"):
        members = {c.directory: c for g in groups if g.experiment == name for c in g.cells}
        made.append(paper.beside(name, list(members.values()), "tiny", "p"))
    body = "\n\\clearpage\n".join(map(to_tex, made))
    (tmp_path / "all.tex").write_text(_DOCUMENT % body)
    code = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Float too large" not in done.stdout
    found = words(tmp_path / "all.pdf")
    least = next(height for height, word in found if word == "measure")
    assert len(found) > 1000
    small = [(round(6 * h / least, 2), word) for h, word in found if h < 0.99 * least]
    assert not small, small[:20]
