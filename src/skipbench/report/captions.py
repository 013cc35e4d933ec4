"""What every table and figure says of itself: what, of how many, where, by which versions."""

from skipbench.report.cells import CellData
from skipbench.report.groups import Group

MECHANISM = "Mechanism check: no evidence about a large model."


def caption(group: Group, what: str, legend: str = "") -> str:
    """`what`, of a group; then how it was made."""
    told = f"{what}: {group.title}. {legend}".strip()
    return " ".join([told, made_of(group.cells), *([MECHANISM] if group.tiny else [])])


def made_of(cells: tuple[CellData, ...]) -> str:
    """n, seeds, split, hardware and versions; several where cells differ."""
    sizes = _several(str(cell.summary.get("n")) for cell in cells)
    seeds = _several(str(cell.manifest["config"].get("seed")) for cell in cells)
    splits = _several(str(cell.manifest["config"].get("split")) for cell in cells)
    dtypes = _several(str(cell.manifest["config"].get("dtype")) for cell in cells)
    versions = _several(_versions(cell) for cell in cells)
    hardware = _several(_hardware(cell) for cell in cells)
    return (
        f"n = {sizes} samples of split {splits}, seed {seeds}, {dtypes}; on {hardware}; {versions}."
    )


def _several(values) -> str:
    return " or ".join(sorted(set(values)))


def _versions(cell: CellData) -> str:
    found = cell.manifest.get("versions", {})
    names = ("skipbench", "torch", "transformers")
    return ", ".join(f"{name} {found[name]}" for name in names if name in found)


def _hardware(cell: CellData) -> str:
    found = cell.manifest.get("hardware", {})
    if found.get("gpu"):
        return str(found["gpu"])
    return f"{found.get('cores', '?')} cores of {found.get('cpu') or found.get('machine', '?')}"
