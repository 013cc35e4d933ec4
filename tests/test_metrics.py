"""Outcomes, collapse, intervals: hand-made cases and simulations."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from skipbench.metrics import answers, collapse, stats
from skipbench.records import Sample, pack_map, unpack_map
from skipbench.tasks.base import Reply
from skipbench.tasks.factoid import Factoid

REFERENCE = ["Ada Lum was born in the city of Brakport."]
CITIES = ["Brakport", "Zelford", "Quinholm"]


@pytest.mark.parametrize(
    ("reply", "outcome", "held"),
    [
        ("Ada Lum was born in the city of Brakport.", "correct", True),
        ("ada lum was born in city of brakport", "correct", True),
        ("Ada Lum was born in the city of Zelford.", "wrong_entity", False),
        ("Ada Lum was born in a city that I do not know.", "abstained", False),
        ("Brakport", "off_format", True),
        ("Ada Lum was born in the city of Brak.", "off_format", False),
        ("Ada Ada Ada Ada was born in Brakport", "collapsed", True),
        ("was born in was born in was born in the", "collapsed", False),
        ("", "collapsed", False),
    ],
)
def test_every_reply_has_one_outcome(reply, outcome, held):
    fired = collapse.detect(reply, [], "stop", forced=False).any
    found = answers.outcome(reply, REFERENCE, ["Brakport"], CITIES[1:], fired)
    assert found == outcome
    assert answers.contains(reply, ["Brakport"]) == held


def test_a_correct_reply_stays_correct_beside_other_names():
    """A value inside a longer word is not that value."""
    assert not answers.contains("Brakportville", ["Brakport"])
    assert answers.outcome("Brakportville", REFERENCE, ["Brakport"], CITIES, False) == "off_format"


@pytest.mark.parametrize(
    "reply", ["I don't know.", "That is not known.", "I cannot say.", "The answer is unknown."]
)
def test_declining_in_words_is_recognised(reply):
    assert answers.abstains(reply)


def test_answers_without_a_list_of_values():
    """FreebaseQA: any other answer is a wrong entity, saying nothing is off-format or collapse."""
    assert answers.outcome("Paris, France", ["paris"], ["paris"], None, False) == "off_format"
    assert answers.outcome("Rome", ["paris"], ["paris"], None, False) == "wrong_entity"
    assert answers.outcome("I do not know", ["paris"], ["paris"], None, False) == "abstained"


def test_llmkick_keeps_its_quirks():
    assert answers.llmkick_correct("Who wrote Hamlet?", "", ["Hamlet"])  # the prompt counts
    assert answers.llmkick_correct("", "New  York", ["newyork"])  # spaces vanish
    assert answers.llmkick_correct("", "ironically", ["iron"])  # inside a word
    assert not answers.llmkick_correct("", "new-york", ["new york"])  # punctuation stays


@pytest.mark.parametrize(
    ("words", "onset", "period"),
    [
        (["a", "b", "c", "works", "works", "works", "as"], 3, 1),
        (["x", "is", "y", "is", "y", "is", "y", "is", "y"], 1, 2),
        (list("abcd") * 4, 0, 4),
        ([*"qqrst", *"uvw" * 5], 5, 3),
    ],
)
def test_loops_are_found_with_onset_and_period(words, onset, period):
    loop = collapse.find_loop(words)
    assert loop is not None
    assert (loop.onset, loop.period) == (onset, period)


@pytest.mark.parametrize(
    "text",
    [
        "Ada plays the lute. The pet of Ada is a cat. Ada was taught by Bo.",
        "a very very good one",
        "one two three four five six seven eight nine ten",
    ],
)
def test_ordinary_text_does_not_loop(text):
    assert collapse.find_loop(text.split()) is None


def test_never_stopped_means_nothing_under_forced_length():
    assert collapse.detect("some words", [], "length", forced=False).fired["never_stopped"]
    assert not collapse.detect("some words", [], "length", forced=True).any


def test_a_right_value_in_a_loop_is_collapsed_and_contains():
    task = Factoid()
    sample = next(s for s in task.samples("eval") if s.meta["attribute"] == "profession")
    text = f"{sample.cluster} works works works as a {sample.meta['value']}."
    reply = Reply(text=text, token_ids=[], finish_reason="stop", prompt="", forced=False)
    scores = {s.metric: s.value for s in task.score(sample, [reply])}
    assert scores["outcome.collapsed"] == scores["accuracy_contains"] == 1.0
    assert scores["accuracy"] == scores["hallucination_rate"] == 0.0


def test_references_are_scored_right_in_every_form():
    for form in ("short", "two_hop", "long"):
        task = Factoid(form=form)
        for sample in task.samples("eval")[:200]:
            text = sample.references[0][0]
            reply = Reply(text=text, token_ids=[], finish_reason="stop", prompt="", forced=False)
            scores = {s.metric: s.value for s in task.score(sample, [reply])}
            assert scores["accuracy"] == scores["accuracy_contains"] == 1.0
            assert scores["hallucination_rate"] == scores["collapse_rate"] == 0.0
            assert scores["outcome.correct"] == 1.0


def test_an_empty_reply_is_scored_and_an_answer_in_the_question_does_not_count():
    task = Factoid(data="freebaseqa")
    sample = Sample(
        sample_id="q", cluster="q", turns=("Is Rome the capital of Italy?",),
        references=(("Rome",),), meta={"value": "Rome", "value_type": None},
    )  # fmt: skip
    reply = Reply(
        text="", token_ids=[1], finish_reason="stop", prompt=sample.turns[0], forced=False
    )
    scores = {s.metric: s.value for s in task.score(sample, [reply])}
    assert scores["accuracy"] == scores["accuracy_contains"] == 0.0
    assert scores["outcome.collapsed"] == scores["collapse.empty"] == 1.0
    assert scores["accuracy_llmkick"] == 1.0  # the published scoring does count it


def test_another_value_of_the_type_is_a_hallucination():
    task = Factoid()
    pool = task._world.values
    for sample in task.samples("eval")[:300]:
        if sample.meta["form"] == "unanswerable":
            continue
        wrong = next(
            v
            for v in pool[sample.meta["value_type"]]
            if v not in (sample.meta["value"], sample.cluster)
        )
        text = sample.references[0][0].replace(f"{sample.meta['value']}.", f"{wrong}.")
        reply = Reply(text=text, token_ids=[], finish_reason="stop", prompt="", forced=False)
        scores = {s.metric: s.value for s in task.score(sample, [reply])}
        assert scores["outcome.wrong_entity"] == scores["hallucination_rate"] == 1.0, text


def test_skip_maps_survive_packing():
    rng = np.random.default_rng(0)
    for shape in ((0, 0), (1, 1), (7, 5), (16, 16)):
        bits = rng.integers(0, 2, (*shape, 2)).tolist()
        assert unpack_map(pack_map(bits)) == bits


def test_clustered_interval_covers_where_the_naive_one_does_not():
    """1,000 experiments with 60 clusters of 6 alike samples: nominal 95 %."""
    rng = np.random.default_rng(1)
    hits = naive = 0
    clusters = np.repeat(np.arange(60), 6).astype(str).tolist()
    for _ in range(1000):
        p = rng.beta(1.4, 0.6, 60)
        data = (rng.random(360) < np.repeat(p, 6)).astype(float)
        found = stats.mean_interval(data.tolist(), clusters)
        hits += found.low <= 0.7 <= found.high
        alone = stats.mean_interval(data.tolist(), [str(i) for i in range(360)])
        naive += alone.low <= 0.7 <= alone.high
    assert 930 <= hits <= 970
    assert naive < 900


def test_paired_difference_against_scipy_and_under_the_null():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.3, 1, 80), rng.normal(0, 1, 80)
    names = [str(i) for i in range(80)]
    found = stats.paired_difference(a.tolist(), b.tolist(), names)
    wanted = scipy_stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.low == pytest.approx(wanted.low, abs=1e-9)
    assert found.high == pytest.approx(wanted.high, abs=1e-9)
    false = 0
    for _ in range(200):
        x, y = rng.integers(0, 2, (2, 60)).astype(float)
        clusters = (np.arange(60) // 3).astype(str).tolist()
        false += stats.paired_difference(x.tolist(), y.tolist(), clusters).p < 0.05
    assert false <= 10


def test_no_difference_at_all_still_has_a_width():
    same = [1.0, 0.0] * 30
    found = stats.paired_difference(same, same, [str(i) for i in range(60)])
    assert (found.difference, found.p, found.p_exact) == (0.0, 1.0, 1.0)
    assert found.low < 0 < found.high
    assert found.minimum_detectable > 0


def test_differences_are_in_units_of_the_scale_and_never_beyond_it():
    names = [str(i) for i in range(60)]
    answers = [1.0, 0.0] * 30
    right = stats.paired_difference(answers, answers, names)
    grades = [1 + 9 * x for x in answers]
    found = stats.paired_difference(grades, grades, names, 9 * 0.02, scale=(1.0, 10.0))
    assert found.high == pytest.approx(9 * right.high)
    assert found.p_equivalent == pytest.approx(right.p_equivalent)
    assert found.p_equivalent > 0.2
    for value in (1.0, 10.0):  # all alike: as sure as of a share
        low, high = stats.wilson(60 * (value == 10), 60)
        found = stats.mean_interval([value] * 60, names, (1.0, 10.0))
        assert (found.low, found.high) == pytest.approx((1 + 9 * low, 1 + 9 * high))
    spread = stats.mean_interval([10.0, 9.0, 10.0, 2.0], names[:4], (1.0, 10.0))
    assert spread.high == 10.0
    worst = stats.paired_difference([0.0] * 59 + [1.0], [1.0] * 60, names)
    assert worst.low == -1.0


def test_one_lost_turn_does_not_make_surer_than_none():
    """Means of two turns: 0, a half or 1."""
    names = [str(i) for i in range(60)]
    dense = [1.0, 0.5] * 30
    same = stats.paired_difference(dense, dense, names)
    method = [0.5, *dense[1:]]
    once = stats.paired_difference(method, dense, names)
    assert once.minimum_detectable >= same.minimum_detectable
    assert once.p_noninferior > same.p_noninferior


def test_a_metric_without_bounds_is_compared_by_t_alone():
    names = [str(i) for i in range(30)]
    none = stats.paired_difference([0.0] * 30, [0.0] * 30, names, scale=None)
    assert (none.low, none.high, none.p, none.p_equivalent) == (0.0, 0.0, 1.0, 0.0)


@pytest.mark.slow
def test_intervals_of_rare_losses_cover():
    """1,000 experiments where one turn in a hundred loses a half: the mean of what is lost."""
    rng = np.random.default_rng(8)
    names = [str(i) for i in range(100)]
    hits = both = 0
    for _ in range(1000):
        dense = np.ones(100)
        method = dense - 0.5 * (rng.random(100) < 0.02)
        found = stats.paired_difference(method.tolist(), dense.tolist(), names)
        hits += found.low <= -0.01 <= found.high
        mean = stats.mean_interval(method.tolist(), names)
        both += mean.low <= 0.99 <= mean.high
    assert hits >= 950
    assert both >= 950


def test_exact_mcnemar_counts_flips():
    found = stats.paired_difference([0] * 8 + [1] * 2, [1] * 8 + [0] * 2, list("abcdefghij"))
    assert (found.lost, found.won) == (8, 2)
    assert found.p_exact == pytest.approx(2 * scipy_stats.binom.cdf(2, 10, 0.5))


def test_speedup_of_paired_batches():
    found = stats.ratio_interval([1.0, 2.0, 4.0, 8.0], [2.0, 4.0, 8.0, 16.0])
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert found.low == pytest.approx(2.0)
    assert stats.ratio_interval([1.0, 1.0], [2.0, 2.0]) is None


def test_exact_intervals_cover_at_least_nominally():
    rng = np.random.default_rng(3)
    for p in (0.02, 0.3, 0.9):
        found = [stats.exact(int(k), 50) for k in rng.binomial(50, p, 1000)]
        assert np.mean([low <= p <= high for low, high in found]) >= 0.95


def test_wilson_covers_nominally_on_average():
    rng = np.random.default_rng(4)
    rates = []
    for p in np.linspace(0.05, 0.95, 19):
        found = [stats.wilson(int(k), 80) for k in rng.binomial(80, p, 1000)]
        rates.append(np.mean([low <= p <= high for low, high in found]))
    assert 0.93 <= np.mean(rates) <= 0.97


@pytest.mark.slow
def test_bootstrap_and_t_cover_nominally_for_skewed_values():
    rng = np.random.default_rng(5)
    bca = t = 0
    for _ in range(1000):
        data = rng.exponential(1.0, 100).tolist()
        low = stats.bootstrap_interval(data)
        bca += low.low <= 1.0 <= low.high
        found = stats.mean_interval(data, [str(i) for i in range(100)])
        t += found.low <= 1.0 <= found.high
    assert 930 <= bca <= 970
    assert 930 <= t <= 970


@pytest.mark.slow
def test_no_difference_is_called_a_difference_in_five_percent():
    """A/A: two random halves of the same answers, clustered by entity, 1,000 times."""
    rng = np.random.default_rng(6)
    clusters = np.repeat(np.arange(40), 5)
    names = clusters.astype(str).tolist()
    called = 0
    for _ in range(1000):
        skill = rng.beta(2, 1, 40)[clusters]
        a, b = (rng.random((2, 200)) < skill).astype(float)
        called += stats.paired_difference(a.tolist(), b.tolist(), names).p < 0.05
    assert called <= 0.05 * 1000


def test_equivalence_is_shown_and_not_assumed():
    rng = np.random.default_rng(7)
    names = [str(i) for i in range(400)]
    same = rng.random(400).round().tolist()
    small = stats.paired_difference(same[:20], same[20:40], names[:20])
    assert small.p > 0.05  # no difference found …
    assert small.p_equivalent > 0.05  # … and no equivalence shown either
    near = [x + rng.normal(0, 0.05) for x in same]
    large = stats.paired_difference(near, same, names, margin=0.02)
    assert large.p_equivalent < 0.05
    assert large.p_noninferior < 0.05
    worse = [x - 0.1 for x in near]
    found = stats.paired_difference(worse, same, names, margin=0.02)
    assert found.p_noninferior > 0.95
    assert (
        stats.paired_difference(worse, same, names, 0.02, lower_is_better=True).p_noninferior < 0.05
    )


def test_holm_is_monotone_and_bounded():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([]) == []
