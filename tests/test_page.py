"""The page of a report: what it shows, that it shows all of it, and that texts cannot harm it."""

import base64
import json
import re
import tracemalloc
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import fake_cells as fake
from skipbench.records import BadInput, unpack_map
from skipbench.report import page_samples
from skipbench.report.cells import cells_of
from skipbench.report.page import Shown, write_page


class Reader(HTMLParser):
    """What a browser would see: elements, text outside scripts, and the data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.rows: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data):
        if self.lasttag == "script":
            self.scripts[-1] += data
        elif self.lasttag != "style":
            self.text += data
            if self.rows:
                self.rows[-1] += data + " "

    def texts(self, fingerprint: str, name: str) -> list[str]:
        shown = self.data["cells"][fingerprint]["samples"]
        return [self.data["texts"][turn[name]] for one in shown for turn in one["turns"]]


@pytest.fixture
def results(tmp_path):
    return fake.write_results(tmp_path / "results")


def page_of(results, out, figures=(), **options) -> str:
    path = write_page(cells_of(results), figures, out, "abc123", **options)
    assert path == out / "report.html"
    return path.read_text(encoding="utf-8")


def row_of(page: Reader, label: str) -> str:
    (row,) = [row for row in page.rows if row.strip().startswith(label)]
    return " ".join(row.split())


def test_cells_with_what_they_rest_on(results, tmp_path):
    page = Reader(page_of(results, tmp_path))
    row = row_of(page, "ffnskip")
    for told in (
        "25.0",
        "12.5",
        "50.0",
        "n 3, 0 unscored",
        "Δ −12.5",
        "p 0.250, Holm 0.500",
        "1.25×",
    ):
        assert told in row
    assert "mechanism" in row
    assert "Mechanism check: no evidence about a large model." in page.text
    assert "A processor" in page.text
    assert "torch 2.9.1, commit 0123456789ab" in page.text
    assert "provenance abc123" in page.text


def test_what_went_wrong_is_shown(results, tmp_path):
    page = Reader(page_of(results, tmp_path))
    assert "partial 1 × Timeout" in row_of(page, "layerdrop")
    assert "failed 3 × <i>Memory</i>" in row_of(page, "shortgpt")
    assert "nothing skipped skipping was asked for" in row_of(page, "earlyexit")
    counts = re.findall(r"(\d) (complete|partial|failed|nothing skipped)", page.text)
    assert counts[:4] == [
        ("2", "complete"),
        ("1", "partial"),
        ("1", "failed"),
        ("1", "nothing skipped"),
    ]


def test_unscored_is_no_number(results, tmp_path):
    page = Reader(page_of(results, tmp_path))
    assert "unscored n 0, 3 unscored 1 × the judge was silent" in row_of(page, "layerdrop")
    (mark,) = [
        one["turns"][0]["mark"] for one in page.data["cells"]["l0"]["samples"] if one["id"] == "s2"
    ]
    assert mark == {"outcome": "unscored", "reason": "the judge was silent"}


def test_a_large_model_has_no_label_of_the_tiny_one(tmp_path):
    fake.write_cell(tmp_path / "results", "dense", "d0", model="llama")
    assert "echanism check" not in Reader(page_of(tmp_path / "results", tmp_path)).text


def test_noise_floor_once(results, tmp_path):
    floor = {
        "batch_size": 8,
        "fingerprint": "d1",
        "paired": {"accuracy": fake.difference(0.03125)},
        "transitions": {"correct": {"correct": 57, "wrong_entity": 3}},
    }
    for name in ("ffnskip/f0", "layerdrop/l0"):
        path = results / "factoid/tiny" / name / "summary.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "noise_floor": floor}))
    rows = [row for row in Reader(page_of(results, tmp_path)).rows if "3 of 60" in row]
    assert len(rows) == 1
    assert "+3.1" in rows[0]


def test_texts_cannot_leave_their_place(results, tmp_path):
    fake.write_cell(results, f"x{fake.NASTY}".replace("/", ""), "x0")
    page = Reader(page_of(results, tmp_path))
    assert fake.NASTY in page.texts("f0", "reply")
    assert len(page.scripts) == 2
    assert not [tag for tag, given in page.elements if tag == "img" and given.get("src") == "x"]
    assert not [name for _, given in page.elements for name in given if name.startswith("on")]
    assert page.scripts[1].count("innerHTML") == 0


def test_half_a_surrogate_pair(tmp_path):
    files = {
        "records": [fake.record("s0", "a\ud800b\u2028\x00")],
        "scores": fake.scored("s0", "correct"),
    }
    fake.write_cell(tmp_path / "results", "dense", "d0", files)
    page = Reader(page_of(tmp_path / "results", tmp_path))
    assert page.texts("d0", "reply") == ["a?b\u2028\x00"]


def test_loads_nothing(results, tmp_path):
    page = page_of(results, tmp_path)
    for tag, given in Reader(page).elements:
        for name in ("src", "href", "srcset", "action", "poster"):
            assert given.get(name, "#").startswith(("#", "data:")), (tag, given)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_figures_are_inside_with_their_captions(results, tmp_path):
    path = tmp_path / "skip_and_time.png"
    Image.new("RGB", (4, 3), "red").save(path)
    figures = [Shown(path, "skip & time", "n = 3 samples; <b>bars</b>")]
    page = Reader(page_of(results, tmp_path, figures))
    uris = [given["src"] for tag, given in page.elements if tag == "img" and given.get("src")]
    assert [base64.b64decode(uri.split(",")[1]) for uri in uris] == [path.read_bytes()]
    for told in ("skip & time", "n = 3 samples; <b>bars</b>", "skip and time"):
        assert told in page.text


def test_same_cells_same_bytes(results, tmp_path):
    assert page_of(results, tmp_path / "a") == page_of(results, tmp_path / "b")


def test_changed_then_wrong_then_failed(results, tmp_path):
    data = Reader(page_of(results, tmp_path)).data["cells"]
    assert [(s["id"], s["shelf"]) for s in data["f0"]["samples"]] == [
        ("s1", "changed"),
        ("s2", "wrong"),
        ("s0", "other"),
    ]
    assert [(s["id"], s["shelf"]) for s in data["l0"]["samples"]] == [
        ("s0", "failed"),
        ("s1", "other"),
        ("s2", "other"),
    ]
    assert data["l0"]["samples"][0]["error"] == "Timeout: <b>600 s</b>"
    fewer = Reader(page_of(results, tmp_path, samples_per_cell=1)).data["cells"]
    assert [s["id"] for s in fewer["f0"]["samples"]] == ["s1"]
    assert fewer["f0"]["note"] == "1 of 3 samples are on this page"


def test_sample_beside_its_twin(results, tmp_path):
    page = Reader(page_of(results, tmp_path))
    first = page.data["cells"]["f0"]["samples"][0]["turns"][0]
    texts = {
        name: page.data["texts"][first[name]] for name in ("asked", "reference", "dense", "reply")
    }
    assert texts == {
        "asked": "question 1?",
        "reference": "the reference",
        "dense": "The answer is 1.",
        "reply": "The answer was was was",
    }
    assert first["differs"] == len("The answer ")
    assert first["mark"] == {"outcome": "collapsed", "collapse": ["loop"]}
    assert first["was"] == {"outcome": "correct"}
    shape = {"shape": [first["map"]["steps"], first["map"]["blocks"], 2]}
    bits = page.data["texts"][first["map"]["bits"]]
    assert unpack_map({**shape, "bits": bits}) == [[[0, 1], [1, 0]]]


@pytest.mark.parametrize(
    ("dense", "reply", "at"),
    [
        ("same", "same", None),
        ("one two", "one too", 4),
        ("one two", "one two three", 7),
        ("one two", "one twofold", 4),
        ("one", "", 0),
        ("😀 yes", "😀 no", 2),
    ],
)
def test_divergence(dense, reply, at):
    assert page_samples.divergence(dense, reply) == at


def test_difference_in_what_was_cut(tmp_path):
    root = tmp_path / "results"
    for method, end in (("dense", "a"), ("ffnskip", "b")):
        files = {
            "records": [fake.record("s", "word " * 2_000 + end), fake.record("t", end)],
            "scores": [*fake.scored("s", "correct"), *fake.scored("t", "correct")],
        }
        fake.write_cell(root, method, method[0], files, twin="d" if method == "ffnskip" else None)
    long, short = Reader(page_of(root, tmp_path)).data["cells"]["f"]["samples"]
    assert (long["turns"][0]["differs"], long["turns"][0]["unseen"]) == (10_000, True)
    assert (short["turns"][0]["differs"], short["turns"][0]["unseen"]) == (0, False)


def test_two_turns_and_a_changed_second(tmp_path):
    root = tmp_path / "results"
    for method, second in (("dense", "correct"), ("ffnskip", "wrong_entity")):
        files = {
            "samples": [fake.sample("s", "one?", "two?")],
            "records": [fake.record("s", "a", second)],
            "scores": [*fake.scored("s", "correct"), *fake.scored("s", second, turn=1)],
        }
        fake.write_cell(root, method, method[0], files, twin="d" if method == "ffnskip" else None)
    (shown,) = Reader(page_of(root, tmp_path)).data["cells"]["f"]["samples"]
    assert shown["shelf"] == "changed"
    assert [turn["mark"]["outcome"] for turn in shown["turns"]] == ["correct", "wrong entity"]


def test_packed_cell_says_that_it_has_no_records(results, tmp_path):
    directory = results / "factoid/tiny/ffnskip/f0"
    lines = fake.scored("s1", "collapsed") + fake.scored("s2", None)
    pq.write_table(pa.Table.from_pylist(lines), directory / "scores.parquet")
    for name in ("records", "scores", "samples"):
        (directory / f"{name}.jsonl").unlink()
    page = Reader(page_of(results, tmp_path))
    assert page.data["cells"]["f0"]["samples"] == []
    assert "no records" in page.data["cells"]["f0"]["note"]
    assert "1 × the judge was silent" in row_of(page, "ffnskip")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("scores", {"sample_id": "s0", "metric": "accuracy", "value": 1.0}),
        ("scores", {"no": "score"}),
        ("records", {"sample_id": "s1", "replies": ["a"], "skip_map": None, "error": None}),
    ],
)
def test_broken_lines_are_named(results, tmp_path, name, line):
    with (results / "factoid/tiny/ffnskip/f0" / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(BadInput, match=r"ffnskip/f0( holds|/scores\.jsonl:\d+ has no)"):
        page_of(results, tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_size_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(page_samples, "_ALL_CHARACTERS", 100_000)
    root = tmp_path / "results"
    for method in ("dense", "ffnskip", "layerdrop"):
        ids = [f"{method}{i}" for i in range(60)]
        files = {
            "records": [fake.record(i, i + "<" * 20_000) for i in ids],
            "scores": [line for i in ids for line in fake.scored(i, "correct")],
        }
        fake.write_cell(root, method, method, files)
    text = page_of(root, tmp_path)
    assert len(text) < 300_000
    page = Reader(text)
    for method in ("dense", "ffnskip", "layerdrop"):
        assert page.data["cells"][method]["samples"]
        assert all("14,0" in reply and len(reply) < 7_000 for reply in page.texts(method, "reply"))


def test_long_skip_map_is_cut(tmp_path):
    bits = [[(step & 1, 1)] * 3 for step in range(700)]
    files = {"records": [fake.record("s", "x", bits=bits)], "scores": fake.scored("s", "correct")}
    fake.write_cell(tmp_path / "results", "dense", "d0", files)
    page = Reader(page_of(tmp_path / "results", tmp_path))
    (shown,) = page.data["cells"]["d0"]["samples"][0]["turns"]
    assert (shown["map"]["steps"], shown["map"]["blocks"]) == (700, 3)
    kept = unpack_map({"shape": [512, 3, 2], "bits": page.data["texts"][shown["map"]["bits"]]})
    assert [[tuple(pair) for pair in step] for step in kept] == bits[:512]


def test_records_are_not_held(tmp_path):
    ids = [f"s{i}" for i in range(1_500)]
    files = {"scores": [line for i in ids for line in fake.scored(i, "correct")]}
    directory = fake.write_cell(tmp_path / "results", "dense", "d0", files)
    with (directory / "records.jsonl").open("w") as file:
        for i in ids:
            file.write(json.dumps(fake.record(i, i + "x" * 20_000)) + "\n")
    assert (directory / "records.jsonl").stat().st_size > 30_000_000
    cells = cells_of(tmp_path / "results")
    tracemalloc.start()
    write_page(cells, [], tmp_path, "abc")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
