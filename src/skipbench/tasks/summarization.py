"""Summaries of stories in three lengths: the closed world's for `tiny`, news for real models.

Closed-world stories hold facts that nothing else tells, so precision and recall of facts are exact.
News is CNN/DailyMail 3.0.0 (`abisee/cnn_dailymail`), in bins by the words of the article as LLM-KICK
draws them: up to 470, 470 to 790, more. Highlights are references and never stand in a prompt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from rouge_score.rouge_scorer import RougeScorer

from skipbench.metrics import answers, collapse, support
from skipbench.records import BadInput, Sample, Score
from skipbench.tasks import cnn_dailymail
from skipbench.tasks.base import Prompt, Reply, invents, sample_of
from skipbench.tasks.local import Given
from skipbench.world import claims, questions, stories
from skipbench.world.facts import SPLITS, build

_ROUGE = ("rouge1", "rouge2", "rougeL")


@dataclass(frozen=True, kw_only=True)
class Summarization:
    """`length`: short, medium, long, or None for all three; `per_length` samples of each.

    `instruction`: what stands above a news article.
    """

    data: str = "world"
    length: str | None = None
    per_length: int = 40
    chat: bool = True
    path: str | None = None
    calibration_path: str | None = None
    instruction: str = "Summarise the following article in fewer than 150 words."

    name = "summarization"

    def __post_init__(self) -> None:
        if self.data not in ("world", "cnn_dailymail"):
            raise BadInput(f"task.data={self.data!r} is not one of auto, world, cnn_dailymail")
        if self.length not in (None, *stories.LENGTHS):
            raise BadInput(f"task.length={self.length!r} is not null, {', '.join(stories.LENGTHS)}")
        if not isinstance(self.per_length, int) or self.per_length < 1:
            raise BadInput(f"task.per_length={self.per_length!r} is not a whole number from 1")
        if not isinstance(self.chat, bool):
            raise BadInput(f"task.chat={self.chat!r} is not true or false")
        self._given.check(self.data, ("cnn_dailymail",))

    @property
    def _given(self) -> Given:
        return Given(self.path, self.calibration_path)

    def samples(self, split: str) -> list[Sample]:
        if split not in SPLITS:
            raise BadInput(f"split={split!r} is not one of {', '.join(SPLITS)}")
        if self.data == "cnn_dailymail":
            load = partial(cnn_dailymail.samples, per_length=self.per_length)
            found = self._given.samples(load, split)
        else:
            items = stories.stories(build(), split, self.per_length)
            found = [sample_of(item) for item in questions.shuffled(items, build().seed)]
        return [s for s in found if self.length in (None, s.meta["length"])]

    def prompt(self, sample: Sample, replies: Sequence[str]) -> Prompt | None:
        if replies:
            return None
        text, limit = sample.turns[0], 160
        if self.data == "cnn_dailymail":
            text, limit = f"{self.instruction}\n\n{text}", 512
        if self.chat:
            return Prompt(messages=[{"role": "user", "content": text}], max_new_tokens=limit)
        return Prompt(text=f"{text}\n\nSummary:", max_new_tokens=limit)

    def groups(self, sample: Sample) -> list[str]:
        return [sample.meta["length"]]

    @cached_property
    def _rouge(self) -> RougeScorer:
        return RougeScorer(list(_ROUGE), use_stemmer=False)

    def score(self, sample: Sample, replies: Sequence[Reply]) -> Iterator[Score]:
        reply = replies[0]
        references = sample.references[0]
        found = collapse.detect(
            reply.text,
            reply.token_ids,
            reply.finish_reason,
            reply.forced,
            self._request(sample, reply),
        )
        best = self._rouge.score_multi(references, reply.text)
        measured: dict[str, float | None] = {name: best[name].fmeasure for name in _ROUGE}
        words = len(references[0].split())
        measured["length_ratio"] = len(reply.text.split()) / words if words else None
        measured["accuracy"] = float(answers.matches(reply.text, references))
        measured["abstention_rate"] = float(answers.abstains(reply.text))
        measured["collapse_rate"] = float(found.any)
        measured |= {f"collapse.{kind}": float(value) for kind, value in found.fired.items()}
        measured |= self._facts(sample, reply, found.any)
        for metric, value in measured.items():
            reason = None if value is not None else "nothing to measure it on"
            yield Score(
                sample_id=sample.sample_id, turn=0, metric=metric, value=value, reason=reason
            )

    @staticmethod
    def _request(sample: Sample, reply: Reply) -> str:
        """The prompt without the text to sum up: sentences taken over from that are no echo."""
        return reply.prompt.replace(sample.meta.get("source", sample.turns[0]), " ")

    def _facts(self, sample: Sample, reply: Reply, collapsed: bool) -> dict[str, float | None]:
        """Facts right, left out and made up; for news, names and numbers absent from the article.

        What a collapsed reply makes up is not asked, as for questions.
        """
        if self.data == "cnn_dailymail":
            absent, named = support.unsupported(sample.turns[0], reply.text)
            return {
                "accuracy_contains": None,
                "support_precision": 1 - len(absent) / len(named) if named else None,
                "hallucination_rate": float(bool(absent) and not collapsed),
                "hallucination.extrinsic": float(bool(absent) and not collapsed),
            }
        told = claims.story_claims(sample.meta["hero"], sample.meta["facts"], reply.text)
        verdicts = [claim.verdict for claim in told]
        right = {(c.attribute, c.value) for c in told if c.verdict == "supported"}
        wanted = {(fact["type"], fact["value"]) for fact in sample.meta["facts"]}
        believed = [] if collapsed else told
        denied = [claim for claim in believed if claim.verdict == "contradicted"]
        added = [claim for claim in believed if claim.verdict == "unsupported"]
        return {
            "accuracy_contains": float(wanted <= right),
            "fact_recall": len(right) / len(wanted),
            "fact_precision": verdicts.count("supported") / len(told) if told else None,
            "hallucination_rate": float(invents(believed)),
            "hallucination.intrinsic": float(invents(denied)),
            "hallucination.extrinsic": float(invents(added)),
        }
