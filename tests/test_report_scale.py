"""The report of a million records: time grows with their number, memory hardly; LaTeX compiles."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from report_results import Made, adaptive, record_of, scores_of, write_cell, write_results
from skipbench.report.build import build

_PROBE = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "skipbench.report", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def asked(i: int) -> dict:
    return {"sample_id": f"q/{i}", "cluster": f"about q/{i}", "turns": ["What?"],
            "references": [["This."]], "meta": {}}  # fmt: skip


def write_many(root: Path, n: int) -> Path:
    """Two cells of n / 2 records each; lines repeat a few, with names of their own."""
    dense = write_cell(root, Made(method="dense", wrong=(0,)))
    method = Made(method="ffnskip", wrong=(0, 5), looping=(3,), skips=adaptive, asked=0.25)
    for directory, made in ((dense, Made(method="dense", wrong=(0,))), (None, method)):
        place = directory or write_cell(root, made, twin=dense)
        for name, lines_of in (
            ("samples", lambda i, _: [asked(i)]),
            ("records", lambda i, made: [record_of(i, made)]),
            ("scores", scores_of),
        ):
            kinds = [
                "".join(json.dumps(line) + "\n" for line in lines_of(i, made)).split(f"q/{i}")
                for i in range(24)
            ]
            with (place / f"{name}.jsonl").open("w") as file:
                for i in range(n // 2):
                    file.write(f"q/{i}".join(kinds[i % 24]))
    return root


def measured(results: Path, out: Path) -> tuple[float, int]:
    """Seconds and peak memory in bytes of one report."""
    started = time.perf_counter()
    code = [sys.executable, "-c", _PROBE, str(results), "--out", str(out)]
    done = subprocess.run(code, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, 1024 * int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_records(tmp_path):
    spent = {}
    for n in (100_000, 1_000_000):
        results = write_many(tmp_path / str(n), n)
        spent[n], peak = measured(results, tmp_path / f"out {n}")
        shutil.rmtree(results)
        print(f"{n} records: {spent[n]:.1f} s, {peak / 2**20:.0f} MiB")
        assert peak < 2 * 2**30
    assert spent[1_000_000] <= 11 * spent[100_000]


_DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,xcolor,graphicx}
\input{numbers.tex}
\begin{document}
%s
\end{document}
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex on this machine")
def test_latex_compiles(tmp_path):
    out = tmp_path / "out"
    build(write_results(tmp_path / "results"), out)
    tables = sorted(out.glob("table_*.tex"))
    figures = sorted(out.glob("fig_*.pdf"))
    body = [f"\\input{{{path.name}}}\\clearpage" for path in tables]
    body += [f"\\includegraphics{{{path.name}}}\\clearpage" for path in figures]
    (out / "all.tex").write_text(_DOCUMENT % "\n".join(body))
    code = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(code, cwd=out, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert len(tables) >= 6
    assert (out / "all.pdf").stat().st_size > 50_000
