"""Data in files of the user's own: which file is which split, and what is refused, by name."""

import json
from pathlib import Path

import pytest

from conftest import random_model
from skipbench.records import BadInput
from skipbench.tasks.factoid import Factoid
from skipbench.tasks.mtbench import MTBench
from skipbench.tasks.summarization import Summarization


@pytest.fixture(autouse=True)
def nothing_from_elsewhere(monkeypatch, tmp_path):
    """No other data, an empty cache, and no network."""
    monkeypatch.delenv("SKIPBENCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("skipbench.tasks.fetch.urlopen", lambda *a, **k: pytest.fail("network"))


def freebase(path, *keys):
    answer = [{"Answers": [{"AnswersName": ["x"]}]}]
    rows = [{"Question-ID": k, "RawQuestion": f"{k}?", "Parses": answer} for k in keys]
    path.write_text(json.dumps({"Questions": rows}))
    return str(path)


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def talk(key, **more):
    return {"question_id": key, "category": "math", "turns": [f"{key}?", "And?"], **more}


def news(key, **more):
    return {"id": key, "article": f"{key} boats came.", "highlights": "Boats.", **more}


def own(key, **more):
    return {"id": key, "question": f"{key}?", "answers": ["x"], **more}


def ids(task, split):
    return [sample.sample_id for sample in task.samples(split)]


def a_task(kind, folder, eval_ids, calibration_ids, **more):
    """(task of a file, task of its folder); the published names of both splits."""
    data, make, write, row, names = {
        "freebaseqa": (
            "freebaseqa", Factoid, lambda p, *r: freebase(p, *r), lambda k: k,
            ("FreebaseQA-eval.json", "FreebaseQA-dev.json"),
        ),
        "own": ("own", Factoid, lines, own, ("eval.jsonl", "calibration.jsonl")),
        "mtbench": (
            "mtbench", MTBench, lines, talk,
            ("mt_bench/question.jsonl", "vicuna_bench/question.jsonl"),
        ),
        "news": (
            "cnn_dailymail", Summarization, lines, news, ("test.jsonl", "validation.jsonl"),
        ),
    }[kind]  # fmt: skip
    for name, keys in zip(names, (eval_ids, calibration_ids), strict=True):
        if keys:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name, *map(row, keys))
    file = make(data=data, path=str(folder / names[0]), **more)
    return file, make(data=data, path=str(folder), **more)


KINDS = ("freebaseqa", "own", "mtbench", "news")


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_stands_beside_what_is_scored(kind, tmp_path):
    for task in a_task(kind, tmp_path, ["a", "b"], ["b", "c"]):
        assert ids(task, "eval") == ["a", "b"]
        assert ids(task, "calibration") == ["c"]  # b is scored


@pytest.mark.parametrize("kind", KINDS)
def test_without_calibration_questions_the_way_out_is_named(kind, tmp_path):
    for task in a_task(kind, tmp_path, ["a", "b"], []):
        assert ids(task, "eval") == ["a", "b"]
        with pytest.raises(BadInput, match=r"task\.calibration_path=FILE.*skip=null"):
            task.samples("calibration")


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_questions_by_name(kind, tmp_path):
    other = tmp_path / "other"
    written, _ = a_task(kind, other, ["c", "d"], [])
    named, _ = a_task(kind, tmp_path / "it", ["a"], [], calibration_path=written.path)
    assert ids(named, "calibration") == ["c", "d"]
    same, _ = a_task(kind, tmp_path / "it", ["c", "d"], [], calibration_path=written.path)
    with pytest.raises(BadInput, match="are scored as well"):
        same.samples("calibration")


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_that_comes_twice_is_refused(kind, tmp_path):
    task, _ = a_task(kind, tmp_path, ["a", "b", "a"], [])
    with pytest.raises(BadInput, match=r"\.jsonl? has the id 'a' twice"):
        task.samples("eval")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_utf8_is_refused(kind, tmp_path):
    task, _ = a_task(kind, tmp_path, ["a"], [])
    file = Path(task.path)
    file.write_bytes(file.read_bytes() + b"\xff\xfe")
    with pytest.raises(BadInput, match="is not UTF-8 text"):
        task.samples("eval")


@pytest.mark.parametrize("task", [Factoid, MTBench, Summarization])
def test_the_closed_world_takes_no_path(task, tmp_path):
    file = tmp_path / "x.json"
    file.write_text("{}")
    for key in ("path", "calibration_path"):
        with pytest.raises(BadInput, match=f"task.{key}=.*task.data=world is not read from files"):
            task(**{key: str(file)})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (talk("a", turns="hello"), "turns=\"hello\" is not a list"),
        (talk("a", turns=[]), "turns=[] is not a list of at least one text"),
        (talk("a", turns=["x", 3]), "turns[1]=3 is not a text"),
        (talk("a", reference="abc"), "reference is no list of at most 2 texts"),
        (talk("a", reference=["a", "b", "c"]), "reference is no list of at most 2 texts"),
        (talk("a", category=None), "category=null"),
        (talk(None), "question_id=null"),
        ({"turns": ["x"]}, "has no 'question_id'"),
        ([1], "is not a JSON object"),
    ],
)  # fmt: skip
def test_broken_conversations(row, said, tmp_path):
    path = lines(tmp_path / "q.jsonl", talk("z"), row)
    with pytest.raises(BadInput) as refused:
        MTBench(data="mtbench", path=path).samples("eval")
    assert f"{path}:2" in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (own("a", question=""), 'question="" is not a text'),
        (own("a", answers="x"), 'answers="x" is not a list'),
        (own("a", answers=[]), "answers=[] is not a list"),
        (own("a", answer="x"), "'answer' is not one of answers, id, question"),
        (own(1.5), "id=1.5"),
    ],
)
def test_broken_questions(row, said, tmp_path):
    path = lines(tmp_path / "q.jsonl", own("z"), row)
    with pytest.raises(BadInput) as refused:
        Factoid(data="own", path=path).samples("eval")
    assert f"{path}:2" in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("field", ["article", "highlights"])
def test_broken_news(field, tmp_path):
    path = lines(tmp_path / "cnn.jsonl", news("z"), news("a", **{field: None}))
    with pytest.raises(BadInput) as refused:
        Summarization(data="cnn_dailymail", path=path).samples("eval")
    assert f"{path}, row 2 (id 'a'): {field}=" in str(refused.value)


def test_own_questions_without_ids_have_their_line_numbers(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"question": "A?", "answers": ["x", "y"]}\n\n{"question": "B?", "answers": ["z"]}'
    )
    first, second = Factoid(data="own", path=str(path)).samples("eval")
    assert (first.sample_id, second.sample_id) == ("1", "3")
    assert first.references == (("x", "y"),)
    with pytest.raises(BadInput, match=r"task\.data=own needs task\.path"):
        Factoid(data="own").samples("eval")


def test_reference_answers_are_read_beside_the_questions(tmp_path):
    answers = [
        {"question_id": 1, "choices": [{"turns": ["one", "two"]}]},
        {"question_id": 2, "choices": [{"turns": ["three", "four"]}]},
    ]
    path = lines(tmp_path / "q.jsonl", talk(1), talk(2, reference=["mine", ""]), talk(3))
    lines(tmp_path / "reference_answer" / "gpt-4.jsonl", *answers)
    found = {s.sample_id: s.references for s in MTBench(data="mtbench", path=path).samples("eval")}
    assert found == {"1": (("one",), ("two",)), "2": (("mine",), ("four",)), "3": ((), ())}


@pytest.mark.slow
def test_own_questions_end_to_end(cli, tmp_path):
    model = random_model("llama", tmp_path / "m", max_position_embeddings=512)
    path = lines(tmp_path / "eval.jsonl", *map(own, "abcd"))
    words = ("model=hf", f"model.path={model}", "task.data=own", f"task.path={path}",
             "decode=forced_length", "decode.forced_length=4", "method=layerdrop", "skip=0.3")  # fmt: skip
    refused = cli(*words)
    assert refused.code == 2
    assert "task.calibration_path=FILE" in refused.err
    assert refused.err.strip().count("Traceback") == 0
    lines(tmp_path / "calibration.jsonl", *map(own, "efgh"))
    ran = cli(*words)
    assert ran.code == 0, ran.err
