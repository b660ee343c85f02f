"""Jobs that repeat others: what had succeeded is taken over, the rest is done again.

The new job is made at once, and what it takes over is copied by the worker that takes it up, in
blocks: a document may have a hundred thousand segments. Where the job that they come from is gone
by then, the document is done again like the others.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlmodel import col, delete, select

from app.accounts.caller import Caller
from app.accounts.models import Application
from app.clock import now
from app.db.columns import new_id
from app.db.work import ReadSession, Work
from app.documents.models import Document, DocumentStatus
from app.errors import (
    AlreadyRetried,
    NotFound,
    NothingToRetry,
    PrerequisiteFailed,
    SecretsGone,
)
from app.jobs import dependents, events, families, given, limits, patience, runs
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument, RuleDocument, Segment
from app.jobs.queue import Doorbell
from app.jobs.recording import percent
from app.jobs.runs import Run, RunDocument
from app.jobs.states import OPEN, JobStatus
from app.jobs.supply import produces_documents
from app.jobs.types import EventKind, JobOutcome

BLOCK = 1000

COPIED = (
    "application_id",
    "group_id",
    "type",
    "settings",
    "workflow",
    "profile",
    "options",
    "input_tag",
    "output_tags",
    "page_slice",
    "priority",
    "queue_timeout_seconds",
    "max_attempts",
    "timeout_seconds",
    "ttl_seconds",
)


async def retry(
    work: Work, bell: Doorbell, *, caller: Caller, job_id: UUID, submitter_ip: str | None = None
) -> Job:
    """Make a job that repeats another one.

    Raises:
        NotFound: there is no such job.
        NothingToRetry: it has not ended, all of it was done, or it has and gets no document.
        AlreadyRetried: a job that repeats it is open.
        SecretsGone: a password is needed again that is not kept any more.
        PrerequisiteFailed: what it comes after would have to be repeated first.
        TooManyJobs: the application has no room for another open job.
    """
    before = await _repeatable(work, caller, job_id)
    rows = await _rows(work, job_id)
    found = await _hold_documents(work, [row.document_id for row in rows])
    there = {document.id for document in found}
    rows = [row for row in rows if row.document_id in there]
    named = await _named(work, job_id)
    await _check_open(work, before)
    taken = _taken(before, rows)
    again = [row for row in rows if row.document_id not in taken]
    _check_secrets(before, again)
    number = await limits.admit(work, before.application_id)
    prerequisite = await _prerequisite(work, before, rows)
    if not rows and prerequisite is None:
        raise NothingToRetry(job_id, "The job has no documents.")
    job = _copy(before, number, caller)
    job.submitter_ip = submitter_ip
    job.execute_after_id = before.execute_after_id if prerequisite is None else prerequisite.id
    job.total_size = sum(document.size or 0 for document in found)
    job.waits_for_data = any(document.status is DocumentStatus.NEW for document in found)
    copies = [
        *(_copy_document(row, job, taken) for row in rows),
        *(RuleDocument(job_id=job.id, document_id=id) for id in named),
    ]
    message = f"The job was accepted; it repeats number {before.number}."
    await events.first(work, bell, [(job, message)])
    work.session.add_all(copies)
    await work.session.flush()
    if prerequisite is not None:
        await dependents.attach(work, bell, job, prerequisite)
    work.after_commit(lambda: bell.ring(job.id))
    return job


async def newest(session: ReadSession, job_ids: Sequence[UUID]) -> dict[UUID, UUID | None]:
    """Return of each job the newest that repeats it, None where none does."""
    statement = select(Job.retry_of_id, Job.id).where(col(Job.retry_of_id).in_(job_ids))
    rows = await session.exec(statement.order_by(col(Job.number)))
    found = {retried: id for retried, id in rows if retried is not None}
    return {id: found.get(id) for id in job_ids}


async def take_over(work: Work, bell: Doorbell, run: Run, document: RunDocument) -> bool:
    """Copy the next BLOCK of segments of a document that was done; return whether more are left.

    Where the job that they come from is gone, the document is made new: `taken_from_id` is None.

    Raises:
        RunLost: the job is no longer this run's.
    """
    row = await work.session.get_one(JobDocument, (run.job_id, document.id))
    source = await work.session.get(JobDocument, (document.taken_from_id, document.id))
    rows = [] if source is None else await _block(work, source, after=document.segment_count)
    had = document.segment_count + len(rows)
    if source is None or (len(rows) < BLOCK and had < source.segment_count):
        await _begin_anew(work, bell, run, document, row)
        return False
    document.segment_count = row.segment_count = had
    document.status = row.status = JobStatus.PROCESSING
    over = had >= source.segment_count
    if over:
        document.pages_done, document.pages_total = source.pages_done, source.pages_total
        document.segments_sha256 = source.segments_sha256
        row.pages_done, row.pages_total = source.pages_done, source.pages_total
        row.segments_sha256 = source.segments_sha256
        document.issues = row.issues = source.issues
        row.prediction = source.prediction
    await _tell(work, bell, run, f"Taking over {document.filename!r}.", document)
    if rows:
        fresh = {"job_id": run.job_id, "position": document.position}
        copies = [{**segment, "id": new_id(), **fresh} for segment in rows]
        await work.session.exec(insert(Segment), params=copies)
    await work.session.flush()
    return not over


async def _repeatable(work: Work, caller: Caller, job_id: UUID) -> Job:
    job = await work.session.get(Job, job_id)
    if job is None or job.application_id != caller.application_id:
        raise NotFound("job", str(job_id))
    if job.status in OPEN:
        raise NothingToRetry(job_id, "The job has not ended.")
    if job.outcome is JobOutcome.SUCCESS:
        raise NothingToRetry(job_id, "All of the job was done.")
    return job


async def _rows(work: Work, job_id: UUID) -> Sequence[JobDocument]:
    statement = select(JobDocument).where(JobDocument.job_id == job_id)
    return (await work.session.exec(statement.order_by(col(JobDocument.position)))).all()


async def _named(work: Work, job_id: UUID) -> Sequence[UUID]:
    """Return the documents that the rules of a job name, held like its own."""
    statement = select(RuleDocument.document_id).where(RuleDocument.job_id == job_id)
    ids = (await work.session.exec(statement)).all()
    return [document.id for document in await _hold_documents(work, ids)]


async def _hold_documents(work: Work, ids: Sequence[UUID]) -> Sequence[Document]:
    """Hold the documents against deletion: that of the job may take them along just now."""
    statement = select(Document).where(col(Document.id).in_(ids)).order_by(col(Document.id))
    return (await work.session.exec(statement.with_for_update(read=True))).all()


async def _check_open(work: Work, job: Job) -> None:
    """Do nothing where nobody repeats the job yet; holds the application, so that it stays so."""
    application = select(Application.id).where(col(Application.id) == job.application_id)
    # Not its key: workers refer to it with every event, and hold jobs that we may ask for.
    await work.session.exec(application.with_for_update(key_share=True))
    # Asked again once we hold all that a deletion takes along.
    there = select(Job.id).where(Job.id == job.id)
    if (await work.session.exec(there)).first() is None:
        raise NotFound("job", str(job.id))
    statement = select(Job.id).where(Job.retry_of_id == job.id, col(Job.status).in_(OPEN))
    found = (await work.session.exec(statement)).first()
    if found is not None:
        raise AlreadyRetried(found)


def _check_secrets(job: Job, again: Sequence[JobDocument]) -> None:
    """Do nothing where all secrets are there that it takes to do these documents again."""
    kept = [job.options, *(row.options for row in again), *given.of_rules(job)]
    needed = again or job.rules is not None
    if needed and any(given.were_wiped(options) for options in kept):
        raise SecretsGone(job.id)


async def _prerequisite(work: Work, job: Job, rows: Sequence[JobDocument]) -> Job | None:
    """Return the newest repetition of what a job comes after, held; None where it needs nothing.

    Raises:
        PrerequisiteFailed: that has not succeeded and never will.
    """
    if rows and job.started_at is not None:
        return None
    parent = None if job.parent_id is None else await work.session.get(Job, job.parent_id)
    id = job.execute_after_id or (parent and not rows and parent.execute_after_id) or None
    if id is None:
        return None
    found = await dependents.found(work, await dependents.newest_retry(work.session, id))
    if found is None or found.status in {JobStatus.FAILED, JobStatus.CANCELED}:
        raise PrerequisiteFailed(None if found is None else found.id)
    return found


def _taken(job: Job, rows: Sequence[JobDocument]) -> set[UUID]:
    """Return the documents that are taken over: those that were done."""
    if produces_documents(job.type):
        return set()  # it is done again as a whole: what was made belongs to the job before
    done = [row for row in rows if row.status is JobStatus.COMPLETED]
    if len(done) == len(rows):  # it only had something to tell: that is what is done again
        done = [row for row in done if not row.issues]
    return {row.document_id for row in done}


def _copy(before: Job, number: int, caller: Caller) -> Job:
    moment = now()
    named_by_itself = before.name == f"{before.type} {before.number}"
    return Job(
        **{name: getattr(before, name) for name in COPIED},
        number=number,
        name=f"{before.type} {number}" if named_by_itself else before.name,
        status=JobStatus.PENDING,
        rules=None if before.rules is None else families.unjudged(before.rules),
        retry_of_id=before.id,
        queued_at=moment,
        give_up_at=patience.until(moment, before.queue_timeout_seconds),
        submitter_id=caller.api_key_id,
        created_at=moment,
    )


def _copy_document(row: JobDocument, job: Job, taken: set[UUID]) -> JobDocument:
    return JobDocument(
        job_id=job.id,
        document_id=row.document_id,
        position=row.position,
        owned=row.owned,
        options=row.options,
        taken_from_id=row.job_id if row.document_id in taken else None,
    )


async def _block(work: Work, source: JobDocument, *, after: int) -> list[dict[str, Any]]:
    columns = Segment.__table__.columns  # type: ignore[attr-defined]
    statement: Any = (
        select(*columns)
        .where(
            Segment.job_id == source.job_id,
            Segment.position == source.position,
            col(Segment.ordinal) > after,
        )
        .order_by(col(Segment.ordinal))
        .limit(BLOCK)
    )
    return [dict(row) for row in (await work.session.exec(statement)).mappings()]


async def _begin_anew(
    work: Work, bell: Doorbell, run: Run, document: RunDocument, row: JobDocument
) -> None:
    document.taken_from_id = row.taken_from_id = None
    document.segment_count = row.segment_count = 0
    text = f"{document.filename!r} is done again: what had come of it is gone."
    await _tell(work, bell, run, text, document)
    copied = delete(Segment).where(
        col(Segment.job_id) == run.job_id, col(Segment.document_id) == document.id
    )
    await work.session.exec(copied)
    await work.session.flush()


async def _tell(work: Work, bell: Doorbell, run: Run, text: str, document: RunDocument) -> None:
    run.progress = max(run.progress, percent(run))
    note = Note(EventKind.PROGRESS, None, None, document.id)
    pages_done = sum(each.pages_done for each in run.documents)
    await runs.change(
        work, bell, run, note, progress=run.progress, pages_done=pages_done, message=text
    )
