"""Rows of a column: the lines that stand on one height, put together from left to right."""

import re
from dataclasses import dataclass
from itertools import pairwise

from workers.processors.columns import Piece
from workers.processors.headings import Profile
from workers.processors.lines import Line
from workers.processors.lists import Marker, marker
from workers.processors.tables import Grid

_LEADERS = re.compile(r"(?:\s?[.\u00b7\u2026_\u2024]){5,}\s*")
_PAGE_AT_END = re.compile(r"(?:^|\s)(?:\d{1,4}|[ivxlc]{1,7})$")
_SPACES = re.compile("  +")
_WIDE_GAP = 3.0  # times the size; what stands further away is not the same text


@dataclass(slots=True)
class Row:
    """A row of text.

    text_x: where its text begins, after a marker. wide: a part of it stands far from the rest.
    entry: of a table of contents: a title, and a page at the end. spaced: a word ends with it.
    """

    line: Line
    text: str
    marker: Marker | None
    code: bool
    text_x: float
    wide: bool = False
    entry: bool = False
    spaced: bool = True


def rows(column: list[Piece], profile: Profile) -> list[Row | Grid]:
    """Put the lines of a column together; tables stay as they are."""
    found: list[list[Line] | Grid] = []
    row: list[Line] = []
    for piece in column:
        thing = piece.thing
        if isinstance(thing, Grid):
            found.append(thing)
            row = []
        elif row and _level(row[-1], thing):
            row.append(thing)
        else:
            row = [thing]
            found.append(row)
    return [thing if isinstance(thing, Grid) else _row(thing, profile) for thing in found]


def _level(left: Line, right: Line) -> bool:
    """Tell whether two lines stand beside each other, not one above the other."""
    if abs(left.y1 - right.y1) >= 0.45 * max(left.size, right.size):
        return False
    beside = right.x0 >= left.x1 - 1 or left.x0 >= right.x1 - 1
    return beside and left.level and right.level


def _row(lines: list[Line], profile: Profile) -> Row:
    if len(lines) == 1:
        line, wide = lines[0], False
    else:
        lines.sort(key=lambda part: part.x0)
        wide = any(_far(lines[place], lines[place + 1]) for place in range(len(lines) - 1))
        line = _merged(lines)
    code = all(map(profile.is_code, lines))
    if code:
        text = line.text if len(lines) == 1 else _spaced(lines)
        return Row(line, text, None, code, line.x0)
    if "  " in line.text:
        line.text = _SPACES.sub(" ", line.text)
    mark = marker(line.text)
    spaced = lines[-1].open or not profile.spaced
    text = line.text
    dotted = _may_be_dotted(text) and _LEADERS.search(text) is not None
    if dotted:
        text = _LEADERS.sub(" \u2026 ", text)
    entry = (wide or dotted) and _PAGE_AT_END.search(line.text) is not None
    return Row(line, text, mark, code, _text_x(lines, mark), wide, entry, spaced)


def _may_be_dotted(text: str) -> bool:
    return ".." in text or ". ." in text or "\u2026" in text or "__" in text or "\u00b7" in text


def _far(left: Line, right: Line) -> bool:
    """The number of a heading or an item may stand far from its text."""
    return right.x0 - left.x1 > _WIDE_GAP * max(left.size, right.size) and any(
        map(str.isalpha, left.text)
    )


def _merged(lines: list[Line]) -> Line:
    main = max(lines, key=lambda line: len(line.text))
    parts = [lines[0].text]
    for left, right in pairwise(lines):
        near = right.x0 - left.x1 < 0.12 * left.size and not left.open
        parts.append(right.text if near else f" {right.text}")
    return Line(
        text="".join(parts),
        x0=lines[0].x0,
        y0=min([line.y0 for line in lines]),
        x1=max([line.x1 for line in lines]),
        y1=main.y1,
        size=main.size,
        bold=all(line.bold or not any(map(str.isalnum, line.text)) for line in lines),
        mono=main.mono,
        font=main.font,
        block=main.block,
        level=main.level,
        open=main.open,
        pitch=main.pitch,
    )


def _spaced(lines: list[Line]) -> str:
    """Code keeps its columns."""
    text = lines[0].text
    letter = max((lines[0].x1 - lines[0].x0) / max(len(text), 1), 1.0)
    for line in lines[1:]:
        column = round((line.x0 - lines[0].x0) / letter)
        text = (
            f"{text:<{min(column, 200)}}{line.text}"
            if column > len(text)
            else f"{text} {line.text}"
        )
    return text


def _text_x(lines: list[Line], mark: Marker | None) -> float:
    first = lines[0]
    if mark is None:
        return first.x0
    if len(lines) > 1 and len(first.text) <= mark.chars:
        return lines[1].x0
    return first.x0 + mark.chars * (first.x1 - first.x0) / len(first.text)
