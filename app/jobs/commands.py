"""What callers do to jobs: create, cancel, delete; each one transaction with its events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlmodel import col, exists, func, select, update

from app.accounts.caller import Caller
from app.accounts.models import Application
from app.clock import now
from app.db.work import Work
from app.documents import commands as documents
from app.documents.models import Document, DocumentStatus
from app.documents.store import Store
from app.errors import FieldError, InvalidInput, NotFound, TooManyJobs
from app.jobs import events, queries
from app.jobs.events import Note
from app.jobs.models import Attachment, Job, JobDocument
from app.jobs.options import Task, to_json, type_of
from app.jobs.queue import Doorbell
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import EventKind, JobOutcome, JobPriority

MAX_DOCUMENTS = 1000
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job that is asked for. `owned_ids` are those of the documents that came with it."""

    task: Task
    document_ids: Sequence[UUID]
    timeout: timedelta
    max_attempts: int
    owned_ids: frozenset[UUID] = frozenset()
    name: str | None = None
    group_id: str | None = None
    priority: JobPriority = JobPriority.NORMAL
    submitter_ip: str | None = None


@dataclass(slots=True)
class Deleted:
    """What went with a job."""

    status: JobStatus
    canceled_first: bool
    job_ids: list[UUID] = field(default_factory=list)
    document_ids: list[UUID] = field(default_factory=list)
    freed_bytes: int = 0


async def create(work: Work, bell: Doorbell, *, caller: Caller, request: JobRequest) -> Job:
    """Make a job that waits for a worker.

    Raises:
        InvalidInput: no document, too many, or one of them twice.
        NotFound: a document is not there.
        TooManyJobs: the application has no room for another open job.
    """
    found = await _documents(work, caller, request.document_ids)
    application = await _next_number(work, caller.application_id)
    type = type_of(request.task)
    job = Job(
        application_id=application.id,
        number=application.last_job_number,
        name=request.name or f"{type} {application.last_job_number}",
        group_id=request.group_id,
        type=type,
        status=JobStatus.PENDING,
        settings=to_json(request.task),
        priority=request.priority,
        total_size=sum(document.size or 0 for document in found),
        waits_for_data=any(document.status is DocumentStatus.NEW for document in found),
        max_attempts=request.max_attempts,
        timeout_seconds=round(request.timeout.total_seconds()),
        submitter_id=caller.api_key_id,
        submitter_ip=request.submitter_ip,
    )
    work.session.add(job)
    await work.session.flush()
    for position, document in enumerate(found):
        owned = document.id in request.owned_ids
        work.session.add(
            JobDocument(job_id=job.id, document_id=document.id, position=position, owned=owned)
        )
    await events.first(work, bell, job, message="The job was accepted.")
    if not job.waits_for_data:
        work.after_commit(lambda: bell.ring(job.id))
    return job


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
    attachments = await work.session.exec(select(Attachment).where(Attachment.job_id == job_id))
    for attachment in attachments:
        gone.freed_bytes += attachment.size
        await documents.remove_file(work, attachment.id, store=store)
    doomed = await _documents_of(work, job_id)
    await events.last(work, bell, job)
    await work.session.delete(job)
    await work.session.flush()
    for document in doomed:
        gone.document_ids.append(document.id)
        gone.freed_bytes += document.size or await store.received(document.id)
        await documents.delete(work, document, store=store)
    return gone


def check_count(documents: int) -> None:
    """Do nothing where a job may have so many documents.

    Raises:
        InvalidInput: there are none, or too many.
    """
    if not documents:
        message = "A job needs at least one document."
        raise InvalidInput(FieldError(("documentIds",), message, "missing"))
    if documents > MAX_DOCUMENTS:
        message = f"A job may have at most {MAX_DOCUMENTS} documents."
        raise InvalidInput(FieldError(("documentIds",), message, "too_long"))


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


async def _documents(work: Work, caller: Caller, ids: Sequence[UUID]) -> list[Document]:
    check_count(len(ids))
    if len(set(ids)) < len(ids):
        message = "A document stands in the list twice."
        raise InvalidInput(FieldError(("documentIds",), message, "repeated"))
    statement = select(Document).where(
        col(Document.id).in_(ids), Document.application_id == caller.application_id
    )
    # Locked: a deletion of a document and a new job on it must not miss each other.
    found = {row.id: row for row in await work.session.exec(statement.with_for_update(read=True))}
    for id in ids:
        if id not in found or found[id].status is DocumentStatus.CANCELED:
            raise NotFound("document", str(id))
    return [found[id] for id in ids]


async def _next_number(work: Work, application_id: UUID) -> Application:
    """Count one job more, under the lock of the application, so that the limit holds too."""
    statement = (
        update(Application)
        .where(col(Application.id) == application_id)
        .values(last_job_number=Application.last_job_number + 1)
        .returning(Application)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    application: Application = (await work.session.exec(statement)).scalar_one()
    if await queries.open_jobs(work.session, application_id) >= application.max_open_jobs:
        raise TooManyJobs(limit=application.max_open_jobs, retry_after_seconds=RETRY_AFTER_SECONDS)
    return application


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
