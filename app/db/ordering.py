"""Lists in any order, in pages by key, forwards and backwards: rows may come and go meanwhile.

A cursor holds what a row was ordered by, not where it stood, so that a page goes on from there also
when the row has moved or is gone. Both databases order alike: words by code point, nulls last.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Label,
    Select,
    SQLColumnExpression,
    String,
    UnaryExpression,
    and_,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.db.pages import MAX_NUMBER, Page, PageRequest, page
from app.db.work import ReadSession
from app.errors import InvalidCursor

Row = TypeVar("Row")

MAX_CURSOR_CHARS = 4096
"""More than a cursor of ours has: one word of at most 255 characters, and short keys."""


class SortDirection(StrEnum):
    """Which end of an order comes first; nulls come last in both."""

    ASC = "ASC"
    DESC = "DESC"


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a list can be ordered by.

    kind: of its values, which cursors hold. found_by: another column with the same values, by which
    an index has the rows in this order.
    """

    name: str
    column: SQLColumnExpression[Any]
    kind: type[UUID] | type[datetime] | type[int] | type[str]
    nullable: bool = False
    found_by: SQLColumnExpression[Any] | None = None


@dataclass(frozen=True, slots=True)
class Placed(Generic[Row]):
    """A row of a list, and the cursor of its place."""

    row: Row
    cursor: str


@dataclass(frozen=True, slots=True)
class Ordering:
    """The order of a list: by the first key, among equals by the second; the last is unique."""

    name: str
    id: SQLColumnExpression[UUID]
    keys: tuple[tuple[Key, SortDirection], ...]

    async def read_page(
        self, session: ReadSession, parts: Sequence[Select[Any]], request: PageRequest
    ) -> Page[Placed[Any]]:
        """Return a page of the rows that statements select, none of them in two.

        Each is read in its order as far as the page reaches, by an index that serves it alone, and
        of each row its id: what is sorted or skipped on the way is narrow. They must be selects of
        SQLAlchemy of one thing: of SQLModel's a session leaves out the keys that are added here.

        Raises:
            InvalidCursor: a cursor was not given out by this list in this order.
        """
        (selected,) = parts[0].column_descriptions
        # Ordered by their labels: what is found out by a query of its own is found out once.
        columns: list[Label[Any]] = [
            key.column.label(f"key_{key.name.lower()}") for key, _ in self.keys
        ]
        statement = (
            select(selected["entity"], *columns)
            .where(self.id.in_(self._reached(parts, request)))
            .order_by(*self._by(columns, backwards=request.backwards))
            .limit(request.size + 1)
        )
        if request.offset and len(parts) > 1:
            statement = statement.offset(request.offset)
        rows = await session.exec(statement)  # type: ignore[call-overload]
        return page([Placed(row, self._cursor(values)) for row, *values in rows], request)

    def _reached(self, parts: Sequence[Select[Any]], request: PageRequest) -> Any:  # noqa: ANN401 - a select
        """Return the ids of the rows of a page; of several parts also of those before it."""
        found = []
        columns = [key.found_by if key.found_by is not None else key.column for key, _ in self.keys]
        for part in parts:
            narrowed = part.with_only_columns(self.id)
            for given, backwards in ((request.after, False), (request.before, True)):
                if given is not None:
                    beyond = self._beyond(self._read(given), columns, backwards=backwards)
                    narrowed = narrowed.where(beyond)
            narrowed = narrowed.order_by(*self._by(columns, backwards=request.backwards))
            found.append(narrowed)
        if len(parts) == 1:
            return select(
                found[0].limit(request.size + 1).offset(request.offset or None).subquery()
            )
        reach = request.offset + request.size + 1
        return union_all(*(select(each.limit(reach).subquery()) for each in found))

    def _by(
        self, columns: Sequence[SQLColumnExpression[Any]], *, backwards: bool
    ) -> list[UnaryExpression[Any]]:
        found = []
        for (key, direction), column in zip(self.keys, columns, strict=True):
            down = (direction is SortDirection.DESC) is not backwards
            by = column.desc() if down else column.asc()
            # Only where there are nulls: PostgreSQL takes no index for an order that names them.
            if key.nullable:
                by = by.nulls_first() if backwards else by.nulls_last()
            found.append(by)
        return found

    def _beyond(
        self,
        values: Sequence[Any],
        columns: Sequence[SQLColumnExpression[Any]],
        *,
        backwards: bool,
    ) -> ColumnElement[bool]:
        """Return the condition of the rows after a place, or, backwards, before it."""
        ways = []
        same: list[ColumnElement[bool]] = []
        for (key, direction), column, value in zip(self.keys, columns, values, strict=True):
            down = (direction is SortDirection.DESC) is not backwards
            if value is None:
                further = column.is_not(None) if backwards else None
            else:
                further = column < value if down else column > value
                if key.nullable and not backwards:
                    further |= column.is_(None)
            if further is not None:
                ways.append(and_(*same, further))
            same.append(column.is_(None) if value is None else column == value)
        return or_(*ways)

    def _cursor(self, values: Sequence[Any]) -> str:
        text = json.dumps([self._signature, *map(_written, values)], ensure_ascii=False)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _read(self, cursor: str) -> list[Any]:
        signature, *values = _items(cursor)
        if signature != self._signature or len(values) != len(self.keys):
            raise InvalidCursor
        return [_value(key, value) for (key, _), value in zip(self.keys, values, strict=True)]

    @property
    def _signature(self) -> str:
        return " ".join([self.name, *(f"{key.name} {way}" for key, way in self.keys)])


class unindexed(FunctionElement[Any]):  # noqa: N801 - reads as a function of SQL
    """A column that SQLite is to look at in rows which it found otherwise."""

    inherit_cache = True


class by_code_point(FunctionElement[str]):  # noqa: N801 - reads as a function of SQL
    """A text as it is ordered by its code points, not by the customs of the server's language."""

    type = String()
    inherit_cache = True


@compiles(unindexed, "sqlite")
def _unindexed(element: unindexed, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f"+{compiler.process(element.clauses, **more)}"


@compiles(unindexed)
@compiles(by_code_point)
def _plain(element: FunctionElement[Any], compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return compiler.process(element.clauses, **more)


@compiles(by_code_point, "postgresql")
def _collated(element: by_code_point, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f'{compiler.process(element.clauses, **more)} COLLATE "C"'


def _written(value: Any) -> str | int | None:  # noqa: ANN401 - of any key
    match value:
        case UUID():
            return value.hex
        case datetime():
            return value.astimezone(UTC).isoformat()
        case _:
            written: str | int | None = value
            return written


def _items(cursor: str) -> list[Any]:
    if len(cursor) > MAX_CURSOR_CHARS:
        raise InvalidCursor
    try:
        items = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidCursor from None
    if not isinstance(items, list) or not items:
        raise InvalidCursor
    return items


def _value(key: Key, written: Any) -> Any:  # noqa: ANN401 - of any key
    """Read a value of a cursor; one that no row can have is forged."""
    if written is None and key.nullable:
        return None
    try:
        value = _parsed(key, written)
        if _written(value) == written:
            return value
    except (ValueError, OverflowError):
        pass
    raise InvalidCursor


def _parsed(key: Key, written: Any) -> UUID | datetime | int | str:  # noqa: ANN401 - of any key
    if key.kind is int:
        if type(written) is int and abs(written) <= MAX_NUMBER:
            return written
    elif isinstance(written, str):
        if key.kind is UUID:
            return UUID(hex=written)
        if key.kind is datetime:
            return datetime.fromisoformat(written)
        written.encode()  # half a character raises; no database takes one, nor NUL
        if "\0" not in written:
            return written
    raise ValueError(written)
