"""The report: its numbers are those of the records, and the same records give the same bytes."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from report_results import BLOCKS, STEPS, Made, adaptive, record_of, write_lines, write_results
from skipbench.records import BadInput, pack_map, read_json, unpack_map
from skipbench.report import __main__ as entry
from skipbench.report import paper
from skipbench.report.build import build
from skipbench.report.cells import cells_of, provenance_of
from skipbench.report.figures import FIGURES
from skipbench.report.frame import read_scores
from skipbench.report.groups import groups_of
from skipbench.report.numbers import macros
from skipbench.report.pack import pack
from skipbench.report.pareto import p_front, points_of
from skipbench.report.scan import onset_of, scan_of, unpack
from skipbench.report.tables import Entry, Number, Row, Table
from skipbench.report.text import letters, markdown, shown, slug, tex

MAIN = "table_main_factoid_short_forced_length_tiny_n24"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return write_results(tmp_path_factory.mktemp("report") / "results")


@pytest.fixture(scope="module")
def report(results, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "first"
    build(results, out)
    return out


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def rows_of(report: Path, name: str = MAIN) -> list[dict[str, str]]:
    text = (report / f"{name}.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def row_of(report: Path, method: str, asked: str = "0.25") -> dict[str, str]:
    rows = rows_of(report)
    found = [r for r in rows if r["method"].split()[0] == method and r["asked"] in (asked, "")]
    assert len(found) == 1
    return found[0]


@pytest.mark.slow
def test_same_records_same_bytes_without_torch(results, report, tmp_path):
    again = tmp_path / "again"
    code = (
        "import sys; from skipbench.report.__main__ import main; main()\n"
        "assert not {'torch', 'hydra', 'transformers'} & set(sys.modules)"
    )
    other = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-W", "error", "-c", code, str(results), "--out", str(again)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=other)
    assert done.stdout.strip() == str(again.resolve())
    assert digests(again) == digests(report)
    assert {p.suffix for p in again.iterdir()} == set(
        ".tex .md .csv .pdf .png .parquet .json .html".split()
    )


@pytest.mark.slow
def test_packed_gives_the_same_report(results, report, tmp_path):
    pack(results, tmp_path / "packed")
    packed = tmp_path / "packed"
    assert not list(packed.rglob("records.jsonl"))
    assert "/somewhere" not in "".join(p.read_text() for p in packed.rglob("run.json"))
    build(packed, tmp_path / "out")
    ours, whole = digests(tmp_path / "out"), digests(report)
    page = "report.html"  # replies are not packed, and the page says so
    assert ours.pop(page) != whole.pop(page)
    assert ours == whole


@pytest.mark.slow
def test_a_second_report_leaves_nothing_of_the_first(results, tmp_path):
    out = tmp_path / "out"
    build(results, out)
    (out / "notes.txt").write_text("mine")
    before = {path.name for path in out.iterdir()}
    cell = next(results.glob("*/*/ffnskip/*"))
    part = tmp_path / "part" / cell.relative_to(results)
    shutil.copytree(cell, part)
    build(tmp_path / "part", out)
    after = {path.name for path in out.iterdir()}
    listed = {e["file"] for e in json.loads((out / "index.json").read_text()) if e["file"]}
    assert after == listed | {"index.json", "notes.txt"}
    assert len(after) < len(before)


def test_numbers_are_those_of_the_summaries(results, report):
    provenance = provenance_of(cells_of(results))
    for cell in cells_of(results):
        if cell.summary["status"] != "complete":
            continue
        rows = [r for r in rows_of(report) if r["fingerprint"] == cell.directory.name]
        assert len(rows) == 1
        row, summary = rows[0], cell.summary
        assert row["provenance"] == provenance
        for name, metric in (("accuracy", "accuracy"), ("reference score", "reference_score")):
            found = summary["metrics"][metric]
            assert float(row[name]) == found["value"]
            for key in ("low", "high", "n", "unscored"):
                assert float(row[f"{name} {key}"]) == found[key]
        for key, name in (("ffn", "FFN"), ("weight_bytes", "bytes")):
            assert float(row[f"{name} skipped"]) == summary["skip"][key]
        if summary["paired"]:
            pair = summary["paired"]["accuracy"]
            assert float(row["Δ accuracy to dense"]) == pair["difference"]
            assert float(row["p"]) == pair["p"]
            assert float(row["p holm"]) >= pair["p"]


def test_printed_numbers_round_the_exact_ones(report):
    row = row_of(report, "ffnskip")
    value, low, high = (float(row[f"accuracy{end}"]) for end in ("", " low", " high"))
    wanted = f"[{100 * low:.1f}, {100 * high:.1f}] (n 24)"
    line = next(
        line for line in (report / f"{MAIN}.md").read_text().split("\n") if "| ffnskip |" in line
    )
    assert f"{100 * value:.1f}" in line
    assert wanted in line
    assert shown("accuracy", -0.034, sign=True) == "−3.4"
    assert shown("reference_score.names", 8.126) == "8.13"
    assert shown("accuracy", None) == "–"


def test_failed_cells_tell_their_status(report):
    partial, nothing = row_of(report, "ffnskip_random"), row_of(report, "shortgpt")
    assert partial["accuracy"] == "partial (2 of 24 failed)"  # and no number
    assert partial["accuracy low"] == partial["p"] == ""
    assert partial["status"] == "partial"
    assert nothing["status"] == "nothing_skipped"
    text = (report / f"{MAIN}.md").read_text()
    assert "partial (2 of 24 failed)" in text
    assert "nothing skipped" in text
    for kind in ("transitions", "collapse", "speed"):
        text = (report / f"{MAIN.replace('main', kind)}.md").read_text()
        assert "partial (2 of 24 failed)" in text
        assert "nothing skipped" in text


def test_transitions_are_those_of_the_summaries(results, report):
    rows = {r["fingerprint"]: r for r in rows_of(report, MAIN.replace("main", "transitions"))}
    for cell in cells_of(results):
        for before, after in cell.summary["transitions"].items():
            for name, n in after.items():
                if cell.summary["status"] == "complete":
                    column = f"{before} → {name}".replace("_", " ")
                    assert int(rows[cell.directory.name][column]) == n


def test_unscored_is_shown(report):
    assert row_of(report, "ffnskip_noadapt")["accuracy unscored"] == "1"
    for suffix in ("md", "tex"):
        assert "n 23, 1 unscored" in (report / f"{MAIN}.{suffix}").read_text()


def test_absent_controls_are_named(report):
    text = (report / f"{MAIN}.md").read_text()
    assert "Matched controls that were not run: replay, static\\_matched" in text.replace(
        "static_matched", "static\\_matched"
    )


def test_best_of_a_block_is_bold(report):
    text = (report / f"{MAIN}.md").read_text()
    bold = {line.split("|")[1].strip() for line in text.split("\n") if "**" in line}
    assert "ffnskip\\_noadapt" in bold or "ffnskip_noadapt" in bold
    assert not any(name.startswith("dense") for name in bold)


def test_frame_has_a_row_for_each_cell_and_metric(results, report):
    frame = pd.read_parquet(report / "frame.parquet")
    assert len(frame) == sum(len(c.summary["metrics"]) for c in cells_of(results))
    pd.testing.assert_frame_equal(
        pd.read_csv(report / "frame.csv"), frame, check_dtype=False, check_exact=True
    )
    one = frame[(frame["label"] == "ffnskip") & (frame["metric"] == "accuracy")]
    assert sorted(one["skip_requested"]) == [0.25, 0.35]
    assert one["p_noninferior"].notna().all()


def test_samples_hold_every_score(results, report):
    samples = pd.read_parquet(report / "samples.parquet")
    assert len(samples) == sum(1 for cell in cells_of(results) for _ in cell.scores())
    gone = samples[samples["value"].isna()]
    assert set(gone["reason"]) == {"no reply"}


def test_maps_count_right_and_wrong(results):
    cell = next(c for c in cells_of(results) if c.label == "ffnskip")
    scan = scan_of(cell, read_scores([cell], None)[cell.directory])
    right = [i for i in range(24) if i not in (0, 5)]
    for side, members in ((1, right), (0, [0, 5])):
        wanted = np.array(
            [
                [sum(adaptive(i, step, block) for i in members) for block in range(BLOCKS)]
                for step in range(STEPS)
            ]
        )
        assert (scan.skipped[side, :STEPS, :, 1] == wanted).all()
        assert (scan.reached[side, :STEPS] == len(members)).all()
    assert not scan.skipped[..., 0].any()
    assert not scan.reached[:, STEPS:].any()


def test_last_line_of_a_sample_counts(results, tmp_path):
    source = next(c for c in cells_of(results) if c.summary["method"] == "ffnskip_random")
    target = tmp_path / source.directory.relative_to(results)
    shutil.copytree(source.directory, target)
    cell = cells_of(tmp_path)[0]
    values = read_scores([cell], None)[cell.directory]
    assert scan_of(cell, values).replies == 22
    path = target / "records.jsonl"
    again = Made(method="ffnskip_random", looping=(2, 5), skips=lambda *_: False)
    with path.open("a") as file:
        for i in (2, 5):  # a retry that worked, and one of a sample that had worked
            file.write(json.dumps(record_of(i, again)) + "\n")
        file.write('{"sample_id": "q/9", "err')  # torn
    scan = scan_of(cell, values)
    assert scan.replies == 23
    assert scan.onsets == {2: 2}
    assert scan.skipped[..., 1].sum() == 21 * (STEPS - 1)


def test_loops_are_those_of_the_summary(results):
    for cell in cells_of(results):
        scan = scan_of(cell, read_scores([cell], None)[cell.directory])
        assert sum(scan.onsets.values()) == cell.summary["skip"]["loops"]
    assert onset_of([1, 2, 3] * 4) == 0 or onset_of([1, 2, 3] * 4) is None
    assert onset_of(list(range(40))) is None


def test_unpack_is_the_inverse_of_pack():
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 2), (5, 3, 2), (7, 16, 2)):
        packed = pack_map(rng.integers(0, 2, shape).tolist())
        assert unpack(packed).tolist() == unpack_map(packed)
    assert unpack(pack_map([])).size == 0


def test_front_is_sure_where_it_is_clear():
    draws = 50
    best = p_front(np.full((2, draws), [[0.0], [-0.2]]), np.full((2, draws), [[2.0], [1.5]]))
    assert best == [1.0, 0.0]
    half = np.where(np.arange(draws) % 2, 0.1, -0.1)
    assert p_front(half[None], np.full((1, draws), 0.9)) == [0.5]  # beats dense in half the draws
    same = np.zeros((2, draws))
    assert p_front(same, same + 1.2) == [1.0, 1.0]  # equals do not push each other off


def test_points_are_the_paired_differences(results, report):
    cells = cells_of(results)
    group = groups_of(cells, results)[0]
    values = read_scores(cells, None)
    from skipbench.report.groups import Read

    reads = {
        d: Read(v, scan_of(c, v)) for c in cells for d, v in [(c.directory, values[c.directory])]
    }
    points, without = points_of(group, reads)
    assert {label.split()[0] for label, _ in without} == {"ffnskip_random", "shortgpt"}
    for point in points:
        summary = point.cell.summary
        assert point.quality == pytest.approx(summary["paired"]["accuracy"]["difference"])
        assert point.speeds.mean() == pytest.approx(summary["speed"]["speedup"]["value"], rel=0.01)
        assert point.qualities.mean() == pytest.approx(point.quality, abs=0.02)
        assert 0 <= point.p_front <= 1
    table = rows_of(report, MAIN.replace("main", "speed"))
    told = {r["fingerprint"]: r["P(front)"] for r in table}
    for point in points:
        assert float(told[point.cell.directory.name]) == point.p_front
    fast = [p for p in points if p.cell.summary["method"] == "earlyexit"]
    assert all(p.p_front == 1.0 for p in fast)  # nothing is as fast


def test_every_figure_is_drawn_or_explained(report):
    index = json.loads((report / "index.json").read_text())
    assert {e["file"] for e in index if e["file"]} | {"index.json"} == set(digests(report))
    group = "factoid_short_forced_length_tiny_n24"
    for name in FIGURES:
        stem = f"fig_{name}_{group}"
        found = [e for e in index if (e["file"] or e["name"]).startswith(stem)]
        assert found, name
        assert all(e.get("absent") or (report / e["file"]).exists() for e in found)
    assert len({e["provenance"] for e in index}) == 1


def test_fonts_are_embedded(report):
    content = (report / "fig_quality_factoid_short_forced_length_tiny_n24.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"CreationDate" not in content


def test_macros_are_letters_and_unique(report):
    text = (report / "numbers.tex").read_text()
    names = re.findall(r"\\newcommand\{\\([A-Za-z]+)\}", text)
    assert len(names) == len(set(names)) == text.count("\\newcommand") > 100
    lines = text.strip().split("\n")[1:]
    assert all(a.startswith("% ") and " = " in a for a in lines[::2])
    row = row_of(report, "ffnskip")
    stem = "sbFactoidShortForcedLengthTinyNTwoFourFfnskipAtTwoFive"
    printed = f"{100 * float(row['accuracy']):.1f}"
    assert f"\\newcommand{{\\{stem}Accuracy}}{{{printed}}}" in text
    skipped = f"{100 * float(row['FFN skipped']):.1f}"
    for kind in ("Speed", "Transitions", "Collapse", "Judge"):
        place = stem.replace("sbFactoid", f"sb{kind}Factoid")
        assert f"\\newcommand{{\\{place}" in text, kind
    assert f"\\newcommand{{\\{place}FFNSkipped}}{{{skipped}}}" in text
    speed = float(
        next(
            r
            for r in rows_of(report, MAIN.replace("main", "speed"))
            if r["fingerprint"] == row["fingerprint"]
        )["speed-up low"]
    )
    place = stem.replace("sbFactoid", "sbSpeedFactoid")
    assert f"\\newcommand{{\\{place}SpeedUpLow}}{{{speed:.2f}}}" in text


def test_names_of_macros_never_meet():
    assert letters("n24 at 2.5 low") == "NTwoFourAtTwoPointFiveLow"
    assert letters("at 25") != letters("at 2.5")
    rows = [
        Row(
            entries=(Entry(text="ffnskip"), Entry(text="", numbers=(Number("value", i, f"{i}"),))),
            facts={"asked": asked, "fingerprint": name},
        )
        for i, (asked, name) in enumerate([(0.25, "a0"), (0.25, "a1"), (0.025, "a2")])
    ]
    columns = ("method", "speed-up")
    table = Table(name="table_speed_x", title="", caption="", columns=columns, rows=tuple(rows))
    found = re.findall(r"newcommand\{\\(\w+)\}\{(\d)\}", macros([table], "p"))
    assert found == [
        ("sbSpeedXFfnskipAtTwoFiveSpeedUpAq", "0"),
        ("sbSpeedXFfnskipAtTwoFiveSpeedUpAr", "1"),
        ("sbSpeedXFfnskipAtTwoPointFiveSpeedUp", "2"),
    ]


def test_latex_and_markdown_are_escaped():
    assert tex("50 % of a_b & c#1 ~x^2 {$}\\") == (
        r"50 \% of a\_b \& c\#1 \textasciitilde{}x\textasciicircum{}2 \{\$\}\textbackslash{}"
    )
    assert tex("−1 × 中") == r"$-$1 $\times$ ?"
    assert markdown("a|b*c") == r"a\|b\*c"


def test_tex_files_hold_no_bare_specials(report):
    for path in report.glob("table_*.tex"):
        for line in path.read_text().split("\n")[5:]:
            bare = re.sub(r"\\.", "", line).removesuffix("%")
            assert "_" not in bare, (path, line)
            assert "#" not in bare, (path, line)
            assert "%" not in bare, (path, line)


def test_slugs_do_not_meet():
    assert slug("factoid", "short", "tiny") == "factoid_short_tiny"
    assert slug("mtbench", "A B") != slug("mtbench", "a b")


def test_experiment_stands_beside_the_paper(report):
    rows = rows_of(report, "table_paper_table3_tiny")
    ours = [r for r in rows if r["method (paper)"] == "FFN-SkipLLM" and r["fingerprint"]]
    assert [(float(r["paper"]), r["asked"]) for r in ours] == [(0.7809, "0.25"), (0.7561, "0.35")]
    text = (report / "table_paper_table3_tiny.md").read_text()
    assert "not run" in text
    for note in paper.told("table3"):
        assert markdown(note) in text
    drawn = [r for r in rows_of(report, "fig_paper_table3_tiny") if r["whose"] == "ours"]
    assert {r["method"].split()[0] for r in drawn} == {"dense", "ffnskip", "ffnskip_noadapt"}
    experiment = rows_of(report, "table_main_table3_factoid_short_forced_length_tiny_n24")
    methods = {r["method"].split()[0] for r in experiment}
    assert {"dense", "ffnskip", "ffnskip_random", "ffnskip_noadapt"} == methods


def test_paper_data_is_whole():
    known = paper.paper()
    for name, block in known.items():
        if name == "methods":
            continue
        assert all(block[key] for key in ("source", "certainty", "tensions"))
        for line in block.get("lines", ()):
            assert line["method"] in known["methods"]
            assert len(line["values"]) == len(block["skips"])
    assert [len(c) for c in paper.similarity_curves().values()] == [32, 32, 40, 40]


def run(*arguments: str) -> subprocess.CompletedProcess:
    code = [sys.executable, "-m", "skipbench.report", *arguments]
    return subprocess.run(code, capture_output=True, text=True)


@pytest.mark.parametrize(
    "broken", ["missing", "empty", "summary.json", "scores.jsonl", "records.jsonl"]
)
def test_bad_input_is_one_line(results, tmp_path, broken, monkeypatch, capsys):
    folder = tmp_path / "results"
    if broken == "empty":
        folder.mkdir()
    elif broken != "missing":
        shutil.copytree(results, folder)
        victim = next(folder.glob(f"*/*/ffnskip/*/{broken}"))
        victim.write_text("{this is no JSON\n" + victim.read_text()[100:])
    monkeypatch.setattr(sys, "argv", ["report", str(folder), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert told.count("\n") == 1
    assert str(folder) in told
    assert not (tmp_path / "out" / "index.json").exists()
    assert not list((tmp_path / "out").glob("*.new"))


def test_a_foreign_summary_is_named(tmp_path):
    place = tmp_path / "a" / "b" / "c" / "d"
    place.mkdir(parents=True)
    write_lines(place / "summary.json", [{}])
    write_lines(place / "run.json", [{}])
    with pytest.raises(BadInput, match=r"summary\.json has no 'method'"):
        cells_of(tmp_path)


def test_pack_refuses_to_mix(results):
    with pytest.raises(BadInput, match="inside"):
        pack(results, results / "packed")


def test_help_needs_no_torch():
    code = (
        "import sys; sys.argv = ['report', '--version']\n"
        "try:\n    from skipbench.report.__main__ import main; main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=20)


@pytest.mark.slow
def test_real_run_is_reported(cli, tmp_path):
    code = cli("task=factoid", "method=ffnskip", "limit=12", "noise_floor=true").code
    assert code == 0
    out = tmp_path / "out"
    build(tmp_path / "results", out)
    summary = read_json(next((tmp_path / "results").glob("*/*/ffnskip/*/summary.json")))
    rows = rows_of(out, "table_main_factoid_short_tiny_n12")
    assert [r["method"].split()[0] for r in rows][:2] == ["dense", "noise"]
    ours = rows[-1]
    assert float(ours["accuracy"]) == summary["metrics"]["accuracy"]["value"]
    assert "Mechanism check" in (out / "table_main_factoid_short_tiny_n12.tex").read_text()
