"""What becomes of jobs that are there: data that arrives, cancel, delete; each one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from sqlmodel import col, exists, func, select, update

from app.accounts.caller import Caller
from app.clock import now
from app.db.work import Work
from app.documents import commands as documents
from app.documents.models import Document, DocumentStatus
from app.documents.store import Store
from app.errors import NotFound
from app.jobs import attachments, events
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument
from app.jobs.queue import Doorbell
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import EventKind, JobOutcome


@dataclass(slots=True)
class Deleted:
    """What went with a job."""

    status: JobStatus
    canceled_first: bool
    job_ids: list[UUID] = field(default_factory=list)
    document_ids: list[UUID] = field(default_factory=list)
    freed_bytes: int = 0


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
    job = await find(work, caller=caller, job_id=job_id)
    canceled = await _cancel(work, bell, job_id)
    return canceled or job, canceled is not None


async def delete(
    work: Work, bell: Doorbell, *, caller: Caller, job_id: UUID, store: Store
) -> Deleted:
    """Delete a job with all that belongs to it; one that is not finished is canceled first.

    Raises:
        NotFound: there is no such job.
    """
    job = await find(work, caller=caller, job_id=job_id)
    canceled = await _cancel(work, bell, job_id)
    gone = Deleted(job.status, canceled_first=canceled is not None, job_ids=[job.id])
    gone.freed_bytes += await attachments.remove(work, job_id=job_id, store=store)
    doomed = await _documents_of(work, job_id)
    await events.last(work, bell, job)
    await work.session.delete(job)
    await work.session.flush()
    for document in doomed:
        gone.document_ids.append(document.id)
        gone.freed_bytes += document.size or await store.received(document.id)
        await documents.delete(work, document, store=store)
    return gone


async def find(work: Work, *, caller: Caller, job_id: UUID) -> Job:
    """Return a job of the caller's application, locked: nobody else changes or deletes it now.

    Raises:
        NotFound: there is none.
    """
    job = await work.session.get(Job, job_id, with_for_update=True)
    if job is None or job.application_id != caller.application_id:
        raise NotFound("job", str(job_id))
    return job


async def _cancel(work: Work, bell: Doorbell, job_id: UUID) -> Job | None:
    job = await events.move(
        work,
        bell,
        job_id,
        to=JobStatus.CANCELED,
        note=Note(EventKind.STATUS, "The job was canceled."),
        outcome=JobOutcome.ERROR,
        message=None,
    )
    if job is None:
        return None
    statement = (
        update(JobDocument)
        .where(col(JobDocument.job_id) == job_id, col(JobDocument.status).in_(OPEN))
        .values(status=JobStatus.CANCELED, checkpoint=None)
    )
    await work.session.exec(statement)
    work.after_commit(lambda: bell.cancel(job_id))
    return job


async def _documents_of(work: Work, job_id: UUID) -> Sequence[Document]:
    """Return the documents that came with a job or from it, and that no other job uses."""
    owned = select(JobDocument.document_id).where(
        JobDocument.job_id == job_id, col(JobDocument.owned)
    )
    candidates = select(Document).where(
        col(Document.id).in_(owned) | (col(Document.produced_by_id) == job_id)
    )
    # Locked first, then looked at: a job that is being created holds them until it is there.
    found = (await work.session.exec(candidates.with_for_update())).all()
    elsewhere = select(JobDocument.document_id).where(
        col(JobDocument.document_id).in_([document.id for document in found]),
        JobDocument.job_id != job_id,
    )
    used = set(await work.session.exec(elsewhere))
    return [document for document in found if document.id not in used]
