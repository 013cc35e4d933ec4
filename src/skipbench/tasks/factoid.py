"""Factoid questions: the closed world for `tiny`, FreebaseQA for real models.

FreebaseQA (Jiang et al. 2019, CC-BY-4.0) is asked as the LLM-KICK protocol does (VITA-Group/llm-kick
at 70f98d7): plain text, an instruction with the question and then the beginning of an answer, at
most twice as many new tokens as the prompt has, first parse and first answer as the gold. The words
of the prompt are our own and can be changed (`prompt_text`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from skipbench.metrics import answers, collapse
from skipbench.records import BadInput, Sample, Score
from skipbench.tasks import freebaseqa, own
from skipbench.tasks.base import Prompt, Reply, invents, sample_of
from skipbench.tasks.local import Given
from skipbench.world import claims, questions
from skipbench.world.facts import SPLITS, World, build
from skipbench.world.items import Item

FORMS = ("short", "two_hop", "long")
_FILES = {"freebaseqa": freebaseqa.samples, "own": own.samples}
_Measured = tuple[answers.Outcome, dict[str, float | None]]
_MAX_NEW_TOKENS = {"short": 40, "two_hop": 64, "long": 360}


@dataclass(frozen=True, kw_only=True)
class Factoid:
    """`form` (world only): `short` with the unanswerable ones among them, `two_hop`, or `long`.

    `chat`: ask through the chat template; None: as the data set does (world yes, FreebaseQA no).
    """

    data: str = "world"
    form: str = "short"
    chat: bool | None = None
    path: str | None = None
    calibration_path: str | None = None
    prompt_text: str = "Please answer this question: {question}\nThe answer is "

    name = "factoid"

    def __post_init__(self) -> None:
        if self.data not in ("world", *_FILES):
            raise BadInput(f"task.data={self.data!r} is not one of auto, world, freebaseqa, own")
        if self.form not in FORMS:
            raise BadInput(f"task.form={self.form!r} is not one of {', '.join(FORMS)}")
        if self.data in _FILES and self.form != "short":
            raise BadInput(f"task.form={self.form!r}: {self.data} has the form short alone")
        if self.chat not in (None, True, False):
            raise BadInput(f"task.chat={self.chat!r} is not true, false or null")
        if "{question}" not in self.prompt_text:
            raise BadInput("task.prompt_text holds no {question}")
        self._given.check(self.data, tuple(_FILES))

    @property
    def _given(self) -> Given:
        return Given(self.path, self.calibration_path)

    @cached_property
    def _world(self) -> World:
        return build()

    def samples(self, split: str) -> list[Sample]:
        if split not in SPLITS:
            raise BadInput(f"split={split!r} is not one of {', '.join(SPLITS)}")
        if self.data in _FILES:
            return self._given.samples(_FILES[self.data], split)
        return [sample_of(item) for item in self._items(split)]

    def _items(self, split: str) -> list[Item]:
        world = self._world
        if self.form == "two_hop":
            items = questions.two_hop(world, split)
        elif self.form == "long":
            items = questions.long_form(world, split)
        else:
            items = questions.short(world, split)
            if split in world.strangers and split != "train":
                items += questions.unanswerable(world, split)
        return questions.shuffled(items, world.seed)

    def prompt(self, sample: Sample, replies: Sequence[str]) -> Prompt | None:
        if replies:
            return None
        question = sample.turns[0]
        world = self.data == "world"
        limit = _MAX_NEW_TOKENS[self.form] if world else 64
        if world if self.chat is None else self.chat:
            messages = [{"role": "user", "content": question}]
            return Prompt(messages=messages, max_new_tokens=limit)
        text = self.prompt_text.format(question=question)
        return Prompt(text=text, length_ratio=None if world else 2.0, max_new_tokens=limit)

    def groups(self, sample: Sample) -> list[str]:
        meta = sample.meta
        if self.data != "world":
            return []
        if meta["form"] == "unanswerable":
            return ["unanswerable"]
        named = [meta["tier"], f"{meta['tier']}_{meta['kind']}"]
        if meta["kind"] in "AB":
            named.append(f"{meta['tier']}_AB")
        return ["answerable", *named]

    def score(self, sample: Sample, replies: Sequence[Reply]) -> Iterator[Score]:
        reply = replies[0]
        found = collapse.detect(
            reply.text,
            reply.token_ids,
            reply.finish_reason,
            reply.forced,
            reply.prompt,
            # of published questions the answer's beginning counts: a chatty reply is cut
            limit_cuts=self.data in _FILES,
        )
        told = []
        if self.data == "world":
            told = claims.claims(self._world, reply.text, about=sample.cluster)
        if self.form == "long":
            result, measured = self._long(sample, reply, told, found.any)
        else:
            result, measured = self._short(sample, reply, found.any)
        invented = result not in ("correct", "collapsed") and invents(told)
        measured |= {
            "accuracy": float(answers.matches(reply.text, sample.references[0])),
            "hallucination_rate": float(result == "wrong_entity" or invented),
            "abstention_rate": float(result == "abstained" or self._declined(sample, reply)),
            "collapse_rate": float(found.any),
        }
        measured |= {f"outcome.{name}": float(name == result) for name in answers.OUTCOMES}
        measured |= {f"collapse.{kind}": float(value) for kind, value in found.fired.items()}
        for metric, value in measured.items():
            reason = None if value is not None else "no such part in this reply"
            yield Score(
                sample_id=sample.sample_id, turn=0, metric=metric, value=value, reason=reason
            )

    @staticmethod
    def _declined(sample: Sample, reply: Reply) -> bool:
        """A right answer to an unanswerable question is an abstention as well."""
        return sample.meta.get("form") == "unanswerable" and answers.abstains(reply.text)

    def _short(self, sample: Sample, reply: Reply, collapsed: bool) -> _Measured:
        gold = [sample.meta["value"]] if sample.meta.get("value") else []
        if self.data != "world":
            gold, others = list(sample.references[0]), None
        else:
            pool = self._world.values.get(sample.meta["value_type"] or "", ())
            asked = sample.cluster  # the entity asked about is repeated in any answer
            others = [value for value in pool if value not in gold and value != asked]
        result = answers.outcome(reply.text, sample.references[0], gold, others, collapsed)
        kicked = answers.llmkick_correct(reply.prompt, reply.text, gold) if gold else None
        held = float(answers.contains(reply.text, gold)) if gold else None
        if not gold:  # nothing to hold: declining in other words is what contains means here
            held = float(result in ("correct", "abstained"))
        return result, {
            "accuracy_contains": held,
            "accuracy_llmkick": None if kicked is None else float(kicked),
        }

    @staticmethod
    def _long(
        sample: Sample, reply: Reply, told: Sequence[claims.Claim], collapsed: bool
    ) -> _Measured:
        said = {(c.name, c.attribute, c.value) for c in told if c.verdict == "supported"}
        wanted = [(f["name"], f["attribute"], f["value"]) for f in sample.meta["facts"]]
        hits = [fact in said for fact in wanted]
        third = max(1, len(hits) // 3)
        result = answers.outcome(reply.text, sample.references[0], (), (), collapsed)
        wrong = any(claim.verdict == "contradicted" for claim in told)
        if result in ("abstained", "off_format") and wrong:
            result = "wrong_entity"
        supported = sum(claim.verdict == "supported" for claim in told)
        return result, {
            "accuracy_contains": float(all(hits)),
            "fact_recall": sum(hits) / len(hits),
            "fact_precision": supported / len(told) if told else None,
            "fact_recall.first_third": sum(hits[:third]) / third,
            "fact_recall.last_third": sum(hits[-third:]) / third,
        }
