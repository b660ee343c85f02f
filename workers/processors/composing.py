"""From the columns of a page to its elements."""

from collections.abc import Iterator
from itertools import pairwise

from workers.processors.columns import Piece, columns
from workers.processors.elements import Element, Kind
from workers.processors.headings import Profile
from workers.processors.joining import is_hyphenated
from workers.processors.lines import Line, Sheet
from workers.processors.paragraphs import Group, ends_full, groups, is_terminal
from workers.processors.rows import Row, rows
from workers.processors.tables import Grid, find
from workers.processors.writing import escape

_FOOT = 0.5  # of the height: footnotes stand below
_DEEPEST_ITEM = 5
_SHORTEST_REST, _SHORTEST_SENTENCE = 12, 40  # letters
_HEADING_STEP = 2.0
_MOST_HEADING_ROWS = 3


def elements(sheet: Sheet, profile: Profile) -> list[Element]:
    """Return what stands on a sheet, in the order of reading, without headers and footers."""
    grids, lines = find(sheet)
    level = [line for line in lines if line.level and not profile.furniture.holds(sheet, line)]
    pieces = [Piece(line.x0, line.y0, line.x1, line.y1, len(line.text), line) for line in level]
    pieces += [Piece(grid.x0, grid.y0, grid.x1, grid.y1, 0, grid) for grid in grids]
    composer = _Composer(sheet, profile)
    found = [element for column in columns(pieces) for element in composer.column(column)]
    return found + composer.column(
        [Piece(line.x0, line.y0, line.x1, line.y1, 0, line) for line in lines if not line.level]
    )


class _Composer:
    def __init__(self, sheet: Sheet, profile: Profile) -> None:
        self._sheet = sheet
        self._profile = profile
        self._places: set[str] = set()
        self._indents: list[float] = []

    def column(self, pieces: list[Piece]) -> list[Element]:
        found: list[Element] = []
        held: list[Row] = []
        for thing in rows(pieces, self._profile):
            if isinstance(thing, Grid):
                found += self._text(held)
                held = []
                found.append(self._table(thing))
            else:
                held.append(thing)
        found += self._text(held)
        if found:
            found[0].goes_on = _may_go_on(found[0])
        return found

    def _text(self, held: list[Row]) -> list[Element]:
        if not held:
            return []
        self._indents.clear()
        parts = self._with_whole_headings(groups(held, self._profile.leading))
        notes = self._notes(parts)
        found: list[Element] = []
        for place, group in enumerate(parts):
            elements = list(self._element(group, is_note=place >= notes))
            if elements and place in (notes - 1, len(parts) - 1):
                _leave_open(elements[-1], group)
            found += elements
        return found

    def _with_whole_headings(self, parts: list[Group]) -> list[Group]:
        """Rows of a long heading stand further apart than those of text."""
        whole: list[Group] = []
        for group in parts:
            above = whole[-1] if whole else None
            if above is not None and self._is_one_heading(above, group):
                above.rows += group.rows
            else:
                whole.append(group)
        return whole

    def _is_one_heading(self, above: Group, group: Group) -> bool:
        last, line = above.rows[-1], group.rows[0]
        return (
            line.line.size > 1.15 * self._profile.body_size
            and abs(line.line.size - last.line.size) < 0.3
            and line.line.bold == last.line.bold
            and 0 < line.line.y1 - last.line.y1 < _HEADING_STEP * line.line.size
            and line.marker is None
            and not line.text[0].isdigit()
            and len(above.rows) + len(group.rows) <= _MOST_HEADING_ROWS
        )

    def _notes(self, parts: list[Group]) -> int:
        """The place where footnotes begin: small text below all the other text."""
        place = len(parts)
        while place and self._is_small(parts[place - 1]):
            place -= 1
        return place

    def _is_small(self, group: Group) -> bool:
        line = group.rows[0].line
        return line.size < 0.93 * self._profile.body_size and line.y0 > _FOOT * self._sheet.height

    def _element(self, group: Group, *, is_note: bool) -> Iterator[Element]:
        first = group.rows[0]
        if first.code:
            self._indents.clear()
            yield self._new(Kind.CODE, _code(group), group)
            return
        text = group.text()
        heading = None if first.entry or first.wide else self._heading(group, text)
        if heading is not None:
            self._indents.clear()
            level, minor = heading
            element = self._new(Kind.HEADING, escape(" ".join(text.split())), group)
            element.level, element.minor = level, minor
            yield element
        elif first.marker is not None and not is_note:
            if len(text) > first.marker.chars:  # else a symbol of a formula, or an empty item
                yield self._item(group, text)
        else:
            if self._indents and first.line.x0 < self._indents[0] + first.line.size:
                self._indents.clear()
            yield self._new(Kind.FOOTNOTE if is_note else Kind.PARAGRAPH, escape(text), group)

    def _heading(self, group: Group, text: str) -> tuple[int, bool] | None:
        lines = [row.line for row in group.rows]
        return self._profile.heading(self._sheet.number, lines, text.replace("\n", " "))

    def _item(self, group: Group, text: str) -> Element:
        mark = group.rows[0].marker
        assert mark is not None  # noqa: S101 - the caller looked
        x = group.rows[0].line.x0
        while self._indents and x < self._indents[-1] - 3:
            self._indents.pop()
        if not self._indents or x > self._indents[-1] + 3:
            self._indents.append(x)
        body = " ".join(text[mark.chars :].split())
        element = self._new(Kind.ITEM, mark.written + escape(body), group)
        element.level = min(len(self._indents) - 1, _DEEPEST_ITEM)
        return element

    def _table(self, grid: Grid) -> Element:
        box = self._sheet.box(grid.x0, grid.y0, grid.x1, grid.y1)
        return Element(
            Kind.TABLE, grid.text, self._sheet.number, self._place(box.x0, box.y0), boxes=(box,)
        )

    def _new(self, kind: Kind, text: str, group: Group) -> Element:
        lines = [row.line for row in group.rows]
        box = self._sheet.box(
            min([line.x0 for line in lines]),
            lines[0].y0,
            max([line.x1 for line in lines]),
            max([line.y1 for line in lines]),
        )
        return Element(kind, text, self._sheet.number, self._place(box.x0, box.y0), boxes=(box,))

    def _place(self, x: float, y: float) -> str:
        place = wanted = f"p{self._sheet.number}:{round(x)},{round(y)}"
        copy = 1
        while place in self._places:
            copy += 1
            place = f"{wanted};{copy}"
        self._places.add(place)
        return place


def _leave_open(element: Element, group: Group) -> None:
    """Say of the last element of a column whether its text stops in the middle."""
    last = group.rows[-1].text
    if element.kind is Kind.CODE:
        element.open_end = True
    elif element.kind is not Kind.HEADING:
        element.open_end = not is_terminal(last)
        element.full = element.open_end and (ends_full(group) or is_hyphenated(last))


def _may_go_on(element: Element) -> bool:
    """A label at the head of a page is not the rest of the last paragraph before it."""
    match element.kind:
        case Kind.PARAGRAPH | Kind.FOOTNOTE:
            first = element.text[0]
            is_middle = first.isalpha() and not first.isupper()
            return len(element.text) >= (_SHORTEST_REST if is_middle else _SHORTEST_SENTENCE)
        case Kind.CODE | Kind.TABLE:
            return True
    return False


def _code(group: Group) -> str:
    """Code keeps its indentation and its empty lines."""
    lines: list[Line] = [row.line for row in group.rows]
    left = min(line.x0 for line in lines)
    longest = max(lines, key=lambda line: len(line.text))
    letter = max((longest.x1 - longest.x0) / len(longest.text), 1.0)
    step = min((below.y1 - line.y1 for line, below in pairwise(lines)), default=0.0)
    text = []
    for place, row in enumerate(group.rows):
        if place and step > 0:
            text += [""] * min(round((row.line.y1 - lines[place - 1].y1) / step) - 1, 2)
        text.append(" " * min(round((row.line.x0 - left) / letter), 120) + row.text)
    return "\n".join(text)
