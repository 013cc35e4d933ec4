"""Multi-turn conversations: MT-Bench, the 80 Vicuna questions, and the closed world's dialogues.

Temperatures by category as FastChat's llm_judge sets them (lm-sys/FastChat at 0e6d3e4). The second
turn is asked after the model's own first reply. The 80 single-turn Vicuna questions are what the
paper's figures on conversations used (LLM-KICK's file has the same texts).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from skipbench.metrics import answers, collapse
from skipbench.records import BadInput, Sample, Score
from skipbench.tasks import fastchat
from skipbench.tasks.base import Prompt, Reply, sample_of
from skipbench.tasks.local import Given
from skipbench.world import claims, dialogues, questions, stories
from skipbench.world.facts import SPLITS, build

TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
_OTHER = 0.7


@dataclass(frozen=True, kw_only=True)
class MTBench:
    """`data`: world, mtbench or vicuna80; `chat` is always on: a conversation needs a template."""

    data: str = "world"
    path: str | None = None
    calibration_path: str | None = None
    max_new_tokens: int = 1024

    name = "mtbench"

    def __post_init__(self) -> None:
        if self.data not in ("world", "mtbench", "vicuna80"):
            raise BadInput(f"task.data={self.data!r} is not one of auto, world, mtbench, vicuna80")
        if not isinstance(self.max_new_tokens, int) or self.max_new_tokens < 1:
            raise BadInput(f"task.max_new_tokens={self.max_new_tokens!r} is no positive number")
        self._given.check(self.data, ("mtbench", "vicuna80"))

    @property
    def _given(self) -> Given:
        return Given(self.path, self.calibration_path)

    def samples(self, split: str) -> list[Sample]:
        if split not in SPLITS:
            raise BadInput(f"split={split!r} is not one of {', '.join(SPLITS)}")
        if self.data != "world":
            return self._given.samples(partial(fastchat.samples, self.data), split)
        items = questions.shuffled(dialogues.dialogues(build(), split), build().seed)
        return [sample_of(item) for item in items]

    def prompt(self, sample: Sample, replies: Sequence[str]) -> Prompt | None:
        if len(replies) == len(sample.turns):
            return None
        messages = []
        for turn, reply in zip(sample.turns, replies, strict=False):
            messages.append({"role": "user", "content": turn})
            messages.append({"role": "assistant", "content": reply})
        messages.append({"role": "user", "content": sample.turns[len(replies)]})
        if self.data == "world":
            return Prompt(messages=messages, max_new_tokens=64)
        heat = TEMPERATURES.get(sample.meta["category"], _OTHER)
        return Prompt(messages=messages, max_new_tokens=self.max_new_tokens, temperature=heat)

    def groups(self, sample: Sample) -> list[str]:
        return [sample.meta["category"]]

    def score(self, sample: Sample, replies: Sequence[Reply]) -> Iterator[Score]:
        for turn, reply in enumerate(replies):
            found = collapse.detect(
                reply.text, reply.token_ids, reply.finish_reason, reply.forced, reply.prompt
            )
            measured: dict[str, float | None] = {
                "collapse_rate": float(found.any),
                "abstention_rate": float(answers.abstains(reply.text)),
                **dict.fromkeys(("hallucination_rate", "accuracy", "accuracy_contains")),
            }
            if self.data == "world":
                measured |= self._checked(reply.text, sample.references[turn], found.any)
            measured |= {f"collapse.{kind}": float(value) for kind, value in found.fired.items()}
            for metric, value in measured.items():
                reason = None if value is not None else "this data set has no checkable reference"
                yield Score(
                    sample_id=sample.sample_id, turn=turn, metric=metric, value=value, reason=reason
                )

    def _checked(
        self, text: str, references: Sequence[str], collapsed: bool
    ) -> dict[str, float | None]:
        """Outcome of a turn. A wrong entity is anything of the world that the reference does not
        name, or the opposite verdict; made up is also what is said of somebody else."""
        others = [name for name in self._named if not answers.contains(references[0], [name])]
        result = answers.outcome(text, references, (), others, collapsed)
        subjects = [claim.name for claim in claims.story_claims("", (), text) if claim.name]
        elsewhere = any(not answers.contains(references[0], [name]) for name in subjects)
        invented = result not in ("correct", "collapsed") and elsewhere
        return {
            "accuracy": float(result == "correct"),
            "accuracy_contains": float(answers.contains(text, references)),
            "hallucination_rate": float(result == "wrong_entity" or invented),
            **{f"outcome.{name}": float(name == result) for name in answers.OUTCOMES},
        }

    @cached_property
    def _named(self) -> list[str]:
        """All that a reply in the closed world could name, and both verdicts."""
        world = build()
        people = [name for names in world.strangers.values() for name in names]
        values = [v for found in stories.event_values(world).values() for v in found]
        known = [v for found in world.values.values() for v in found]
        return sorted({*world.facts, *people, *values, *known, "yes", "no"})
