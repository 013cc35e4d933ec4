"""Who may import whom, held by walking the imports."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "skipbench"
# package or module -> what of ours it may import
ALLOWED = {
    "__init__": set(),
    "__main__": {"run", "setup", "sweep", "terminal", "keys", "paths", "records"} | {"__init__"},
    "keys": {"paths", "records"},
    "setup": {"job", "judges", "engine", "policies", "paths", "records"},
    "sweep": {"job", "outcome", "setup", "keys", "paths", "provenance", "records"},
    "outcome": {"job", "plan", "provenance", "records"},
    "job": {"cell", "engine", "judges", "policies", "tasks", "provenance", "records"},
    "run": {"job", "converse", "scoring", "engine", "policies", "plan"}
    | {"device", "provenance", "records"},
    "audit": {"audit", "run", "job", "converse", "calibrate", "engine", "policies", "tasks"}
    | {"summary", "metrics", "provenance", "records", "paths"},
    "plan": {"job", "judges", "records"},
    "device": set(),
    "lm_eval_model": {"engine", "policies", "records", "paths"},
    "converse": {"job", "calibrate", "engine", "policies", "provenance", "records"},
    "scoring": {"job", "judges", "cell", "summary", "metrics", "tasks", "records"},
    "calibrate": {"engine", "policies", "provenance", "records"},
    "engine": {"engine", "policies", "provenance", "records"},
    "policies": {"policies", "records", "paths"},
    "tasks": {"tasks", "world", "metrics", "records"},
    "metrics": {"metrics", "records"},
    "judges": {"judges", "metrics", "provenance", "records"},
    "hf_metrics": {"metrics"},
    "cell": {"provenance", "records"},
    "speed": {"metrics"},
    "summary": {"executed", "speed", "cell", "metrics", "records"},
    "executed": {"metrics", "records"},
    "terminal": {"records"},
    "show": {"metrics", "records", "paths"},
    "ls": {"records", "paths"},
    "report": {"report", "metrics", "provenance", "records", "paths", "__init__"},
    "export": {"export", "report", "metrics", "records"},
    "provenance": {"records"},
    "records": set(),
    "paths": set(),
    "world": {"world"},
}
TORCH = {"engine", "policies", "calibrate", "audit"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(path: Path) -> str:
    inside = path.relative_to(SOURCE)
    return inside.parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports(path):
    part = part_of(path)
    for name in imports(path):
        top = name.split(".")
        if top[0] == "skipbench":
            used = (
                top[1]
                if (SOURCE / top[1]).is_dir() or (SOURCE / f"{top[1]}.py").exists()
                else "__init__"
            )
            assert used in ALLOWED[part], f"{part} imports {used}"
        assert top[0] != "torch" or part in TORCH, f"{part} imports torch"
        assert top[0] not in ("hydra", "omegaconf") or part in ("__main__", "setup")


@pytest.mark.parametrize("module", ["skipbench", "skipbench.audit", "skipbench.export"])
def test_help_needs_no_torch(module):
    import subprocess
    import sys

    code = (
        "import sys; sys.argv = ['skipbench', '--help']\n"
        f"try:\n    from {module}.__main__ import main; main()\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'hydra' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=20)
