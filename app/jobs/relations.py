"""The jobs of a job: those that come after it, and the children of a conditional one."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import col, select

from app.db.pages import Page, PageRequest, counts_of, cursor, keys, number, pages_of
from app.db.work import ReadSession
from app.jobs.models import Job


class Relation(StrEnum):
    """How jobs belong to another one."""

    DEPENDENTS = "DEPENDENTS"
    CHILDREN = "CHILDREN"


async def related(
    session: ReadSession, job_ids: Sequence[UUID], *, relation: Relation, request: PageRequest
) -> dict[UUID, Page[Job]]:
    """Return a page of the jobs of each job, in the order of their making.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    statement = select(Job)
    if request.after is not None:
        statement = statement.where(col(Job.number) > number(keys(request.after, count=1)[0]))
    return await pages_of(
        session,
        Job,
        job_ids,
        parent=_column(relation),
        order=[col(Job.number)],
        request=request,
        rows=statement,
    )


async def count_related(
    session: ReadSession, job_ids: Sequence[UUID], *, relation: Relation
) -> dict[UUID, int]:
    """Return how many jobs each job has."""
    return await counts_of(session, job_ids, parent=_column(relation))


def related_cursor(job: Job) -> str:
    """Return the place of a job among those of another one as an opaque word."""
    return cursor(job.number)


def _column(relation: Relation) -> Any:  # noqa: ANN401 - a column
    column = Job.parent_id if relation is Relation.CHILDREN else Job.execute_after_id
    return col(column)
