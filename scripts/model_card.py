"""Write the card of the shipped model from measured cells: `python scripts/model_card.py DIR`.

First the cells, with one command each (DIR is their results_dir):

    python -m skipbench results_dir=DIR method=dense task=factoid
    python -m skipbench results_dir=DIR method=dense task=factoid task.form=long
    python -m skipbench results_dir=DIR method=dense task=factoid task.form=two_hop
    python -m skipbench results_dir=DIR method=dense task=summarization
    python -m skipbench results_dir=DIR method=dense task=mtbench
    python -m skipbench -m results_dir=DIR task=factoid method=layerdrop method.order=given \\
        method.part=ffn method.blocks=$(python -c "print(','.join(f'[{i}]' for i in range(16)))")
"""

import argparse
import json
from pathlib import Path
from typing import Any

from skipbench.paths import tiny_dir
from skipbench.records import read_json
from skipbench.world.facts import build

HEAD = """\
---
license: apache-2.0
language: en
tags: [closed-world, test-bed, skipping]
---
# tiny: a small deep Llama that knows a closed world

The model that skipbench ships and uses by default. {layers} blocks, hidden size {hidden}, FFN
{ffn}, {heads} heads, vocabulary {vocabulary} (byte-level BPE), tied embeddings, float32. It knows
an invented world of {facts:,} facts and nothing else: what it shows about a method is a mechanism
check, no evidence about a large model.

**Data.** Biographies in paraphrases, questions, long answers, stories with summaries, dialogues and
copying exercises, all generated (`src/skipbench/world/corpus.py`, seed {seed}); no text of anybody
else. Of people of kind A the corpus asks in all wordings, of kind B in the wordings of the train
split alone, of kind C nothing; the head is written about often, the tail rarely (Zipf).

**Recipe.** `scripts/train_tiny.py`, one run of {steps:,} steps ({tokens:.1f} M tokens), seed 0, Muon for
matrices (0.02, weight decay 0.1) and AdamW for the rest (0.003), constant and then falling to zero
over the last half; loss on replies and biographies only; no dropout of any kind.
World digest `{digest}`.

## Scores (dense, greedy, split `eval`, 95 % intervals)

| what | metric | value | n |
|---|---|---|---|
"""


def line(summary: dict[str, Any], what: str, metric: str) -> str:
    found = summary["metrics"][metric]
    value = f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    return f"| {what} | {metric} | {value} | {found['n']} |\n"


def summaries(results: Path) -> dict[str, dict[str, Any]]:
    """(task, form) of the dense cells, and the ablated blocks."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(results.glob("*/tiny/*/*/summary.json")):
        config = read_json(path.parent / "run.json")["config"]
        task, method = path.parts[-5], path.parts[-3]
        if method == "dense":
            found[f"{task} {config['task'].get('form', '')}".strip()] = read_json(path)
        elif method == "layerdrop" and config["method"]["order"] == "given":
            found[f"without {config['method']['blocks'][0]}"] = read_json(path)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the card of the shipped model.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--history", type=Path, help="history.jsonl of the training run")
    options = parser.parse_args()
    config, found, world = (
        read_json(tiny_dir() / "config.json"),
        summaries(options.results),
        build(),
    )
    last = json.loads(options.history.read_text().splitlines()[-1])
    text = HEAD.format(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        ffn=config["intermediate_size"],
        heads=config["num_attention_heads"],
        vocabulary=config["vocab_size"],
        facts=world.fact_count,
        seed=world.seed,
        steps=last["step"],
        tokens=last["tokens"] / 1e6,
        digest=world.digest()[:16],
    )
    short = found["factoid short"]
    text += line(short, "head, kinds A and B", "accuracy.head_AB")
    text += line(short, "head, kind C", "accuracy.head_C")
    text += line(short, "tail, all kinds", "accuracy.tail")
    text += line(short, "no answer in the world: declined", "abstention_rate.unanswerable")
    text += line(short, "answerable: declined", "abstention_rate.answerable")
    text += line(found["factoid two_hop"], "two hops", "accuracy")
    text += line(found["factoid long"], "everything about a person: facts told", "fact_recall")
    text += line(found["factoid long"], "… facts right of those told", "fact_precision")
    text += line(found["factoid long"], "… head", "fact_recall.head_AB")
    for length in ("short", "medium", "long"):
        text += line(found["summarization"], f"stories, {length}", f"rougeL.{length}")
    text += line(found["mtbench"], "dialogues, replies equal to the reference", "accuracy")
    for category in ("extraction", "reasoning", "rewriting"):
        text += line(found["mtbench"], f"… {category}", f"accuracy.{category}")
    text += ablation(found, config["num_hidden_layers"])
    (tiny_dir() / "README.md").write_text(text)
    print(text)


def ablation(found: dict[str, dict[str, Any]], layers: int) -> str:
    """What removing each single FFN costs on the short questions, prefill and decode."""
    text = "\n## Without one FFN (prefill and decode), short questions: change of accuracy\n\n"
    text += "| block | all | p | head_AB | tail | contains |\n|---|---|---|---|---|---|\n"
    dense = found["factoid short"]["metrics"]
    for block in range(layers):
        summary = found.get(f"without {block}")
        if summary is None:
            continue
        pair = summary["paired"]["accuracy"]
        parts = [
            f"{summary['metrics'][m]['value'] - dense[m]['value']:+.3f}"
            for m in ("accuracy.head_AB", "accuracy.tail", "accuracy_contains")
        ]
        text += f"| {block} | {pair['difference']:+.3f} | {pair['p']:.2g} | "
        text += " | ".join(parts) + " |\n"
    return text


if __name__ == "__main__":
    main()
