"""What a rule demands of a result: read once, when the rule is made, and refused there if wrong."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.characters import UNSTORABLE
from app.errors import FieldError, InvalidInput

OPERATORS = frozenset({"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"})
LISTS = frozenset({"$in", "$nin"})

MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_DEPTH = 20
MAX_CHARS = 20_000
MAX_DIGITS = 400
"""Digits of a whole number: more than any number of another kind can have."""
_TOO_LONG = 10**MAX_DIGITS
_SHOWN_CHARS = 60

Loc = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One field, one operator, and the value it is held against."""

    field: str
    operator: str
    expected: Any


def parse(conditions: Any, *, loc: Loc = ("conditions",)) -> tuple[Condition, ...]:  # noqa: ANN401 - any JSON value
    """Return the conditions of a rule in their order; none of them means that the rule holds.

    conditions: {field: value | {operator: value, ...} | [{operator: value, ...} | value, ...]}.
    loc: where they stand in the input.

    Raises:
        InvalidInput: they are not of this form, or larger than a rule may be; with the path to
            every spot that is wrong.
    """
    _check_size(conditions, loc)
    if not isinstance(conditions, dict):
        message = "Conditions are an object: names of fields, and what is demanded of each."
        raise InvalidInput(FieldError(loc, message, "not_an_object"))
    found, errors = [], []
    for field, wanted in conditions.items():
        for each in _of_field(field, wanted, (*loc, field)):
            if isinstance(each, Condition):
                found.append(each)
            else:
                errors.append(each)
    if errors:
        raise InvalidInput(*errors)
    if len(found) > MAX_CONDITIONS:
        message = f"A rule may have at most {MAX_CONDITIONS} conditions."
        raise InvalidInput(FieldError(loc, message, "too_long"))
    return tuple(found)


def _of_field(field: str, wanted: Any, loc: Loc) -> Iterator[Condition | FieldError]:  # noqa: ANN401
    if field.startswith("$"):
        message = f"{_short(field)} stands in the place of a field; all conditions must hold."
        yield FieldError(loc, message, "unknown_operator")
    elif field.count(".") >= MAX_DEPTH:
        yield FieldError(loc, f"A name has at most {MAX_DEPTH} parts.", "too_deep")
    elif not isinstance(wanted, list):
        yield from _of_value(field, wanted, loc)
    elif not wanted:
        message = 'A list means: all of these. A literal empty list is written {"$eq": []}.'
        yield FieldError(loc, message, "empty")
    else:
        for number, each in enumerate(wanted):
            yield from _of_value(field, each, (*loc, str(number)))


def _of_value(field: str, wanted: Any, loc: Loc) -> Iterator[Condition | FieldError]:  # noqa: ANN401
    """Read `{operator: value, ...}`, or a value, which means $eq."""
    if not isinstance(wanted, dict) or not any(name.startswith("$") for name in wanted):
        yield Condition(field, "$eq", wanted)
        return
    for operator, expected in wanted.items():
        spot = (*loc, operator)
        if not operator.startswith("$"):
            message = (
                f"{_short(operator)} stands beside operators. An object that is meant literally "
                'is written {"$eq": {...}}.'
            )
            yield FieldError(spot, message, "mixed")
        elif operator not in OPERATORS:
            known = ", ".join(sorted(OPERATORS))
            message = f"{_short(operator)} is no operator; there are {known}."
            yield FieldError(spot, message, "unknown_operator")
        elif operator in LISTS:
            yield from _of_list(field, operator, expected, spot)
        else:
            yield Condition(field, operator, expected)


def _of_list(
    field: str,
    operator: str,
    expected: Any,  # noqa: ANN401 - any JSON value
    loc: Loc,
) -> Iterator[Condition | FieldError]:
    if not isinstance(expected, list):
        yield FieldError(loc, f"{operator} needs a list.", "not_a_list")
        return
    for number, each in enumerate(expected):
        if isinstance(each, dict) and next(iter(each), "").startswith("$"):
            message = f"{operator} lists values, no operators."
            yield FieldError((*loc, str(number)), message, "nested_operator")
    yield Condition(field, operator, expected)


def _check_size(conditions: Any, loc: Loc) -> None:  # noqa: ANN401 - any JSON value
    """Refuse what is too large, too deep or cannot be kept, at the first spot that is."""
    values, chars = 1, 0
    pending: list[tuple[Any, Loc]] = [(conditions, loc)]
    while pending:
        value, spot = pending.pop()
        if isinstance(value, str):
            chars += _checked(value, spot)
        elif isinstance(value, int | float):
            _check_number(value, spot)
        elif isinstance(value, dict | list):
            # Before they are listed: there may be any number of them.
            values += len(value)
            if values > MAX_VALUES:
                message = f"A rule may hold at most {MAX_VALUES} values."
                raise InvalidInput(FieldError(spot, message, "too_large"))
            if len(spot) - len(loc) >= MAX_DEPTH:
                message = f"Values may be at most {MAX_DEPTH} deep."
                raise InvalidInput(FieldError(spot, message, "too_deep"))
            if isinstance(value, dict):
                chars += sum(_checked(name, spot) for name in value)
                pending += [(each, (*spot, name)) for name, each in value.items()]
            else:
                pending += [(each, (*spot, str(number))) for number, each in enumerate(value)]
        if chars > MAX_CHARS:
            message = f"A rule may have at most {MAX_CHARS} characters."
            raise InvalidInput(FieldError(spot, message, "too_large"))


def _checked(text: str, loc: Loc) -> int:
    """Return the length of a text that can be kept."""
    if len(text) <= MAX_CHARS and UNSTORABLE.search(text):
        message = "A text holds NUL or half a character."
        raise InvalidInput(FieldError(loc, message, "unreadable"))
    return len(text)


def _check_number(value: float, loc: Loc) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(FieldError(loc, "A number is finite.", "out_of_range"))
    if isinstance(value, int) and abs(value) >= _TOO_LONG:
        message = f"A number has at most {MAX_DIGITS} digits."
        raise InvalidInput(FieldError(loc, message, "out_of_range"))


def _short(word: str) -> str:
    return repr(word if len(word) <= _SHOWN_CHARS else word[:_SHOWN_CHARS] + "...")
