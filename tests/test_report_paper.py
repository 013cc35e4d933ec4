"""Ours beside the paper: two metrics are never told as one, and nothing printed is dropped."""

import json

import pytest

from report_results import Made, adaptive, write_cell
from skipbench.report import paper, plots_paper
from skipbench.report.cells import cells_of
from skipbench.report.groups import fingerprint
from skipbench.report.tables import Table, to_csv, to_markdown, to_tex


def cells(root, task, asked, metrics):
    """Dense, dense in other batches, and ffnskip at some ratios; `metrics` in every summary."""
    dense = write_cell(root, Made(method="dense", task=task))
    floor = write_cell(root, Made(method="dense", task=task, changes={"again": 1}))
    for ratio in asked:
        made = Made(method="ffnskip", task=task, skips=adaptive, asked=ratio)
        write_cell(root, made, twin=dense)
    told = {"value": 0.75, "low": 0.5, "high": 0.875, "n": 24, "unscored": 0}
    for path in root.glob("*/*/*/*/summary.json"):
        summary = json.loads(path.read_text())
        summary["metrics"] = dict.fromkeys(metrics, told)
        if summary["method"] == "ffnskip":
            summary["skip"]["ffn"] = summary["skip"]["requested"]
            pair = {"difference": 0.125, "low": 0.0, "high": 0.25, "p": 0.5, "n": 24}
            pair |= {"minimum_detectable": 0.1, "p_noninferior": 0.5}
            summary["noise_floor"] = {"batch_size": 8, "fingerprint": floor.name}
            summary["noise_floor"]["transitions"] = {}
            summary["noise_floor"]["paired"] = {metrics[0]: pair}
        path.write_text(json.dumps(summary))
    return cells_of(root)


def texts(table: Table) -> list[dict[str, str]]:
    made = []
    for row in table.rows:
        values = [entry.text + entry.mark for entry in row.entries]
        made.append(dict(zip(table.columns, values, strict=True)))
    return made


def test_a_metric_that_is_not_the_papers_is_named_and_marked(tmp_path):
    found = cells(tmp_path, "summarization", (0.2,), ["rougeL"])
    table = paper.beside("table2", found, "tiny", "p")
    row = next(r for r in texts(table) if r["paper"] == "8.11")
    assert (row["metric (paper)"], row["metric (ours)"]) == ("GPT-4 grade", "ROUGE-L, %")
    assert row["ours"] == "75.0‡"
    assert any(note.startswith("‡ not the metric of the paper") for note in table.notes)
    for text in (to_markdown(table), to_csv(table), to_tex(table)):
        assert "GPT-4 grade" in text
        assert "ROUGE-L" in text


def test_the_papers_metric_has_no_mark(tmp_path):
    found = cells(tmp_path, "summarization", (0.2,), ["judge_score"])
    table = paper.beside("table2", found, "tiny", "p")
    assert next(r for r in texts(table) if r["paper"] == "8.11")["ours"] == "0.75"
    assert not any("‡" in note for note in table.notes)


def test_the_full_model_keeps_what_differs_from_ratio_to_ratio(tmp_path):
    found = cells(tmp_path, "mtbench", (0.26,), ["judge_score.coding"])
    rows = texts(paper.beside("fig4", found, "tiny", "p"))
    full = [r["paper"] for r in rows if r["method (paper)"] == "full model"]
    assert full == ["5.80", "5.80", "5.70", "6.60", "6.60"]
    same = texts(paper.beside("table3", found, "tiny", "p"))  # one number for all ratios
    assert sum(r["method (paper)"] == "full model" for r in same) == 1


@pytest.mark.parametrize("name", ["fig3", "fig4"])
def test_without_grades_ours_is_told_by_length_or_category(tmp_path, name):
    task = {"fig3": "summarization", "fig4": "mtbench"}[name]
    metrics = paper.paper()[name]["instead"]
    found = cells(tmp_path, task, (0.12, 0.36), metrics)
    rows = texts(paper.beside(name, found, "tiny", "p"))
    for row in rows:  # the paper's numbers and ours stand in rows of their own
        assert (row["paper"] == "–") != (row["ours"] == "not graded")
    ours = [r for r in rows if r["method (ours)"].startswith("ffnskip")]
    assert [r["metric (ours)"] for r in ours] == [
        paper.our_name(metric) for metric in metrics for _ in (0.12, 0.36)
    ]
    (drawn,) = plots_paper.beside(name, found)
    assert {r["metric"] for r in drawn.records if r["whose"] == "ours"} == set(metrics)
    assert "measure different things" in drawn.what


def test_the_noise_floor_stands_below(tmp_path):
    found = cells(tmp_path, "factoid", (0.25,), ["accuracy_llmkick"])
    table = paper.beside("table3", found, "tiny", "p")
    (row,) = [r for r in table.rows if r.block == "floor"]
    assert row.entries[5].text == "noise floor: dense, batches of 8"
    assert row.entries[-1].small == "Δ to dense +12.5 [+0.0, +25.0]"
    alone = [cell for cell in found if "noise_floor" not in cell.summary]
    assert paper.beside("table3", alone, "tiny", "p").notes[0] == "No noise floor was measured."
    assert row.facts["fingerprint"] in {fingerprint(cell) for cell in alone}
