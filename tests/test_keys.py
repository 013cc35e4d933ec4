"""Keys that do not exist are refused in one line, or leave one cell of a sweep out."""

import pytest

from skipbench.__main__ import HELP
from skipbench.keys import check_keys, folders_of, for_each_cell
from skipbench.records import BadInput

SWEEP = ("-m", "limit=4", "dry_run=true")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("limt=8", "did you mean limit?"),
        ("+limt=8", "did you mean limit?"),
        ("++model.foo=1", "model=tiny has no such key; it has data, dtype, name"),
        ("threshold=0.9", "did you mean method.threshold?"),
        ("method.treshold=0.9", "did you mean method.threshold? it has budget"),
        ("method=layerdrop method.threshold=0.9", "method=layerdrop has no such key"),
        ("task=mtbench task.form=long", "task=mtbench has no such key"),
        ("judge.votes=3", "judge=auto has no such key"),
        ("decode.heat=3", "decode=task has no such key"),
        ("modle.path=x", "did you mean model.path"),
        ("~judge", "nothing can be taken away"),
        ("~method.skip", "nothing can be taken away"),
    ],
)
def test_what_does_not_exist(words, told):
    with pytest.raises(BadInput) as caught:
        check_keys(words.split(), folders_of([]))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words", ["limit=8", "method=earlyexit method.decay=0", "judge=openai judge.votes=3",
              "hydra.verbose=true", "hydra/launcher=slurm", "--cfg job", "method=nope method.a=1"],
)  # fmt: skip
def test_what_exists_or_is_hydras(words):
    check_keys(words.split(), folders_of([]))


def test_configurations_of_the_user(tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text("# Mine.\n_target_: mine.Mine\nstride: 2\n")
    words = ["--config-dir", str(tmp_path), "method=mine", "method.stride=3"]
    check_keys(words, folders_of(words))
    with pytest.raises(BadInput, match="method=mine has no such key"):
        check_keys([*words, "method.strde=3"], folders_of(words))


def test_words_that_not_every_cell_knows_become_lists():
    words = [
        "-m",
        "limit=8",
        "method.order=last",
        "method.blocks=choice(1,2)",
        "hydra.verbose=true",
    ]
    assert for_each_cell(words) == [*words[:2], "method.order=choice(last)", *words[3:]]


def test_the_command_refuses_before_anything_runs(cli, tmp_path):
    for words in (("+limt=8",), ("-m", "~judge"), ("method=dense", "skip=2")):
        ran = cli(*words)
        assert ran.code == 2, words
        assert len(ran.err.strip().split("\n")) == 1
        assert words[-1] in ran.err
    assert not (tmp_path / "results").exists()


def test_dense_ignores_a_ratio(cli):
    told = [
        cli("method=dense", "limit=8", "dry_run=true", *more).out for more in ((), ("skip=0.2",))
    ]
    assert told[0] == told[1] != ""


def test_a_key_of_one_method_leaves_the_others_out(cli):
    ran = cli(*SWEEP, "method=layerdrop,shortgpt", "method.order=last")
    assert ran.code == 2  # not all of it can be run
    assert ran.out.count("not applicable") == 1
    assert "method.order=last: method=shortgpt has no such key" in ran.out


def test_a_preset_gives_up_what_belongs_to_the_method_that_was_replaced(cli):
    ran = cli("experiment=quick", "method=ffnskip", "task=factoid", "limit=4", "dry_run=true")
    assert ran.code == 0, ran.err + ran.out
    assert "method.order" not in ran.out


def test_results_that_cannot_be_written_are_one_line(cli):
    for words in (("-m", "method=layerdrop,shortgpt"), ("method=layerdrop",)):
        ran = cli(*words, "limit=2", "results_dir=/proc/none")
        assert (ran.code, len(ran.err.strip().split("\n"))) == (2, 1), ran.err


@pytest.mark.slow
def test_the_examples_of_the_help_run(cli):
    examples = [line for line in HELP.split("\n") if "skip=0.25" in line]
    assert len(examples) == 2
    for line in examples:
        words = [w for w in line.split("python -m skipbench ")[1].split() if "=" in w or w == "-m"]
        ran = cli(*words, "limit=4")
        assert ran.code == 0, ran.err
