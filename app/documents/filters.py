"""Which documents are meant: one condition for each thing that can be asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import col

from app.accounts.caller import Caller
from app.db.columns import has_folded
from app.documents.models import Document

Selected = TypeVar("Selected", bound=Select[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFilter:
    """Which documents of the application are meant; None means any.

    filename: it contains this. tags: it carries all of them.
    """

    ids: Sequence[UUID] | None = None
    filename: str | None = None
    mime_types: Sequence[str] | None = None
    tags: Sequence[str] = ()
    original_id: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def apply(self, statement: Selected, *, caller: Caller) -> Selected:
        """Narrow a statement over documents down to those that are meant and the caller's."""
        return statement.where(
            col(Document.application_id) == caller.application_id,
            *(has_tag(col(Document.tags), tag) for tag in self.tags),
            *self._others(),
        )

    def _others(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.ids is not None:
            found.append(col(Document.id).in_(self.ids))
        if self.filename is not None:
            found.append(has_folded(col(Document.filename_folded), self.filename))
        if self.mime_types is not None:
            found.append(col(Document.mime_type).in_(self.mime_types))
        if self.original_id is not None:
            found.append(col(Document.original_id) == self.original_id)
        if self.created_after is not None:
            found.append(col(Document.created_at) > self.created_after)
        if self.created_before is not None:
            found.append(col(Document.created_at) < self.created_before)
        return found


class has_tag(FunctionElement[bool]):  # noqa: N801 - reads as a function of SQL
    """Whether a list of tags holds a tag."""

    type = Boolean()
    inherit_cache = True


@compiles(has_tag, "sqlite")
def _on_sqlite(element: has_tag, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    tags, tag = (compiler.process(each, **more) for each in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({tags}) WHERE value = {tag})"  # noqa: S608 - compiled by SQLAlchemy


@compiles(has_tag, "postgresql")
def _on_postgresql(element: has_tag, compiler: SQLCompiler, **more: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    tags, tag = (compiler.process(each, **more) for each in element.clauses)
    return f"{tags} @> jsonb_build_array(CAST({tag} AS text))"
