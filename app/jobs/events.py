"""The event log of a job, and the one function that moves a job from state to state.

Both live here because they are one write: a change of a job and the event that tells of it are the
same commit, and the number of the event is given out under the lock that the change took. So is the
log of a job that has ended: no end of a job is without it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table
from sqlmodel import case, col, delete, func, select, update

from app import logs
from app.clock import now
from app.db import pages
from app.db.batches import batches
from app.db.work import ReadSession, Work
from app.documents.models import Document
from app.errors import InvalidCursor
from app.jobs import given, log, retention
from app.jobs.models import Job, JobDocument, JobEvent
from app.jobs.queue import Doorbell
from app.jobs.states import FINISHED, JobStatus, sources
from app.jobs.types import EventKind, Severity

logger = logging.getLogger(__name__)

CURSOR_KEYS = 5
"""Job, number in the job; transaction, id and time, which the feed over all jobs reads."""
FORGOTTEN = "What was said here went with the document that it was about."
NAMELESS = "a deleted document"


@dataclass(frozen=True, slots=True)
class Note:
    """What an event says besides the state of its job."""

    kind: EventKind
    message: str | None = None
    severity: Severity | None = None
    document_id: UUID | None = None
    attachment_id: UUID | None = None


async def change(
    work: Work,
    bell: Doorbell,
    job_id: UUID,
    *,
    note: Note,
    fence: int | None = None,
    status: JobStatus = JobStatus.PROCESSING,
    **values: Any,  # noqa: ANN401 - columns of Job
) -> Job | None:
    """Change columns of a job and log it; None where the job is not in this status and attempt."""
    conditions = [col(Job.id) == job_id, col(Job.status) == status]
    return await _write(work, bell, conditions, fence, note, values)


async def move(
    work: Work,
    bell: Doorbell,
    job_id: UUID,
    *,
    to: JobStatus,
    note: Note,
    fence: int | None = None,
    **values: Any,  # noqa: ANN401 - columns of Job
) -> Job | None:
    """Move a job to another state and log it; return the job as it is then.

    A job that has ended takes along what depends on it: in this transaction, with its events.

    None: the table of moves does not allow it any more (somebody else was faster), or the
    attempt is another one. Nothing has changed then. The end of a job is the end of its secrets.
    """
    conditions = [col(Job.id) == job_id, col(Job.status).in_(sources(to))]
    job = await _write(work, bell, conditions, fence, note, values | _of_move(to))
    if job is None:
        return None
    work.after_commit(partial(_log, job_id, to))
    if to in FINISHED:
        from app.jobs import dependents  # noqa: PLC0415 - they move jobs and follow their moves

        await _close(work, [job])
        await dependents.ended(work, bell, job)
    return job


async def move_together(
    work: Work,
    bell: Doorbell,
    notes: Mapping[UUID, Note],
    *,
    to: JobStatus,
    **values: Any,  # noqa: ANN401 - columns of Job
) -> list[Job]:
    """Move many jobs to another state and log each; return those that moved, oldest first.

    Nothing else is done: what depends on them is up to the caller.
    """
    conditions = [col(Job.status).in_(sources(to))]
    moved = await _write_together(work, bell, conditions, notes, values | _of_move(to))
    for job in moved:
        work.after_commit(partial(_log, job.id, to))
    if to in FINISHED:
        for batch in batches(moved):
            await _close(work, batch)
    return moved


async def change_together(
    work: Work,
    bell: Doorbell,
    notes: Mapping[UUID, Note],
    *,
    status: JobStatus,
    **values: Any,  # noqa: ANN401 - columns of Job
) -> list[Job]:
    """Change columns of many jobs and log each; return those that are in this status."""
    return await _write_together(work, bell, [col(Job.status) == status], notes, values)


async def first(work: Work, bell: Doorbell, jobs: Sequence[tuple[Job, str]]) -> None:
    """Store new jobs, each with an event of its beginning that says this."""
    for job, _ in jobs:
        job.event_seq = 1
    work.session.add_all([job for job, _ in jobs])
    await _add(work, [_event(job, Note(EventKind.STATUS, message)) for job, message in jobs])
    _publish(work, bell, [job for job, _ in jobs])
    for job, _ in jobs:
        work.after_commit(partial(_log, job.id, job.status))


async def last(work: Work, bell: Doorbell, job: Job) -> None:
    """Replace the events of a job that is being deleted by one that says so."""
    await work.session.exec(delete(JobEvent).where(col(JobEvent.job_id) == job.id))
    job.event_seq += 1
    await _add(work, [_event(job, Note(EventKind.DELETED, "The job was deleted."))])
    work.after_commit(partial(bell.publish, job.id, job.application_id))


async def forget(work: Work, document: Document) -> None:
    """Have the events of the jobs that used a document say nothing of it any more."""
    name = repr(document.filename)
    message, about = col(JobEvent.message), col(JobEvent.document_id) == document.id
    used = select(JobDocument.job_id).where(JobDocument.document_id == document.id)
    await work.session.exec(
        update(JobEvent)
        .where(
            col(JobEvent.job_id).in_(used),
            message.is_not(None) & about | message.contains(name, autoescape=True),
        )
        .values(message=case((about, FORGOTTEN), else_=func.replace(message, name, NAMELESS)))
        .execution_options(synchronize_session=False)
    )


async def after(
    session: ReadSession,
    job_ids: Sequence[UUID],
    *,
    application_id: UUID,
    seq: int,
    limit: int,
) -> dict[UUID, pages.Page[JobEvent]]:
    """Return the next events of each job, oldest first, those after number `seq`."""
    statement = select(JobEvent).where(
        col(JobEvent.application_id) == application_id, col(JobEvent.seq) > seq
    )
    return await pages.pages_of(
        session,
        JobEvent,
        job_ids,
        parent=col(JobEvent.job_id),
        order=[col(JobEvent.seq)],
        request=pages.PageRequest(limit),
        rows=statement,
    )


async def newest(session: ReadSession, *, job_id: UUID, application_id: UUID) -> JobEvent | None:
    """Return the newest event of a job, which may be gone; None where there never was one."""
    statement = (
        select(JobEvent)
        .where(JobEvent.job_id == job_id, JobEvent.application_id == application_id)
        .order_by(col(JobEvent.seq).desc())
        .limit(1)
    )
    return (await session.exec(statement)).first()


def is_final(event: JobEvent) -> bool:
    """Return whether nothing follows this event but, at most, the deletion of its job."""
    if event.kind is EventKind.DELETED:
        return True
    return event.kind is EventKind.STATUS and event.status in FINISHED


def cursor(event: JobEvent) -> str:
    """Return the place of an event, in its job and in the feed over all jobs, as an opaque word."""
    at = round(event.at.timestamp() * 1000)
    return pages.cursor(event.job_id.hex, event.seq, event.transaction_id or 0, event.id or 0, at)


def cursor_keys(value: str) -> list[str]:
    """Return what a cursor was made of: job, number, transaction, id, milliseconds.

    Raises:
        InvalidCursor: it is no cursor of an event.
    """
    try:
        return pages.keys(value, count=CURSOR_KEYS)
    except InvalidCursor:
        # The first version told no time; clients keep such cursors over the upgrade.
        return [*pages.keys(value, count=CURSOR_KEYS - 1), "0"]


def cursor_seq(value: str, *, job_id: UUID) -> int:
    """Return the number of the event that a cursor stands for.

    Raises:
        InvalidCursor: it was not given out for an event of this job.
    """
    job, seq, *_feed = cursor_keys(value)
    if job != job_id.hex:
        raise InvalidCursor
    return pages.number(seq)


async def _close(work: Work, jobs: Sequence[Job]) -> None:
    """Do what every end of a job owes to itself."""
    await log.attach(work, jobs)
    await retention.keep(work, jobs)
    await given.wipe(work, jobs)


def _of_move(to: JobStatus) -> dict[str, Any]:
    values: dict[str, Any] = {"status": to}
    if to in FINISHED:
        values["finished_at"] = now()
    if to is not JobStatus.PROCESSING:
        values |= {"lease_until": None, "worker_id": None}
    return values


async def _write(  # noqa: PLR0917
    work: Work,
    bell: Doorbell,
    conditions: list[Any],
    fence: int | None,
    note: Note,
    values: dict[str, Any],
) -> Job | None:
    if fence is not None:
        conditions.append(col(Job.attempt) == fence)
    statement = (
        update(Job)
        .where(*conditions)
        .values(**values, event_seq=Job.event_seq + 1, updated_at=now())
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job: Job | None = (await work.session.exec(statement)).scalar_one_or_none()
    if job is None:
        return None
    await _add(work, [_event(job, note)])
    work.after_commit(partial(bell.publish, job.id, job.application_id))
    return job


async def _log(job_id: UUID, status: JobStatus) -> None:
    with logs.about(job_id=str(job_id)):
        logger.info("job %s is %s", job_id, status)


async def _write_together(
    work: Work,
    bell: Doorbell,
    conditions: list[Any],
    notes: Mapping[UUID, Note],
    values: dict[str, Any],
) -> list[Job]:
    written: list[Job] = []
    for batch in batches(list(notes)):
        statement = (
            update(Job)
            .where(col(Job.id).in_(batch), *conditions)
            .values(**values, event_seq=Job.event_seq + 1, updated_at=now())
            .returning(Job)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        written += (await work.session.exec(statement)).scalars()
    written.sort(key=lambda job: job.number)
    _publish(work, bell, written)
    await _add(work, [_event(job, notes[job.id]) for job in written])
    return written


def _publish(work: Work, bell: Doorbell, jobs: Sequence[Job]) -> None:
    work.after_commit(partial(bell.publish_all, [(job.id, job.application_id) for job in jobs]))


async def _add(work: Work, events: Sequence[dict[str, Any]]) -> None:
    """Write events past the session: nobody reads them in it, and it takes its time over each."""
    await work.session.flush()
    if events:
        table = cast("Table", JobEvent.__table__)  # type: ignore[attr-defined]
        await (await work.session.connection()).execute(table.insert(), events)


def _event(job: Job, note: Note) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "application_id": job.application_id,
        "seq": job.event_seq,
        "kind": note.kind,
        "at": now(),
        "status": job.status,
        "progress": job.progress,
        "message": note.message,
        "severity": note.severity,
        "document_id": note.document_id,
        "attachment_id": note.attachment_id,
    }
