"""Lines of text and ruling lines of one PDF page, as MuPDF finds them in one pass over it."""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pymupdf

from app.jobs.results import Box

# Vectors come with the text in the same pass, for next to nothing; get_drawings() would run the
# page a second time. Lazy: an underline must not break the line it stands under.
_TEXT_FLAGS: int = pymupdf.TEXT_MEDIABOX_CLIP | pymupdf.TEXT_CID_FOR_UNKNOWN_UNICODE
_FLAGS: int = _TEXT_FLAGS | pymupdf.TEXT_COLLECT_VECTORS | pymupdf.TEXT_LAZY_VECTORS
_MOST_DRAWN_BYTES = 50_000  # of compressed page content; more is a drawing, not a table
_TEXT_BLOCK, _VECTOR_BLOCK = 0, 3
_SUPERSCRIPT, _MONOSPACED, _BOLD = 1, 8, 16
_WITHOUT_UNICODE = 128
_MOST_RULES = 3000
_THIN = 2.6
_LEVEL = 0.99  # cosine of a level line's direction
_LONGEST_SYMBOL = 4  # with the spaces around it

_BOLD_NAME = re.compile(r"bold|black|heavy|semibold|demi", re.IGNORECASE)
_MONO_NAME = re.compile(
    r"mono|courier|consol|typewriter|fixed|^(?:[A-Z]{6}\+)?(?:cmtt|sftt|lmmono|ectt)", re.IGNORECASE
)
_SYMBOL_FONT = re.compile(r"dingbat|webding|wingding", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\ufeff]")
_READABLE = {
    **dict.fromkeys((*range(0x20), 0x7F, 0x200B, 0xFEFF), ""),
    **{code: bytes((code,)).decode("cp1252", "ignore") for code in range(0x80, 0xA0)},
}
_RAISED = str.maketrans(
    "0123456789+-\u2212=()n",
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207b\u207c\u207d\u207e\u207f",
)
_LOWERED = str.maketrans(
    "0123456789+-\u2212=()",
    "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208a\u208b\u208b\u208c\u208d\u208e",
)
_RAISABLE = frozenset("0123456789+-\u2212=()n")
_RIGHT_TO_LEFT = frozenset({"R", "AL"})


@dataclass(slots=True)
class Line:
    """A run of text on one baseline, in the order of reading; a wide gap ends it.

    y0, y1: of its letters by their size, not of the font's box, which may cover its neighbours.
    level: runs as most of the page's text does. open: a space stands at its end.
    pitch: mean width of a letter, times the size; 0 where fonts are mixed.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool
    mono: bool
    font: str
    block: int
    level: bool = True
    open: bool = False
    pitch: float = 0.0


Rule = tuple[float, float, float, float]


@dataclass(slots=True)
class Sheet:
    """What stands on a page, in coordinates in which text runs level and from left to right.

    top, bottom: of its text. turned: degrees by which the text had to be turned back.
    mirrored: text runs from right to left, so that left and right were exchanged: what orders
    columns needs to know one direction only.
    """

    number: int
    width: float
    height: float
    lines: list[Line] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    top: float = 0.0
    bottom: float = 0.0
    turned: int = 0
    mirrored: bool = False

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """Return a rectangle of the sheet in points of the page."""
        if self.mirrored:
            x0, x1 = self.width - x1, self.width - x0
        if self.turned == 90:
            x0, y0, x1, y1 = y0, self.width - x1, y1, self.width - x0
        elif self.turned == 270:
            x0, y0, x1, y1 = self.height - y1, x0, self.height - y0, x1
        return Box(self.number, round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1))


def read(page: Any) -> Sheet:  # noqa: ANN401 - pymupdf has no types
    """Read one page. Whatever MuPDF raises for a broken page goes through."""
    content = _content(page)
    sheet = Sheet(page.number + 1, content["width"], content["height"])
    turns = {0: 0, 90: 0, 270: 0, -1: 0}
    found = []
    seen = set()
    rules = sheet.rules
    for number, block in enumerate(content["blocks"]):
        if block["type"] == _TEXT_BLOCK:
            for raw in block["lines"]:
                line, turn = _line(raw, number)
                if line is None:
                    continue
                # Shadows and fat print are the same text once more at the same place.
                at = (line.text, round(line.x0 / 3), round(line.y0 / 3))
                if at not in seen:
                    seen.add(at)
                    found.append((line, turn))
                    turns[turn] += len(line.text)
        elif block["type"] == _VECTOR_BLOCK and len(rules) <= _MOST_RULES:
            _add_rules(rules, block)
    if len(rules) > _MOST_RULES:
        rules.clear()
    sheet.turned = max((0, 90, 270), key=lambda turn: turns[turn])
    sheet.lines = _leveled(sheet, found)
    sheet.top = min((line.y0 for line in sheet.lines), default=0.0)
    sheet.bottom = max((line.y1 for line in sheet.lines), default=0.0)
    _mirror(sheet)
    return sheet


def readable(text: str) -> str:
    """Control characters are no text; those above 127 stand for what cp1252 has in their place."""
    return text.translate(_READABLE) if _CONTROL.search(text) else text


def _content(page: Any) -> dict[str, Any]:  # noqa: ANN401 - pymupdf has no types
    """Blocks, lines and spans as PyMuPDF gives them, a tenth faster."""
    flags = _FLAGS if _drawn_bytes(page) <= _MOST_DRAWN_BYTES else _TEXT_FLAGS
    textpage = page.get_textpage(flags=flags)
    content = _extracted(page, textpage, corrected=False)
    # Of level lines the heights are not used, and the rest is the same.
    return content if _is_level(content) else _extracted(page, textpage, corrected=True)


def _extracted(page: Any, textpage: Any, *, corrected: bool) -> dict[str, Any]:  # noqa: ANN401
    """corrected: letters of a font that states no sensible height get one, each by itself."""
    tools = pymupdf.TOOLS
    tools.unset_quad_corrections(not corrected)
    try:
        content: dict[str, Any] = textpage.extractDICT(cb=page.cropbox)
    finally:
        tools.unset_quad_corrections(False)
    return content


def _is_level(content: dict[str, Any]) -> bool:
    return all(
        line["dir"][0] > _LEVEL
        for block in content["blocks"]
        if block["type"] == _TEXT_BLOCK
        for line in block["lines"]
    )


def _drawn_bytes(page: Any) -> int:  # noqa: ANN401 - pymupdf has no types
    """Size of a page's content as it is stored; a stream of unknown size counts nothing."""
    # Below the wrappers, which cost as much as a tenth of reading the page: a page may have many
    # streams. What these return is borrowed from the page.
    mupdf = pymupdf.mupdf
    owner = mupdf.pdf_page_from_fz_page(page.this).obj()
    contents = mupdf.ll_pdf_dict_gets(owner.m_internal, "Contents")
    if not mupdf.ll_pdf_is_array(contents):
        return _stored_bytes(contents)
    return sum(
        [
            _stored_bytes(mupdf.ll_pdf_array_get(contents, place))
            for place in range(mupdf.ll_pdf_array_len(contents))
        ]
    )


def _stored_bytes(stream: Any) -> int:  # noqa: ANN401 - pymupdf has no types
    length = pymupdf.mupdf.ll_pdf_dict_gets(stream, "Length")
    if pymupdf.mupdf.ll_pdf_is_indirect(length):
        return 0
    return int(pymupdf.mupdf.ll_pdf_to_int(length))


def _line(raw: dict[str, Any], block: int) -> tuple[Line | None, int]:
    spans = raw["spans"]
    main, bold = _main_span(spans)
    if main is None:
        return None, 0
    size, base = main["size"], main["origin"][1]
    text = _text(spans, size, base) if len(spans) > 1 else main["text"]
    text = "\u2022" if _is_symbol(main, text) else readable(text)
    stripped = text.strip()
    if not stripped:
        return None, 0
    x0, y0, x1, y1 = raw["bbox"]
    if len(stripped) < len(text):
        # Spaces around a text would hide where it stands: code is indented by them.
        letter = (x1 - x0) / len(text)
        x0 += letter * (len(text) - len(text.lstrip()))
        x1 -= letter * (len(text) - len(text.rstrip()))
    turn = _turn(raw["dir"])
    if turn == 0:
        y0, y1 = base - 0.8 * size, base + 0.22 * size
    font = main["font"]
    mono = bool(main["flags"] & _MONOSPACED) or _font(font)[1]
    pitch = (x1 - x0) / (len(stripped) * size) if len(spans) == 1 and turn == 0 else 0.0
    space = text[-1] == " "
    return Line(
        stripped, x0, y0, x1, y1, size, bold, mono, font, block, turn == 0, space, pitch
    ), turn


def _main_span(spans: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, bool]:
    """The span whose style covers most of the letters, and whether nearly all are bold."""
    if len(spans) == 1:
        return spans[0], _is_bold(spans[0])
    counts: dict[tuple[str, float], int] = {}
    first: dict[tuple[str, float], dict[str, Any]] = {}
    for span in spans:
        text = span["text"]
        if text == " ":  # MuPDF makes a span of each space that it has put in itself
            continue
        key = (span["font"], span["size"])
        if key in counts:
            counts[key] += len(text)
        else:
            counts[key] = len(text)
            first[key] = span
    if not counts:
        return None, False
    main = first[max(counts, key=counts.__getitem__)]
    light = sum([counts[key] for key, span in first.items() if not _is_bold(span)])
    return main, light * 10 <= sum(counts.values())


def _is_bold(span: dict[str, Any]) -> bool:
    return bool(span["flags"] & _BOLD) or _font(span["font"])[0]


@lru_cache(maxsize=512)
def _font(name: str) -> tuple[bool, bool, bool]:
    """Whether a font's name says bold, monospaced, and pictures in place of letters."""
    return (
        _BOLD_NAME.search(name) is not None,
        _MONO_NAME.search(name) is not None,
        _SYMBOL_FONT.search(name) is not None,
    )


def _text(spans: list[dict[str, Any]], size: float, base: float) -> str:
    small = 0.85 * size
    parts = []
    if _is_symbol(spans[0], spans[0]["text"]):
        parts.append("\u2022 ")
        spans = spans[1:]
    for span in spans:
        text = span["text"]
        if span["size"] < small and not text.isspace():
            stripped = text.strip()
            if _RAISABLE.issuperset(stripped):
                drop = span["origin"][1] - base
                if drop < -0.15 * size or span["flags"] & _SUPERSCRIPT:
                    text = text.translate(_RAISED)
                elif drop > 0.08 * size and "n" not in stripped:
                    text = text.translate(_LOWERED)
        parts.append(text)
    return "".join(parts)


def _is_symbol(span: dict[str, Any], text: str) -> bool:
    """One glyph that means a bullet: without a Unicode value, or of a font of pictures."""
    if len(text) > _LONGEST_SYMBOL:
        return False
    stripped = text.strip(" ")
    if len(stripped) != 1:
        return False
    if stripped < " " or "\ue000" <= stripped <= "\uf8ff":
        return True
    unknown = bool(span["char_flags"] & _WITHOUT_UNICODE) and not stripped.isalnum()
    return unknown or _font(span["font"])[2]


def _turn(direction: tuple[float, float]) -> int:
    across, down = direction
    if across > _LEVEL:
        return 0
    if abs(across) < 0.01:
        return 90 if down < 0 else 270
    return -1


def _add_rules(rules: list[Rule], block: dict[str, Any]) -> None:
    x0, y0, x1, y1 = block["bbox"]
    if x1 - x0 <= _THIN or y1 - y0 <= _THIN:
        if block["alpha"] and (block["color"] != 0xFFFFFF or block["stroked"]):
            rules.append((x0, y0, x1, y1))
    elif block["stroked"] and block["isrect"]:
        rules.extend(((x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)))


def _leveled(sheet: Sheet, found: list[tuple[Line, int]]) -> list[Line]:
    if sheet.turned == 0:
        return [line for line, _ in found]
    width, height = sheet.width, sheet.height
    sheet.width, sheet.height = height, width
    lines = []
    for line, turn in found:
        line.x0, line.y0, line.x1, line.y1 = _turned(sheet, line.x0, line.y0, line.x1, line.y1)
        line.level = turn == sheet.turned
        lines.append(line)
    sheet.rules = [_turned(sheet, *rule) for rule in sheet.rules]
    return lines


def _turned(sheet: Sheet, x0: float, y0: float, x1: float, y1: float) -> Rule:
    """The reverse of `Sheet.box`."""
    if sheet.turned == 90:
        return sheet.width - y1, x0, sheet.width - y0, x1
    return y0, sheet.height - x1, y1, sheet.height - x0


def _mirror(sheet: Sheet) -> None:
    letters = to_left = 0
    for line in sheet.lines:
        if not line.text.isascii():
            to_left += (
                len(line.text)
                if unicodedata.bidirectional(line.text[len(line.text) // 2]) in _RIGHT_TO_LEFT
                else 0
            )
        letters += len(line.text)
    if to_left * 2 <= letters:
        return
    sheet.mirrored = True
    width = sheet.width
    for line in sheet.lines:
        line.x0, line.x1 = width - line.x1, width - line.x0
    sheet.rules = [(width - x1, y0, width - x0, y1) for x0, y0, x1, y1 in sheet.rules]
