"""CNN/DailyMail from a parquet file in the published schema, end to end with a random model."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import random_model
from skipbench.metrics import support
from skipbench.records import BadInput, read_json, read_lines
from skipbench.tasks.summarization import Summarization

SECRET = "Zebulon Quartermaine bought the harbour"


@pytest.fixture
def parquet(tmp_path):
    """Articles around the borders of the bins; each highlight says what its article does not."""
    words = [469, 470, 471, 790, 791, 1000, 100]
    rows = {
        "article": [f"In Lima {n} boats came. " + "word " * (n - 5) for n in words],
        "highlights": [f"{SECRET} in {n} days ." for n in words],
        "id": [f"{n:040x}" for n in words],
    }
    path = tmp_path / "cnn_dailymail-test.parquet"
    pq.write_table(pa.table(rows), path)
    return path


def test_bins_by_words_of_the_article(parquet):
    samples = Summarization(data="cnn_dailymail", path=str(parquet), per_length=3).samples("eval")
    lengths = {int(s.sample_id, 16): s.meta["length"] for s in samples}
    assert lengths == {469: "short", 470: "short", 100: "short", 471: "medium", 790: "medium",
                       791: "long", 1000: "long"}  # fmt: skip
    one = Summarization(data="cnn_dailymail", path=str(parquet), per_length=1, length="long")
    assert [int(s.sample_id, 16) for s in one.samples("eval")] == [791]


@pytest.mark.parametrize("chat", [True, False])
def test_highlights_never_stand_in_a_prompt(parquet, chat):
    task = Summarization(data="cnn_dailymail", path=str(parquet), chat=chat)
    for sample in task.samples("eval"):
        prompt = task.prompt(sample, [])
        assert prompt is not None
        said = prompt.text or "".join(m["content"] for m in prompt.messages or [])
        assert sample.turns[0] in said
        assert SECRET in sample.references[0][0]
        assert SECRET not in said


def test_news_end_to_end(parquet, cli, tmp_path):
    model = random_model("llama", tmp_path / "m", max_position_embeddings=16384)
    ran = cli("model=hf", f"model.path={model}", "task=summarization", f"task.path={parquet}",
              "task.per_length=2", "task.length=short",
              "decode=forced_length", "decode.forced_length=8", "method=layerdrop",
              "method.blocks=2")  # fmt: skip
    assert ran.code == 0, ran.err
    cell = Path(ran.last)
    metrics = read_json(cell / "summary.json")["metrics"]
    assert {"rouge1", "rouge2", "rougeL", "length_ratio", "hallucination_rate"} <= metrics.keys()
    assert metrics["accuracy_contains"]["unscored"] == 2  # no list of facts to hold
    asked = list(read_lines(cell / "samples.jsonl"))
    assert all(SECRET not in turn for sample in asked for turn in sample["turns"])


@pytest.mark.parametrize(
    ("source", "summary", "absent", "count"),
    [
        ("Tesco's profit fell.", "Shares of Tesco fell.", set(), 1),  # genitive in the source
        ("Tesco’s profit fell.", "It was Tesco's fall.", set(), 1),
        ("The bosses' union met.", "They say Bosses met.", set(), 1),
        ("A firm in the UK won.", "It is a UK-based firm.", set(), 1),
        ("A UK-based firm won.", "It is from the UK.", set(), 1),
        ("He met Anne-Marie.", "So he met Anne Marie.", set(), 1),
        ("He saw Rome and O'Neill.", "He saw 'Rome', and O'Neill.", set(), 2),
        ("It cost $9.9m.", "It cost $9.9 million.", set(), 1),
        ("It cost $3.5m.", "It cost $3.9m.", {"3.9"}, 1),
        ("It cost 9 dollars.", "It cost $9.9m.", {"9.9"}, 1),
        ("It cost 1,200.50 on day 3.", "It cost 1200.50, on day 3.", set(), 2),
        ("In 1990 he left.", "So in 1991, he left for Rome.", {"1991", "rome"}, 2),
    ],
)
def test_names_and_numbers_of_a_summary(source, summary, absent, count):
    found, named = support.unsupported(source, summary)
    assert (found, len(named)) == (absent, count)


def test_another_schema_is_refused(tmp_path):
    path = tmp_path / "cnn.parquet"
    pq.write_table(pa.table({"text": ["a"], "id": ["1"]}), path)
    with pytest.raises(BadInput, match="no column 'article'"):
        Summarization(data="cnn_dailymail", path=str(path)).samples("eval")
