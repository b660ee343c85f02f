"""How long jobs wait: drafts for their start, jobs in the queue for their first worker."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import col, select, update

from app.clock import now
from app.db.work import ReadSession, Work
from app.failures import ErrorCode
from app.jobs import events
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument
from app.jobs.queue import Doorbell
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import EventKind, JobOutcome, Severity

WAITING = (JobStatus.NEW, JobStatus.PENDING)
AT_ONCE = 100
"""What one step of the sweep takes up at most."""


async def overdue(session: ReadSession) -> Sequence[UUID]:
    """Return the ids of jobs that have waited for too long, AT_ONCE at most."""
    statement = select(Job.id).where(col(Job.status).in_(WAITING), col(Job.give_up_at) < now())
    return (await session.exec(statement.limit(AT_ONCE))).all()


async def give_up(work: Work, bell: Doorbell, job_id: UUID) -> None:
    """Fail a job that has waited for too long; not where it was started or taken up meanwhile."""
    job = await work.session.get(
        Job, job_id, with_for_update={"skip_locked": True}, populate_existing=True
    )
    if job is None or job.status not in WAITING:
        return
    if job.give_up_at is None or job.give_up_at >= now():
        return
    message = "The job was not started in time."
    if job.status is JobStatus.PENDING:
        seconds = job.queue_timeout_seconds
        message = f"The job waited for a worker longer than its queueTimeoutSeconds, {seconds}."
    ended = update(JobDocument).where(
        col(JobDocument.job_id) == job_id, col(JobDocument.status).in_(OPEN)
    )
    failure = {"failure_code": ErrorCode.EXPIRED, "failure_message": message}
    await work.session.exec(ended.values(status=JobStatus.FAILED, checkpoint=None, **failure))
    await events.move(
        work,
        bell,
        job_id,
        to=JobStatus.FAILED,
        note=Note(EventKind.STATUS, message, Severity.ERROR),
        outcome=JobOutcome.ERROR,
        error_code=ErrorCode.EXPIRED,
        error_message=message,
        message=None,
        give_up_at=None,
        waits_for_data=False,
    )


def until(moment: datetime, seconds: int | None) -> datetime | None:
    """Return when a wait that begins at this moment is over; None where it may take for ever."""
    return None if seconds is None else moment + timedelta(seconds=seconds)
