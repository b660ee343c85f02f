"""Which jobs are meant: one condition for each thing that can be asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, SQLColumnExpression
from sqlmodel import col

from app.accounts.caller import Caller
from app.db.columns import has_folded
from app.db.ordering import unindexed
from app.jobs.models import Job, JobDocument
from app.jobs.states import JobStatus
from app.jobs.types import JobOutcome, JobType

Selected = TypeVar("Selected", bound=Select[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs of the application are meant; None means any. name: it contains this."""

    ids: Sequence[UUID] | None = None
    numbers: Sequence[int] | None = None
    group_id: str | None = None
    types: Sequence[JobType] | None = None
    statuses: Sequence[JobStatus] | None = None
    outcomes: Sequence[JobOutcome] | None = None
    name: str | None = None
    application_id: UUID | None = None
    submitter_id: UUID | None = None
    document_id: UUID | None = None
    execute_after_id: UUID | None = None
    parent_id: UUID | None = None
    workflow: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def parts(self) -> list[Self]:
        """Return filters that together find the same jobs, none of them twice.

        Where several states are asked for, which few jobs may be in, it is one for each: an index
        has the jobs of one state in their order, and those of several only one after the other.
        """
        if self.document_id is not None or self.statuses is None or len(self.statuses) < 2:  # noqa: PLR2004 - several
            return [self]
        return [replace(self, statuses=(status,)) for status in dict.fromkeys(self.statuses)]

    def apply(self, statement: Selected, *, caller: Caller) -> Selected:
        """Narrow a statement over jobs down to those that are meant and the caller's."""
        application: SQLColumnExpression[UUID] = col(Job.application_id)
        if self.document_id is not None:
            # By the jobs of the document, and not by those of the application. A job has a
            # document once, so that none comes twice.
            statement = statement.join(JobDocument, col(JobDocument.job_id) == col(Job.id))
            statement = statement.where(col(JobDocument.document_id) == self.document_id)
            application = unindexed(application)
        return statement.where(
            application == caller.application_id,
            *self._equalities(),
            *self._choices(),
            *self._ranges(),
        )

    def _equalities(self) -> list[ColumnElement[bool]]:
        return [
            col(column) == wanted
            for column, wanted in (
                (Job.application_id, self.application_id),
                (Job.group_id, self.group_id),
                (Job.submitter_id, self.submitter_id),
                (Job.execute_after_id, self.execute_after_id),
                (Job.parent_id, self.parent_id),
                (Job.workflow, self.workflow),
            )
            if wanted is not None
        ]

    def _choices(self) -> list[ColumnElement[bool]]:
        return [
            col(column).in_(wanted)
            for column, wanted in (
                (Job.id, self.ids),
                (Job.number, self.numbers),
                (Job.type, self.types),
                (Job.status, self.statuses),
                (Job.outcome, self.outcomes),
            )
            if wanted is not None
        ]

    def _ranges(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.name is not None:
            found.append(has_folded(col(Job.name_folded), self.name))
        if self.created_after is not None:
            found.append(col(Job.created_at) > self.created_after)
        if self.created_before is not None:
            found.append(col(Job.created_at) < self.created_before)
        return found
