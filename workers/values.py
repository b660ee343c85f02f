"""Values from JSON that nobody vouches for, read one by one.

Each function returns the value as what it must be, or raises TypeError or ValueError.
"""

import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

MOST_LISTED = 1_000_000
DEEPEST = 50


def share(value: object) -> float:
    part = finite(value)
    if not 0 <= part <= 1:
        raise ValueError
    return part


def check_json(value: object, *, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError
    match value:
        case str():
            text(value, most=len(value))
        case list():
            for item in value:
                check_json(item, depth=depth + 1)
        case dict():
            for key, item in value.items():
                text(key, most=len(key))
                check_json(item, depth=depth + 1)
        case float():
            finite(value)


def listed(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST_LISTED:
        raise TypeError
    return value


def each(value: object, read: Callable[[object], T]) -> tuple[T, ...]:
    return tuple(read(item) for item in listed(value))


def text(value: object, *, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise ValueError
    if not value.isascii():
        value.encode()  # a lone surrogate gets through JSON, but into no database
    return value


def whole(value: object, *, least: int = 1, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError
    return value


def finite(value: object) -> float:
    # A truth value is no number, though Python counts it as one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def not_finite(_name: str) -> NoReturn:
    raise ValueError
