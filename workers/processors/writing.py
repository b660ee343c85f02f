"""Writing elements as Markdown, and what has to be escaped so that a text keeps its meaning."""

import re

from workers.processors.elements import Element, Kind

_LONGEST_FENCE = 12  # a document of back-ticks must not make fences longer than segments
_INDENT = 4  # enough below every marker up to "99. ", and too little to be code inside an item

_SPECIAL = re.compile(r"[*_`\[<&\\~]")
_LINE_START = re.compile(
    r"^(#{1,6}(?=\s|$)|>|[-+*](?=\s|$)|=+$|-+$|`{3,}|~{3,}|\|(?=.*\|))|^(\d{1,9})([.)])(?=\s|$)",
    re.MULTILINE,
)
_STARTS = frozenset("#>-+*=`~|0123456789")
_TEXT_START = re.compile(r"^(?:#{1,6}(?=\s|$)|>|=+$|-+$|`{3,}|~{3,})", re.MULTILINE)
_OPENS = {"*": re.compile(r"(?<!\\)\*(?=[^\s*])"), "_": re.compile(r"(?<![\w\\])_(?=[^\s_])")}
_CLOSES = {
    "*": re.compile(r"(?<=\w)\*|(?<=[^\s*])\*(?=\W|$)"),
    "_": re.compile(r"(?<=[^\s_])_(?!\w)"),
}
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_REFERENCE = re.compile(r"&(?=#?\w{1,31};)")
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_MARKS = re.compile(
    r"\\([!-/:-@\[-`{-~])|(?<![\w*])\*{1,3}(?=\S)|(?<=\S)\*{1,3}(?![\w*])|`|!?\[([^\]]*)\]\([^)\s]*\)"
)


def escape(text: str) -> str:
    """Return Markdown that reads as this plain text; what is harmless is not escaped."""
    return escape_starts(escape_inline(text))


def escape_starts(text: str) -> str:
    """Escape what has a meaning at the start of a line only."""
    if text[:1] in _STARTS or "\n" in text:
        return _LINE_START.sub(_escape_start, text)
    return text


def escape_text(text: str) -> str:
    """The same for text whose author wrote lists as Markdown has them: they may be lists."""
    return _TEXT_START.sub(r"\\\g<0>", escape_inline(text))


def escape_inline(text: str) -> str:
    """Return Markdown for a part of a line, which does not begin it."""
    if _SPECIAL.search(text):
        text = _BACKSLASH.sub(r"\\\\", text)
        for mark in "*_":
            if text.count(mark) > 1 and _emphasizes(text, mark):
                text = text.replace(mark, f"\\{mark}")
        if text.count("`") > 1:
            text = text.replace("`", r"\`")
        if text.count("~~") > 1:
            text = text.replace("~~", r"\~~")
        text = text.replace("](", r"]\(")
        text = _REFERENCE.sub(r"\&", _TAG.sub(r"\<", text))
    return text


def _emphasizes(text: str, mark: str) -> bool:
    """True where a mark that can open emphasis stands before one that can close it."""
    opens = _OPENS[mark].search(text)
    if opens is None:
        return False
    last = max((match.start() for match in _CLOSES[mark].finditer(text)), default=-1)
    return last > opens.start()


def _escape_start(match: re.Match[str]) -> str:
    mark, number, dot = match.groups()
    return f"\\{mark}" if mark else f"{number}\\{dot}"


def cell(text: str) -> str:
    """Return a text fit for a cell of a table that has one line for each row."""
    return one_line(escape_inline(text))


def one_line(text: str) -> str:
    """Return Markdown fit for a cell."""
    return " ".join(text.replace("|", r"\|").split())


def table(rows: list[list[str]]) -> str:
    """Write cells, already escaped, as a table whose first row is its header."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return a heading's text without Markdown marks."""
    return " ".join(_MARKS.sub(lambda match: match[1] or match[2] or "", text).split())


def fence(text: str) -> str:
    """Return a fence that the code does not contain."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    return "`" * min(longest + 1, _LONGEST_FENCE)


def room_for(element: Element) -> int:
    """Return the most characters that an element takes in a segment, with the lines between."""
    marks = 2
    match element.kind:
        case Kind.HEADING:
            marks += element.level + 1
        case Kind.ITEM:
            marks += _INDENT * element.level
        case Kind.CODE:
            marks += 2 * (len(fence(element.text)) + 1) + len(element.language)
    return len(element.text) + marks


def write(elements: list[Element]) -> str:
    """Write the elements of one segment."""
    parts: list[str] = []
    outermost = 0
    for place, element in enumerate(elements):
        previous = elements[place - 1] if place else None
        in_list = element.kind is Kind.ITEM and previous is not None and previous.kind is Kind.ITEM
        if element.kind is Kind.ITEM and not in_list:
            # A list that a cut has left without its upper items begins at the margin: four
            # spaces there would be code.
            outermost = _outermost(elements[place:])
        if previous is not None:
            parts.append("\n" if in_list or element.tight else "\n\n")
        parts.append(_written(element, outermost))
    return "".join(parts)


def _outermost(elements: list[Element]) -> int:
    levels = []
    for element in elements:
        if element.kind is not Kind.ITEM:
            break
        levels.append(element.level)
    return min(levels)


def _written(element: Element, outermost: int) -> str:
    match element.kind:
        case Kind.HEADING:
            return f"{'#' * element.level} {element.text}"
        case Kind.ITEM:
            return " " * (_INDENT * (element.level - outermost)) + element.text
        case Kind.CODE:
            bar = fence(element.text)
            return f"{bar}{element.language}\n{element.text}\n{bar}"
        case _:
            return element.text
