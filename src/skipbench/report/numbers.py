"""numbers.tex: a LaTeX macro for every number of the tables, with where it is from."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from skipbench.report.tables import Number, Row, Table
from skipbench.report.text import letters, tex

_ITSELF = ("value", "difference")


class _Named(NamedTuple):
    words: str
    fingerprint: str
    origin: str
    number: Number


def macros(tables: Sequence[Table], provenance: str) -> str:
    r"""`\newcommand`s, each under a comment that names cell, metric and exact value.

    A name is `sb`, the table, the method with its settings, `At` and what was asked in percent, the
    metric, and which of its numbers, in letters only; digits are spelled. Names that would meet get
    the fingerprint of their cells, in hexadecimal with q to z for 0 to 9.
    """
    found = list(dict.fromkeys(_numbers(tables)))
    times = Counter(letters(named.words) for named in found)
    lines, known = [f"% provenance {provenance}"], set[str]()
    for named in found:
        name = letters(named.words)
        if times[name] > 1:
            name += named.fingerprint.translate(_DIGITS).capitalize()
        while name in known:  # two heads of one table that differ by a sign alone
            name += "X"
        known.add(name)
        lines.append(f"% {named.origin} {named.number.name} = {named.number.exact!r}")
        lines.append(f"\\newcommand{{\\sb{name}}}{{{tex(named.number.printed)}}}")
    return "\n".join(lines) + "\n"


_DIGITS = str.maketrans("0123456789", "qrstuvwxyz")


def _numbers(tables: Sequence[Table]) -> Iterator[_Named]:
    for table in tables:
        place = re.sub("^table_(main_)?", "", table.name)
        for row in table.rows:
            name = f"{place} {_row_name(row)}"
            fingerprint = str(row.facts.get("fingerprint", ""))
            for column, entry in zip(table.columns, row.entries, strict=True):
                metric = entry.origin.partition(" ")[2] or re.sub(", [a-z%]+$", "", column)
                for number in entry.numbers:
                    if number.exact is not None and number.printed:
                        field = "" if number.name in _ITSELF else number.name
                        origin = entry.origin or f"{fingerprint} {column}"
                        yield _Named(f"{name} {metric} {field}", fingerprint, origin, number)


def _row_name(row: Row) -> str:
    """`ffnskip cold start 0.2 at 25`: a method, what was changed of it, and what it was asked."""
    asked = row.facts.get("asked")
    told = "" if asked is None else f"at {round(100 * asked, 6):g}"
    return f"{row.entries[0].text} {row.entries[0].small} {told}"
