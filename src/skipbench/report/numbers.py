"""numbers.tex: a LaTeX macro for every number of the main tables, with where it is from."""

from collections.abc import Iterator, Sequence

from skipbench.report.tables import Number, Table
from skipbench.report.text import letters, tex


def macros(tables: Sequence[Table], provenance: str) -> str:
    r"""`\newcommand`s, each under a comment that names cell, metric and exact value.

    A name is table, fingerprint, metric and field in letters only; digits become q to z.
    """
    lines, known = [f"% provenance {provenance}"], dict[str, str]()
    for what, origin, number in _numbers(tables):
        name = letters(f"sb {what}")
        name = name[0].lower() + name[1:]
        while known.get(name, what) != what:  # two names that differ by a sign alone
            name += "X"
        if name not in known:
            known[name] = what
            lines.append(f"% {origin} {number.name} = {number.exact!r}")
            lines.append(f"\\newcommand{{\\{name}}}{{{tex(number.printed)}}}")
    return "\n".join(lines) + "\n"


def _numbers(tables: Sequence[Table]) -> Iterator[tuple[str, str, Number]]:
    for table in tables:
        for row in table.rows:
            for entry in row.entries:
                for number in entry.numbers:
                    if entry.origin and number.exact is not None:
                        place = table.name.removeprefix("table_main_")
                        yield f"{place} {entry.origin} {number.name}", entry.origin, number
