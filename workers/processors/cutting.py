"""Cutting what alone is larger than a segment: at rows, lines, sentences, words, or anywhere."""

import re
from collections.abc import Callable, Iterator

from workers.processors.elements import Element, Kind
from workers.processors.writing import fence

_SENTENCE = re.compile(
    r"(?<=[.!?\u2026])[\"'\u201d\u2019\u00bb)\]]*\s+|(?<=[\u3002\uff01\uff1f])|\n+"
)
_WORD = re.compile(r"\s+")


def cut(element: Element, *, first: int, size: int) -> Iterator[Element]:
    """Yield pieces of an element: the first takes at most `first` characters, others `size`.

    size: at least 100; first: at least 40. Only white space is lost, at the cuts.
    """
    pieces: Callable[[Element, int, int], Iterator[tuple[int, str]]]
    match element.kind:
        case Kind.TABLE:
            pieces = _rows
        case Kind.CODE:
            pieces = _lines
        case _:
            pieces = _sentences
    yielded = False
    for offset, text in pieces(element, first, size):
        yield _piece(element, offset, text, is_first=not yielded)
        yielded = True


def _piece(element: Element, offset: int, text: str, *, is_first: bool) -> Element:
    """The rest of an item is a paragraph: its marker stands before the first piece."""
    kind = element.kind
    if kind in (Kind.ITEM, Kind.HEADING) and (kind is Kind.HEADING or not is_first):
        kind = Kind.PARAGRAPH
    if kind is Kind.TABLE and not text.startswith("|"):
        kind = Kind.PARAGRAPH
    return Element(
        kind=kind,
        text=text,
        page=element.page,
        place=element.place if is_first else f"{element.place}+{offset}",
        level=element.level if kind is Kind.ITEM else 0,
        open_end=element.open_end,
        full=element.full,
        goes_on=element.goes_on and is_first,
        tight=element.tight and is_first,
        language=element.language,
        boxes=element.boxes,
        path=element.path,
    )


def _rows(element: Element, first: int, size: int) -> Iterator[tuple[int, str]]:
    lines = element.text.split("\n")
    head = "\n".join(lines[:2])
    # A header that fills half a segment leaves no room for rows: the first piece alone has it.
    repeated = head if len(head) * 2 <= min(first, size) else ""
    start, rows = (len(head) + 1, lines[2:]) if repeated else (0, lines)
    held, held_at, room, position = repeated, start, first, start
    for row in rows:
        longer = f"{held}\n{row}" if held else row
        if len(longer) <= room:
            held = longer
        else:
            if held != repeated:
                yield held_at, held
                room = size
            held_at = position
            held = f"{repeated}\n{row}" if repeated else row
            if len(held) > room:
                for at, text in _wrap(row.strip("| "), room, size):
                    yield position + at, text
                    room = size
                held = repeated
                held_at = position + len(row) + 1
        position += len(row) + 1
    if held and held != repeated:
        yield held_at, held


def _lines(element: Element, first: int, size: int) -> Iterator[tuple[int, str]]:
    marks = 2 * (len(fence(element.text)) + 1) + len(element.language)
    yield from _greedy(
        _split_lines(element.text, min(first, size) - marks), first - marks, size - marks
    )


def _split_lines(text: str, room: int) -> Iterator[tuple[int, str]]:
    position = 0
    for line in text.splitlines(keepends=True):
        for at in range(0, len(line), room):
            yield position + at, line[at : at + room]
        position += len(line)


def _sentences(element: Element, first: int, size: int) -> Iterator[tuple[int, str]]:
    indent = 4 * element.level if element.kind is Kind.ITEM else 0
    yield from _wrap(element.text, first - indent, size)


def _wrap(text: str, first: int, size: int) -> Iterator[tuple[int, str]]:
    small = min(first, size)
    yield from _greedy(
        _broken(_broken([(0, text)], _SENTENCE, small), _WORD, small, hard=True), first, size
    )


def _broken(
    parts: Iterator[tuple[int, str]] | list[tuple[int, str]],
    at: re.Pattern[str],
    room: int,
    *,
    hard: bool = False,
) -> Iterator[tuple[int, str]]:
    """Break parts longer than `room` where the pattern ends; with `hard` also in between."""
    for offset, text in parts:
        if len(text) <= room:
            yield offset, text
            continue
        start = 0
        for end in [*(match.end() for match in at.finditer(text)), len(text)]:
            step = room if hard else max(end - start, 1)
            for piece in range(start, end, step):
                yield offset + piece, text[piece : min(piece + step, end)]
            start = max(end, start)


def _greedy(parts: Iterator[tuple[int, str]], first: int, size: int) -> Iterator[tuple[int, str]]:
    """Put parts together as long as they fit; white space around a piece does not count."""
    held, held_at, room = "", 0, first
    for offset, text in parts:
        if held.strip() and len((held + text).strip("\n").rstrip()) > room:
            yield held_at, held.strip("\n").rstrip()
            held, room = "", size
        if not held:
            held_at = offset
        held += text
    if held.strip():
        yield held_at, held.strip("\n").rstrip()
