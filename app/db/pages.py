"""Pages of a list by key: rows may come and go, and each page costs the same."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import Select, and_, inspect
from sqlmodel import SQLModel, col, func, select

from app.db.work import ReadSession
from app.errors import InvalidCursor, InvalidPage

Row = TypeVar("Row")
Model = TypeVar("Model", bound=SQLModel)

MAX_NUMBER = 2**31 - 1
"""The largest that an Integer column of PostgreSQL takes."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A slice of a list: `size` rows of those between two cursors, after `offset` of them.

    They are the first of those rows, or, where it is read backwards, the last.
    """

    size: int
    after: str | None = None
    before: str | None = None
    offset: int = 0
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The rows of a slice, and whether there are more on either side."""

    rows: list[Row]
    has_next: bool
    has_previous: bool


def page_request(
    first: int | None, after: str | None, *, default: int = 20, limit: int = 100
) -> PageRequest:
    """Return the request for a page of a list that is read forwards; None means the default.

    Raises:
        InvalidPage: `first` is below 1 or above `limit`.
    """
    return PageRequest(_size(first, "first", default=default, limit=limit), after)


def page_request_both_ways(
    first: int | None,
    after: str | None,
    *,
    last: int | None,
    before: str | None,
    offset: int | None = None,
) -> PageRequest:
    """Return the request for a page of a list that is read either way; None means the default.

    Raises:
        InvalidPage: `first` or `last` is below 1 or above 100, both are given, `offset` is
            negative, or it is given together with a cursor or with `last`.
    """
    if first is not None and last is not None:
        raise InvalidPage("`first` and `last` cannot be given together.")
    if offset is not None and (after is not None or before is not None or last is not None):
        raise InvalidPage("`offset` counts from the first: give it with `first` alone.")
    if offset is not None and offset < 0:
        raise InvalidPage("`offset` must be 0 or more.")
    if last is not None:
        return PageRequest(_size(last, "last"), after, before, backwards=True)
    return PageRequest(_size(first, "first"), after, before, offset or 0)


def page(rows: list[Row], request: PageRequest) -> Page[Row]:
    """Make a page of rows that were read with a limit of `size` and one more.

    A cursor stands for a row that was there, so that on its side there is more.
    """
    more = len(rows) > request.size
    rows = rows[: request.size]
    if request.backwards:
        return Page(rows[::-1], request.before is not None, more or request.after is not None)
    return Page(
        rows,
        more or request.before is not None,
        request.after is not None or request.offset > 0,
    )


async def pages_of(
    session: ReadSession,
    model: type[Model],
    parents: Sequence[UUID],
    *,
    parent: Any,  # noqa: ANN401 - a column
    order: Sequence[Any],
    request: PageRequest,
    rows: Any,  # noqa: ANN401 - a select
) -> dict[UUID, Page[Model]]:
    """Return a page of the list of each parent, all by one statement.

    parent: the column that holds the id of the parent, of `model` or of what it is joined to.
    order: columns of `model` that put a list in its order. rows: a select of `model`, of all lists.
    """
    limit = request.size + 1
    if len(parents) == 1:  # the usual case, and LIMIT reads no row in vain
        rows = rows.where(col(parent) == parents[0]).order_by(*order).limit(limit)
        return {parents[0]: page(list((await session.exec(rows)).all()), request)}
    found: dict[UUID, list[Model]] = {id: [] for id in parents}
    for row, id in await session.exec(_ranked(rows, model, parents, parent, order, limit)):
        found[id].append(row)
    return {id: page(found[id], request) for id in parents}


def _ranked(  # noqa: PLR0917 - the arguments of pages_of
    rows: Any,  # noqa: ANN401 - a select
    model: type[Model],
    parents: Sequence[UUID],
    parent: Any,  # noqa: ANN401 - a column
    order: Sequence[Any],
    limit: int,
) -> Any:  # noqa: ANN401 - a select
    """Return the first rows of each parent. Only keys are numbered: rows may be large."""
    place = func.row_number().over(partition_by=parent, order_by=order).label("list_place")
    keys = inspect(model).primary_key
    numbered = cast("Select[Any]", rows).with_only_columns(
        *keys, parent.label("list_parent"), place
    )
    ranked = numbered.where(col(parent).in_(parents)).subquery()
    same = and_(*(key == ranked.c[key.name] for key in keys))
    return (
        select(model, ranked.c.list_parent)
        .join(ranked, same)
        .where(ranked.c.list_place <= limit)
        .order_by(ranked.c.list_place)
    )


async def counts_of(
    session: ReadSession,
    parents: Sequence[UUID],
    *,
    parent: Any,  # noqa: ANN401 - a column
    where: Sequence[Any] = (),
) -> dict[UUID, int]:
    """Return how many rows each parent has, all by one statement; `parent` holds its id."""
    statement = select(parent, func.count()).where(col(parent).in_(parents), *where)
    found = dict((await session.exec(statement.group_by(parent))).all())
    return {id: found.get(id, 0) for id in parents}


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


def _size(asked: int | None, name: str, *, default: int = 20, limit: int = 100) -> int:
    size = default if asked is None else asked
    if not 1 <= size <= limit:
        raise InvalidPage(f"`{name}` must be 1 to {limit}.")
    return size
