"""Markdown tables of finished cells, for results/LOG.md: `python scripts/log_tables.py DIR`.

Every number is read from a summary.json, which was made from the records beside it.
"""

import argparse
from pathlib import Path
from typing import Any

from skipbench.report.cells import CellData, cells_of

COLUMNS = (
    "accuracy",
    "accuracy_contains",
    "hallucination_rate",
    "collapse_rate",
    "abstention_rate",
)
RATES = ("hallucination_rate", "collapse_rate")
FACTS = ("fact_recall", "fact_precision")
DIVERGENCE = ("divergence.token_agreement", "divergence.kl")
COLUMNS_OF = {
    "factoid long": (*FACTS, *COLUMNS[2:]),
    "mtbench": ("reference_score", "accuracy", *RATES, *DIVERGENCE),
    "summarization": ("accuracy", "rouge1", "rouge2", "rougeL", *FACTS, *RATES, *DIVERGENCE),
}


def cell_text(metric: dict[str, Any] | None) -> str:
    if metric is None or metric["value"] is None:
        return "–" if metric is None else f"unscored {metric['unscored']}"
    text = f"{metric['value']:.3f}"
    if metric["low"] is not None:
        text += f" [{metric['low']:.2f}, {metric['high']:.2f}]"
    return text + (f" ({metric['unscored']} unscored)" if metric["unscored"] else "")


def ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def row_of(cell: CellData, columns: tuple[str, ...]) -> tuple[Any, str]:
    summary = cell.summary
    skip = summary["skip"]
    pair = summary["paired"].get("accuracy") or summary["paired"].get("fact_recall")
    floor = summary.get("noise_floor", {}).get("paired", {}).get("accuracy")
    difference = "–" if not pair else f"{pair['difference']:+.3f} (p {pair['p']:.2g})"
    if floor:
        difference += f"; floor {floor['difference']:+.3f}"
    entropy = skip.get("trigger_entropy_bits")
    parts = [
        cell.label,
        "–" if skip["requested"] is None else f"{skip['requested']:g}",
        *(ratio(skip[key]) for key in ("ffn", "attn", "block", "weight_bytes_single")),
        "–" if entropy is None else f"{entropy:.2f}",
        *(cell_text(summary["metrics"].get(column)) for column in columns),
        difference,
        str(summary["n"]),
    ]
    order = (skip["requested"] is not None, skip["requested"] or 0.0, summary["method"])
    return order, "| " + " | ".join(parts) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    options = parser.parse_args()
    tables: dict[str, list[CellData]] = {}
    for cell in cells_of(options.results):
        tables.setdefault(cell.title, []).append(cell)
    for name, cells in tables.items():
        columns = COLUMNS_OF.get(name, COLUMNS)
        print(f"\n### {name}\n")
        heads = ["method", "asked", "ffn", "attn", "block", "bytes", "entropy, bits", *columns]
        heads += ["difference to dense", "n"]
        print("| " + " | ".join(heads) + " |")
        print("|" + "---|" * len(heads))
        for _, line in sorted(row_of(cell, columns) for cell in cells):
            print(line)


if __name__ == "__main__":
    main()
