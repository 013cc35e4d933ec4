"""False alarms and hits of the collapse detectors, on both halves of the test texts.

    python scripts/detector_report.py

Half 0 is what limits were chosen on, half 1 what they are measured on.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from collapse_texts import inviting, planted
from skipbench.metrics import collapse, stats


def fires(text: str) -> bool:
    return collapse.detect(text, [], "stop", forced=False).any


def line(name: str, hits: list[bool]) -> None:
    low, high = stats.wilson(sum(hits), len(hits))
    print(f"| {name} | {sum(hits) / len(hits):.3f} [{low:.3f}, {high:.3f}] | {len(hits)} |")


def main() -> None:
    for half, name in ((0, "half the limits were chosen on"), (1, "held-out half")):
        print(f"\n{name}\n\n| texts | share that fires | n |\n|---|---|---|")
        line("inviting", [fires(text) for text in inviting(half, 600)])
        for tokens in (16, 64, 256):
            texts = planted(half, 400, tokens)
            line(f"planted, {tokens} tokens", [fires(text) for _, text in texts])


if __name__ == "__main__":
    main()
