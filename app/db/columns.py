"""Columns that every table makes the same way."""

import secrets
import time
import unicodedata
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Index,
    Integer,
    String,
    TypeDecorator,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlmodel import SQLModel

# Names that do not depend on the database, so that a migration can name what it drops.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

JsonValue = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
OrderedJson = JSON(none_as_null=True)
"""JSON that keeps the order of its keys, which JSONB does not; it cannot be compared in SQL."""
BigId = BigInteger().with_variant(Integer(), "sqlite")
"""A counted key: only INTEGER counts by itself on SQLite."""


MOST_FOLDED_CHARS = 3 * 255
"""A name has at most 255 characters, and of one come at most three when it is folded."""


class Word(TypeDecorator[StrEnum]):
    """An enum kept as its word, so that a new word needs no change of the table."""

    impl = String(32)
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Refuse what is not a word of the enum: table models are not validated."""
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


def new_id() -> UUID:
    """Return a UUID of version 7: unique, and in one process in the order of its making."""
    # RFC 9562, section 5.7 with method 3 of section 6.2: the 12 bits after the version are the
    # fraction of the millisecond, since many rows are made within one.
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds << 80) | (0x7 << 76) | ((rest * 4096 // 1_000_000) << 64)
    return UUID(int=value | (0b10 << 62) | secrets.randbits(62))


def fold(value: str) -> str:
    """Return a text as it is compared where case does not matter, the same on every database."""
    return unicodedata.normalize("NFC", value.casefold())


def has_folded(column: Any, text: str) -> ColumnElement[bool]:  # noqa: ANN401 - a column
    """Return the condition of the rows whose folded column contains a text in any case."""
    wanted = fold(text)
    if len(wanted) > MOST_FOLDED_CHARS:  # in no name; SQLite refuses patterns of 50,000 bytes
        return false()
    found: ColumnElement[bool] = column.contains(wanted, autoescape=True)
    return found


def folded(name: str) -> "Column[str]":
    """Make a column that holds another one folded; it is filled when the row is inserted."""

    def fill(context: DefaultExecutionContext) -> str:
        row: dict[str, Any] = context.get_current_parameters()  # type: ignore[no-untyped-call]
        return fold(row[name])

    return Column(String(), nullable=False, default=fill)


def index_of_known(name: str, column: str, *others: str) -> Index:
    """Make an index of the rows in which this column is not null: where few are, it costs little.

    Both databases use it wherever the column is compared with a value.
    """
    known = text(f"{column} IS NOT NULL")
    return Index(name, column, *others, sqlite_where=known, postgresql_where=known)


def words(kind: type[StrEnum] | frozenset[Any]) -> str:
    """Return the words of an enum as SQL, for a CHECK: 'A','B'."""
    return ",".join(f"'{word.value}'" for word in sorted(kind, key=lambda word: str(word.value)))
