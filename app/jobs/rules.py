"""Rules: conditions on the JSON of a result, with MongoDB's meaning, judged clause by clause.

Nothing here reads a row or a clock. `python -m app.jobs.rules` reads lines of JSON,
`{"conditions": ..., "document": ...}`, and answers each with `true`, `false` or `error: ...`, so
that other implementations can be held against this one.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import IO, Any

from app.errors import InvalidInput
from app.jobs.conditions import Condition, parse
from app.jobs.paths import Place, reach
from app.jobs.values import CHARS_A_STEP, Budget, TooCostly, order, same_type

MAX_STEPS = 10_000
"""Values that the conditions of one rule may look at: less than 50 ms of work, by far."""
MAX_SEEN_VALUES, MAX_SEEN_CHARS = 100, 2000
MAX_LINE_BYTES = 1_000_000

_PLAIN = (type(None), bool, int, float, str)


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition, and what became of it.

    seen: the value it was held against: a list of them where the name went through a list and came
    to several. None where `missing`: there was nothing at all. cut: `seen` is only its beginning.
    """

    field: str
    operator: str
    expected: Any
    seen: Any
    missing: bool
    cut: bool
    holds: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a rule holds, and why."""

    matched: bool
    clauses: tuple[Clause, ...]


def to_json(clause: Clause) -> dict[str, Any]:
    """Return a clause as a JSON value."""
    # Not by asdict, which would copy what was seen all the way down.
    return {name: getattr(clause, name) for name in clause.__slots__}


def judge(conditions: tuple[Condition, ...], document: Any) -> Verdict:  # noqa: ANN401 - any JSON value
    """Hold conditions against a JSON value; all of them must hold.

    Raises:
        TooCostly: there is so much to look at that it would take too long.
    """
    budget = Budget(MAX_STEPS)
    clauses: list[Clause] = []
    for field, group in groupby(conditions, key=attrgetter("field")):
        places = reach(document, field, budget)
        seen, missing, cut = _seen(places)
        clauses += [
            Clause(
                field,
                condition.operator,
                condition.expected,
                seen,
                missing,
                cut,
                _holds(condition, places, budget),
            )
            for condition in group
        ]
    return Verdict(all(clause.holds for clause in clauses), tuple(clauses))


def _holds(condition: Condition, places: list[Place], budget: Budget) -> bool:
    match condition.operator:
        case "$ne":
            return not _any_equals(condition.expected, places, budget)
        case "$nin":
            return not _any_in(condition.expected, places, budget)
        case "$in":
            return _any_in(condition.expected, places, budget)
        case "$eq":
            return _any_equals(condition.expected, places, budget)
        case operator:
            return _any_ordered(operator, condition.expected, places, budget)


def _any_equals(expected: Any, places: list[Place], budget: Budget) -> bool:  # noqa: ANN401
    return any(order(value, expected, budget) == 0 for value in _values(places))


def _any_in(expected: list[Any], places: list[Place], budget: Budget) -> bool:
    # By type and value, as 1 and true are one key to Python. What is plain is found at once.
    plain = {(type(each) is bool, each) for each in expected if isinstance(each, _PLAIN)}
    longest = max((len(each) for each in expected if isinstance(each, str)), default=0)
    others = [each for each in expected if not isinstance(each, _PLAIN)]
    budget.spend(len(expected))
    for value in _values(places):
        budget.spend()
        if not isinstance(value, _PLAIN):
            if any(order(value, each, budget) == 0 for each in others):
                return True
            continue
        if isinstance(value, str):
            if len(value) > longest:
                continue
            budget.spend(len(value) // CHARS_A_STEP)
        if (type(value) is bool, value) in plain:
            return True
    return False


def _any_ordered(operator: str, expected: Any, places: list[Place], budget: Budget) -> bool:  # noqa: ANN401
    for value in _values(places):
        if not same_type(value, expected):
            budget.spend()
            continue
        found = order(value, expected, budget)
        if (
            (found == 0 and operator in {"$gte", "$lte"})
            or (found > 0 and operator in {"$gt", "$gte"})
            or (found < 0 and operator in {"$lt", "$lte"})
        ):
            return True
    return False


def _values(places: list[Place]) -> Iterator[Any]:
    """Go through all values that a condition may match: nothing counts as null."""
    for place in places:
        if place.spread:
            yield from place.value
        yield place.value


def _seen(places: list[Place]) -> tuple[Any, bool, bool]:
    """Return what was seen, whether there was nothing at all, and whether it is cut."""
    if not any(place.there for place in places):
        return None, True, False
    told = [place.value for place in places if place.there or place.named]
    pieces = _Pieces()
    seen = pieces.beginning(told[0] if len(told) == 1 else told)
    return seen, False, pieces.cut


class _Pieces:
    """Keeps what was seen small: a result may be large, and each clause keeps a copy."""

    def __init__(self) -> None:
        self.values, self.chars = MAX_SEEN_VALUES, MAX_SEEN_CHARS
        self.cut = False

    def beginning(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return the beginning of a value, as much of it as is left to keep."""
        self.values -= 1
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.beginning(each) for each in self._each(value)]
        if isinstance(value, dict):
            return {self._text(name): self.beginning(value[name]) for name in self._each(value)}
        return value

    def _each(self, found: list[Any] | dict[str, Any]) -> Iterator[Any]:
        for each in found:
            if self.values <= 0:
                self.cut = True
                return
            yield each

    def _text(self, text: str) -> str:
        kept = text[: self.chars]
        self.cut |= len(kept) < len(text)
        self.chars -= len(kept)
        return kept


def answers(lines: Iterator[bytes]) -> Iterator[str]:
    """Answer each line of JSON with true, false or what is wrong with it."""
    for line in lines:
        try:
            yield _answer(line)
        except TooCostly:
            yield "error: document: it is too large for these conditions"
        except InvalidInput as error:
            first = error.errors[0]
            yield f"error: {'.'.join(first.loc)!r}: {first.msg}"
        except RecursionError:
            yield "error: line: it is too deep"
        except (ValueError, KeyError) as error:
            yield f"error: line: {' '.join(str(error).split())}"


def _answer(line: bytes) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"it has more than {MAX_LINE_BYTES} bytes")
    asked = json.loads(line.decode(), parse_constant=_refuse)
    if not isinstance(asked, dict) or not {"conditions", "document"} <= asked.keys():
        raise ValueError("it is no object with conditions and document")
    verdict = judge(parse(asked["conditions"]), asked["document"])
    return json.dumps(verdict.matched)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    """Go through lines; of one that is too long only a beginning, which is too long as well."""
    for line in iter(partial(source.readline, MAX_LINE_BYTES + 2), b""):
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = source.readline(MAX_LINE_BYTES + 2)
        yield line


if __name__ == "__main__":
    for each in answers(_lines(sys.stdin.buffer)):
        sys.stdout.write(f"{each}\n")
        sys.stdout.flush()
