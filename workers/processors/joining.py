"""Joining what a line, a column or a page has broken: words, paragraphs, tables, code."""

import re

from workers.processors.elements import Element, Kind, union

_HYPHENS = ("-", "\u2010", "\u00ad")
_SUSPENDED = re.compile(r"(?:und|oder|bzw|and|or|to|bis|et|ou|y|o|e|en|of|och|og)\b")
# Chinese and Japanese are written without spaces; Korean has them.
_HANGUL = re.compile("[\uac00-\ud7a3]")
_UNSPACED = re.compile("[\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff60]")


def glue(before: str, after: str, *, spaced: bool = True) -> str:
    """Put two parts of a running text together, as if no line had ended between them.

    spaced: False where the document writes the space at the end of a line, and there is none:
    Korean lines end within words.
    """
    if not before or not after:
        return before or after
    if is_hyphenated(before) and not _SUSPENDED.match(after):
        if before[-1] == "\u00ad" or after[0].islower():
            return before[:-1] + after
        if after[0].isalpha():
            return before + after
    if _UNSPACED.match(before[-1]) and _UNSPACED.match(after[0]):
        return before + after
    if not spaced and _HANGUL.match(before[-1]) and _HANGUL.match(after[0]):
        return before + after
    return f"{before} {after}"


def is_hyphenated(text: str) -> bool:
    """Tell whether a text ends in the middle of a word."""
    return text[-1:] in _HYPHENS and text[-2:-1].isalpha()


def find(elements: list[Element], rest: Element) -> int | None:
    """Return the place of the element that `rest` goes on with, None where there is none.

    Footnotes at the foot of a page stand between two halves of a paragraph, and do not part them.
    """
    if not rest.goes_on:
        return None
    for place in range(len(elements) - 1, -1, -1):
        element = elements[place]
        if element.kind is Kind.FOOTNOTE and rest.kind is not Kind.FOOTNOTE:
            continue
        return place if _fits(element, rest) else None
    return None


def join(before: Element, rest: Element) -> Element:
    """Return one element of two for which `find` said that they belong together."""
    match rest.kind:
        case Kind.TABLE:
            text = before.text + "\n" + "\n".join(rest.text.split("\n")[2:])
        case Kind.CODE:
            text = f"{before.text}\n{rest.text}"
        case _:
            text = glue(before.text, rest.text)
    return Element(
        kind=before.kind,
        text=text,
        page=before.page,
        place=before.place,
        level=before.level,
        open_end=rest.open_end,
        full=rest.full,
        goes_on=before.goes_on,
        tight=before.tight,
        language=before.language,
        boxes=union([*before.boxes, *rest.boxes]),
        path=before.path,
    )


def _fits(before: Element, rest: Element) -> bool:
    match rest.kind:
        case Kind.PARAGRAPH:
            likely = before.full or rest.text[0].islower()
            return before.open_end and likely and before.kind in (Kind.PARAGRAPH, Kind.ITEM)
        case Kind.TABLE:
            return before.kind is Kind.TABLE and _header(before.text) == _header(rest.text)
        case _:
            return before.kind is rest.kind and before.open_end


def _header(table: str) -> list[str]:
    return table.split("\n", 2)[:2]
