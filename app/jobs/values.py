"""JSON values as MongoDB orders them: by their type first, and within a type by their value.

Numbers compare by what they are worth (1 equals 1.0), strings by their code points, true is no
number; objects compare field by field in the order they are written, so that the order of keys
matters; lists compare element by element.
"""

from itertools import zip_longest
from typing import Any

CHARS_A_STEP = 500
"""Characters that are looked at in about the time of one value."""
_END = object()
_NULL, _NUMBER, _STRING, _OBJECT, _LIST, _BOOLEAN = range(6)
_KINDS: dict[type, int] = {
    type(None): _NULL,
    int: _NUMBER,
    float: _NUMBER,
    str: _STRING,
    dict: _OBJECT,
    list: _LIST,
    bool: _BOOLEAN,
}


class TooCostly(Exception):
    """To look at all of it would take longer than it may."""


class Budget:
    """How many values may still be looked at."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Count values that are looked at.

        Raises:
            TooCostly: there are too many.
        """
        self.left -= steps
        if self.left < 0:
            raise TooCostly


def same_type(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether two values can be compared at all."""
    return _KINDS[type(one)] == _KINDS[type(other)]


def order(one: Any, other: Any, budget: Budget) -> int:  # noqa: ANN401 - any JSON values
    """Return less than 0 where `one` comes first, more than 0 where `other` does, 0 where equal.

    Raises:
        TooCostly: the budget is used up.
    """
    budget.spend()
    kind = _KINDS[type(one)]
    if kind != _KINDS[type(other)]:
        return kind - _KINDS[type(other)]
    if kind == _NULL:
        return 0
    if kind == _OBJECT:
        return _order_of_fields(one, other, budget)
    if kind == _LIST:
        return _order_of_elements(one, other, budget)
    if kind == _STRING:
        budget.spend(min(len(one), len(other)) // CHARS_A_STEP)
    return int(one > other) - int(one < other)


def _order_of_fields(one: dict[str, Any], other: dict[str, Any], budget: Budget) -> int:
    for left, right in zip_longest(one.items(), other.items()):
        if left is None or right is None:
            return -1 if left is None else 1
        (name, value), (other_name, other_value) = left, right
        # The type, then the name, then the value: so it stands in a BSON document.
        by_kind = _KINDS[type(value)] - _KINDS[type(other_value)]
        if by_kind:
            return by_kind
        if name != other_name:
            return 1 if name > other_name else -1
        by_value = order(value, other_value, budget)
        if by_value:
            return by_value
    return 0


def _order_of_elements(one: list[Any], other: list[Any], budget: Budget) -> int:
    for left, right in zip_longest(one, other, fillvalue=_END):
        if left is _END or right is _END:
            return -1 if left is _END else 1
        by_value = order(left, right, budget)
        if by_value:
            return by_value
    return 0
