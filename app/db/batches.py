"""Statements about many rows: a database takes so many values in one, and no more."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 500
"""Rows that one statement names; SQLite takes 32,766 values in it, PostgreSQL 32,767."""


def batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Go through rows, AT_ONCE each time."""
    for place in range(0, len(rows), AT_ONCE):
        yield rows[place : place + AT_ONCE]
