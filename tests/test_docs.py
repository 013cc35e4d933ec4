"""Every command of the README and of docs/ is run, in order, in a folder of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def blocks(document: Path, language: str) -> list[str]:
    return [text for name, text in _BLOCK.findall(document.read_text()) if name == language]


def commands(document: Path) -> str:
    """All shell blocks as one script. Installing is left out: it is how the tests got here."""
    text = "\n".join(blocks(document, "bash"))
    text = re.sub(r"^pip install -e \S+( && (?P<rest>.*))?$", r"\g<rest>", text, flags=re.MULTILINE)
    return re.sub(r"^pytest.*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document):
    for link in _LINK.findall(document.read_text()):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_no_language_is_forgotten():
    known = {"bash", "text", "python", "yaml", "latex", "json"}
    for document in DOCUMENTS:
        fences = re.findall(r"^```(\w*)$", document.read_text(), flags=re.MULTILINE)
        assert set(fences) <= known | {""}, document
        assert len(fences) % 2 == 0, document


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if commands(d).strip()], ids=lambda p: p.name
)
def test_commands(document, tmp_path):
    for name in ("scripts", "conf", "notebooks"):
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    for text in blocks(document, "python"):
        named = re.match(r"# file: (\S+)\n", text)
        if named:
            (tmp_path / named[1]).write_text(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    environment.pop("SKIPBENCH_RESULTS", None)
    ran = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", commands(document)],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]
    for text in blocks(document, "latex") if shutil.which("pdflatex") else ():
        (tmp_path / "paper.tex").write_text(text)
        code = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        made = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        assert made.returncode == 0, made.stdout[-2000:]
