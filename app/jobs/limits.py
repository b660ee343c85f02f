"""How many open jobs an application may have, and when there will be room again."""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, func, select, update

from app.accounts.models import Application
from app.clock import now
from app.db.work import ReadSession, Work
from app.errors import TooManyJobs
from app.jobs import queries
from app.jobs.models import Job

LOOK_BACK = timedelta(minutes=5)
LEAST_SECONDS, MOST_SECONDS, UNKNOWN_SECONDS = 1, 3600, 60


@dataclass(slots=True)
class Room:
    """What an application has left for new jobs; it is held until the commit.

    last: the last number that was used. left: how many jobs more may be open.
    """

    last: int
    left: int
    limit: int
    retry_after_seconds: int

    @contextmanager
    def number(self) -> Iterator[int]:
        """Give the number of one job more; where the block raises it is still free.

        Raises:
            TooManyJobs: there is no room.
        """
        if self.left <= 0:
            raise TooManyJobs(limit=self.limit, retry_after_seconds=self.retry_after_seconds)
        yield self.last + 1
        self.last += 1
        self.left -= 1


@asynccontextmanager
async def admission(work: Work, application_id: UUID, *, jobs: int) -> AsyncIterator[Room]:
    """Hold the application and give the room that it has for so many jobs more."""
    last, limit = await _count(work, application_id, jobs)
    open_jobs = await queries.open_jobs(work.session, [application_id])
    left = limit - open_jobs[application_id]
    short = left < jobs
    seconds = await retry_after_seconds(work.session, application_id) if short else 0
    room = Room(last - jobs, left, limit, seconds)
    yield room
    if room.last < last:  # numbers have no gaps
        await _count(work, application_id, room.last - last)


async def admit(work: Work, application_id: UUID) -> int:
    """Return the number of one job more, under the lock of the application: the limit holds too.

    Raises:
        TooManyJobs: the application has no room for another open job.
    """
    async with admission(work, application_id, jobs=1) as room:
        with room.number() as number:
            return number


async def next_number(work: Work, application_id: UUID) -> int:
    """Return the number of one job more, whatever the limit is."""
    number, _ = await _count(work, application_id, 1)
    return number


async def _count(work: Work, application_id: UUID, jobs: int) -> tuple[int, int]:
    # Who makes a job holds its application until the commit.
    statement = (
        update(Application)
        .where(col(Application.id) == application_id)
        .values(last_job_number=Application.last_job_number + jobs)
        .returning(col(Application.last_job_number), col(Application.max_open_jobs))
        .execution_options(synchronize_session=False)
    )
    number, limit = (await work.session.exec(statement)).one()
    return number, limit


async def retry_after_seconds(session: ReadSession, application_id: UUID) -> int:
    """Return in how many seconds one more job of the application will have ended.

    As long as one took on average since the first of those began that ended in the last minutes: at
    least one second, at most an hour, and a minute where none has ended.
    """
    moment = now()
    began = func.min(func.coalesce(Job.started_at, Job.finished_at))
    recent = select(func.count(), began).where(
        Job.application_id == application_id, col(Job.finished_at) > moment - LOOK_BACK
    )
    ended, since = (await session.exec(recent)).one()
    if not ended:
        return UNKNOWN_SECONDS
    # What ended before counts for nothing, and so does the time until then.
    span = min(moment - since, LOOK_BACK)
    return min(max(math.ceil(span.total_seconds() / ended), LEAST_SECONDS), MOST_SECONDS)
