"""What every task offers the runner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from skipbench.metrics import answers
from skipbench.records import Sample, Score
from skipbench.world.claims import Claim
from skipbench.world.items import Item


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One request for a reply: a conversation, or plain text where `messages` is None.

    The reply may have `max_new_tokens`, or `length_ratio` times the prompt's tokens.
    `temperature`: what the benchmark prescribes; None: greedy.
    """

    messages: list[dict[str, str]] | None = None
    text: str | None = None
    max_new_tokens: int = 64
    length_ratio: float | None = None
    temperature: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What scoring may look at of one turn."""

    text: str
    token_ids: Sequence[int]
    finish_reason: str
    prompt: str
    forced: bool


@runtime_checkable
class Task(Protocol):
    name: str
    data: str

    def samples(self, split: str) -> list[Sample]:
        """All samples of a split in their fixed order. Raises BadInput where data cannot be had."""
        ...

    def prompt(self, sample: Sample, replies: Sequence[str]) -> Prompt | None:
        """The next request of a conversation; None: it is over."""
        ...

    def score(self, sample: Sample, replies: Sequence[Reply]) -> Iterator[Score]:
        """Tidy scores of one sample."""
        ...

    def groups(self, sample: Sample) -> Sequence[str]:
        """Names of the parts of the data this sample belongs to: metrics are also shown by part."""
        ...


def invents(told: Sequence[Claim]) -> bool:
    """Something is claimed that the world or the story contradicts or does not tell."""
    return any(claim.made_up and not answers.abstains(claim.sentence) for claim in told)


def sample_of(item: Item) -> Sample:
    """A question of the closed world as a sample."""
    return Sample(
        sample_id=item.item_id,
        cluster=item.cluster,
        turns=item.turns,
        references=item.references,
        meta=item.meta,
    )
