"""A table once, and the three files it becomes: LaTeX (booktabs), Markdown, and CSV with exact values."""

import csv
import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from skipbench.report import layout
from skipbench.report.files import write_text
from skipbench.report.text import markdown, tex

_UNIT = re.compile(r", (%|ms)$")
_PREAMBLE = r"""% needs \usepackage{booktabs,xcolor,graphicx}
\providecommand{\sbstack}[2]{\begin{tabular}[c]{@{}#1@{}}#2\end{tabular}}
\providecommand{\sbsmall}[1]{\\[-0.5ex]{\scriptsize #1}}
\providecommand{\sbnote}[1]{\\[-0.5ex]{\scriptsize\textcolor{gray}{#1}}}
"""


class Number(NamedTuple):
    """One number of an entry: which (`value`, `low`, …), exactly, and as it is printed."""

    name: str
    exact: float | int | None
    printed: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A place in a table. `small` stands under `text`, `note` under that."""

    text: str
    small: str = ""
    note: str = ""
    mark: str = ""
    bold: bool = False
    numbers: tuple[Number, ...] = ()
    origin: str = ""  # "fingerprint metric", where its numbers come from


@dataclass(frozen=True, kw_only=True)
class Row:
    """`block`: rows of one block stand together; `pinned` rows open every part of a long table.
    `facts` go to the CSV only."""

    entries: tuple[Entry, ...]
    block: str = ""
    pinned: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Table:
    """`keys`: columns that name a row, and open each tabular of a table that is cut."""

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    keys: int = 1
    notes: tuple[str, ...] = ()
    provenance: str = ""


def write_table(table: Table, out: Path) -> list[str]:
    """Write the .tex, .md and .csv of a table; returns their names."""
    texts = {"tex": to_tex(table), "md": to_markdown(table), "csv": to_csv(table)}
    for suffix, text in texts.items():
        write_text(out / f"{table.name}.{suffix}", text)
    return [f"{table.name}.{suffix}" for suffix in texts]


def to_tex(table: Table) -> str:
    """Floats of stacked tabulars: as many of both as the width and height of a page ask for."""
    columns = [
        layout.width_of(
            [*_head_lines(name), *(line for row in table.rows for line in _lines(row, i))]
        )
        for i, name in enumerate(table.columns)
    ]
    bands = layout.bands(columns, table.keys)
    floats = []
    parts = _parts(table, bands)
    for number, rows in enumerate(parts, 1):
        told = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
        caption = table.caption if number == 1 else f"Continued: {table.title}"
        notes = table.notes if number == len(parts) else ()
        tabulars = [_tabular(table, rows, band) for band in bands]
        floats.append(_float(table, tabulars, caption + told, notes))
    return f"% provenance {table.provenance}\n{_PREAMBLE}" + "\n".join(floats)


def _parts(table: Table, bands: Sequence[Sequence[int]]) -> list[list[Row]]:
    """Rows of each float; pinned rows open all of them."""
    pinned = [row for row in table.rows if row.pinned]
    free = [row for row in table.rows if not row.pinned]

    def height(row: Row) -> float:
        return sum(max(layout.height_of(_lines(row, i)) for i in band) for band in bands)

    heads = [max(layout.height_of(_head_lines(table.columns[i])) for i in band) for band in bands]
    room = layout.HEIGHT - layout.told_height(table.title, *table.notes)
    room -= sum(head + 14 for head in heads) + sum(map(height, pinned))
    first = room - layout.told_height(table.caption) + layout.told_height(table.title)
    blocks = [row.block for row in free]
    rows = layout.parts([height(row) for row in free], blocks, first, room)
    return [pinned + [free[i] for i in part] for part in rows]


def _lines(row: Row, column: int) -> layout.Lines:
    """Text and size of the lines of an entry."""
    entry = row.entries[column]
    under = [(text, layout.SMALL) for text in (*_small(entry), entry.note) if text]
    return [(entry.text + entry.mark, layout.MAIN), *under]


def _small(entry: Entry) -> list[str]:
    """What stands under an entry, in lines no longer than a column may be wide."""
    return textwrap.wrap(entry.small, 26)


def _head_lines(column: str) -> layout.Lines:
    return [(line, layout.MAIN) for line in _wrapped(column)]


def _wrapped(column: str) -> list[str]:
    """A head in short lines: columns are no wider than what stands in them."""
    return textwrap.wrap(column, 9, break_long_words=False, break_on_hyphens=False)


def _tabular(table: Table, rows: Sequence[Row], band: Sequence[int]) -> str:
    head = " & ".join(_head_tex(table.columns[i]) for i in band)
    lines, before = [], rows[0].block if rows else ""
    for row in rows:
        if row.block != before:
            lines.append(r"\midrule")
        made = [_entry_tex(row.entries[i], "c" if place else "l") for place, i in enumerate(band)]
        lines.append(" & ".join(made) + r" \\")
        before = row.block
    body = "\n".join(lines)
    return (
        "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{l{'c' * (len(band) - 1)}}}\n\\toprule\n{head} \\\\\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}}}\n"
    )


def _float(table: Table, tabulars: Sequence[str], caption: str, notes: Sequence[str]) -> str:
    part = caption.rpartition(" (part ")[2].split()[0] if " (part " in caption else ""
    label = f"{table.name}{part}".replace("_", "-")
    body = "\\par\\medskip\n".join(tabulars)
    under = "".join(f"\\par\\smallskip {tex(note)}\n" for note in notes)
    return (
        "\\begin{table*}[tp]\n\\centering\\footnotesize\\setlength{\\tabcolsep}{2.5pt}\n"
        f"\\caption{{{tex(caption)}}}\n\\label{{tab:{label}}}\n"
        f"{body}{under}\\end{{table*}}\n"
    )


def _head_tex(column: str) -> str:
    return "\\shortstack{" + r"\\".join(map(tex, _wrapped(column))) + "}"


def _entry_tex(entry: Entry, side: str) -> str:
    main = tex(entry.text)
    main = f"\\textbf{{{main}}}" if entry.bold else main
    main += f"\\textsuperscript{{{tex(entry.mark)}}}" if entry.mark else ""
    if not entry.small and not entry.note:
        return main
    under = "".join(f"\\sbsmall{{{tex(line)}}}" for line in _small(entry))
    under += f"\\sbnote{{{tex(entry.note)}}}" if entry.note else ""
    return f"\\sbstack{{{side}}}{{{main}{under}}}"


def to_markdown(table: Table) -> str:
    lines = [f"### {table.title}", "", markdown(table.caption), ""]
    lines.append("| " + " | ".join(markdown(column) for column in table.columns) + " |")
    lines.append("|" + "---|" * len(table.columns))
    for row in table.rows:
        lines.append("| " + " | ".join(_entry_markdown(entry) for entry in row.entries) + " |")
    lines += [
        "",
        *(f"{markdown(note)}\n" for note in table.notes),
        f"provenance {table.provenance}",
    ]
    return "\n".join(lines) + "\n"


def _entry_markdown(entry: Entry) -> str:
    main = markdown(entry.text) + markdown(entry.mark)
    main = f"**{main}**" if entry.bold else main
    note = f"({entry.note})" if entry.note else ""
    return " ".join(filter(None, (main, markdown(entry.small), markdown(note))))


def to_csv(table: Table) -> str:
    """One column for each exact number; shares are in [0, 1]. An absent number is empty.

    A head loses its unit where its column holds exact numbers, which are in no percent.
    """
    pairs = [zip(table.columns, row.entries, strict=True) for row in table.rows]
    exact = {column for row in pairs for column, entry in row if entry.numbers}
    records = []
    for row in table.rows:
        record: dict[str, Any] = {}
        for column, entry in zip(table.columns, row.entries, strict=True):
            plain = column in exact or _UNIT.sub("", column) in row.facts
            name = _UNIT.sub("", column) if plain else column
            if not entry.numbers:
                told = " ".join(filter(None, (entry.text, entry.small)))
                record[name] = "" if plain and told == "–" else told
            for number in entry.numbers:
                itself = number.name in ("value", "difference", name)
                record[name if itself else f"{name} {number.name}"] = number.exact
        records.append({**record, **row.facts, "provenance": table.provenance})
    return to_csv_text(records)


def to_csv_text(records: Sequence[dict[str, Any]]) -> str:
    """Records as CSV; a record may lack columns, their order is that of first sight."""
    columns = list(dict.fromkeys(column for record in records for column in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
