"""What became of the work: pages, the fate of each document, the end of the job.

Each is one commit with the events it owes, and every write is fenced by the attempt.
"""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table
from sqlmodel import col, select, update

from app.clock import now
from app.db.columns import new_id
from app.db.work import Work
from app.documents.models import Document
from app.failures import ErrorCode, Failure
from app.jobs import attachments, issues, production, runs
from app.jobs.attachments import Written
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument, Segment
from app.jobs.production import Made
from app.jobs.queue import Doorbell
from app.jobs.result_json import result_json
from app.jobs.results import Page, severity_of
from app.jobs.runs import Run, RunDocument, RunLost
from app.jobs.states import FINISHED, OPEN, JobStatus
from app.jobs.types import EventKind, JobOutcome, JobType, SegmentStatus, Severity

LONGEST_DELAY = timedelta(minutes=5)
"""The longest wait before a job is taken up again."""


async def record_pages(
    work: Work,
    bell: Doorbell,
    run: Run,
    document: RunDocument,
    pages: Sequence[Page],
    *,
    made: Sequence[Made] = (),
) -> None:
    """Store finished pages, what was found and made on them, and the progress, in one commit.

    made: the files of these pages that are whole.

    Raises:
        RunLost: the job is no longer this run's.
        GivenUp: the files took too long.
    """
    newest = pages[-1]
    document.pages_done, document.pages_total = newest.done, newest.to_do
    opened = document.own_pages is None
    document.own_pages = newest.total - newest.attached
    document.checkpoint = newest.checkpoint
    document.status = JobStatus.PROCESSING
    run.progress = max(run.progress, percent(run))
    # First the job: its row lock is the fence, and the numbers of events are given out under it.
    await runs.change(
        work,
        bell,
        run,
        Note(EventKind.PROGRESS, None, None, document.id),
        progress=run.progress,
        pages_done=sum(each.pages_done for each in run.documents),
        message=f"Reading {document.filename!r}: page {newest.number} of {newest.total}.",
    )
    await _store_segments(work, run, document, pages)
    await production.keep(work, run, document, made)
    found = [issue.to_json() for page in pages for issue in page.issues]
    before, document.issues = document.issues, issues.most(document.issues + found)
    values: dict[str, Any] = {"issues": document.issues} if found else {}
    if newest.prediction is not None:
        values["prediction"] = newest.prediction.to_json()
    await _keep_up(work, run, document, **values)
    if opened:
        await _tell_length(work, document)
    for note in issues.news(before, document.issues, document.id):
        await runs.change(work, bell, run, note)


async def _tell_length(work: Work, document: RunDocument) -> None:
    """Note how long a document is, where that is not known yet."""
    # Not while somebody holds it: who makes a job on it may wait for our job in turn. Its pages are
    # counted then as if nobody worked on it.
    free = select(Document.id).where(
        col(Document.id) == document.id, col(Document.media_length).is_(None)
    )
    await work.session.exec(
        update(Document)
        .where(col(Document.id).in_(free.with_for_update(skip_locked=True)))
        .values(media_length=document.own_pages, examine_at=None)
        .execution_options(synchronize_session=False)
    )


async def end_document(
    work: Work,
    bell: Doorbell,
    run: Run,
    document: RunDocument,
    failure: Failure | None,
    *,
    results: Sequence[Written] = (),
) -> None:
    """Note the fate of one document: done, with these files, or failed for this reason.

    Raises:
        RunLost: the job is no longer this run's.
        GivenUp: the files took too long.
    """
    document.status = JobStatus.COMPLETED if failure is None else JobStatus.FAILED
    document.checkpoint = None
    run.progress = max(run.progress, percent(run))
    message = f"{document.filename!r} is done." if failure is None else failure.message
    severity = Severity.INFO if failure is None else Severity.ERROR
    # First the job, as above.
    await runs.change(
        work,
        bell,
        run,
        Note(EventKind.DOCUMENT, message, severity, document.id),
        progress=run.progress,
    )
    if (note := issues.summary(document.issues, document.id)) is not None:
        await runs.change(work, bell, run, note)
    await _keep_up(
        work,
        run,
        document,
        failure_code=None if failure is None else failure.code,
        failure_message=None if failure is None else failure.message,
    )
    if document.draft_id is not None:
        await production.drop_drafts(work, run.job_id, document.id)
    if results:
        await _keep(work, bell, run, document, results)


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
    warned = any(severity_of(issue) is not Severity.INFO for row in rows for issue in row.issues)
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
            "result": await result_json(work, job_id=run.job_id, type=run.type, rows=rows),
        }
    severity = Severity.ERROR if to is JobStatus.FAILED else Severity.INFO
    await runs.leave(work, bell, run, to, Note(EventKind.STATUS, message, severity), values)


async def fail(work: Work, bell: Doorbell, run: Run, failure: Failure) -> None:
    """End every document that has not ended with this failure, and then the job.

    Raises:
        RunLost: the job is no longer this run's.
    """
    job = await work.session.get(Job, run.job_id)
    if job is None:
        raise RunLost
    # As the rows say: what the run counted last may have been rolled back.
    run.documents = (await runs.load(work, job)).documents
    for document in run.documents:
        if document.status in OPEN:
            await end_document(work, bell, run, document, failure)
    if run.type is JobType.CONDITIONAL:
        await _fail_without_documents(work, bell, run, failure)
    else:
        await finish(work, bell, run)


async def _fail_without_documents(work: Work, bell: Doorbell, run: Run, failure: Failure) -> None:
    values: dict[str, Any] = {
        "message": None,
        "outcome": JobOutcome.ERROR,
        "error_code": failure.code,
        "error_message": failure.message,
    }
    note = Note(EventKind.STATUS, failure.message, Severity.ERROR)
    await runs.leave(work, bell, run, JobStatus.FAILED, note, values)


async def try_again(
    work: Work, bell: Doorbell, run: Run, failure: Failure, *, delay: timedelta
) -> None:
    """Charge an attempt that went wrong by no fault of the documents.

    The job is taken up again after `delay`, doubled each time up to LONGEST_DELAY, or fails where
    it was tried enough.

    Raises:
        RunLost: the job is no longer this run's.
    """
    note = Note(EventKind.LOG, failure.message, Severity.WARNING)
    charged = Job.charged_attempts + 1
    job = await runs.change(work, bell, run, note, charged_attempts=charged)
    if job.charged_attempts >= job.max_attempts:
        await fail(work, bell, run, failure)
        return
    doubled = delay * 2 ** min(job.charged_attempts - 1, 16)
    due_at = now() + min(doubled, max(delay, LONGEST_DELAY))
    await runs.give_back(work, bell, run, reason="The job is taken up again.", due_at=due_at)


async def take_back(
    work: Work,
    bell: Doorbell,
    job_id: UUID,
    *,
    delay: timedelta,
    patience: timedelta = timedelta(0),
) -> None:
    """Take a job from a worker that has been silent for too long; not where it spoke.

    patience: how long its lease has to be over.
    """
    job = await work.session.get(Job, job_id, with_for_update=True)
    if job is None or job.lease_until is None or job.lease_until >= now() - patience:
        return
    failure = Failure(ErrorCode.WORKER_LOST, "The worker was lost while it was at this job.")
    await try_again(work, bell, await runs.load(work, job), failure, delay=delay)


async def _keep(
    work: Work, bell: Doorbell, run: Run, document: RunDocument, results: Sequence[Written]
) -> None:
    """Make files with what came of a document attachments of the job, and tell of the first."""
    text = f"The result of {document.filename!r} is there."
    note = Note(EventKind.RESULT, text, Severity.INFO, document.id, results[0].key)
    await runs.change(work, bell, run, note)
    await attachments.keep(work, results, job_id=run.job_id, document_id=document.id)


async def _store_segments(
    work: Work, run: Run, document: RunDocument, pages: Sequence[Page]
) -> None:
    rows = []
    for segment in (segment for page in pages for segment in page.segments):
        document.segment_count += 1
        body = segment.body
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
                "headings": list(segment.headings),
                "lang": segment.lang,
                "boxes": [
                    {"page": box.page, "x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
                    for box in segment.boxes
                ],
                "tags": [],
                "tag_scores": [],
                "status": SegmentStatus.COMPLETED,
                "created_at": now(),
            }
        )
    if rows:
        table = cast("Table", Segment.__table__)  # type: ignore[attr-defined]
        await (await work.session.connection()).execute(table.insert(), rows)


async def _keep_up(
    work: Work,
    run: Run,
    document: RunDocument,
    **more: Any,  # noqa: ANN401 - columns of JobDocument
) -> None:
    """Write how far a document is. The row is not read for it: the run knows what stands there."""
    await work.session.exec(
        update(JobDocument)
        .where(col(JobDocument.job_id) == run.job_id, col(JobDocument.document_id) == document.id)
        .values(
            status=document.status,
            pages_done=document.pages_done,
            pages_total=document.pages_total,
            segment_count=document.segment_count,
            segments_sha256=document.segments_sha256,
            checkpoint=document.checkpoint,
            **more,
        )
    )


def percent(run: Run) -> int:
    """Progress in percent; 100 is kept for the end."""
    done = 0.0
    for document in run.documents:
        if document.status in FINISHED:
            done += 1
        elif document.pages_total:
            done += document.pages_done / document.pages_total
    return min(99, int(100 * done / len(run.documents)))
