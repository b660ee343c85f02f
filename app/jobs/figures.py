"""How much there is to do and who does it, over all applications; for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select

from app.accounts.models import Application
from app.db.work import ReadSession
from app.jobs import queries
from app.jobs.models import Job, Worker
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import JobType


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The service at one moment. `oldest`: since when the oldest due job waits."""

    open_jobs: dict[tuple[JobType, JobStatus], int]
    created_jobs: int
    queue_length: int
    oldest: datetime | None
    workers: Sequence[Worker]

    @property
    def ended_jobs(self) -> int:
        """How many jobs have ended since the first; those that were deleted are among them."""
        return self.created_jobs - sum(self.open_jobs.values())


async def figures(session: ReadSession, *, workers_since: datetime) -> Figures:
    """Count what is open and what was ever created; nothing here grows with what has ended."""
    by_type = (
        select(Job.type, Job.status, func.count())
        .where(col(Job.status).in_(OPEN))
        .group_by(col(Job.type), col(Job.status))
    )
    rows = (await session.exec(by_type)).all()
    created = select(func.coalesce(func.sum(Application.last_job_number), 0))
    oldest = select(func.min(Job.queued_at)).where(Job.status == JobStatus.PENDING)
    return Figures(
        open_jobs={(JobType(type), JobStatus(status)): count for type, status, count in rows},
        created_jobs=(await session.exec(created)).one(),
        queue_length=await queries.queue_length(session),
        oldest=(await session.exec(oldest)).one(),
        workers=await queries.live_workers(session, since=workers_since),
    )
