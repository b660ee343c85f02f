"""Markdown as elements: the blocks are found, their text stays as its author wrote it."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from workers.processors import decoding
from workers.processors.elements import Element, Kind
from workers.processors.slices import SLICE_BYTES, Located

_LONGEST_BLOCK = 16 * SLICE_BYTES
_SNIFFED_LINES = 600
_LONGEST_LANGUAGE = 20

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}\s+\S")
_ITEM = re.compile(r"\s{0,3}(?:[-*+]|\d+\.)\s+\S")
_LINK = re.compile(r"\[[^\]]+\]\((?:https?:|#|\.?/|\w)[^)\s]*\)")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-{3,}:?\s*(?:\|\s*:?-{3,}:?\s*)+\|?\s*")
_STRONG = re.compile(r"\*\*\S.*?\S\*\*")

# Blocks only: what stands inside of a paragraph is left as it is.
_PARSER = MarkdownIt("commonmark").enable("table")
_PARSER.core.ruler.disable("inline")


def is_markdown(source: Path) -> bool:
    """Tell whether a text without a telling name is clearly Markdown; a doubt means it is not."""
    lines = []
    for line in decoding.lines(source, SLICE_BYTES):
        lines.append(line.rstrip())
        if len(lines) >= _SNIFFED_LINES:
            break
    headings = sum(
        _HEADING.match(line) is not None
        and not any((*lines[max(place - 1, 0) : place], *lines[place + 1 : place + 2]))
        for place, line in enumerate(lines)
    )
    signs = 2 * (headings >= 2) + (headings == 1)
    signs += sum(_FENCE.match(line) is not None for line in lines) >= 2
    signs += 2 * any(_TABLE_RULE.fullmatch(line) for line in lines)
    signs += any(_LINK.search(line) for line in lines)
    signs += any(_STRONG.search(line) for line in lines)
    signs += sum(_ITEM.match(line) is not None for line in lines) >= 3
    return signs >= 2


def elements(source: Path) -> Iterator[Located]:
    """Yield the elements of a Markdown file with the character at which each part of it begins."""
    for offset, first_line, text in _parts(source):
        for element in _Blocks(text, first_line).elements():
            yield offset, element


def _parts(source: Path) -> Iterator[tuple[int, int, str]]:
    """Parts of about a slice, parted before a line where no fence, list or table can be open."""
    held: list[str] = []
    fence = ""
    chars = position = first = 0
    empty = True
    for number, line in enumerate(decoding.lines(source, _LONGEST_BLOCK)):
        unindented = line[:1].strip() != "" and not _ITEM.match(line)
        if (chars >= SLICE_BYTES and not fence and empty and unindented) or chars >= _LONGEST_BLOCK:
            yield position - chars, first, "".join(held)
            held, chars, first, fence = [], 0, number, ""
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip(" \n\r`~"):
            fence = ""
        held.append(line)
        empty = not line.strip()
        chars += len(line)
        position += len(line)
    if held:
        yield position - chars, first, "".join(held)


class _Blocks:
    def __init__(self, text: str, first_line: int) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        self._lines = text.split("\n")
        self._first = first_line
        self._done = 0

    def elements(self) -> Iterator[Element]:
        if self._first == 0:
            yield from self._front_matter()
        text = "\n".join([""] * self._done + self._lines[self._done :])
        tokens = _PARSER.parse(text)
        for place, token in enumerate(tokens):
            if token.level or token.map is None or token.nesting < 0:
                continue
            start, end = token.map
            yield from self._unclaimed(start)
            yield from self._block(tokens, place)
            self._done = max(self._done, end)
        yield from self._unclaimed(len(self._lines))

    def _front_matter(self) -> Iterator[Element]:
        if self._lines[0].rstrip() != "---":
            return
        for place, line in enumerate(self._lines[1:200], 1):
            if line.rstrip() in ("---", "..."):
                self._done = place + 1
                yield self._new(Kind.CODE, "\n".join(self._lines[1:place]), 1, language="yaml")
                return
            if line.strip() and not re.match(r"[\w.-]+\s*:|\s|-\s|#", line):
                return

    def _unclaimed(self, end: int) -> Iterator[Element]:
        """Definitions of links are no block, but their text is not lost."""
        text = self._source(self._done, end)
        if text:
            yield self._new(Kind.SOURCE, text, self._done)
        self._done = max(self._done, end)

    def _block(self, tokens: list[Token], place: int) -> Iterator[Element]:
        token = tokens[place]
        start, end = token.map or (0, 0)
        match token.type:
            case "heading_open":
                title = " ".join(tokens[place + 1].content.split())
                if title:
                    element = self._new(Kind.HEADING, title, start)
                    element.level = int(token.tag[1])
                    yield element
            case "fence" | "code_block":
                language = token.info.split()[0] if token.info.strip() else ""
                text = token.content.rstrip("\n")
                if text.strip():
                    yield self._new(Kind.CODE, text, start, language=language[:_LONGEST_LANGUAGE])
            case "table_open":
                rows = [self._row(line) for line in self._lines[start:end] if line.strip()]
                yield self._new(Kind.TABLE, "\n".join(rows), start)
            case "bullet_list_open" | "ordered_list_open":
                yield from self._items(tokens, place)
            case "hr":
                return
            case "html_block" if token.content.lstrip().startswith("<!--"):
                return
            case "paragraph_open":
                yield self._new(Kind.PARAGRAPH, self._source(start, end), start)
            case _:
                yield self._new(Kind.SOURCE, self._source(start, end), start)

    def _items(self, tokens: list[Token], place: int) -> Iterator[Element]:
        first = True
        for token in islice(tokens, place + 1, None):
            if token.level == 0:
                return
            if token.level == 1 and token.type == "list_item_open" and token.map:
                start, end = token.map
                text = self._source(start, end)
                if text:
                    element = self._new(Kind.SOURCE, text, start)
                    element.tight = not first and bool(self._lines[start - 1].strip())
                    first = False
                    yield element

    def _row(self, line: str) -> str:
        row = line.strip()
        row = row if row.startswith("|") else f"| {row}"
        return row if row.endswith("|") else f"{row} |"

    def _source(self, start: int, end: int) -> str:
        return "\n".join(line.rstrip("\r") for line in self._lines[start:end]).strip("\n").rstrip()

    def _new(self, kind: Kind, text: str, line: int, *, language: str = "") -> Element:
        return Element(kind, text, 1, f"l{self._first + line + 1}", language=language)
