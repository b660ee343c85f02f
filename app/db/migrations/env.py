"""What alembic runs: our tables, on the connection that `db.migration` hands over."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.engine.default import DefaultDialect
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

import app.accounts.models
import app.documents.models
import app.jobs.models  # noqa: F401 - the three imports fill the metadata
from app.db.columns import JsonValue, Word


def render(kind: str, value: object, _context: AutogenContext) -> str | Literal[False]:
    """Write plain types into a migration: it must not change when our own types do."""
    if kind == "type" and isinstance(value, Word):
        return "sa.String(length=32)"
    if kind == "type" and value is JsonValue:
        return "JSON_VALUE"
    if kind == "type" and isinstance(value, AutoString):
        length = value.load_dialect_impl(DefaultDialect()).length  # type: ignore[attr-defined]
        return f"sa.String(length={length})" if length else "sa.String()"
    if kind == "type" and isinstance(value, UTCDateTime):
        return "UTCDateTime()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_item=render,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
