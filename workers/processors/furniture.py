"""Running headers and footers, and page numbers: what stands on most pages at the same height."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from workers.processors.lines import Line, Sheet

_ZONE = 0.14  # of the height, at the top and at the bottom
_WIDE_ZONE = 0.25
_NEAR = 3.0
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(
    r"\W*(?:(?:page|seite|pagina|p\u00e1gina|p\.|s\.)\s*)?(\d{1,4}|[ivxlc]{1,7})"
    r"(?:\s*(?:of|von|de|di|sur|/|\|)\s*\d{1,4})?\W*",
    re.IGNORECASE,
)

Band = tuple[bool, float, float, str]


@dataclass(frozen=True, slots=True)
class Furniture:
    """What the sampled pages have in common at their edges.

    texts: whether at the top, and the text without its digits. bands: whether at the top, the
    distance from that edge, size and font. numbers: whether at the top, and their distance.
    """

    texts: frozenset[tuple[bool, str]]
    bands: tuple[Band, ...]
    numbers: tuple[tuple[bool, float], ...]

    def holds(self, sheet: Sheet, line: Line) -> bool:
        """Tell whether a line of a sheet is a header, a footer or a page number."""
        zone = _zone(sheet, line)
        if zone is None:
            return False
        top, away = zone
        if (top, _key(line)) in self.texts:
            return True
        if _is_band(self.bands, (top, away, line.size, line.font)):
            return True
        number = _NUMBER.fullmatch(line.text)
        if number is None:
            return False
        return (number[1] == str(sheet.number) and _is_outermost(sheet, line)) or any(
            at_top == top and abs(height - away) < _NEAR for at_top, height in self.numbers
        )


def learn(sheets: list[Sheet], body_size: float, body_font: str) -> Furniture:
    """Find what the sheets repeat. A single sheet shows nothing but its own number."""
    texts: Counter[tuple[bool, str]] = Counter()
    bands: dict[Band, list[str]] = defaultdict(list)
    numbers: Counter[tuple[bool, float]] = Counter()
    for sheet in sheets:
        seen: set[tuple[bool, str]] = set()
        for line in sheet.lines:
            zone = _zone(sheet, line)
            if zone is None or line.size > 1.15 * body_size:
                continue
            top, away = zone
            seen.add((top, _key(line)))
            if _NUMBER.fullmatch(line.text):
                numbers[top, round(away)] += 1
            elif line.size <= 1.05 * body_size and (
                line.font != body_font or line.size < 0.96 * body_size
            ):
                bands[top, round(away), round(line.size, 1), line.font].append(_key(line))
        texts.update(seen)
    often = max(2, round(0.2 * len(sheets)))
    return Furniture(
        texts=frozenset(
            key for key, count in texts.items() if count >= often and key[1].strip("# .")
        ),
        bands=tuple(band for band, found in bands.items() if _runs_on(band, found, len(sheets))),
        numbers=tuple(sorted(place for place, count in numbers.items() if count >= often)),
    )


def _runs_on(band: Band, found: list[str], sheets: int) -> bool:
    """Headers change with the chapter, but so do footnotes: those must say the same again."""
    if len(found) < max(3, 0.4 * sheets):
        return False
    return band[0] or len(set(found)) * 2 <= len(found)


def _is_band(bands: tuple[Band, ...], line: Band) -> bool:
    return any(
        band[0] == line[0]
        and band[3] == line[3]
        and abs(band[1] - line[1]) < 2
        and abs(band[2] - line[2]) < 0.3
        for band in bands
    )


def _zone(sheet: Sheet, line: Line) -> tuple[bool, float] | None:
    """Near the edge; where margins are wide, the outermost line of the page only."""
    wide = _WIDE_ZONE * sheet.height
    bottom = sheet.height - line.y1
    if line.y1 >= wide and bottom >= wide:  # most lines; what follows would come to the same
        return None
    if line.y1 < _ZONE * sheet.height or (line.y0 < sheet.top + 2 and line.y1 < wide):
        return True, line.y0
    if line.y0 > (1 - _ZONE) * sheet.height or (line.y1 > sheet.bottom - 2 and bottom < wide):
        return False, bottom
    return None


def _is_outermost(sheet: Sheet, line: Line) -> bool:
    return line.y0 < sheet.top + 2 or line.y1 > sheet.bottom - 2


def _key(line: Line) -> str:
    return _DIGITS.sub("#", line.text).casefold()
