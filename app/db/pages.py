"""Pages of a list by key: rows may come and go, and each page costs the same."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from app.errors import InvalidCursor, InvalidPage

Row = TypeVar("Row")

MAX_NUMBER = 2**31 - 1
"""The largest that an Integer column of PostgreSQL takes."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A slice of a list: `first` rows after a cursor."""

    first: int
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The rows of a slice, and whether there are more on either side."""

    rows: list[Row]
    has_next: bool
    has_previous: bool


def page_request(
    first: int | None, after: str | None, *, default: int = 20, limit: int = 100
) -> PageRequest:
    """Return the request for a page; None means the default.

    Raises:
        InvalidPage: `first` is below 1 or above `limit`.
    """
    size = default if first is None else first
    if not 1 <= size <= limit:
        raise InvalidPage(f"`first` must be 1 to {limit}.")
    return PageRequest(size, after)


def page(rows: list[Row], request: PageRequest) -> Page[Row]:
    """Make a page of rows that were read with a limit of `first` and one more."""
    return Page(rows[: request.first], len(rows) > request.first, request.after is not None)


def cursor(*keys: str | int) -> str:
    """Return the keys of a row as an opaque word."""
    return (
        base64.urlsafe_b64encode("\n".join(str(key) for key in keys).encode()).decode().rstrip("=")
    )


def keys(value: str, *, count: int) -> list[str]:
    """Return the keys that a cursor stands for.

    Raises:
        InvalidCursor: it holds another number of keys, or was changed.
    """
    try:
        found = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode().split("\n")
    except (ValueError, binascii.Error):
        raise InvalidCursor from None
    if len(found) != count:
        raise InvalidCursor
    return found


def number(key: str) -> int:
    """Return a key as a number.

    Raises:
        InvalidCursor: it is none that a column of ours holds; such a cursor is forged.
    """
    if not re.fullmatch(r"[0-9]{1,10}", key) or int(key) > MAX_NUMBER:
        raise InvalidCursor
    return int(key)


def cursor_of(id: UUID) -> str:
    """Return the cursor of a row in a list that is ordered by id."""
    return cursor(id.hex)


def id_of(value: str) -> UUID:
    """Return the id that such a cursor stands for.

    Raises:
        InvalidCursor: it was not given out by such a list.
    """
    try:
        return UUID(hex=keys(value, count=1)[0])
    except ValueError:
        raise InvalidCursor from None
