"""Collapse of generated texts as an `evaluate` metric; see skipbench.metrics.collapse."""

import datasets
import evaluate

from skipbench.metrics import collapse

_DESCRIPTION = """Share of texts that degenerate: empty, one token over and over, loops, little
diversity, echoes of the prompt, garbage. Also the rate of each kind."""
_INPUTS = """predictions: texts. prompts (optional): what they answer, for echoes.
finish_reasons (optional): stop or length for each; without them never_stopped is None."""


class Collapse(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions, prompts=None, finish_reasons=None):  # type: ignore[override]
        prompts = [""] * len(predictions) if prompts is None else prompts
        reasons = ["stop"] * len(predictions) if finish_reasons is None else finish_reasons
        found = [
            collapse.detect(text, [], reason, forced=False, prompt=prompt)
            for text, prompt, reason in zip(predictions, prompts, reasons, strict=True)
        ]
        n = max(len(found), 1)
        rates: dict[str, float | None] = {
            f"collapse.{kind}": sum(f.fired[kind] for f in found) / n for kind in collapse.KINDS
        }
        rates["collapse.immediate_stop"] = None  # it is seen in emitted ids alone
        if finish_reasons is None:
            rates["collapse.never_stopped"] = None
        return {"collapse_rate": sum(f.any for f in found) / n, **rates}
