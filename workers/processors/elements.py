"""The parts of a document between reading and packing: headings, paragraphs, tables, code."""

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
        value: dict[str, Any] = {
            "k": self.kind.value,
            "t": self.text,
            "p": self.page,
            "at": self.place,
        }
        value |= {"l": self.level} if self.level else {}
        value |= {key: 1 for key, name in _FLAGS.items() if getattr(self, name)}
        value |= {"lang": self.language} if self.language else {}
        if self.boxes:
            value["b"] = [[box.page, box.x0, box.y0, box.x1, box.y1] for box in self.boxes]
        return value


_FLAGS = {"m": "minor", "o": "open_end", "u": "full", "g": "goes_on", "n": "tight"}


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


def union(first: tuple[Box, ...], second: tuple[Box, ...]) -> tuple[Box, ...]:
    """Return one box for each page that either touches, in the order of pages."""
    boxes = {box.page: box for box in first}
    for box in second:
        old = boxes.get(box.page)
        boxes[box.page] = box if old is None else _around(old, box)
    return tuple(boxes[page] for page in sorted(boxes))


def _around(first: Box, second: Box) -> Box:
    return Box(
        first.page,
        min(first.x0, second.x0),
        min(first.y0, second.y0),
        max(first.x1, second.x1),
        max(first.y1, second.y1),
    )
