"""What judging costs: what is billed is counted, whatever came back, and the budget holds."""

import time

import pytest

from fault_server import FaultServer
from skipbench.judges.base import Verdict
from skipbench.judges.cache import Cache
from skipbench.judges.calls import reply_of
from skipbench.judges.grading import graded
from skipbench.judges.ladder import ladder, swapped
from skipbench.judges.ledger import Ledger
from skipbench.judges.reference import ReferenceJudge
from test_judges import judge_for, number_of, question

PRICES = {"price_in": 10.0, "price_out": 30.0, "max_tokens": 100}
BILLED = (100 * 10 + 10 * 30) / 1e6  # the server's usage at these prices


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("SKIPBENCH_TEST_KEY", "sk-canary-5d1f")


@pytest.fixture
def served(request):
    """A server whose fault the test names, by the number in the prompt."""
    servers = []

    def start(plan, grade=lambda prompt: 5):
        servers.append(FaultServer(lambda prompt: plan(number_of(prompt)), grade))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("fault", ["refusal", "empty", "truncated", "no_verdict", "good"])
def test_what_the_server_bills_is_counted_whatever_it_says(served, tmp_path, fault):
    judge = judge_for(served(lambda n: fault), Cache(tmp_path), **PRICES)
    verdict = judge.grade([question()])[0][0]
    assert verdict.cost_usd == pytest.approx(BILLED)
    assert verdict.tokens == (100, 10)
    assert judge.ledger.spent_usd() == pytest.approx(BILLED)


@pytest.mark.parametrize("fault", ["no_usage", "html", "half"])
def test_a_reply_without_usage_costs_its_bound(served, tmp_path, fault):
    judge = judge_for(served(lambda n: fault), Cache(tmp_path), **PRICES)
    bound = judge.estimate_usd(judge.requests([question()]))
    assert judge.grade([question()])[0][0].cost_usd == bound > BILLED
    assert judge.ledger.spent_usd() == pytest.approx(bound)


def test_a_lost_call_costs_nothing(tmp_path):
    judge = judge_for(None, Cache(tmp_path), max_retries=0, **PRICES)
    verdict = judge.grade([question()])[0][0]
    assert (verdict.reason, verdict.cost_usd, verdict.called) == ("connection", 0.0, True)
    assert judge.ledger.spent_usd() == pytest.approx(0.0)


def test_one_budget_for_all_cells_of_a_folder(served, tmp_path):
    server = served(lambda n: ("good", "refusal", "empty")[n % 3])
    changes = {**PRICES, "budget_usd": 0.05, "concurrency": 4}
    reasons = []
    for cell in range(4):  # a judge of its own for each cell, one cache for all
        judge = judge_for(server, Cache(tmp_path), **changes)
        asked = [question(number=20 * cell + i) for i in range(20)]
        reasons += [votes[0].reason for votes in judge.grade(asked)]
    assert "budget" in reasons
    assert sum(server.calls.values()) == len(reasons) - reasons.count("budget")
    assert BILLED < sum(server.calls.values()) * BILLED <= 0.05
    assert Ledger(tmp_path).spent_usd() == pytest.approx(sum(server.calls.values()) * BILLED)


def test_what_is_in_flight_or_was_killed_stays_reserved(tmp_path):
    assert Ledger(tmp_path).reserve(0.6, 1.0)  # its process ends here
    other = Ledger(tmp_path)
    assert not other.reserve(0.6, 1.0)
    assert other.reserve(0.4, 1.0)
    with (tmp_path / "spent.jsonl").open("ab") as file:
        file.write(b'{"usd": 0.')  # a full disk
    other.settle(0.4, 0.1)
    assert Ledger(tmp_path).spent_usd() == other.spent_usd() == pytest.approx(0.7)


def test_the_bill_tells_asked_now_from_asked_before(served, tmp_path):
    server = served(lambda n: ("good", "no_verdict")[n == 3])
    asked = [question(number=i) for i in range(4)]
    first, again = (
        graded(judge_for(server, Cache(tmp_path), **PRICES), asked, []).judge for _ in range(2)
    )
    assert (first["calls"], first["cached"], first["scored"], first["unscored"]) == (4, 0, 3, 1)
    assert (again["calls"], again["cached"], again["scored"], again["unscored"]) == (0, 4, 3, 1)
    assert first["cost_usd"] == again["cost_usd"] == pytest.approx(4 * BILLED)
    assert (first["cost_now_usd"], again["cost_now_usd"]) == (pytest.approx(4 * BILLED), 0)
    assert (again["tokens_in"], again["tokens_out"]) == (400, 40)
    assert again["parse_failure_rate"] == 0.25


def test_what_was_not_asked_is_not_from_the_cache(tmp_path):
    judge = judge_for(None, Cache(tmp_path), network=False)
    told = graded(judge, [question()], []).judge
    assert (told["calls"], told["cached"], told["reasons"]) == (0, 0, {"not_cached": 1})
    judge = judge_for(None, Cache(tmp_path), budget_usd=0.0, **PRICES)
    told = graded(judge, [question()], []).judge
    assert (told["calls"], told["cached"], told["reasons"]) == (0, 0, {"budget": 1})
    told = graded(ReferenceJudge(), [question(truth=("An answer.",))], []).judge
    assert (told["calls"], told["cached"], told["scored"]) == (0, 0, 1)
    assert told["parse_failure_rate"] is None


def test_a_truncated_reply_is_no_verdict_and_not_asked_for_twice(served, tmp_path):
    server = served(lambda n: "truncated")
    for calls in (1, 1):
        verdict = judge_for(server, Cache(tmp_path)).grade([question()])[0][0]
        assert (verdict.values, verdict.reason) == (None, "truncated")
        assert sum(server.calls.values()) == calls
    judge_for(server, Cache(tmp_path), max_tokens=4096).grade([question()])
    assert sum(server.calls.values()) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"null", "malformed_reply"),
        (b'{"choices": []}', "malformed_reply"),
        (b'{"choices": [{"message": "hello"}]}', "malformed_reply"),
        (b'{"choices": [{"message": {"content": 5}}], "usage": {"prompt_tokens": "x"}}', "empty_reply"),
        (b"[" * 100_000, "malformed_reply"),
    ],
)  # fmt: skip
def test_strange_bodies(body, reason):
    reply = reply_of(body)
    assert (reply.reason, reply.tokens) == (reason, None)


def test_the_pause_that_the_server_asks_for_is_kept(served, tmp_path):
    server = served(lambda n: "429")
    server.retry_after_s = 0.8  # longer than the first pause of our own can be
    start = time.monotonic()
    assert judge_for(server, Cache(tmp_path)).grade([question()])[0][0].values == {"": 5.0}
    assert time.monotonic() - start >= 0.8


def test_the_ladder_asks_each_text_once_and_is_billed(served, tmp_path):
    from skipbench.judges.base import Bill

    server = served(lambda n: "good")
    judge = judge_for(server, Cache(tmp_path), **PRICES)
    good = [question(f"Ada went to Town{i} with all her friends.", number=i) for i in range(4)]
    names = [f"Town{i}" for i in range(4)]
    bill = Bill(model="m")
    rungs, _ = ladder(judge, good, names, bill=bill)
    assert bill.calls == sum(server.calls.values()) == 12
    assert bill.cost_usd == pytest.approx(12 * BILLED)
    assert [rung.n for rung in rungs] == [4] * 8


def test_damage_that_changes_nothing_is_no_damage():
    from random import Random

    assert swapped("Only Ada.", ["Ada"], Random(0)) == "Only Ada."

    class Same:
        name, votes = "same", 1

        def grade(self, asked):
            return [[Verdict(values={"": 5.0})] for _ in asked]

    good = [question("Ada is here.", number=0), question("Nobody is.", number=1)]
    rungs, _ = ladder(Same(), good, ["Ada", "Bea"])
    assert {rung.n for rung in rungs if rung.damage == "swap"} == {1}
    assert ladder(Same(), good[1:], ["Ada"])[0][-1].damage == "loop"
