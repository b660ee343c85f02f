"""The marks that items of lists begin with."""

import re
from dataclasses import dataclass

_BULLETS = (
    "\u2022\u2023\u2043\u204c\u204d\u2219\u25a0\u25a1\u25aa\u25ab\u25b6\u25b8\u25ba\u25c6"
    "\u25c7\u25cb\u25cf\u25e6\u2666\u27a2\u2794\u2713\u2714\u2756\u00b7\uf0b7\uf0a7\u25fe"
    "\u25fc\u274f\u2751"
)
_BULLET = re.compile(rf"[{_BULLETS}](?=\s|\w|$)\s*|[-\u2010\u2013\u2014*+](?:\s+|$)")
_NUMBER = re.compile(r"(\(?)(\d{1,3}|[a-zA-Z]|[ivx]{2,5})([.)])(?:\s+|$)")


# Most lines begin with a word: two look-ups tell so without a search.
_FIRST = frozenset(f"{_BULLETS}-\u2010\u2013\u2014*+(0123456789ivx")
_SECOND = frozenset(".)")


@dataclass(frozen=True, slots=True)
class Marker:
    """The mark of an item. written: as Markdown has it. numbered: it counts. chars: its length."""

    written: str
    numbered: bool
    chars: int


def marker(text: str) -> Marker | None:
    """Return the mark that a line begins with; None for one that begins with a word."""
    if text[0] not in _FIRST and text[1:2] not in _SECOND:
        return None
    bullet = _BULLET.match(text)
    if bullet is not None:
        return Marker("- ", numbered=False, chars=bullet.end())
    number = _NUMBER.match(text)
    return None if number is None else _counted(number)


def _counted(number: re.Match[str]) -> Marker | None:
    opening, count, closing = number.groups()
    if opening and closing != ")":
        return None
    if not opening and count.isdigit():
        return Marker(f"{count}{closing} ", numbered=True, chars=number.end())
    if closing == "." and not opening and count.isalpha() and count.isupper():
        return None  # an initial: "A. Smith"
    # Markdown counts in digits only: other counters stay in the text of a bullet.
    return Marker(f"- {opening}{count}{closing} ", numbered=True, chars=number.end())
