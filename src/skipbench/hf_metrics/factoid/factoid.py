"""Outcomes of short answers as an `evaluate` metric; see skipbench.metrics.answers."""

import datasets
import evaluate

from skipbench.metrics import answers, collapse

_DESCRIPTION = """Each reply has one outcome, the first that fits: correct (equals a reference after
normalising), collapsed, wrong_entity, abstained, off_format. Rates of all, and of replies that
contain a reference as whole words."""
_INPUTS = """predictions: replies. references: for each a list of accepted answers. others (optional):
for each the other values of the type; without it any other answer is a wrong entity."""


class Factoid(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(self, predictions, references, others=None):  # type: ignore[override]
        others = [None] * len(predictions) if others is None else others
        outcomes, held = [], 0
        for reply, accepted, pool in zip(predictions, references, others, strict=True):
            fired = collapse.detect(reply, [], "stop", forced=False).any
            outcomes.append(answers.outcome(reply, accepted, accepted, pool, fired))
            held += answers.contains(reply, accepted)
        n = max(len(outcomes), 1)
        rates = {f"outcome.{name}": outcomes.count(name) / n for name in answers.OUTCOMES}
        wrong = rates["outcome.wrong_entity"]
        return {
            "accuracy": rates["outcome.correct"],
            "accuracy_contains": held / n,
            "hallucination_rate": wrong,
            **rates,
        }
