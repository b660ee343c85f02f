"""A job in the hands of a worker: claimed, kept alive, given back. `recording` tells the rest.

Every write is fenced by the attempt: a worker that comes back from the dead changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel import col, func, select, update

from app.clock import now
from app.db.work import ReadSession, Work
from app.documents.models import Document, DocumentStatus, is_page
from app.jobs import events, turns
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument
from app.jobs.queue import Doorbell
from app.jobs.states import JobStatus
from app.jobs.types import EventKind, JobType, Severity


class RunLost(Exception):
    """The job was canceled, deleted or given to another worker: stop."""


@dataclass(slots=True)
class RunDocument:
    """One document of a run, and how far it is."""

    id: UUID
    position: int
    filename: str
    mime_type: str | None
    sha256: str | None
    status: JobStatus
    pages_done: int
    pages_total: int | None
    segment_count: int
    segments_sha256: str | None
    checkpoint: dict[str, Any] | None
    options: list[dict[str, Any]]
    issues: list[dict[str, Any]]
    draft_id: UUID | None = None
    # Without those of attached files; known once this run has read a page.
    own_pages: int | None = None
    taken_from_id: UUID | None = None
    # None for all pages, also of what is one page of another document: that was chosen as a whole.
    page_slice: str | None = None


@dataclass(slots=True)
class Run:
    """One attempt at a job, by one worker. Its options are as the row keeps them, sealed."""

    job_id: UUID
    attempt: int
    type: JobType
    settings: dict[str, Any]
    time_left: timedelta
    documents: list[RunDocument]
    progress: int
    workflow: str | None
    profile: str | None
    options: list[dict[str, Any]]


async def claim(
    work: Work,
    bell: Doorbell,
    *,
    worker_id: UUID,
    lease: timedelta,
    ageing: timedelta = turns.AGEING,
) -> Run | None:
    """Take up the job whose turn it is, None where none is due."""
    job_id = await turns.take(work, ageing=ageing)
    if job_id is None:
        return None
    moment = now()
    job = await events.move(
        work,
        bell,
        job_id,
        to=JobStatus.PROCESSING,
        note=Note(EventKind.STATUS, "A worker took the job up."),
        worker_id=worker_id,
        lease_until=moment + lease,
        give_up_at=None,
        attempt=Job.attempt + 1,
        attempt_started_at=moment,
        attempt_pages=Job.pages_done,
        started_at=func.coalesce(Job.started_at, moment),
    )
    return None if job is None else await load(work, job)


async def extend(work: Work, run: Run, *, lease: timedelta) -> None:
    """Say that the worker is alive.

    Raises:
        RunLost: the job is no longer this run's.
    """
    # Not where it was let go meanwhile, as a conditional job is while its children run.
    statement = (
        update(Job)
        .where(*_fence(run), col(Job.lease_until).is_not(None))
        .values(lease_until=now() + lease)
        .execution_options(synchronize_session=False)
    )
    if not (await work.session.exec(statement)).rowcount:
        raise RunLost


async def hold(work: Work, run: Run) -> None:
    """Lock the job: nobody takes it from this run before the end of the transaction.

    Raises:
        RunLost: the job is no longer this run's.
    """
    locked = select(Job.id).where(*_fence(run)).with_for_update()
    if (await work.session.exec(locked)).first() is None:
        raise RunLost


async def still_ours(session: ReadSession, run: Run) -> bool:
    """Return whether the job is still this run's."""
    return (await session.exec(select(Job.id).where(*_fence(run)))).first() is not None


async def give_back(work: Work, bell: Doorbell, run: Run, *, reason: str, due_at: datetime) -> None:
    """Let another worker go on where this one stops. The attempt is not charged.

    Raises:
        RunLost: the job is no longer this run's.
    """
    values: dict[str, Any] = {"due_at": due_at, "message": None}
    note = Note(EventKind.STATUS, reason, Severity.WARNING)
    await leave(work, bell, run, JobStatus.PENDING, note, values)
    work.after_commit(lambda: bell.ring(run.job_id))


async def lost(session: ReadSession) -> Sequence[UUID]:
    """Return the ids of the jobs whose worker has been silent for too long."""
    statement = select(Job.id).where(
        col(Job.status) == JobStatus.PROCESSING, col(Job.lease_until) < now()
    )
    return (await session.exec(statement)).all()


def _fence(run: Run) -> tuple[Any, ...]:
    return (
        col(Job.id) == run.job_id,
        col(Job.attempt) == run.attempt,
        col(Job.status) == JobStatus.PROCESSING,
    )


async def change(
    work: Work,
    bell: Doorbell,
    run: Run,
    note: Note,
    **values: Any,  # noqa: ANN401 - columns of Job
) -> Job:
    """Change columns of the job and log it.

    Raises:
        RunLost: the job is no longer this run's.
    """
    job = await events.change(work, bell, run.job_id, note=note, fence=run.attempt, **values)
    if job is None:
        raise RunLost
    return job


async def leave(  # noqa: PLR0917
    work: Work, bell: Doorbell, run: Run, to: JobStatus, note: Note, values: dict[str, Any]
) -> None:
    """Move the job out of PROCESSING and log it.

    Raises:
        RunLost: the job is no longer this run's.
    """
    job = await work.session.get(Job, run.job_id)
    if job is None:
        raise RunLost
    values["duration_ms"] = _duration(job)
    moved = await events.move(work, bell, run.job_id, to=to, note=note, fence=run.attempt, **values)
    if moved is None:
        raise RunLost


def _duration(job: Job) -> int:
    started = job.attempt_started_at or now()
    return (job.duration_ms or 0) + round((now() - started).total_seconds() * 1000)


async def load(work: Work, job: Job) -> Run:
    """Return a job that is being processed as its run, as the rows have it now."""
    statement = (
        select(JobDocument, Document)
        .join(Document, col(Document.id) == col(JobDocument.document_id))
        .where(JobDocument.job_id == job.id)
        .order_by(col(JobDocument.position))
    )
    documents = [
        _document(job, row, document) for row, document in await work.session.exec(statement)
    ]
    spent = timedelta(milliseconds=job.duration_ms or 0)
    left = timedelta(seconds=job.timeout_seconds) - spent
    return Run(
        job_id=job.id,
        attempt=job.attempt,
        type=job.type,
        settings=job.settings,
        time_left=left,
        documents=documents,
        progress=job.progress,
        workflow=job.workflow,
        profile=job.profile,
        options=job.options,
    )


def _document(job: Job, row: JobDocument, document: Document) -> RunDocument:
    return RunDocument(
        id=document.id,
        position=row.position,
        filename=document.filename,
        mime_type=document.mime_type,
        sha256=document.sha256 if document.status is DocumentStatus.PROCESSED else None,
        status=row.status,
        pages_done=row.pages_done,
        pages_total=row.pages_total,
        segment_count=row.segment_count,
        segments_sha256=row.segments_sha256,
        checkpoint=row.checkpoint,
        taken_from_id=row.taken_from_id,
        options=row.options,
        issues=row.issues,
        draft_id=row.draft_id,
        page_slice=None if is_page(document.page, document.original_id) else job.page_slice,
    )
