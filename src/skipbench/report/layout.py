"""How a wide or long table is cut, so that no letter of it is printed below 6 points.

Widths and heights are estimates in points, at the sizes that a LaTeX table is set in: 8 points, and 7
for what stands under a number. A page is 397 points wide and 550 high, no less than the usual ones; what
is a little wider is shrunk to it.
"""

from collections.abc import Sequence

WIDTH, HEIGHT = 435.0, 520.0  # the width is shrunk to 397: 7 points become 6.4
MAIN, SMALL = 8.0, 7.0
_GAP = 5.0  # between two columns
_LINE = 9.5  # of text of 8 points
_PER_LINE = 95  # letters of a caption or a note
_NARROW = frozenset(" .,:;|[]()!'iljtfIr-")
Lines = Sequence[tuple[str, float]]  # of one place in a table: text and size


def width_of(lines: Lines) -> float:
    """Points that a place takes: its longest line. Bold letters fit as well."""
    return max((size * sum(map(_em, text)) for text, size in lines), default=0.0)


def _em(letter: str) -> float:
    if letter in _NARROW:
        return 0.36
    return 0.8 if letter.isupper() or letter in "mw%−+×→Δ" else 0.54


def height_of(lines: Lines) -> float:
    return sum(_LINE if size == MAIN else SMALL + 1 for _, size in lines) + 1


def told_height(*texts: str) -> float:
    """Points of captions and notes, each with a little room around it."""
    return sum(_LINE * -(-len(text) // _PER_LINE) + 4 for text in texts)


def bands(widths: Sequence[float], keys: int) -> list[list[int]]:
    """Columns by the tabular they stand in; the first `keys` open each of them."""
    head = list(range(keys))
    made = [list(head)]
    for column in range(keys, len(widths)):
        taken = sum(widths[i] + _GAP for i in (*made[-1], column))
        if len(made[-1]) > keys and taken > WIDTH:
            made.append(list(head))
        made[-1].append(column)
    return made


def parts(
    heights: Sequence[float], blocks: Sequence[str], first: float, room: float
) -> list[list[int]]:
    """Rows by the float they stand in. `first`: room of the first float, under the caption; a block
    is cut only where it does not fit and the float is half full."""
    made: list[list[int]] = [[]]
    left = first
    for block in dict.fromkeys(blocks):
        members = [row for row, name in enumerate(blocks) if name == block]
        if made[-1] and left < room / 2 and sum(heights[row] for row in members) > left:
            made.append([])
            left = room
        for row in members:
            if made[-1] and heights[row] > left:
                made.append([])
                left = room
            made[-1].append(row)
            left -= heights[row]
    return made
