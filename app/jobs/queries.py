"""Reading jobs and what came of them; only those of the caller's application are there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy
from sqlalchemy import ColumnElement, case, tuple_
from sqlmodel import col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from app.accounts.caller import Caller
from app.clock import now
from app.db.ordering import Ordering, Placed, unindexed
from app.db.pages import Page, PageRequest, counts_of, cursor, id_of, keys, number, pages_of
from app.db.work import ReadSession
from app.documents.filters import has_tag
from app.documents.models import Document
from app.jobs import turns
from app.jobs.filters import JobFilter
from app.jobs.issues import Kept
from app.jobs.models import Job, JobDocument, Segment, Worker
from app.jobs.orders import NEWEST_FIRST, of_document
from app.jobs.states import FINISHED, OPEN, JobStatus
from app.jobs.types import JobType

YEAR_SECONDS = 365 * 24 * 3600
"""What would take longer has no honest estimate."""
_PREDICTED = col(JobDocument.prediction).is_not(None)


@dataclass(frozen=True, slots=True)
class PagesInAll:
    """Pages of the documents of a job whose length is known; complete: it is known of all."""

    known: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """Pages done and in all; `total` is None until every document's length is known."""

    done: int
    total: int | None
    rate_per_second: float | None
    eta_seconds: int | None


async def by_id(session: ReadSession, *, caller: Caller, id: UUID) -> Job | None:
    """Return one job, None where there is none."""
    job = await session.get(Job, id)
    return job if job and job.application_id == caller.application_id else None


async def listing(
    session: ReadSession,
    *,
    caller: Caller,
    where: JobFilter,
    request: PageRequest,
    ordering: Ordering = NEWEST_FIRST,
) -> Page[Placed[Job]]:
    """Return a page of jobs with their places.

    Raises:
        InvalidCursor: a cursor was not given out by this list in this order.
    """
    if where.document_id is not None:
        ordering = of_document(ordering)
    parts = [part.apply(sqlalchemy.select(Job), caller=caller) for part in where.parts()]
    return await ordering.read_page(session, parts, request)


async def count(session: ReadSession, *, caller: Caller, where: JobFilter) -> int:
    """Return how many jobs there are."""
    statement = where.apply(select(func.count(col(Job.id))), caller=caller)
    return (await session.exec(statement)).one()


async def using(
    session: ReadSession, document_ids: Sequence[UUID], *, caller: Caller, request: PageRequest
) -> dict[UUID, Page[Job]]:
    """Return a page of the jobs that use each document, newest first.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    job_id = col(JobDocument.job_id)
    statement = select(Job).join(JobDocument, job_id == col(Job.id))
    statement = statement.where(unindexed(col(Job.application_id)) == caller.application_id)
    if request.after is not None:
        statement = statement.where(job_id < id_of(request.after))
    return await pages_of(
        session,
        Job,
        document_ids,
        parent=col(JobDocument.document_id),
        order=[job_id.desc()],
        request=request,
        rows=statement,
    )


async def count_using(session: ReadSession, document_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many jobs use each document."""
    return await counts_of(session, document_ids, parent=col(JobDocument.document_id))


async def newest(session: ReadSession, *, caller: Caller, where: JobFilter) -> Job | None:
    """Return the newest of some jobs; None: there is none."""
    page = await listing(session, caller=caller, where=where, request=PageRequest(1))
    return page.rows[0].row if page.rows else None


async def statuses(
    session: ReadSession, *, caller: Caller, ids: Collection[UUID]
) -> dict[UUID, tuple[JobStatus, int]]:
    """Return status and progress of the jobs that are there, by their ids."""
    statement = select(Job.id, Job.status, Job.progress).where(
        col(Job.id).in_(ids), Job.application_id == caller.application_id
    )
    found = await session.exec(statement)
    return {id: (JobStatus(status), progress) for id, status, progress in found}


async def documents_of(
    session: ReadSession,
    job_ids: Sequence[UUID],
    *,
    request: PageRequest,
    statuses: Sequence[JobStatus] | None = None,
) -> dict[UUID, Page[JobDocument]]:
    """Return a page of the documents of each job, in the order they are worked on.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    statement = select(JobDocument)
    if statuses is not None:
        statement = statement.where(col(JobDocument.status).in_(statuses))
    return await _documents_of(session, job_ids, rows=statement, request=request)


async def predictions_of(
    session: ReadSession, job_ids: Sequence[UUID], *, request: PageRequest
) -> dict[UUID, Page[JobDocument]]:
    """Return a page of those documents of each job that have a prediction, in their order.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    statement = select(JobDocument).where(_PREDICTED)
    return await _documents_of(session, job_ids, rows=statement, request=request)


async def count_predictions(session: ReadSession, job_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many documents of each job have a prediction."""
    where = [_PREDICTED]
    return await counts_of(session, job_ids, parent=col(JobDocument.job_id), where=where)


async def count_documents(
    session: ReadSession,
    job_ids: Sequence[UUID],
    *,
    statuses: Sequence[JobStatus] | None = None,
) -> dict[UUID, int]:
    """Return how many documents each job has."""
    where = [] if statuses is None else [col(JobDocument.status).in_(statuses)]
    return await counts_of(session, job_ids, parent=col(JobDocument.job_id), where=where)


async def segments_of(
    session: ReadSession,
    job_ids: Sequence[UUID],
    *,
    request: PageRequest,
    document_id: UUID | None = None,
    tag: str | None = None,
) -> dict[UUID, Page[Segment]]:
    """Return a page of the segments of each job in reading order, also while it runs.

    tag: of those alone that carry it.

    Raises:
        InvalidCursor: `after` was not given out by this list.
    """
    order = [col(Segment.position), col(Segment.ordinal)]
    statement = select(Segment)
    if document_id is not None:
        statement = statement.where(Segment.document_id == document_id)
    if tag is not None:
        statement = statement.where(has_tag(col(Segment.tags), tag))
    if request.after is not None:
        statement = statement.where(tuple_(*order) > tuple(_numbers(request.after, 2)))
    return await pages_of(
        session,
        Segment,
        job_ids,
        parent=col(Segment.job_id),
        order=order,
        request=request,
        rows=statement,
    )


async def count_segments(
    session: ReadSession,
    job_ids: Sequence[UUID],
    *,
    document_id: UUID | None = None,
    tag: str | None = None,
) -> dict[UUID, int]:
    """Return how many segments each job has by now; tag: how many of them carry it."""
    if tag is not None:
        where: list[ColumnElement[bool]] = [has_tag(col(Segment.tags), tag)]
        if document_id is not None:
            where.append(col(Segment.document_id) == document_id)
        return await counts_of(session, job_ids, parent=col(Segment.job_id), where=where)
    job_id = col(JobDocument.job_id)
    statement = select(job_id, func.sum(JobDocument.segment_count)).where(job_id.in_(job_ids))
    if document_id is not None:
        statement = statement.where(JobDocument.document_id == document_id)
    found = dict((await session.exec(statement.group_by(job_id))).all())
    return {id: int(found.get(id, 0)) for id in job_ids}


def segment_cursor(segment: Segment) -> str:
    """Return the place of a segment in its job as an opaque word."""
    return cursor(segment.position, segment.ordinal)


def document_cursor(row: JobDocument) -> str:
    """Return the place of a document in its job as an opaque word."""
    return cursor(row.position)


async def segments_by_id(
    session: ReadSession, ids: Sequence[UUID], *, caller: Caller
) -> dict[UUID, Segment | None]:
    """Return segments by their ids, None where there is none."""
    statement = (
        select(Segment)
        .join(Job, col(Job.id) == col(Segment.job_id))
        .where(col(Segment.id).in_(ids), Job.application_id == caller.application_id)
    )
    found = {row.id: row for row in await session.exec(statement)}
    return {id: found.get(id) for id in ids}


async def issues_of(
    session: ReadSession, job_ids: Sequence[UUID]
) -> dict[UUID, list[tuple[UUID, list[Kept]]]]:
    """Return the issues of each document of each job, in the order they are worked on."""
    job_id = col(JobDocument.job_id)
    # Of the rows this alone: where documents are worked on, most of a row is its checkpoint.
    statement = select(job_id, JobDocument.document_id, JobDocument.issues)
    statement = statement.where(job_id.in_(job_ids)).order_by(col(JobDocument.position))
    found: dict[UUID, list[tuple[UUID, list[Kept]]]] = {id: [] for id in job_ids}
    for id, document_id, issues in await session.exec(statement):
        found[id].append((document_id, list(issues)))
    return found


async def pages_in_all(
    session: ReadSession, job_ids: Sequence[UUID]
) -> dict[UUID, PagesInAll | None]:
    """Return how many pages the documents of each job have; None before any of them is known.

    One that was not opened yet counts with its own length where that is what the job will read; one
    that ended before it was opened counts with nothing.
    """
    job_id, ended = col(JobDocument.job_id), col(JobDocument.status).in_(FINISHED)
    whole = (col(Job.type) == JobType.SEGMENT) & col(Job.page_slice).is_(None)
    total = func.coalesce(
        col(JobDocument.pages_total),
        case((ended, JobDocument.pages_done)),
        case((whole, Document.media_length)),
    )
    statement = (
        select(job_id, func.sum(total), func.count(), func.count(total))
        .join(Job, col(Job.id) == job_id)
        .join(Document, col(Document.id) == col(JobDocument.document_id))
    )
    rows = await session.exec(statement.where(job_id.in_(job_ids)).group_by(job_id))
    found = {id: PagesInAll(pages or 0, known == all) for id, pages, all, known in rows if known}
    return {id: found.get(id) for id in job_ids}


def progress_of(job: Job, pages: PagesInAll | None) -> Progress | None:
    """Return how far a job is in pages, None where there is nothing to count."""
    if pages is None or pages == PagesInAll(0, complete=True):
        return None
    # What was deleted of a job that has ended is done, and counted no more.
    total = max(pages.known, job.pages_done) if pages.complete else None
    rate = _rate(job)
    left = None if total is None or not rate else round((total - job.pages_done) / rate)
    if job.status in FINISHED or (left is not None and left > YEAR_SECONDS):
        left = None
    return Progress(job.pages_done, total, rate, left)


async def status_counts(session: ReadSession, *, caller: Caller) -> dict[JobStatus, int]:
    """Return how many jobs of the application are in each state; every state is there."""
    statement = (
        select(Job.status, func.count())
        .where(Job.application_id == caller.application_id)
        .group_by(col(Job.status))
    )
    found = dict((await session.exec(statement)).all())
    return {status: found.get(status, 0) for status in JobStatus}


async def open_jobs(session: ReadSession, application_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many jobs of each application have not ended."""
    where = [col(Job.status).in_(OPEN)]
    return await counts_of(session, application_ids, parent=col(Job.application_id), where=where)


async def queue_length(session: ReadSession, *, application_id: UUID | None = None) -> int:
    """Return how many jobs wait for a worker: of one application, or, by None, of all."""
    waiting = select(func.count()).select_from(Job).where(*turns.ready())
    if application_id is not None:
        waiting = waiting.where(Job.application_id == application_id)
    return (await session.exec(waiting, params={"moment": now()})).one()


async def live_workers(session: ReadSession, *, since: datetime) -> Sequence[Worker]:
    """Return the workers that were seen since then, oldest first."""
    statement = select(Worker).where(col(Worker.last_seen_at) >= since)
    return (await session.exec(statement.order_by(col(Worker.id)))).all()


async def _documents_of(
    session: ReadSession,
    job_ids: Sequence[UUID],
    *,
    rows: SelectOfScalar[JobDocument],
    request: PageRequest,
) -> dict[UUID, Page[JobDocument]]:
    position = col(JobDocument.position)
    if request.after is not None:
        rows = rows.where(position > _numbers(request.after, 1)[0])
    return await pages_of(
        session,
        JobDocument,
        job_ids,
        parent=col(JobDocument.job_id),
        order=[position],
        request=request,
        rows=rows,
    )


def _numbers(value: str, count: int) -> list[int]:
    return [number(key) for key in keys(value, count=count)]


def _rate(job: Job) -> float | None:
    """Return the pages a second of the newest attempt."""
    if job.attempt_started_at is None:
        return None
    end = job.finished_at or now()
    seconds = (end - job.attempt_started_at).total_seconds()
    done = job.pages_done - job.attempt_pages
    return round(done / seconds, 2) if seconds > 0 and done > 0 else None
