"""HTML as elements, read as a stream: no tree is built, so neither depth nor length of a page matters."""

import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from workers.processors import decoding
from workers.processors.elements import Element, Kind
from workers.processors.grids import Cells
from workers.processors.slices import SLICE_BYTES, Located
from workers.processors.writing import escape_inline, escape_starts

_MOST_INLINE = 4  # marks inside of marks; more are left out
_DEEPEST_ITEM = 5
_LONGEST_TEXT = 1 << 20  # of one block, in characters

_SKIPPED = frozenset(
    "script style noscript template svg math nav aside iframe object audio video canvas select button textarea head dialog".split()
)
_PAGE_EDGES = frozenset(("header", "footer"))
_CONTENT = frozenset(("main", "article", "section"))
_SKIPPED_ROLES = frozenset("navigation banner contentinfo search complementary menu dialog".split())
_SKIPPED_CLASSES = frozenset(
    "navbox navbar toc mw-editsection mw-jump-link noprint catlinks printfooter breadcrumb breadcrumbs "
    "skip-link sr-only visually-hidden cookie-banner mw-indicators vector-page-toolbar reference mw-authority-control".split()
)
_BLOCKS = frozenset(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form "
    "header hr html li main ol p pre section summary table tbody td tfoot th thead tr ul h1 h2 h3 h4 h5 h6 caption".split()
)
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_STRONG, _STRESSED, _CODE = frozenset("b strong".split()), frozenset("i em cite".split()), frozenset("code kbd samp tt".split())
_SPACES = re.compile(r"[ \t\r\n\f\u00a0\ufeff\u200b]+")
_AROUND_BREAK = re.compile(r" ?\n[ \n]*")
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([\w+#.-]{1,20})")
_RAISED = {ord(digit): raised for digit, raised in zip("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", strict=True)}


def elements(source: Path) -> Iterator[Located]:
    """Yield the elements of an HTML file with the character at which the part that ended them begins."""
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
        self._parts: list[str] = []
        self._chars = 0
        self._inline: list[tuple[str, int, str]] = []
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
        if self._skipped or (tag not in _VOID and self._is_skipped(tag, attributes)):
            self._skipped += tag not in _VOID
        elif tag in _BLOCKS:
            self._start_block(tag, attributes)
        elif tag == "br":
            self._parts.append("\n")
        elif tag not in _VOID:
            self._start_inline(tag, attributes)

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= tag not in _VOID
        elif tag in _BLOCKS:
            self._end_block(tag)
        elif tag not in _VOID:
            self._end_inline(tag)

    def data(self, text: str) -> None:
        if self._skipped or (self._edge and not self._content and not self._heading):
            return
        if self._pre:
            self._parts.append(text)
        else:
            in_code = any(mark == "`" for mark, _, _ in self._inline)
            text = _SPACES.sub(" ", text)
            self._parts.append(text if in_code else escape_inline(text))
        self._chars += len(text)
        if self._chars > _LONGEST_TEXT:
            self._flush()

    def comment(self, text: str) -> None:
        """Comments are not text."""

    def close(self) -> None:
        """lxml wants a result; the elements are taken as they come."""

    # Blocks.

    def _is_skipped(self, tag: str, attributes: dict[str, str]) -> bool:
        if tag in _SKIPPED:
            return True
        if tag in ("html", "body", "main", "article") or not attributes:
            return False
        if "hidden" in attributes or attributes.get("aria-hidden") == "true":
            return True
        if attributes.get("role") in _SKIPPED_ROLES:
            return True
        classes = attributes.get("class")
        return classes is not None and not _SKIPPED_CLASSES.isdisjoint(classes.casefold().split())

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
            self._parts.append(" ")
        elif tag in ("td", "th"):
            self._end_cell()
            self._cells.start_cell(attributes)
        elif tag == "tr":
            self._end_cell()
            self._cells.start_row()
        else:
            self._parts.append("; " if tag == "li" and "".join(self._parts).strip() else " ")

    def _end_in_table(self, tag: str) -> None:
        assert self._cells is not None  # noqa: S101 - the caller looked
        if self._nested:
            self._nested -= tag == "table"
            self._parts.append(" ")
        elif tag == "table":
            self._end_table()
        elif tag in ("td", "th", "tr"):
            self._end_cell()
        elif tag == "caption":
            text = self._text()
            if text:
                self._add(Kind.PARAGRAPH, text)
        else:
            self._parts.append(" ")

    def _end_cell(self) -> None:
        assert self._cells is not None  # noqa: S101 - the callers looked
        text = self._text()
        if text:
            self._cells.text(text)

    def _end_table(self) -> None:
        cells, self._cells, self._nested = self._cells, None, 0
        if cells is None:
            return
        rest = self._text()
        if rest:
            cells.text(rest)
        written = cells.table()
        if written is not None:
            self._add(Kind.TABLE, written)
        else:
            for text in cells.texts():
                self._add(Kind.PARAGRAPH, text)

    # Text.

    def _start_inline(self, tag: str, attributes: dict[str, str]) -> None:
        mark = ""
        if tag == "a":
            address = (attributes.get("href") or "").strip()
            mark = address if address.startswith(("https://", "http://")) and not re.search(r"[\s()<>]", address) else ""
        elif tag in _STRONG and not self._heading:
            mark = "**"
        elif tag in _STRESSED and not self._heading:
            mark = "*"
        elif tag in _CODE:
            mark = "`"
        elif tag == "sup":
            mark = "^"
        if self._pre or len(self._inline) >= _MOST_INLINE or any(other == mark for other, _, _ in self._inline):
            mark = ""
        self._inline.append((mark, len(self._parts), tag))

    def _end_inline(self, tag: str) -> None:
        if not self._inline or all(opened != tag for _, _, opened in self._inline[-_MOST_INLINE:]):
            return
        while self._inline:
            mark, start, opened = self._inline.pop()
            if mark:
                self._mark(mark, start)
            if opened == tag:
                return

    def _mark(self, mark: str, start: int) -> None:
        text = "".join(self._parts[start:])
        inner = text.strip()
        if not inner:
            return
        if mark == "^":
            marked = inner.translate(_RAISED) if inner.isdecimal() and inner.isascii() else inner
        elif mark == "`":
            marked = f"`{inner}`" if "`" not in inner and "\n" not in inner else escape_inline(inner)
        elif mark.startswith("http"):
            marked = f"[{inner}]({mark})" if "\n" not in inner else inner
        else:
            marked = f"{mark}{inner}{mark}"
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        self._parts[start:] = [before + marked + after]

    def _text(self) -> str:
        """Take the text of the block that ends."""
        while self._inline and self._inline[-1][1] >= len(self._parts):
            self._inline.pop()
        for mark, start, _ in reversed(self._inline):
            if mark:
                self._mark(mark, start)
        # A paragraph inside of a link ends the link.
        self._inline = [("", 0, tag) for _, _, tag in self._inline]
        text = "".join(self._parts)
        self._parts, self._chars = [], 0
        return _AROUND_BREAK.sub("\n", _SPACES.sub(" ", text) if "\n" not in text else re.sub(r"[ \t\u00a0]+", " ", text)).strip()

    def _flush(self) -> None:
        if self._pre:
            text = "".join(self._parts).strip("\n").rstrip()
            self._parts, self._chars = [], 0
            if text.strip():
                self._add(Kind.CODE, text, language=self._language)
            return
        text = self._text()
        if not text:
            return
        if self._heading:
            self._add(Kind.HEADING, " ".join(text.split()), level=self._heading)
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
