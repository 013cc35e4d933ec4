"""Grades stay with the replies they belong to, and only grades of one judge are compared."""

from pathlib import Path

import pytest

from fault_server import FaultServer
from skipbench.judges.kept import apart, merged
from skipbench.records import read_json, read_lines

RECORDS = {f"q{i}": {"replies": [f"reply {i}"], "error": None} for i in range(3)}


def lines(judge, metric="judge_score", value=5.0):
    head = {"turn": 0, "reason": None if value is not None else "connection"}
    return [
        {**head, "sample_id": s, "metric": metric, "value": value, "judge": judge} for s in RECORDS
    ]


def block(model, **changes):
    return {"model": model, "cost_usd": 0.5, "by": {"model": model, "votes": 1, **changes}}


def first(model="A", **changes):
    return merged(block(model, **changes), lines(model), None, [], RECORDS)


def test_no_judge_and_another_metric_leave_grades_as_they_are():
    old, told = first()
    assert merged(None, [], told, old, RECORDS) == (old, told)
    both, judge = merged(
        block("rules"), lines("rules", "reference_score"), told, old, RECORDS
    )  # fmt: skip
    assert judge is not None
    assert {(line["judge"], line["metric"]) for line in both} == {
        ("rules", "reference_score"), ("A", "judge_score"),
    }  # fmt: skip
    assert [b["model"] for b in (judge, *judge["earlier"])] == ["rules", "A"]
    assert judge["earlier"][0]["cost_usd"] == 0.5
    assert merged(None, [], judge, both, RECORDS) == (both, judge)


def test_another_judge_of_the_same_metric_replaces_unless_it_said_nothing():
    old, told = first()
    replaced, judge = merged(block("B"), lines("B"), told, old, RECORDS)
    assert {line["judge"] for line in replaced} == {"B"}
    assert judge is not None
    assert judge["earlier"] == []
    kept, judge = merged(block("B"), lines("B", value=None), told, old, RECORDS)
    assert kept == old
    assert judge is not None
    assert (judge["metrics"], judge["earlier"][0]["metrics"]) == ([], ["judge_score"])


def test_grades_of_a_reply_that_was_made_again_go():
    old, told = first()
    again = {**RECORDS, "q1": {"replies": ["another"], "error": None}}
    assert merged(None, [], told, old, again) == ([], None)
    assert merged(None, [], told, [], RECORDS) == ([], None)


@pytest.mark.parametrize(
    "changes",
    [{"votes": 3}, {"rubric": "1a"}, {"mode": "summary"}, {"base_url": "http://other"}],
)
def test_grades_of_two_judges_are_apart(changes):
    assert apart(first()[1], first()[1]) == {}
    assert "graded by B" in apart(first()[1], first("B")[1])["judge_score"]
    assert next(iter(changes)) in apart(first()[1], first(**changes)[1])["judge_score"]
    assert "not graded" in apart(first()[1], None)["judge_score"]
    assert apart(None, first()[1]) == {}


@pytest.fixture
def served(monkeypatch):
    monkeypatch.setenv("SKIPBENCH_TEST_KEY", "sk-canary-5d1f")
    server = FaultServer(lambda prompt: "good", lambda prompt: 3 + len(prompt) % 5)
    url = f"judge.base_url={server.url}"
    yield ["judge=openai", url, "judge.key_env=SKIPBENCH_TEST_KEY", "judge.price_in=1"]
    server.close()


def test_a_re_graded_twin_is_not_compared_and_what_was_paid_stays(cli, served, tmp_path):
    cell_of = ["task=mtbench", "limit=2", "method=layerdrop", "method.blocks=1", "skip=null"]
    ran = cli(*cell_of, *served, "judge.model=A")
    assert ran.code == 0, ran.err
    cell = Path(ran.last)
    paid = read_json(cell / "summary.json")
    assert paid["paired"]["judge_score"]["n"] == 2
    assert cli(*cell_of).code == 0  # the default judge: rules
    later = read_json(cell / "summary.json")
    for metric in ("judge_score", "reference_score"):
        assert later["paired"][metric]["n"] == 2
    assert later["metrics"]["judge_score"] == paid["metrics"]["judge_score"]
    assert later["judge"]["earlier"][0]["cost_usd"] == paid["judge"]["cost_usd"] > 0

    ran = cli("task=mtbench", "limit=2", "method=dense", *served, "judge.model=B")
    assert ran.code == 0, ran.err
    ran = cli(*cell_of, "twin=find", *served, "judge.model=A")
    assert ran.code == 0, ran.err
    assert ran.err.count("not compared") == 1
    assert "not compared" in ran.out
    pair = read_json(cell / "summary.json")["paired"]["judge_score"]
    assert pair["difference"] is None
    assert "graded by B" in pair["reason"]


def test_a_judge_that_is_not_there_is_told_and_the_answers_stay(cli, served, tmp_path):
    ran = cli("task=mtbench", "limit=2", "method=dense", *served, "judge.model=A",
              "judge.base_url=http://127.0.0.1:9/v1", "judge.max_retries=0")  # fmt: skip
    assert ran.code == 1
    assert "judge A scored nothing" in ran.err
    assert "4 × connection" in ran.err
    cell = next((tmp_path / "results").glob("mtbench/*/dense/*"))
    assert read_json(cell / "summary.json")["status"] == "complete"
    assert {s["reason"] for s in read_lines(cell / "scores.jsonl") if s["metric"] == "judge_score"} == {
        "connection"
    }  # fmt: skip
