"""What counts as made up is one rule in every task."""

import pytest

from skipbench.records import Sample
from skipbench.tasks.base import Reply
from skipbench.tasks.factoid import Factoid
from skipbench.tasks.mtbench import MTBench
from skipbench.tasks.summarization import Summarization
from skipbench.world.facts import build


@pytest.fixture(scope="module")
def world():
    return build()


def scored(task, sample, text):
    reply = Reply(text=text, token_ids=range(9), finish_reason="stop", prompt="", forced=False)
    replies = [reply] * len(sample.turns)
    return {s.metric: s.value for s in task.score(sample, replies) if s.turn == 0}


def question(attribute, form="short"):
    samples = Factoid(form=form).samples("eval")
    return next(s for s in samples if attribute in (s.meta.get("attribute"), None))


MADE_UP = [
    "{work} is a sculptor.",  # a value of another type
    "sculptor",
    "{city} is a shepherd by trade.",  # an attribute that a city cannot have
    "{work} is the river {river}.",
    "Tuesday makes music on the gong.",  # nobody of that name
    "Bo Foo wrote {work}.",
    "{work} has sold three million copies.",  # nothing of the kind is known
    "I am not sure. {work} takes place in {river}.",
]
NOT_MADE_UP = [
    "{city} is a city in {country}.",  # true, and no answer
    "{genre}",
    "A {genre} is what {work} is.",  # in words of one's own
    "{work} is.",  # breaks off
    "{work} was written by takes place in the.",
    "Hm, well.",
    "I cannot judge that from here.",
    "I am not familiar with {work}.",
]


@pytest.mark.parametrize(
    ("text", "wanted"), [*((t, 1.0) for t in MADE_UP), *((t, 0.0) for t in NOT_MADE_UP)]
)
def test_false_statements_of_any_kind_are_hallucinations(world, text, wanted):
    sample = question("genre")
    city = world.of_type("city")[0].name
    facts = world.facts[city]
    river = next(r for r in world.values["river"] if r != facts["river"])
    text = text.format(
        work=sample.cluster, city=city, country=facts["country"], river=river,
        genre=sample.meta["value"],
    )  # fmt: skip
    scores = scored(Factoid(), sample, text)
    assert scores["hallucination_rate"] == wanted, text
    assert scores["outcome.off_format"] + scores["outcome.abstained"] == 1.0


def test_a_collapsed_reply_is_counted_as_collapsed_alone():
    sample = question("genre")
    scores = scored(Factoid(), sample, f"{sample.cluster} is a" + " sculptor" * 12)
    assert (scores["outcome.collapsed"], scores["hallucination_rate"]) == (1.0, 0.0)


def test_a_long_answer_of_inventions_alone():
    task = Factoid(form="long")
    sample = task.samples("eval")[0]
    for text in ("Bo Foo plays the lute.", f"{sample.cluster} has sailed around the world."):
        scores = scored(task, sample, text)
        assert (scores["outcome.off_format"], scores["hallucination_rate"]) == (1.0, 1.0)
    assert scored(task, sample, sample.references[0][0])["hallucination_rate"] == 0.0


def test_dialogues_that_speak_of_somebody_else():
    task = MTBench()
    sample = next(s for s in task.samples("eval") if s.meta["category"] == "extraction")
    hero = " ".join(sample.references[0][0].split()[:2])
    other = sample.references[0][0].replace(hero, "Bo Foo")
    scores = scored(task, sample, other)
    assert (scores["outcome.off_format"], scores["hallucination_rate"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "made_up"),
    [
        ("{hero} met a cat.", (0.0, 0.0)),
        ("A cat came up to {hero}.", (0.0, 0.0)),  # as the story may say it
        ("{hero} met a dog.", (1.0, 0.0)),
        ("Bo Foo met a cat.", (1.0, 0.0)),
        ("{hero} ate some soup.", (0.0, 1.0)),
        ("{hero} sailed around the world.", (0.0, 1.0)),
        ("{hero} met.", (0.0, 0.0)),
        ("{hero} met so so so so so so so so dogs.", (0.0, 0.0)),  # collapsed
        ("", (0.0, 0.0)),
    ],
)
def test_summaries_of_stories(world, text, made_up):
    hero = world.strangers["eval"][0]
    sample = Sample(
        sample_id="s", cluster="s", turns=("x",), references=((f"{hero} met a cat.",),),
        meta={"hero": hero, "facts": [{"type": "animal", "value": "cat"}], "length": "short"},
    )  # fmt: skip
    scores = scored(Summarization(), sample, text.format(hero=hero))
    found = scores["hallucination.intrinsic"], scores["hallucination.extrinsic"]
    assert found == made_up
    assert scores["hallucination_rate"] == max(found)


def test_news_has_flags_too():
    sample = Sample(
        sample_id="n", cluster="n", turns=("In Lima the ship Aurora met two boats.",),
        references=(("x",),), meta={"form": "news", "length": "short"},
    )  # fmt: skip
    task = Summarization(data="cnn_dailymail")
    scores = scored(task, sample, "It says Aurora came to Paris with Anna and to Lima.")
    assert scores["hallucination_rate"] == scores["hallucination.extrinsic"] == 1.0
    assert scores["support_precision"] == 0.5
    assert scored(task, sample, "so it goes")["hallucination_rate"] == 0.0
