"""The notebooks run from top to bottom, hold no output and no logic of their own."""

import ast
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ids = [path.stem for path in NOTEBOOKS]


def cells(path: Path, kind: str) -> list:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def test_both_are_there():
    assert ids == ["01_first_look", "02_read_the_paper"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_no_output_is_stored_and_nothing_is_computed(path):
    for cell in cells(path, "code"):
        assert not cell.outputs
        assert cell.execution_count is None
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(
                node, ast.For | ast.While | ast.If | ast.ClassDef | ast.BinOp
            ) or (
                isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)  # a path
            )
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skipbench"):
                assert node.module == "skipbench.report.api"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_runs(path, tmp_path):
    from nbclient import NotebookClient

    (tmp_path / "results").symlink_to(ROOT / "results")
    here = tmp_path / "notebooks"
    here.mkdir()
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(here)}})
    client.execute()
    shown = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
