"""A job in the hands of a worker: claimed, kept alive, told of page by page, ended or given back.

Every write is fenced by the attempt: a worker that comes back from the dead changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlmodel import col, func, select, update

from app.clock import now
from app.db.columns import new_id
from app.db.work import ReadSession, Work
from app.documents.models import Document, DocumentStatus
from app.errors import ErrorCode, Failure
from app.jobs import events
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument, Segment
from app.jobs.queue import Doorbell
from app.jobs.results import Page
from app.jobs.states import FINISHED, OPEN, JobStatus
from app.jobs.types import EventKind, JobOutcome, JobType, Severity

MAX_ISSUES = 100
"""Issues kept of one document: a broken file of 10,000 pages tells nothing new after those."""


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


@dataclass(slots=True)
class Run:
    """One attempt at a job, by one worker."""

    job_id: UUID
    attempt: int
    type: JobType
    settings: dict[str, Any]
    time_left: timedelta
    documents: list[RunDocument]
    progress: int


async def claim(work: Work, bell: Doorbell, *, worker_id: UUID, lease: timedelta) -> Run | None:
    """Take the best job that is due, None where there is none.

    Best: the highest priority, then the application with the fewest jobs running, then the oldest.
    """
    best = due().limit(1).with_for_update(skip_locked=True, of=Job)
    moment = now()
    job_id = (await work.session.exec(best)).first()
    if job_id is None:
        return None
    job = await events.move(
        work,
        bell,
        job_id,
        to=JobStatus.PROCESSING,
        note=Note(EventKind.STATUS, "A worker took the job up."),
        worker_id=worker_id,
        lease_until=moment + lease,
        attempt=Job.attempt + 1,
        attempt_started_at=moment,
        attempt_pages=Job.pages_done,
        started_at=func.coalesce(Job.started_at, moment),
    )
    return None if job is None else await _run(work, job)


def due() -> Any:  # noqa: ANN401 - a select of ids; its type would say less than this sentence
    """Return the query for the ids of the jobs that may be claimed now, best first."""
    running = (
        select(col(Job.application_id).label("application_id"), func.count().label("jobs"))
        .where(col(Job.status) == JobStatus.PROCESSING)
        .group_by(col(Job.application_id))
        .subquery()
    )
    return (
        select(Job.id)
        .outerjoin(running, running.c.application_id == col(Job.application_id))
        .where(
            col(Job.status) == JobStatus.PENDING,
            col(Job.due_at) <= now(),
            col(Job.waits_for_data).is_(False),
        )
        .order_by(col(Job.priority).desc(), func.coalesce(running.c.jobs, 0), col(Job.id))
    )


async def extend(work: Work, run: Run, *, lease: timedelta) -> None:
    """Say that the worker is alive.

    Raises:
        RunLost: the job is no longer this run's.
    """
    statement = (
        update(Job)
        .where(*_fence(run))
        .values(lease_until=now() + lease)
        .execution_options(synchronize_session=False)
    )
    if not (await work.session.exec(statement)).rowcount:
        raise RunLost


async def still_ours(session: ReadSession, run: Run) -> bool:
    """Return whether the job is still this run's."""
    return (await session.exec(select(Job.id).where(*_fence(run)))).first() is not None


async def record_pages(
    work: Work, bell: Doorbell, run: Run, document: RunDocument, pages: Sequence[Page]
) -> None:
    """Store finished pages: their segments, the checkpoint and the progress, in one commit.

    Raises:
        RunLost: the job is no longer this run's.
    """
    newest = pages[-1]
    document.pages_done, document.pages_total = newest.number, newest.total
    document.checkpoint = newest.checkpoint
    document.status = JobStatus.PROCESSING
    run.progress = max(run.progress, _percent(run))
    # First the job: its row lock is the fence, and the numbers of events are given out under it.
    await _change(
        work,
        bell,
        run,
        Note(EventKind.PROGRESS, None, None, document.id),
        progress=run.progress,
        pages_done=sum(each.pages_done for each in run.documents),
        message=f"Reading {document.filename!r}: page {newest.number} of {newest.total}.",
    )
    await _store_segments(work, run, document, pages)
    row = await work.session.get_one(JobDocument, (run.job_id, document.id))
    found = [
        {"code": issue.code, "message": issue.message, "page": issue.page}
        for page in pages
        for issue in page.issues
    ]
    row.issues = (row.issues + found)[:MAX_ISSUES]
    _copy(document, row)
    await work.session.flush()


async def end_document(
    work: Work, bell: Doorbell, run: Run, document: RunDocument, failure: Failure | None
) -> None:
    """Note the fate of one document: done, or failed for this reason.

    Raises:
        RunLost: the job is no longer this run's.
    """
    document.status = JobStatus.COMPLETED if failure is None else JobStatus.FAILED
    document.checkpoint = None
    run.progress = max(run.progress, _percent(run))
    message = f"{document.filename!r} is done." if failure is None else failure.message
    severity = Severity.INFO if failure is None else Severity.ERROR
    await _change(
        work,
        bell,
        run,
        Note(EventKind.DOCUMENT, message, severity, document.id),
        progress=run.progress,
    )
    row = await work.session.get_one(JobDocument, (run.job_id, document.id))
    row.failure_code = None if failure is None else failure.code
    row.failure_message = None if failure is None else failure.message
    _copy(document, row)
    if document.pages_total is not None:
        await work.session.exec(
            update(Document)
            .where(col(Document.id) == document.id, col(Document.media_length).is_(None))
            .values(media_length=document.pages_total)
        )
    await work.session.flush()


async def finish(work: Work, bell: Doorbell, run: Run) -> None:
    """End a job whose documents have all ended: FAILED where nothing in it succeeded.

    Raises:
        RunLost: the job is no longer this run's.
    """
    statement = select(JobDocument).where(JobDocument.job_id == run.job_id)
    rows = (await work.session.exec(statement.order_by(col(JobDocument.position)))).all()
    if not rows:
        raise RunLost  # deleted
    failed = [row for row in rows if row.status is JobStatus.FAILED]
    warned = any(row.issues for row in rows)
    values: dict[str, Any] = {"message": None}
    if len(failed) == len(rows):
        worst = failed[0]
        to, message = JobStatus.FAILED, worst.failure_message or ""
        values |= {
            "outcome": JobOutcome.ERROR,
            "error_code": worst.failure_code,
            "error_message": message,
            "error_document_id": worst.document_id,
        }
    else:
        to, message = JobStatus.COMPLETED, "The job is done."
        values |= {
            "outcome": JobOutcome.WARNING if failed or warned else JobOutcome.SUCCESS,
            "progress": 100,
            "result": _result(rows),
        }
    severity = Severity.ERROR if to is JobStatus.FAILED else Severity.INFO
    await _leave(work, bell, run, to, Note(EventKind.STATUS, message, severity), values)


async def fail(work: Work, bell: Doorbell, run: Run, failure: Failure) -> None:
    """End every document that has not ended with this failure, and then the job.

    Raises:
        RunLost: the job is no longer this run's.
    """
    job = await work.session.get(Job, run.job_id)
    if job is None:
        raise RunLost
    # As the rows say: what the run counted last may have been rolled back.
    run.documents = (await _run(work, job)).documents
    for document in run.documents:
        if document.status in OPEN:
            await end_document(work, bell, run, document, failure)
    await finish(work, bell, run)


async def give_back(work: Work, bell: Doorbell, run: Run, *, reason: str, due_at: datetime) -> None:
    """Let another worker go on where this one stops. The attempt is not charged.

    Raises:
        RunLost: the job is no longer this run's.
    """
    values: dict[str, Any] = {"due_at": due_at, "message": None}
    note = Note(EventKind.STATUS, reason, Severity.WARNING)
    await _leave(work, bell, run, JobStatus.PENDING, note, values)
    work.after_commit(lambda: bell.ring(run.job_id))


async def lost(session: ReadSession) -> Sequence[UUID]:
    """Return the ids of the jobs whose worker has been silent for too long."""
    statement = select(Job.id).where(
        col(Job.status) == JobStatus.PROCESSING, col(Job.lease_until) < now()
    )
    return (await session.exec(statement)).all()


async def take_back(work: Work, bell: Doorbell, job_id: UUID, *, delay: timedelta) -> None:
    """Take a job from a worker that has been silent for too long; not where it spoke."""
    job = await work.session.get(Job, job_id, with_for_update=True)
    if job is None or job.lease_until is None or job.lease_until >= now():
        return
    failure = Failure(ErrorCode.WORKER_LOST, "The worker was lost while it was at this job.")
    await try_again(work, bell, await _run(work, job), failure, delay=delay)


async def try_again(
    work: Work, bell: Doorbell, run: Run, failure: Failure, *, delay: timedelta
) -> None:
    """Charge an attempt that went wrong by no fault of the documents.

    The job is taken up again after `delay`, doubled each time, or fails where it was tried enough.

    Raises:
        RunLost: the job is no longer this run's.
    """
    note = Note(EventKind.LOG, failure.message, Severity.WARNING)
    charged = Job.charged_attempts + 1
    job = await _change(work, bell, run, note, charged_attempts=charged)
    if job.charged_attempts >= job.max_attempts:
        await fail(work, bell, run, failure)
        return
    due_at = now() + delay * 2 ** (job.charged_attempts - 1)
    await give_back(work, bell, run, reason="The job is taken up again.", due_at=due_at)


def _fence(run: Run) -> tuple[Any, ...]:
    return (
        col(Job.id) == run.job_id,
        col(Job.attempt) == run.attempt,
        col(Job.status) == JobStatus.PROCESSING,
    )


async def _change(
    work: Work,
    bell: Doorbell,
    run: Run,
    note: Note,
    **values: Any,  # noqa: ANN401 - columns of Job
) -> Job:
    job = await events.change(work, bell, run.job_id, note=note, fence=run.attempt, **values)
    if job is None:
        raise RunLost
    return job


async def _leave(  # noqa: PLR0917
    work: Work, bell: Doorbell, run: Run, to: JobStatus, note: Note, values: dict[str, Any]
) -> None:
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


async def _run(work: Work, job: Job) -> Run:
    statement = (
        select(JobDocument, Document)
        .join(Document, col(Document.id) == col(JobDocument.document_id))
        .where(JobDocument.job_id == job.id)
        .order_by(col(JobDocument.position))
    )
    documents = [
        RunDocument(
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
        )
        for row, document in await work.session.exec(statement)
    ]
    spent = timedelta(milliseconds=job.duration_ms or 0)
    left = timedelta(seconds=job.timeout_seconds) - spent
    return Run(job.id, job.attempt, job.type, job.settings, left, documents, job.progress)


async def _store_segments(
    work: Work, run: Run, document: RunDocument, pages: Sequence[Page]
) -> None:
    rows = []
    for segment in (segment for page in pages for segment in page.segments):
        document.segment_count += 1
        body = _storable(segment.body)
        chained = sha256((document.segments_sha256 or "").encode() + body.encode())
        document.segments_sha256 = chained.hexdigest()
        place = f"{document.sha256}\n{segment.place}\n{body}"
        rows.append(
            {
                "id": new_id(),
                "job_id": run.job_id,
                "document_id": document.id,
                "position": document.position,
                "ordinal": document.segment_count,
                "key": sha256(place.encode()).hexdigest()[:32],
                "body": body,
                "page": segment.page,
                "headings": [_storable(heading) for heading in segment.headings],
                "lang": segment.lang,
                "boxes": [
                    {"page": box.page, "x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
                    for box in segment.boxes
                ],
                "tags": [],
                "tag_scores": [],
                "status": "COMPLETED",
                "created_at": now(),
            }
        )
    if rows:
        await work.session.exec(insert(Segment), params=rows)


def _storable(text: str) -> str:
    """Leave out what no database takes: NUL, and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _copy(document: RunDocument, row: JobDocument) -> None:
    row.status = document.status
    row.pages_done, row.pages_total = document.pages_done, document.pages_total
    row.segment_count = document.segment_count
    row.segments_sha256 = document.segments_sha256
    row.checkpoint = document.checkpoint


def _percent(run: Run) -> int:
    """Progress in percent; 100 is kept for the end."""
    done = 0.0
    for document in run.documents:
        if document.status in FINISHED:
            done += 1
        elif document.pages_total:
            done += document.pages_done / document.pages_total
    return min(99, int(100 * done / len(run.documents)))


def _result(rows: Sequence[JobDocument]) -> dict[str, Any]:
    """Return the result as rules and callbacks see it: counts and ids, never bodies."""
    return {
        "segmentCount": sum(row.segment_count for row in rows),
        "pageCount": sum(row.pages_done for row in rows),
        "documents": [
            {
                "documentId": str(row.document_id),
                "status": row.status.value,
                "segmentCount": row.segment_count,
                "pageCount": row.pages_done,
                "segmentsSha256": row.segments_sha256,
            }
            for row in rows
        ],
    }
