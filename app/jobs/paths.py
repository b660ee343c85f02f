"""What a dotted name reaches in a JSON value, as MongoDB goes through objects and lists."""

from typing import Any, NamedTuple

from app.jobs.values import Budget

MAX_INDEX_DIGITS = 9


class Place(NamedTuple):
    """One place that a name leads to.

    value: what is there; None where nothing is, which is when `there` is False.
    spread: it is a list whose elements are looked at as well as the list itself.
    named: False where a field "0" was looked for in an element of a list: most likely the first
    element was meant, and that the field is not there is not worth telling.
    """

    value: Any
    spread: bool = False
    there: bool = True
    named: bool = True


def reach(value: Any, name: str, budget: Budget) -> list[Place]:  # noqa: ANN401 - any JSON value
    """Return every place that a dotted name leads to.

    A list on the way stands for each object in it, and for its element with that number where the
    name goes on with one; a list without either gives no place at all. A value that is a list
    itself is gone through like one on the way.

    Raises:
        TooCostly: the budget is used up.
    """
    budget.spend()
    walk = _Walk(name.split("."), budget)
    if isinstance(value, dict):
        walk.through_object(value, 0, named=True)
    elif isinstance(value, list):
        walk.through_list(value, 0, named=True)
    else:
        walk.nothing(named=True)
    return walk.places


class _Walk:
    """One way along the parts of a name, with all its branches."""

    def __init__(self, parts: list[str], budget: Budget) -> None:
        self.parts, self.last = parts, len(parts) - 1
        self.budget = budget
        self.places: list[Place] = []

    def nothing(self, *, named: bool) -> None:
        self.places.append(Place(None, there=False, named=named))

    def through_object(self, found: dict[str, Any], depth: int, *, named: bool) -> None:
        """Go on in an object that is counted already; those below it are counted here."""
        while True:
            if self.parts[depth] not in found:
                return self.nothing(named=named)
            value = found[self.parts[depth]]
            if depth == self.last:
                return self.places.append(Place(value, isinstance(value, list)))
            depth += 1
            if isinstance(value, list):
                return self.through_list(value, depth, named=named)
            if not isinstance(value, dict):
                return self.nothing(named=named)
            self.budget.spend()
            found = value

    def through_list(self, found: list[Any], depth: int, *, named: bool) -> None:
        index = _index(self.parts[depth])
        self.budget.spend(len(found))
        for element in found:
            if isinstance(element, dict):
                self.through_object(element, depth, named=named and index is None)
        if index is None or index >= len(found):
            return
        self.budget.spend()
        element = found[index]
        if depth == self.last:
            self.places.append(Place(element))
        elif isinstance(element, dict):
            self.through_object(element, depth + 1, named=named)
        elif isinstance(element, list):
            self.through_list(element, depth + 1, named=named)


def _index(part: str) -> int | None:
    """Return which element a part of a name means; None for one that is the name of a field."""
    if not (part.isascii() and part.isdigit()) or len(part) > MAX_INDEX_DIGITS:
        return None
    return int(part) if str(int(part)) == part else None
