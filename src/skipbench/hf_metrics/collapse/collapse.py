"""Collapse of generated texts as an `evaluate` metric; see skipbench.metrics.collapse."""

import datasets
import evaluate

from skipbench.metrics import collapse

_DESCRIPTION = """Share of texts that degenerate: empty, one token over and over, loops, little
diversity, echoes of the prompt, garbage. Also the rate of each kind."""
_INPUTS = """predictions: texts. prompts (optional): what they answer, for echoes."""


class Collapse(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions, prompts=None):  # type: ignore[override]
        prompts = [""] * len(predictions) if prompts is None else prompts
        found = [
            collapse.detect(text, [], "stop", forced=False, prompt=prompt)
            for text, prompt in zip(predictions, prompts, strict=True)
        ]
        n = max(len(found), 1)
        rates = {f"collapse.{k}": sum(f.fired[k] for f in found) / n for k in collapse.KINDS}
        return {"collapse_rate": sum(f.any for f in found) / n, **rates}
