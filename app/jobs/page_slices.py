"""Which pages of a document are worked on, as Python slices a list: `0,2:5,-2:`; 0 is the first."""

import re
from dataclasses import dataclass
from typing import Self

from app.errors import FieldError, InvalidInput

MAX_CHARS = 255
_NUMBER = r"\s*(-?\d{1,9})?\s*"
_ITEM = re.compile(rf"{_NUMBER}(?:(:){_NUMBER}(?::{_NUMBER})?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageSlice:
    """Pages by their place. Pages stay in their order, and each is one page however often named."""

    parts: tuple[slice, ...]

    @classmethod
    def parse(cls, text: str, *, loc: tuple[str, ...] = ("pageSlice",)) -> Self:
        """Read a list of numbers and slices.

        Raises:
            InvalidInput: it is none.
        """
        parts = [_part(item) for item in text.split(",")] if len(text) <= MAX_CHARS else [None]
        found = tuple(part for part in parts if part is not None)
        if len(found) < len(parts):
            message = (
                "pageSlice lists numbers and slices as Python writes them, from 0 on: 0,2:5,-2:. "
                f"It has at most {MAX_CHARS} characters."
            )
            raise InvalidInput(FieldError(loc, message, "page_slice"))
        return cls(found)

    def of(self, total: int) -> tuple[range, ...]:
        """Return the places that are meant of so many, 0 is the first; they may overlap."""
        return tuple(range(*part.indices(total)) for part in self.parts)


def chosen(text: str | None, total: int) -> frozenset[int]:
    """Return the numbers of the pages that are meant of so many; 1 is the first. None means all."""
    if text is None:
        return frozenset(range(1, total + 1))
    return frozenset(place + 1 for places in PageSlice.parse(text).of(total) for place in places)


def _part(item: str) -> slice | None:
    found = _ITEM.fullmatch(item)
    if found is None:
        return None
    start, colon, stop, step = (found[1], found[2], found[3], found[4])
    if colon is None:
        if start is None:
            return None
        number = int(start)
        # The last one has no place behind it: -1:0 would be empty.
        return slice(number, None if number == -1 else number + 1)
    if step is not None and int(step) == 0:
        return None
    return slice(*(None if each is None else int(each) for each in (start, stop, step)))
