"""A report replaces an earlier one only when it is whole, and nothing else in its folder."""

import json
import sys

import pytest

import fake_cells as fake
from skipbench.records import BadInput
from skipbench.report import __main__ as entry
from skipbench.report import build as building
from skipbench.report.swap import replacing


def put(folder, *names, text="new"):
    """A finished report of these files."""
    for name in names:
        (folder / name).write_text(text)
    told = [{"file": name, "what": "a", "provenance": "p"} for name in names]
    told.append({"file": None, "name": "fig_x", "what": "a", "provenance": "p", "absent": "no"})
    (folder / "index.json").write_text(json.dumps(told))


def all_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.*")}


def main(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return stop.value.code, told


@pytest.mark.parametrize(
    "index",
    [
        '[{"file": "OUTSIDE", "what": "a", "provenance": "p"}]',
        '[{"file": "../victim.txt", "what": "a", "provenance": "p"}]',
        '[{"file": "fig_/../../victim.png", "what": "a", "provenance": "p"}]',
        '[{"file": "fig_mine.png"}]',
        '[{"file": "thesis.pdf", "what": "a", "provenance": "p"}]',
        '{"a": 1}',
        "[1]",
        "not json",
    ],
)
def test_a_foreign_index_deletes_nothing(tmp_path, index, monkeypatch, capsys):
    results, out = fake.write_results(tmp_path / "results"), tmp_path / "out"
    out.mkdir()
    victims = [tmp_path / "victim.txt", out / "thesis.pdf", out / "fig_mine.png"]
    for victim in victims:
        victim.write_text("mine")
    (out / "index.json").write_text(index.replace("OUTSIDE", str(victims[0])))
    code, told = main(monkeypatch, capsys, results, "--out", out)
    assert code == 2
    assert str(out / "index.json") in told
    assert all(victim.read_text() == "mine" for victim in victims)


def test_a_broken_cell_leaves_the_last_report(tmp_path, monkeypatch, capsys):
    results, out = fake.write_results(tmp_path / "results"), tmp_path / "out"
    out.mkdir()
    put(out, "fig_old.png", "frame.csv", text="old")
    before = all_of(out)
    next(results.glob("*/*/ffnskip/*/scores.jsonl")).write_text("{no\n")
    assert main(monkeypatch, capsys, results, "--out", out)[0] == 2
    assert all_of(out) == before


def test_only_what_is_made_anew_stays(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "fig_foreign.png").write_text("mine")
    put(tmp_path, "fig_old.png", "frame.csv", text="old")
    with replacing(tmp_path) as aside:
        put(aside, "fig_new.png", "frame.csv")
    found = all_of(tmp_path)
    assert found.pop("index.json")
    new = {"fig_new.png": "new", "frame.csv": "new"}
    assert found == {"notes.txt": "mine", "fig_foreign.png": "mine", **new}


def test_a_foreign_file_is_not_written_over(tmp_path):
    (tmp_path / "numbers.tex").write_text("mine")
    with pytest.raises(BadInput, match=r"numbers\.tex is of no report"), replacing(tmp_path) as a:
        put(a, "numbers.tex")
    assert all_of(tmp_path) == {"numbers.tex": "mine"}


@pytest.mark.parametrize("moved", range(3))
def test_what_a_kill_left_is_taken_away(tmp_path, moved, monkeypatch):
    put(tmp_path, "fig_old.png", text="old")
    (tmp_path / "fig_foreign.png").write_text("mine")
    aside = tmp_path / ".unfinished"
    aside.mkdir()
    put(aside, "fig_a.png", "fig_b.png")
    (tmp_path / "index.json").rename(aside / "earlier.json")
    for name in ("fig_a.png", "fig_b.png")[:moved]:
        (aside / name).rename(tmp_path / name)
    with replacing(tmp_path) as again:
        put(again, "fig_c.png")
    found = all_of(tmp_path)
    assert found.pop("index.json")
    assert found == {"fig_c.png": "new", "fig_foreign.png": "mine"}


def test_a_kill_before_the_end_leaves_the_last_report(tmp_path):
    put(tmp_path, "fig_old.png", text="old")
    before = all_of(tmp_path)
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "fig_half.png").write_text("half")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path):
        raise KeyboardInterrupt
    assert all_of(tmp_path) == before


def test_the_page_shows_figures_of_the_index_alone(tmp_path, monkeypatch):
    """A stranger's picture in the folder is no figure of the report."""
    results, out = fake.write_results(tmp_path / "results"), tmp_path / "out"
    out.mkdir()
    shown = []
    monkeypatch.setattr(building, "write_page", lambda cells, figures, *_: shown.extend(figures))
    monkeypatch.setattr(building, "groups_of", lambda *_: [])
    monkeypatch.setattr(building, "read", lambda *_: {})
    entries = [{"file": f, "what": "w", "caption": "c"} for f in ("fig_a.png", "fig_a.pdf", None)]
    monkeypatch.setattr(building, "_beside_paper", lambda *_: entries)
    (out / "fig_stranger.png").write_text("x")
    cells = building.cells_of(results)
    building._make(cells, results, out, "p")
    assert [(s.path.name, s.what, s.caption) for s in shown] == [("fig_a.png", "w", "c")]
