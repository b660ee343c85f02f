"""Formats without pages: slices of the source let progress show, and keep memory flat."""

from collections.abc import Iterator
from typing import TypeVar

from workers.processors.elements import Element

T = TypeVar("T")

SLICE_BYTES = 1 << 16

Located = tuple[int, Element]


def total(size_bytes: int) -> int:
    """Return how many slices a source of this size has; an empty one has one."""
    return max(1, -(-size_bytes // SLICE_BYTES))


def slices(parts: Iterator[tuple[int, T]], count: int) -> Iterator[list[T]]:
    """Yield `count` lists of parts, by where they begin in the source."""
    held: list[T] = []
    at = 0
    for offset, part in parts:
        while at < count - 1 and offset >= (at + 1) * SLICE_BYTES:
            yield held
            held = []
            at += 1
        held.append(part)
    while at < count:
        yield held
        held = []
        at += 1
