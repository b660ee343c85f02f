"""Columns that every table makes the same way."""

import secrets
import time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Dialect, Integer, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
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
BigId = BigInteger().with_variant(Integer(), "sqlite")
"""A counted key: only INTEGER counts by itself on SQLite."""


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
    """Return a UUID of version 7: unique, and in the order of its making to the millisecond."""
    # RFC 9562, section 5.7; the standard library has it from Python 3.14 on.
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (0x7 << 76) | (secrets.randbits(12) << 64)
    return UUID(int=value | (0b10 << 62) | secrets.randbits(62))


def words(kind: type[StrEnum] | frozenset[Any]) -> str:
    """Return the words of an enum as SQL, for a CHECK: 'A','B'."""
    return ",".join(f"'{word.value}'" for word in sorted(kind, key=lambda word: str(word.value)))
