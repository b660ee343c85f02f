"""Plain text as elements: paragraphs between empty lines, titles underlined or in capitals."""

import re
from collections.abc import Iterator
from pathlib import Path

from workers.processors import decoding
from workers.processors.elements import Element, Kind
from workers.processors.slices import SLICE_BYTES, Located
from workers.processors.writing import escape_text

_LONGEST_TITLE = 80
_UNDERLINE = re.compile(r"\s*(={3,}|-{3,}|~{3,}|\*{3,})\s*")
_CHAPTER = re.compile(
    r"(?:chapter|kapitel|chapitre|part|teil|book|appendix)\s+[\divxlc]+\b.{0,60}", re.IGNORECASE
)
_COLUMNS = re.compile(r"\S(?: {3,}|\t+)\S")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff]")


def elements(source: Path) -> Iterator[Located]:
    """Yield the elements of a text file with the character at which each begins."""
    for offset, block in _blocks(source):
        for element in _elements(block, offset):
            yield offset, element


def _blocks(source: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines between empty lines; a block without end is parted after a slice."""
    block: list[str] = []
    start = position = chars = 0
    for line in decoding.lines(source, SLICE_BYTES):
        text = _CONTROL.sub("", line.replace("\f", "\n")).rstrip()
        if text.strip():
            if not block:
                start = position
            block.append(text.expandtabs(4) if "\t" in text and not _COLUMNS.search(text) else text)
            chars += len(text)
        if block and (not text.strip() or chars >= SLICE_BYTES):
            yield start, block
            block, chars = [], 0
        position += len(line)
    if block:
        yield start, block


def _elements(block: list[str], offset: int) -> Iterator[Element]:
    place = f"c{offset}"
    if len(block) >= 2 and _UNDERLINE.fullmatch(block[1]) and len(block[0]) <= _LONGEST_TITLE:
        level = 1 if "=" in block[1] or "*" in block[1] else 2
        yield _heading(block[0], place, level)
        block, place = block[2:], f"c{offset + len(block[0]) + len(block[1]) + 2}"
        if not block:
            return
    elif len(block) == 1 and _is_title(block[0].strip()):
        yield _heading(block[0], place, 1 if _CHAPTER.fullmatch(block[0].strip()) else 2)
        return
    if len(block) >= 2 and sum(_COLUMNS.search(line) is not None for line in block) * 2 > len(
        block
    ):
        yield Element(Kind.CODE, "\n".join(block), 1, place)
        return
    indent = min(len(line) - len(line.lstrip()) for line in block)
    text = "\n".join(line[indent:] for line in block)
    # A first line of a paragraph may be indented: four spaces would make code of it.
    yield Element(Kind.PARAGRAPH, escape_text(text.lstrip()), 1, place)


def _heading(line: str, place: str, level: int) -> Element:
    return Element(Kind.HEADING, escape_text(" ".join(line.split())), 1, place, level=level)


def _is_title(line: str) -> bool:
    if len(line) > _LONGEST_TITLE or line.endswith((".", ",", ";")):
        return False
    return _CHAPTER.fullmatch(line) is not None or (
        line.isupper() and sum(map(str.isalpha, line)) > 3
    )
