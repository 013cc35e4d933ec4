"""The report as data: what stands apart, what the frame tells, and which hash everything bears."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from PIL import Image

from report_results import Made, adaptive, write_cell
from skipbench.records import read_json, write_json
from skipbench.report.api import frame
from skipbench.report.cells import cells_of
from skipbench.report.frame import read_scores, write_frame
from skipbench.report.groups import groups_of
from skipbench.report.style import save
from skipbench.report.tables import Entry, Number, Row, Table, to_csv

SETTINGS = {
    "seed": (("decode", "seed"), 0, 1, "seed 1"),
    "temperature": (("decode", "temperature"), 0.5, 0.75, "temperature 0.75"),
    "dtype": (("decides", "dtype"), "float32", "bfloat16", "bfloat16"),
    "batch_size": (("decides", "batch_size"), 4, 8, "batches of 8"),
}


def change(directory: Path, name: str, **values) -> None:
    write_json(directory / name, {**read_json(directory / name), **values})


def set_to(root: Path, key: str, value, renamed: str) -> list[Path]:
    """Dense and a method at one setting, with names of their own."""
    (part, name), *_ = SETTINGS[key]
    mode = "sampled" if key == "temperature" else "task"
    dense = write_cell(root, Made(method="dense", mode=mode))
    pair = [dense, write_cell(root, Made(method="ffnskip", asked=0.25, mode=mode), twin=dense)]
    made = [
        directory.rename(directory.with_name(directory.name[:-1] + renamed)) for directory in pair
    ]
    for directory in made:
        inside = {**read_json(directory / "run.json")[part], name: value}
        change(directory, "run.json", **{part: inside})
        change(directory, "summary.json", fingerprint=directory.name)
    change(made[1], "summary.json", twin=made[0].name)
    return made


@pytest.mark.parametrize("key", SETTINGS)
def test_cells_of_other_settings_stand_apart(tmp_path, key):
    _, one, two, told = SETTINGS[key]
    for value, renamed in ((one, "x"), (two, "y")):
        set_to(tmp_path, key, value, renamed)
    groups = groups_of(cells_of(tmp_path), tmp_path)
    assert len(groups) == len({group.slug for group in groups}) == 2
    assert sum(told in group.title for group in groups) == 1
    for group in groups:
        (ours,), (dense,) = group.skipping, group.dense
        assert ours.summary["twin"] == dense.directory.name
    found = frame(tmp_path)
    assert set(found[key]) == {one, two}
    assert found["decode"].nunique() == 1


def test_names_stay_where_nothing_differs(tmp_path):
    set_to(tmp_path, "seed", 1, "x")
    (group,) = groups_of(cells_of(tmp_path), tmp_path)
    assert group.slug == "factoid_short_tiny_n24"


def test_a_noise_floor_stands_with_what_it_is_the_floor_of(tmp_path):
    _, ours = set_to(tmp_path, "batch_size", 4, "x")
    floor, other = set_to(tmp_path, "batch_size", 8, "y")
    noise = {"fingerprint": floor.name, "batch_size": 8, "paired": {}, "transitions": {}}
    change(ours, "summary.json", noise_floor=noise)
    assert len(groups_of(cells_of(tmp_path), tmp_path)) == 2  # it is a twin as well
    change(other, "summary.json", twin="gone")
    for path in other.iterdir():
        path.unlink()
    (group,) = groups_of(cells_of(tmp_path), tmp_path)
    assert len(group.dense) == 2


def test_frame_tells_speed_and_knob(tmp_path):
    dense = write_cell(tmp_path, Made(method="dense"))
    made = Made(
        method="ffnskip", asked=0.25, skips=adaptive, seconds=0.8, changes={"threshold": 0.9}
    )
    ours = write_cell(tmp_path, made, twin=dense)
    manifest = read_json(ours / "run.json")
    change(ours, "run.json", method={**manifest["method"], "threshold": 0.97})
    summary = read_json(ours / "summary.json")
    rows = frame(tmp_path)
    row = rows[rows["method"] == "ffnskip"].iloc[0]
    speedup = summary["speed"]["speedup"]
    assert (row["speedup"], row["speedup_low"]) == (speedup["value"], speedup["low"])
    assert row["ms_per_token"] == 1000 * summary["speed"]["tpot_s"]["p50"]
    assert row["paired_batches"] == 6  # 24 samples, 4 in a batch
    assert (row["knob"], row["knob_value"]) == ("threshold", 0.97)
    assert row["skip_prefill_ffn"] == summary["skip_prefill"]["ffn"]
    plain = rows[rows["method"] == "dense"].iloc[0]
    assert plain[["speedup", "knob", "knob_value", "paired_batches"]].isna().all()
    assert rows["p_holm_cell"].notna().any()


def test_every_artefact_bears_its_provenance(tmp_path):
    write_cell(tmp_path / "results", Made(method="dense"))
    cells, out = cells_of(tmp_path / "results"), tmp_path / "out"
    out.mkdir()
    read_scores(cells, out)
    write_frame(cells, "abc123", out, {})
    told = {p.name: pq.read_schema(p).metadata[b"provenance"] for p in out.glob("*.parquet")}
    assert told["frame.parquet"] == b"abc123"
    assert re.fullmatch(b"[0-9a-f]{12}", told["samples.parquet"])
    save(Figure(figsize=(1, 1)), out, "fig_a", "abc123")
    assert b"/Keywords (provenance abc123)" in (out / "fig_a.pdf").read_bytes()
    with Image.open(out / "fig_a.png") as image:
        assert image.info["provenance"] == "abc123"


def test_csv_names_are_those_of_exact_values():
    numbers = (Number("value", 0.5, "50.0"), Number("low", 0.25, "25.0"))
    pair = (Number("difference", -0.5, "−50.0"), Number("low", -1.0, "−100.0"))
    tests = (Number("p", 0.125, "0.125"), Number("holm", 0.25, "0.250"))
    seconds = (Number("seconds", 0.002, "2.00"),)
    columns = (
        "method",
        "asked, %",
        "accuracy, %",
        "Δ accuracy to dense",
        "p",
        "time, ms",
        "skip, %",
    )
    texts = ("dense", "–", "50.0", "–", "–", "2.00", "5.0")
    dense = [Entry(text=text) for text in texts]
    dense[2], dense[5] = replace(dense[2], numbers=numbers), replace(dense[5], numbers=seconds)
    ours = list(dense)
    ours[3], ours[4] = replace(ours[3], numbers=pair), replace(ours[4], numbers=tests)
    rows = tuple(
        Row(entries=tuple(entries), facts={"asked": asked, "fingerprint": "0123e456"})
        for entries, asked in ((dense, None), (ours, 0.25))
    )
    table = Table(name="t", title="", caption="", columns=columns, rows=rows)
    found = list(csv.DictReader(to_csv(table).splitlines()))
    assert list(found[0])[:7] == (
        ["method", "asked", "accuracy", "accuracy low", "Δ accuracy to dense", "p", "time seconds"]
    )
    assert found[0]["Δ accuracy to dense"] == found[0]["p"] == found[0]["asked"] == ""
    assert (found[1]["asked"], found[1]["Δ accuracy to dense"], found[1]["p"]) == (
        ("0.25", "-0.5", "0.125")
    )
    assert found[1]["p holm"] == "0.25"
    assert found[1]["skip, %"] == "5.0"  # no exact number: as it is printed
    assert found[1]["time seconds"] == "0.002"
