"""Which lines are headings, and how deep: learned from fonts and from the outline."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from workers.processors import furniture
from workers.processors.furniture import Furniture
from workers.processors.lines import Line, Sheet

Outline = list[tuple[int, str, int]]

_LARGER = 1.07  # times the body's size makes a heading
_LONGEST = 200  # letters
_LONGEST_BOLD = 110  # of a bold line in the body's size
_FEWEST_LETTERS = 2
_MOST_ROWS = 4
_DEEPEST = 6
_FEWEST_SIZES, _MOST_SIZES = 2, 4  # of headings: below, and in no wild document, each makes a level
_FIRST_TEXT = 400  # letters of text on a first page that is not a cover
_SENTENCE_END = (".", ",", ";", "\u3002")
_DIGITS = re.compile(r"\d+")
_NOT_WORDS = re.compile(r"[\W_]+")
_HEADING_NUMBER = re.compile(
    r"(?:(?:chapter|kapitel|section|part|teil|appendix|anhang)\s*)?[\dA-Zivx]{0,4}(?:\.\d+)*\.?\s*"
)


@dataclass(slots=True)
class Profile:
    """What a document's pages have in common.

    body_size: of most letters. leading: from baseline to baseline, times the size.
    monospaced: fonts. spaced: lines carry the space after their last word.
    levels: of heading sizes, in half points. bold_level: of bold lines in the body's size.
    titles: the outline's entries by page, with their level.
    """

    furniture: Furniture
    body_size: float
    body_bold: bool
    body_mono: bool
    leading: float
    monospaced: frozenset[str]
    spaced: bool = False
    levels: dict[int, int] = field(default_factory=dict)
    bold_level: int = 1
    bold_is_minor: bool = False
    titles: dict[int, dict[str, int]] = field(default_factory=dict)

    def is_code(self, line: Line) -> bool:
        """Tell whether a line is set like code, in a document that is not."""
        return not self.body_mono and (line.mono or line.font in self.monospaced)

    def heading(self, page: int, rows: list[Line], text: str) -> tuple[int, bool] | None:
        """Return the level and whether it is minor, None for what is not a heading.

        rows: a whole paragraph, in one style.
        """
        if len(rows) > _MOST_ROWS or len(text) > _LONGEST or not _has_letters(text):
            return None
        outlined = self.outlined(page, text)
        if outlined is not None:
            return outlined, False
        first = rows[0]
        level = self._level(first.size)
        if level is not None:
            return None if text.endswith(_SENTENCE_END[1:]) else (level, False)
        if self._is_bold_heading(rows, text):
            return self.bold_level, self.bold_is_minor
        return None

    def _level(self, size: float) -> int | None:
        if size < _LARGER * self.body_size:
            return None
        half = _half(size)
        if half in self.levels:
            return self.levels[half] or None
        larger = [level for other, level in self.levels.items() if other > half and level]
        return min(max(larger, default=0) + 1, _DEEPEST)

    def _is_bold_heading(self, rows: list[Line], text: str) -> bool:
        return (
            not self.body_bold
            and len(rows) <= 2
            and all(row.bold for row in rows)
            and rows[0].size >= 0.96 * self.body_size
            and 2 < len(text) <= _LONGEST_BOLD
            and not text.endswith(_SENTENCE_END)
            and not text[0].islower()
        )

    def outlined(self, page: int, text: str) -> int | None:
        """Return the level of a line that the outline names for its page."""
        titles = self.titles.get(page)
        if not titles:
            return None
        return titles.get(_words(text)) or titles.get(
            _words(_HEADING_NUMBER.sub("", text, count=1))
        )


def learn(sheets: list[Sheet], outline: Outline) -> Profile:
    """Learn from sampled pages. They may have no text at all."""
    sizes: Counter[float] = Counter()
    fonts: Counter[tuple[str, bool, bool]] = Counter()
    for sheet in sheets:
        for line in sheet.lines:
            sizes[round(line.size, 1)] += len(line.text)
            fonts[line.font, line.bold, line.mono] += len(line.text)
    size = max(sizes, key=lambda key: (sizes[key], -key), default=10.0)
    font, bold, mono = max(fonts, key=lambda key: (fonts[key], key), default=("", False, False))
    monospaced = _monospaced(sheets)
    profile = Profile(
        furniture=furniture.learn(sheets, size, font),
        body_size=size,
        body_bold=bold,
        body_mono=mono or font in monospaced,
        leading=_leading(sheets, size),
        monospaced=monospaced,
        spaced=_is_spaced(sheets),
        titles=_titles(outline),
    )
    _learn_levels(profile, sheets)
    return profile


def _monospaced(sheets: list[Sheet]) -> frozenset[str]:
    """Fonts in which every letter is equally wide, whether or not they say so."""
    pitches: dict[str, dict[str, float]] = defaultdict(dict)
    for sheet in sheets:
        for line in sheet.lines:
            letters = len(line.text)
            if line.pitch and letters >= 8 and sum(map(str.isalpha, line.text)) * 2 > letters:
                # "Section 1", "Section 2" are equally wide in any font: one text counts once.
                pitches[line.font][_DIGITS.sub("", line.text)] = line.pitch
    found = set()
    for font, by_text in pitches.items():
        values = sorted(by_text.values())
        middle = values[len(values) // 2]
        near = sum(abs(value - middle) < 0.01 * middle for value in values)
        if len(values) >= 4 and near >= 0.75 * len(values):
            found.add(font)
    return frozenset(found)


def _is_spaced(sheets: list[Sheet]) -> bool:
    """Tell whether lines carry the space that ends their last word."""
    lines = sum(len(sheet.lines) for sheet in sheets)
    return sum(line.open for sheet in sheets for line in sheet.lines) * 10 > lines


def _leading(sheets: list[Sheet], size: float) -> float:
    steps: Counter[float] = Counter()
    for sheet in sheets:
        for above, line in pairwise(sheet.lines):
            if (
                above.block == line.block
                and abs(line.size - size) < 0.5
                and line.y1 - above.y1 > 0.5 * size
            ):
                steps[round((line.y1 - above.y1) / line.size, 2)] += 1
    return max(1.0, min(max(steps, key=lambda key: (steps[key], -key), default=1.2), 2.6))


def _titles(outline: Outline) -> dict[int, dict[str, int]]:
    titles: dict[int, dict[str, int]] = defaultdict(dict)
    for level, title, page in outline:
        words = _words(title)
        if words:
            titles[page].setdefault(words, min(level, _DEEPEST))
    return dict(titles)


def _words(text: str) -> str:
    return _NOT_WORDS.sub("", text).casefold()


def _learn_levels(profile: Profile, sheets: list[Sheet]) -> None:
    found = _Sizes(profile, sheets)
    outlined = {half: levels.most_common(1)[0][0] for half, levels in found.outlined.items()}
    sections = found.sections(with_title=not outlined)
    for half in sorted(found.counts, reverse=True):
        if not found.is_heading(half):
            profile.levels[half] = 0
        elif outlined:
            above = [level for other, level in outlined.items() if other > half]
            profile.levels[half] = outlined.get(half) or min(max(above, default=0) + 1, _DEEPEST)
        else:
            # A size seen once, in a figure or on a cover, must not push the sections down: it has
            # the level of the sections next to it in size.
            profile.levels[half] = min(1 + sum(other > half + 1 for other in sections), _DEEPEST)
    used = [level for level in profile.levels.values() if level]
    deepest = max(
        [*used, *(level for titles in profile.titles.values() for level in titles.values())],
        default=0,
    )
    profile.bold_level = min(deepest + 1, _DEEPEST)
    often = sum(count for half, count in found.counts.items() if profile.levels[half])
    profile.bold_is_minor = often >= 2 and len(set(used)) >= 2


class _Sizes:
    """What is known of each size above the body's: how often it comes, and what stands below it."""

    def __init__(self, profile: Profile, sheets: list[Sheet]) -> None:
        self.counts: Counter[int] = Counter()
        self.outlined: dict[int, Counter[int]] = defaultdict(Counter)
        self._letters: Counter[int] = Counter()
        self._above_text: set[int] = set()
        self._sheets: dict[int, set[int]] = defaultdict(set)
        self._first = sheets[0].number if sheets else 1
        self._text_on_first = 0
        for sheet in sheets:
            lines = [line for line in sheet.lines if not profile.furniture.holds(sheet, line)]
            for line, below in zip(lines, [*lines[1:], None], strict=False):
                self._count(profile, sheet, line, below)

    def _count(self, profile: Profile, sheet: Sheet, line: Line, below: Line | None) -> None:
        if line.size < _LARGER * profile.body_size:
            self._text_on_first += len(line.text) if sheet.number == self._first else 0
            return
        if not any(map(str.isalpha, line.text)):
            return
        half = _half(line.size)
        self._letters[half] += len(line.text)
        self._sheets[half].add(sheet.number)
        if below is None or abs(below.size - line.size) >= 0.5:
            self.counts[half] += 1
        if below is not None and below.size < _LARGER * profile.body_size:
            self._above_text.add(half)
        level = profile.outlined(sheet.number, line.text)
        if level:
            self.outlined[half][level] += 1

    def is_heading(self, half: int) -> bool:
        """Long texts in a larger size are not; nor are names and dates below a title."""
        if half in self.outlined:
            return True
        if self._letters[half] > _LONGEST * max(self.counts[half], 1):
            return False
        return (
            half == max(self.counts)
            or self._sheets[half] != {self._first}
            or half in self._above_text
        )

    def sections(self, *, with_title: bool) -> list[int]:
        """The sizes that make levels: those of several pages, and a title above the first text."""
        sizes = [half for half in self.counts if self.is_heading(half)]
        several = [half for half in sizes if len(self._sheets[half]) > 1]
        if len(several) < _FEWEST_SIZES and len(sizes) <= _MOST_SIZES:
            return sizes
        titles = [
            half for half in sizes if self._first in self._sheets[half] and half not in several
        ]
        if (
            with_title
            and titles
            and max(titles) > max(several, default=0)
            and self._text_on_first >= _FIRST_TEXT
        ):
            several.append(max(titles))
        return several


def _has_letters(text: str) -> bool:
    if len(text) < _FEWEST_LETTERS:
        return False
    # Most texts begin with a word: that is seen without counting.
    return text[:_FEWEST_LETTERS].isalpha() or sum(map(str.isalpha, text)) >= _FEWEST_LETTERS


def _half(size: float) -> int:
    return round(size * 2)
