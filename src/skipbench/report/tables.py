"""A table once, and the three files it becomes: LaTeX (booktabs), Markdown, and CSV with exact values."""

import csv
import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from skipbench.report.files import write_text
from skipbench.report.text import markdown, tex

_CHUNK = 18  # rows of one LaTeX float
_UNIT = re.compile(r", (%|ms)$")
_PREAMBLE = r"""% needs \usepackage{booktabs,xcolor,graphicx}
\providecommand{\sbstack}[2]{\begin{tabular}[c]{@{}#1@{}}#2\end{tabular}}
\providecommand{\sbsmall}[1]{\\[-0.5ex]{\scriptsize #1}}
\providecommand{\sbnote}[1]{\\[-0.7ex]{\tiny\textcolor{gray}{#1}}}
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
    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    provenance: str = ""


def write_table(table: Table, out: Path) -> list[str]:
    """Write the .tex, .md and .csv of a table; returns their names."""
    texts = {"tex": to_tex(table), "md": to_markdown(table), "csv": to_csv(table)}
    for suffix, text in texts.items():
        write_text(out / f"{table.name}.{suffix}", text)
    return [f"{table.name}.{suffix}" for suffix in texts]


def to_tex(table: Table) -> str:
    parts = _parts(table.rows)
    floats = []
    for number, rows in enumerate(parts, 1):
        told = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
        last = number == len(parts)
        floats.append(_float(table, rows, told, table.notes if last else ()))
    return f"% provenance {table.provenance}\n{_PREAMBLE}" + "\n".join(floats)


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    """Blocks packed into floats of a bearable length; pinned rows stand in each."""
    pinned = [row for row in rows if row.pinned]
    parts: list[list[Row]] = [[]]
    free = [row for row in rows if not row.pinned]
    for block in dict.fromkeys(row.block for row in free):
        members = [row for row in free if row.block == block]
        if parts[-1] and len(parts[-1]) + len(members) > _CHUNK:
            parts.append([])
        for row in members:
            if len(parts[-1]) >= _CHUNK:
                parts.append([])
            parts[-1].append(row)
    return [pinned + part for part in parts if part] or [pinned]


def _float(table: Table, rows: Sequence[Row], told: str, notes: Sequence[str]) -> str:
    head = " & ".join(map(_head_tex, table.columns))
    lines, before = [], rows[0].block if rows else ""
    for row in rows:
        if row.block != before:
            lines.append(r"\midrule")
        first, *others = row.entries
        made = [_entry_tex(first, "l"), *(_entry_tex(entry, "c") for entry in others)]
        lines.append(" & ".join(made) + r" \\")
        before = row.block
    label = f"{table.name}{told and told.split()[1]}".replace("_", "-")
    body = "\n".join(lines)
    under = "".join(f"\\par\\smallskip {{\\footnotesize {tex(note)}}}\n" for note in notes)
    return (
        "\\begin{table*}[t]\n\\centering\\small\\setlength{\\tabcolsep}{2.5pt}\n"
        f"\\caption{{{tex(table.caption + told)}}}\n\\label{{tab:{label}}}\n"
        "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{l{'c' * (len(table.columns) - 1)}}}\n\\toprule\n{head} \\\\\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}}}\n{under}\\end{{table*}}\n"
    )


def _head_tex(column: str) -> str:
    """A head in short lines: columns are no wider than what stands in them."""
    lines = textwrap.wrap(column, 9, break_long_words=False, break_on_hyphens=False)
    return "\\shortstack{" + r"\\".join(map(tex, lines)) + "}"


def _entry_tex(entry: Entry, side: str) -> str:
    main = tex(entry.text)
    main = f"\\textbf{{{main}}}" if entry.bold else main
    main += f"$^{{{entry.mark}}}$" if entry.mark else ""
    if not entry.small and not entry.note:
        return main
    under = f"\\sbsmall{{{tex(entry.small)}}}" if entry.small else ""
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
