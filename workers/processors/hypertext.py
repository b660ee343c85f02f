"""HTML as elements, read as a stream: no tree is built, so its depth and length do not matter."""

import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from workers.processors import decoding
from workers.processors.boilerplate import is_boilerplate
from workers.processors.elements import Element, Kind
from workers.processors.grids import Cells
from workers.processors.inline import Inline
from workers.processors.slices import SLICE_BYTES, Located
from workers.processors.writing import escape_starts

_DEEPEST_ITEM = 5
_LONGEST_TEXT = 1 << 20  # of one block, in characters

_PAGE_EDGES = frozenset(("header", "footer"))
_CONTENT = frozenset(("main", "article", "section"))
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hr",
        "html",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "caption",
    ]
)
_VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([\w+#.-]{1,20})")


def elements(source: Path) -> Iterator[Located]:
    """Yield the elements of an HTML file, each with a character near which it ends."""
    reader = Reader("e")
    parser = etree.HTMLParser(target=reader, huge_tree=True, no_network=True, remove_pis=True)
    position = 0
    for text in _texts(source):
        parser.feed(text)
        for element in reader.taken():
            yield position, element
        position += len(text)
    if position:
        parser.close()
    for element in reader.rest():
        yield position, element


def _texts(source: Path) -> Iterator[str]:
    held: list[str] = []
    chars = 0
    for line in decoding.lines(source, SLICE_BYTES):
        held.append(line.replace("\0", "\ufffd"))
        chars += len(line)
        if chars >= SLICE_BYTES // 4:
            yield "".join(held)
            held, chars = [], 0
    if held:
        yield "".join(held)


class Reader:
    """What lxml tells of a page's tags and text, as elements.

    prefix: of the elements' places, which count from 1.
    """

    def __init__(self, prefix: str, page: int = 1) -> None:
        self._prefix, self._page = prefix, page
        self._found: list[Element] = []
        self._count = 0
        self._inline = Inline()
        self._skipped = 0
        self._edge = self._content = self._quotes = 0
        self._lists: list[int] = []
        self._numbers: list[int] = []
        self._marker = ""
        self._heading = 0
        self._pre = 0
        self._language = ""
        self._cells: Cells | None = None
        self._nested = 0

    def taken(self) -> list[Element]:
        """Return the elements that ended since the last call."""
        found, self._found = self._found, []
        return found

    def rest(self) -> list[Element]:
        """Return what is left at the end of the page."""
        self._flush()
        self._end_table()
        return self.taken()

    # What lxml calls.

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._skipped or (tag not in _VOID and is_boilerplate(tag, attributes)):
            self._skipped += tag not in _VOID
        elif tag in _BLOCKS:
            self._start_block(tag, attributes)
        elif tag == "br":
            self._inline.add("\n")
        elif tag not in _VOID:
            self._inline.start(
                tag, attributes, in_heading=bool(self._heading), in_code=bool(self._pre)
            )

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= tag not in _VOID
        elif tag in _BLOCKS:
            self._end_block(tag)
        elif tag not in _VOID:
            self._inline.end(tag)

    def data(self, text: str) -> None:
        if self._skipped or (self._edge and not self._content and not self._heading):
            return
        if self._pre:
            self._inline.add(text)
        else:
            self._inline.add_text(text)
        if self._inline.chars > _LONGEST_TEXT:
            self._flush()

    def comment(self, text: str) -> None:
        """Comments are not text."""

    def close(self) -> None:
        """Lxml wants a result; the elements are taken as they come."""

    # Blocks.

    def _start_block(self, tag: str, attributes: dict[str, str]) -> None:
        if self._cells is not None:
            self._start_in_table(tag, attributes)
            return
        self._flush()
        match tag:
            case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                self._heading = _HEADINGS[tag]
            case "ul" | "ol":
                self._lists.append(tag == "ol")
                start = attributes.get("start", "1")
                self._numbers.append(int(start) if start.isdecimal() and len(start) < 7 else 1)
            case "li":
                self._start_item()
            case "pre":
                self._pre += 1
                found = _LANGUAGE.search(attributes.get("class") or "")
                self._language = found[1] if found else ""
            case "blockquote":
                self._quotes += 1
            case "table":
                self._cells = Cells()
            case _:
                self._edge += tag in _PAGE_EDGES
                self._content += tag in _CONTENT

    def _start_item(self) -> None:
        if not self._lists:
            self._marker = "- "
        elif self._lists[-1]:
            self._marker = f"{self._numbers[-1]}. "
            self._numbers[-1] += 1
        else:
            self._marker = "- "

    def _end_block(self, tag: str) -> None:
        if self._cells is not None:
            self._end_in_table(tag)
            return
        self._flush()
        match tag:
            case "ul" | "ol":
                if self._lists:
                    self._lists.pop()
                    self._numbers.pop()
            case "li":
                self._marker = ""
            case "pre":
                self._pre = max(self._pre - 1, 0)
            case "blockquote":
                self._quotes = max(self._quotes - 1, 0)
            case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                self._heading = 0
            case _:
                self._edge = max(self._edge - (tag in _PAGE_EDGES), 0)
                self._content = max(self._content - (tag in _CONTENT), 0)

    # Tables.

    def _start_in_table(self, tag: str, attributes: dict[str, str]) -> None:
        assert self._cells is not None  # noqa: S101 - the caller looked
        if tag == "table":
            self._nested += 1
        if self._nested:
            self._inline.add(" ")
        elif tag in ("td", "th"):
            self._end_cell()
            self._cells.start_cell(attributes)
        elif tag == "tr":
            self._end_cell()
            self._cells.start_row()
        else:
            self._inline.add("; " if tag == "li" and self._inline.holds_text() else " ")

    def _end_in_table(self, tag: str) -> None:
        assert self._cells is not None  # noqa: S101 - the caller looked
        if self._nested:
            self._nested -= tag == "table"
            self._inline.add(" ")
        elif tag == "table":
            self._end_table()
        elif tag in ("td", "th", "tr"):
            self._end_cell()
        elif tag == "caption":
            text = self._inline.text()
            if text:
                self._add(Kind.PARAGRAPH, text)
        else:
            self._inline.add(" ")

    def _end_cell(self) -> None:
        assert self._cells is not None  # noqa: S101 - the callers looked
        text = self._inline.text()
        if text:
            self._cells.text(text)

    def _end_table(self) -> None:
        cells, self._cells, self._nested = self._cells, None, 0
        if cells is None:
            return
        rest = self._inline.text()
        if rest:
            cells.text(rest)
        written = cells.table()
        if written is not None:
            self._add(Kind.TABLE, written)
        else:
            for text in cells.texts():
                self._add(Kind.PARAGRAPH, text)

    # Text.

    def _flush(self) -> None:
        if self._pre:
            text = self._inline.source()
            if text.strip():
                self._add(Kind.CODE, text, language=self._language)
            return
        text = self._inline.text()
        if not text:
            return
        if self._heading:
            self._add(Kind.HEADING, " ".join(text.split()), level=self._heading)
        elif self._marker and self._edge:
            self._marker = ""  # a list in a header or a footer is a menu
        elif self._marker:
            level = min(max(len(self._lists) - 1, 0), _DEEPEST_ITEM)
            self._add(Kind.ITEM, self._marker + " ".join(text.split()), level=level)
            self._marker = ""
        else:
            text = escape_starts(text)
            self._add(Kind.PARAGRAPH, "> " + text.replace("\n", "\n> ") if self._quotes else text)

    def _add(self, kind: Kind, text: str, *, level: int = 0, language: str = "") -> None:
        self._count += 1
        place = f"{self._prefix}{self._count}"
        self._found.append(Element(kind, text, self._page, place, level=level, language=language))
