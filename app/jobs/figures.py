"""How much there is to do and who does it, over all applications; for operators."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import null, union_all
from sqlmodel import col, func, select

from app.accounts.models import Application
from app.clock import now
from app.db.work import ReadSession
from app.jobs import queries, turns
from app.jobs.models import Job, Worker
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import JobOutcome, JobType

JUST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The service at one moment.

    open_jobs: of every type and open state, 0 where there are none. oldest: since when the job has
    been due that was due first, None where none is. just_ended: within the last JUST.
    """

    open_jobs: dict[tuple[JobType, JobStatus], int]
    created_jobs: int
    queue_length: int
    oldest: datetime | None
    just_ended: dict[JobOutcome, int]
    workers: Sequence[Worker]

    @property
    def ended_jobs(self) -> int:
        """How many jobs have ended since the first; those that were deleted are among them."""
        return self.created_jobs - sum(self.open_jobs.values())


async def figures(session: ReadSession, *, workers_since: datetime) -> Figures:
    """Count what is open, was ever created, or has just ended; old jobs make none of it slower."""
    open_jobs, created_jobs = await _jobs(session)
    oldest = select(func.min(Job.due_at)).where(*turns.ready())
    return Figures(
        open_jobs=open_jobs,
        created_jobs=created_jobs,
        queue_length=await queries.queue_length(session),
        oldest=(await session.exec(oldest, params={"moment": now()})).one(),
        just_ended=await _just_ended(session),
        workers=await queries.live_workers(session, since=workers_since),
    )


async def _just_ended(session: ReadSession) -> dict[JobOutcome, int]:
    by_outcome: Any = (
        select(Job.outcome, func.count())
        .where(col(Job.finished_at) > now() - JUST)
        .group_by(col(Job.outcome))
    )
    counts = dict.fromkeys(JobOutcome, 0)
    for outcome, count in await session.exec(by_outcome):
        counts[JobOutcome(outcome)] = count
    return counts


async def _jobs(session: ReadSession) -> tuple[dict[tuple[JobType, JobStatus], int], int]:
    """Count the open jobs, and all that were ever made, as of one moment.

    By one statement: with a job that is made between two, the number of those that have ended would
    fall again, and Prometheus takes a counter that falls for one that began anew.
    """
    created: Any = select(null(), null(), func.coalesce(func.sum(Application.last_job_number), 0))
    by_type: Any = (
        select(Job.type, Job.status, func.count())
        .where(col(Job.status).in_(OPEN))
        .group_by(col(Job.type), col(Job.status))
    )
    rows = (await session.exec(union_all(created, by_type))).all()  # type: ignore[call-overload]
    counts = dict.fromkeys(itertools.product(JobType, sorted(OPEN)), 0)
    made = 0
    for type, status, count in rows:
        if type is None:
            made = int(count)
        else:
            counts[JobType(type), JobStatus(status)] = count
    return counts, made
