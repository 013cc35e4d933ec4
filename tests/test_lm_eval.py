"""Our engine as a model of lm-evaluation-harness, against the harness's own Hugging Face model."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from skipbench.paths import tiny_dir
from skipbench.records import BadInput

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("lm_eval", reason="needs the extra skipbench[lm-eval]")

QUESTIONS = (
    "Where is the Thorance set?",
    "The Heithade is what kind of work?",
    "Who lives in Thirholm?",
    "Name a river.",
)
GENERATE = """
task: local_generate
output_type: generate_until
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n", ". "], max_gen_toks: 24, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
CHOOSE = """
task: local_choose
output_type: multiple_choice
doc_to_target: gold
doc_to_choice: "{{choices}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def args_of(*args):
    return SimpleNamespace(args=args)


def model(**arguments):
    from skipbench.lm_eval_model import SkipbenchLM

    return SkipbenchLM(**arguments)


@pytest.fixture(scope="module")
def reference():
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(tiny_dir()), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Two tasks over a local file: written replies, and a choice between two."""
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("tasks")
    docs = [
        {"question": q, "answer": "x", "choices": ["Mira Kol", "the river Niorow"], "gold": 1}
        for q in QUESTIONS
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    for name, text in {"generate": GENERATE, "choose": CHOOSE}.items():
        (folder / f"{name}.yaml").write_text(
            text
            + f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {folder}/q.jsonl}}}}\n"
            'test_split: test\ndoc_to_text: "{{question}}"\nmetadata: {version: 1.0}\n'
        )
    return TaskManager(include_path=str(folder))


def replies(tasks, lm) -> dict[str, list]:
    """Task -> what the model gave, sample by sample; the numbers of a choice in a flat list."""
    import lm_eval

    found = lm_eval.simple_evaluate(
        model=lm, tasks=["local_generate", "local_choose"], task_manager=tasks, log_samples=True
    )
    return {
        name: [resp[0] for sample in samples for resp in sample["resps"]]
        for name, samples in found["samples"].items()
    }


@pytest.mark.parametrize("batch_size", [1, 3])
def test_dense_is_the_harness_own_model(tasks, reference, batch_size):
    wanted, found = (replies(tasks, lm) for lm in (reference, model(batch_size=batch_size)))
    assert found["local_generate"] == wanted["local_generate"]
    for (ours, greedy), (theirs, wanted_greedy) in zip(
        found["local_choose"], wanted["local_choose"], strict=True
    ):
        assert ours == pytest.approx(theirs, abs=1e-4)
        assert greedy == wanted_greedy


def test_texts_longer_than_the_model_are_cut_as_there(reference):
    text = "Thirholm is a town by the river Niorow. " * 120
    ours = model()
    assert len(ours.tok_encode(text)) > ours.max_length
    asked = [args_of(text, " Mira"), args_of("", "Mira lives in Thirholm."), args_of("A b ", "c")]
    for (a, _), (b, _) in zip(
        ours.loglikelihood(asked), reference.loglikelihood(asked), strict=True
    ):
        assert a == pytest.approx(b, abs=2e-4)
    found, wanted = (lm.loglikelihood_rolling([args_of(text[:2400])]) for lm in (ours, reference))
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_method_skips_and_says_how_much(tasks, capsys):
    lm = model(method="ffnskip", threshold=0.9, batch_size=2)
    found = replies(tasks, lm)
    assert lm.engagement["ffn"] == pytest.approx(0.5)  # all blocks between the cold regions
    assert lm.engagement["decode_forwards"] > 0
    assert "executed skip: decode_forwards" in capsys.readouterr().err
    assert found["local_choose"] != replies(tasks, model())["local_choose"]


def test_scores_are_those_of_the_methods_own_replies():
    """A reply that the method wrote itself is greedy under it, token for token."""
    lm = model(method="ffnskip", threshold=0.9)
    question = QUESTIONS[0]
    text = lm.generate_until([args_of(question, {"until": ["."], "max_gen_toks": 8})])[0]
    ids = lm.tok_encode(question + text)[len(lm.tok_encode(question)) :]
    assert lm.loglikelihood([args_of(question, text)])[0][1] is True
    assert len(ids) > 2


def test_skipping_nothing_is_an_error():
    from skipbench.lm_eval_model import NothingSkipped

    asked = [args_of("Where is", " the")]
    lm = model(method="ffnskip", threshold=0.9)
    assert len(lm.tok_encode(" the", add_special_tokens=False)) == 1
    with pytest.raises(NothingSkipped, match="forced_context=1"):
        lm.loglikelihood(asked)
    engaged = model(method="ffnskip", threshold=0.9, forced_context=1)
    scored = engaged.loglikelihood(asked)[0][0]
    assert engaged.engagement["ffn"] > 0
    assert scored != pytest.approx(model().loglikelihood(asked)[0][0], abs=1e-6)
    plain = model(forced_context=1).loglikelihood(asked)[0][0]
    assert plain == pytest.approx(model().loglikelihood(asked)[0][0], abs=1e-4)
    with pytest.raises(NothingSkipped, match="skipped nothing"):
        model(method="ffnskip", threshold=1.0).generate_until([args_of("Where", {})])


def test_rows_end_at_their_own_strings():
    lm = model(batch_size=2)
    asked = [args_of(QUESTIONS[0], {"until": [" "]}), args_of(QUESTIONS[1], {"until": "opera"})]
    alone = [model().generate_until([one])[0] for one in asked]
    assert lm.generate_until(asked) == alone
    assert "opera" not in alone[1]


def test_a_finished_cell_is_taken_with_its_calibration(cli):
    ran = cli("task=factoid", "method=ffnskip", "skip=0.2", "limit=4")
    lm = model(cell=ran.last)
    manifest = json.loads((Path(ran.last) / "run.json").read_text())
    assert lm.engine.policy.threshold == manifest["method"]["threshold"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"method": "nope"}, "method='nope'"),
        ({"method": "ffnskip", "treshold": 0.9}, "treshold"),
        ({"method": "ffnskip", "skip": 0.2}, "cell="),
        ({"pretrained": "/no/such"}, "/no/such"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(BadInput, match=told):
        model(**arguments)


def test_settings_that_the_engine_has_not_are_refused():
    with pytest.raises(BadInput, match="num_beams"):
        model().generate_until([args_of("Where", {"num_beams": 4})])
    sampled = {"do_sample": True, "temperature": 1.5, "max_gen_toks": 12}
    asked = [args_of(QUESTIONS[0], sampled)] * 2
    one, two = (model(seed=seed).generate_until(asked) for seed in (1, 2))
    assert one != two
    assert one[0] != one[1]  # each request has noise of its own


def test_the_command_line_of_the_harness(tasks, monkeypatch, capsys):
    from skipbench.lm_eval_model import main

    def run(arguments: str, wanted: int) -> str:
        words = ["lm_eval", "--model", "skipbench", "--tasks", "local_choose", "--device", "cpu"]
        words += ["--include_path", str(tasks.include_path), "--model_args", arguments]
        monkeypatch.setattr("sys.argv", words)
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        assert code == wanted
        captured = capsys.readouterr()
        return captured.out + captured.err

    assert "|local_choose|" in run("method=ffnskip,threshold=0.9", 0)
    assert "skipped nothing" in run("method=ffnskip,threshold=1.0", 3)
    assert "method='nope'" in run("method=nope", 2)
