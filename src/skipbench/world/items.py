"""One thing to ask of a model, with everything needed to check the answer."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Item:
    """`turns` are what the user says; `references[t]` the accepted replies to turn t.

    `cluster` names the entity (or the story) that items share: intervals are clustered by it.
    `meta` holds what scoring needs: form, kind, tier, attribute, value, value_type, facts.
    """

    item_id: str
    cluster: str
    turns: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    meta: dict[str, Any] = field(default_factory=dict)
