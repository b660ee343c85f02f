"""What becomes of jobs that are there: data that arrives, cancel; each one transaction."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

from sqlmodel import col, exists, func, select, update

from app.accounts.caller import Caller
from app.clock import now
from app.db.work import Work
from app.documents.models import Document, DocumentStatus
from app.errors import NotFound
from app.failures import ErrorCode
from app.jobs import dependents, events, families
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument
from app.jobs.queue import Doorbell
from app.jobs.states import JobStatus
from app.jobs.types import EventKind, JobOutcome


async def data_arrived(work: Work, bell: Doorbell, document_id: UUID) -> None:
    """Let the jobs go that waited for this document and wait for no other."""
    waiting = select(JobDocument.job_id).where(col(JobDocument.document_id) == document_id)
    # Locked first: of two documents that arrive at once each would take the other for missing.
    locked = (
        select(Job.id)
        .where(col(Job.id).in_(waiting), col(Job.waits_for_data))
        .order_by(col(Job.id))
        .with_for_update()
    )
    waiting_ids = (await work.session.exec(locked)).all()
    missing = (
        exists()
        .where(col(JobDocument.job_id) == col(Job.id))
        .where(col(JobDocument.document_id) == col(Document.id))
        .where(col(Document.status) == DocumentStatus.NEW)
    )
    size = (
        select(func.coalesce(func.sum(Document.size), 0))
        .where(col(Document.id) == col(JobDocument.document_id))
        .where(col(JobDocument.job_id) == col(Job.id))
        .scalar_subquery()
    )
    statement = (
        update(Job)
        .where(col(Job.id).in_(waiting_ids), ~missing)
        .values(waits_for_data=False, due_at=now(), total_size=size)
        .returning(col(Job.id))
        .execution_options(synchronize_session=False)
    )
    for job_id in (await work.session.exec(statement)).scalars():
        work.after_commit(partial(bell.ring, job_id))


async def cancel(work: Work, bell: Doorbell, *, caller: Caller, job_id: UUID) -> tuple[Job, bool]:
    """Cancel a job; return it, and whether that changed anything.

    Raises:
        NotFound: there is no such job.
    """
    job, children = await find_family(work, caller=caller, job_id=job_id)
    stopped = await stop(work, bell, job_id, children=children)
    await dependents.ended(work, bell, *stopped)
    return job, bool(stopped)


async def find(work: Work, *, caller: Caller, job_id: UUID) -> Job:
    """Return a job of the caller's application, locked: nobody else changes or deletes it now.

    Raises:
        NotFound: there is none.
    """
    job = await work.session.get(Job, job_id, with_for_update=True)
    if job is None or job.application_id != caller.application_id:
        raise NotFound("job", str(job_id))
    return job


async def find_family(work: Work, *, caller: Caller, job_id: UUID) -> tuple[Job, Sequence[Job]]:
    """Return a job and its children, all locked, in the order of their making.

    Raises:
        NotFound: there is no such job.
    """
    while True:
        with suppress(_Grown):
            async with work.savepoint():
                return await _lock_family(work, caller, job_id)


class _Grown(Exception):
    """A conditional job has got children while we waited for it."""


async def _lock_family(work: Work, caller: Caller, job_id: UUID) -> tuple[Job, Sequence[Job]]:
    # A child that ends holds itself and then asks for its parent; so do we, and begin anew where
    # there were no children to lock at first.
    children = await families.children_of(work, job_id)
    job = await find(work, caller=caller, job_id=job_id)
    if not children and await families.count(work, job_id):
        raise _Grown
    return job, children


async def stop(
    work: Work,
    bell: Doorbell,
    job_id: UUID,
    *,
    children: Sequence[Job] = (),
    text: str = "The job was canceled.",
) -> list[Job]:
    """Cancel a job and its children whoever asks for it; return those that had not ended.

    text: why, for a person. What that does to other jobs is up to the caller.
    """
    stopped = await events.move_together(
        work,
        bell,
        {job_id: Note(EventKind.STATUS, text)},
        to=JobStatus.CANCELED,
        outcome=JobOutcome.ERROR,
        error_code=ErrorCode.CANCELED,
        error_message=text,
        message=None,
    )
    if not stopped:
        return []
    await families.stop_work(work, bell, [job_id])
    return [*stopped, *await families.cancel(work, bell, children)]
