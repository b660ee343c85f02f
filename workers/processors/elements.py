"""The parts of a document between reading and packing: headings, paragraphs, tables, code."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.jobs.results import Box


class Kind(StrEnum):
    """What an element is; says how it is written, cut and joined."""

    HEADING = "h"
    PARAGRAPH = "p"
    ITEM = "i"
    TABLE = "t"
    CODE = "c"
    FOOTNOTE = "f"
    SOURCE = "s"


Path = tuple[str, ...]


@dataclass(slots=True)
class Element:
    """One part of a document, its text ready as Markdown.

    text: without the marks that its kind adds when it is written: no `#` of a heading, no fence of
        code; a table with its header and rule as the first two lines; an item with its marker.
    level: depth of a heading, 1 to 6; depth of an item, 0 is the outermost.
    minor: a heading that need not open a segment.
    open_end: the text stops in the middle of a sentence, at the end of a column or page.
    full: and its last line reaches the margin.
    goes_on: it may be the rest of an element that stopped so.
    tight: stands on the line after the element before, without an empty line between.
    path: the headings above it; given by the packer.
    """

    kind: Kind
    text: str
    page: int
    place: str
    level: int = 0
    minor: bool = False
    open_end: bool = False
    full: bool = False
    goes_on: bool = False
    tight: bool = False
    language: str = ""
    boxes: tuple[Box, ...] = ()
    path: Path = ()

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads back, without the path and what says nothing."""
        value: dict[str, Any] = {"k": self.kind, "t": self.text, "p": self.page, "at": self.place}
        if self.level:
            value["l"] = self.level
        flags = self.minor, self.open_end, self.full, self.goes_on, self.tight
        if any(flags):
            value.update((key, 1) for key, flag in zip(_FLAGS, flags, strict=True) if flag)
        if self.language:
            value["lang"] = self.language
        if self.boxes:
            value["b"] = [[box.page, box.x0, box.y0, box.x1, box.y1] for box in self.boxes]
        return value


_FLAGS = "mougn"  # of minor, open_end, full, goes_on and tight


def from_json(value: dict[str, Any]) -> Element:
    """Read back what `Element.to_json` wrote."""
    return Element(
        kind=Kind(value["k"]),
        text=value["t"],
        page=value["p"],
        place=value["at"],
        level=value.get("l", 0),
        language=value.get("lang", ""),
        boxes=tuple(Box(*box) for box in value.get("b", ())),
        minor="m" in value,
        open_end="o" in value,
        full="u" in value,
        goes_on="g" in value,
        tight="n" in value,
    )


def union(boxes: Iterable[Box]) -> tuple[Box, ...]:
    """Return one box for each page that any of them touches, in the order of pages."""
    by_page: dict[int, list[Box]] = {}
    for box in boxes:
        by_page.setdefault(box.page, []).append(box)
    return tuple(_around(page, by_page[page]) for page in sorted(by_page))


def _around(page: int, boxes: list[Box]) -> Box:
    if len(boxes) == 1:
        return boxes[0]
    return Box(
        page,
        min([box.x0 for box in boxes]),
        min([box.y0 for box in boxes]),
        max([box.x1 for box in boxes]),
        max([box.y1 for box in boxes]),
    )
