"""Elements as plain text: what a reader sees, without the marks of Markdown."""

import re
from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from workers.processors.elements import Element, Kind

_INDENT = 2
_CELLS = re.compile(r"(?<!\\)\|")

_PARSER = MarkdownIt("commonmark")


def wording(elements: Iterable[Element]) -> str:
    """Return the text of elements, an empty line between them, and none at the end.

    Code keeps its lines, lists keep their markers; cells of a table are parted by tabs.
    """
    parts: list[str] = []
    previous: Element | None = None
    for element in elements:
        if previous is not None:
            in_list = element.kind is Kind.ITEM and previous.kind is Kind.ITEM
            parts.append("\n" if in_list or element.tight else "\n\n")
        parts.append(_worded(element))
        previous = element
    return "".join(parts)


def unmarked(markdown: str) -> str:
    """Return the text of one paragraph of Markdown without its marks."""
    (block,) = _PARSER.parseInline(markdown)
    return "".join(map(_text, block.children or ()))


def _text(token: Token) -> str:
    match token.type:
        case "softbreak" | "hardbreak":
            return "\n"
        case "image":
            return "".join(map(_text, token.children or ()))
        case "html_inline":
            return "\n" if token.content.lower().startswith("<br") else ""
    return token.content


def _worded(element: Element) -> str:
    match element.kind:
        case Kind.CODE:
            return element.text
        case Kind.TABLE:
            return _rows(element.text)
        case Kind.SOURCE:  # lists and quotations as their author wrote them, line by line
            return "\n".join(map(_line, element.text.split("\n")))
        case Kind.ITEM:
            return " " * (_INDENT * element.level) + unmarked(element.text)
    return unmarked(element.text)


def _line(line: str) -> str:
    text = line.lstrip()
    return line[: len(line) - len(text)] + unmarked(text)


def _rows(table: str) -> str:
    header, _rule, *rows = table.split("\n")
    return "\n".join("\t".join(_cells(row)) for row in (header, *rows))


def _cells(row: str) -> list[str]:
    inner = row.strip().removeprefix("|").removesuffix("|")
    return [unmarked(cell.strip().replace(r"\|", "|")) for cell in _CELLS.split(inner)]
