"""Formats without pages: slices of the source let progress show, and keep memory flat."""

from collections.abc import Iterator

from workers.processors.elements import Element

SLICE_BYTES = 1 << 16

Located = tuple[int, Element]


def total(size_bytes: int) -> int:
    """Return how many slices a source of this size has; an empty one has one."""
    return max(1, -(-size_bytes // SLICE_BYTES))


def slices(elements: Iterator[Located], count: int) -> Iterator[list[Element]]:
    """Yield `count` lists of elements, by where they begin in the source."""
    held: list[Element] = []
    at = 0
    for offset, element in elements:
        while at < count - 1 and offset >= (at + 1) * SLICE_BYTES:
            yield held
            held = []
            at += 1
        held.append(element)
    while at < count:
        yield held
        held = []
        at += 1
