"""From elements to segments: sections are cut only where they are larger than allowed."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from app.jobs.results import Segment
from workers.processors import joining
from workers.processors.cutting import cut
from workers.processors.elements import Element, Kind, Path, from_json, union
from workers.processors.language import language
from workers.processors.writing import plain, room_for, write

_MOST_HEADINGS = 6  # of a carried stack; a document of headings only must not grow it without end


class Packer:
    """Takes the elements of a document in their order and gives back the segments that have ended.

    A segment holds elements of one section. It ends before the next heading (a minor heading ends
    it only when it is half full) or before the first element that does not fit any more. Headings
    at its end move on to the next segment, so that a heading stands above what it announces.
    """

    def __init__(self, max_size: int, state: dict[str, Any] | None = None) -> None:
        """`state` is what `to_json` of an earlier packer returned."""
        state = state or {"path": [], "paths": [], "open": []}
        self._max_size = max_size
        self._path: list[tuple[int, str]] = [(level, title) for level, title in state["path"]]
        self._open: list[Element] = []
        self._chars = 0
        paths = [tuple(path) for path in state["paths"]]
        self._reopen([replace(from_json(value), path=paths[at]) for at, value in state["open"]])

    def to_json(self) -> dict[str, Any]:
        """Return the open tail: at most `max_size` characters of text, and the heading path."""
        paths: dict[Path, int] = {}
        opened = [
            [paths.setdefault(element.path, len(paths)), element.to_json()]
            for element in self._open
        ]
        return {
            "path": [[level, title] for level, title in self._path],
            "paths": [list(path) for path in paths],
            "open": opened,
        }

    def add(self, elements: Iterable[Element]) -> Iterator[Segment]:
        """Take the next elements; yield the segments that end with them."""
        for element in elements:
            if element.kind is Kind.HEADING:
                yield from self._heading(element)
            else:
                yield from self._body(element)

    def end(self) -> Iterator[Segment]:
        """The document has no more elements: yield what is open."""
        yield from self._close()
        # Headings with nothing below them have nowhere to move on to.
        yield from self._empty()

    def _heading(self, element: Element) -> Iterator[Segment]:
        while self._path and self._path[-1][0] >= element.level:
            self._path.pop()
        self._path.append((element.level, plain(element.text)))
        element.path = self._titles()
        room = room_for(element)
        half_full = self._chars * 2 >= self._max_size
        if not element.minor or half_full or self._chars + room > self._max_size:
            yield from self._close()
        if self._holds_headings_only() and (
            len(self._open) >= _MOST_HEADINGS or (self._chars + room) * 2 > self._max_size
        ):
            yield from self._empty()
        self._append(element)

    def _body(self, element: Element) -> Iterator[Segment]:
        element.path = self._titles()
        before = joining.find(self._open, element)
        if before is not None:
            joined = joining.join(self._open[before], element)
            rest = [*self._open[:before], *self._open[before + 1 :]]
            if sum(map(room_for, rest)) + room_for(joined) <= self._max_size:
                self._reopen([*self._open[:before], joined, *self._open[before + 1 :]])
                return
            self._reopen(rest)
            element = joined
        if self._chars + room_for(element) > self._max_size:
            yield from self._close()
            yield from self._make_room(element)
        else:
            self._append(element)

    def _make_room(self, element: Element) -> Iterator[Segment]:
        """Only carried headings are open now."""
        if self._chars * 2 > self._max_size:
            yield from self._empty()
        first = self._max_size - self._chars
        if room_for(element) <= first:
            self._append(element)
            return
        for piece in cut(element, first=first, size=self._max_size):
            if self._open and self._open[-1].kind is not Kind.HEADING:
                yield from self._empty()
            self._append(piece)

    def _close(self) -> Iterator[Segment]:
        carried = self._carried()
        body = self._open[: len(self._open) - len(carried)]
        if body:
            yield self._segment(body)
            self._reopen(carried)

    def _empty(self) -> Iterator[Segment]:
        if self._open:
            yield self._segment(self._open)
            self._reopen([])

    def _holds_headings_only(self) -> bool:
        return all(element.kind is Kind.HEADING for element in self._open)

    def _carried(self) -> list[Element]:
        end = len(self._open)
        while end and self._open[end - 1].kind is Kind.HEADING:
            end -= 1
        return self._open[end:]

    def _append(self, element: Element) -> None:
        self._open.append(element)
        self._chars += room_for(element)

    def _reopen(self, elements: list[Element]) -> None:
        """`_chars` is an upper bound of what they take when they are written."""
        self._open = elements
        self._chars = sum(map(room_for, elements))

    def _titles(self) -> Path:
        return tuple(title for _, title in self._path)

    def _segment(self, elements: list[Element]) -> Segment:
        body = write(elements)
        return Segment(
            body=body,
            page=elements[0].page,
            headings=_common(
                [e.path for e in elements if e.kind is not Kind.HEADING] or [elements[-1].path]
            ),
            boxes=union([box for element in elements for box in element.boxes]),
            lang=language(body),
            place=elements[0].place,
        )


def _common(paths: list[Path]) -> Path:
    """The headings that all of them stand under."""
    shared = paths[0]
    for path in paths[1:]:
        if path == shared:
            continue
        same = 0
        while same < min(len(shared), len(path)) and shared[same] == path[same]:
            same += 1
        shared = shared[:same]
    return shared
