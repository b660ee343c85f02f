"""Why a job is not running yet, and its place in the queue."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam
from sqlalchemy.orm import aliased
from sqlmodel import col, func, literal, select

from app.accounts.models import Application
from app.db.work import ReadSession
from app.jobs import turns
from app.jobs.models import Job
from app.jobs.states import JobStatus
from app.jobs.types import JobPriority, WaitKind

LAST_POSITION = 1000
"""What stands further behind is not counted: nobody needs to know it so well."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a job is not running yet. position: 1 is the next to be taken up."""

    kind: WaitKind
    detail: str
    position: int | None = None
    until: datetime | None = None
    job_id: UUID | None = None


@dataclass(slots=True)
class _Line:
    """The jobs of one application that may be taken up, by their rank."""

    running: int
    limit: int | None
    served_at: datetime
    oldest: datetime = turns.LATEST
    waiting: dict[int, int] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        return self.limit is not None and self.running >= self.limit

    def add(self, rank: int, jobs: int, oldest: datetime) -> None:
        """Count jobs of a rank."""
        self.waiting[rank] = self.waiting.get(rank, 0) + jobs
        self.oldest = min(self.oldest, oldest)

    def level(self, rank: int) -> int:
        """Return how many of it run when the first job of this rank has its turn."""
        return self.running + self.before(rank)

    def before(self, rank: int) -> int:
        """Return how many jobs of a higher rank there are."""
        return sum(count for other, count in self.waiting.items() if other > rank)


async def waits(
    session: ReadSession, job_ids: Sequence[UUID], *, ageing: timedelta
) -> dict[UUID, Waiting | None]:
    """Return why each of these jobs is not running yet, None where it runs or has ended."""
    at = turns.moments(ageing)
    unclaimed = col(Job.status).in_((JobStatus.NEW, JobStatus.PENDING))
    jobs = (await session.exec(select(Job).where(col(Job.id).in_(job_ids), unclaimed))).all()
    found = dict.fromkeys(job_ids) | {job.id: _reason(job, at["moment"]) for job in jobs}
    queued = [job for job in jobs if found[job.id] is None]
    if not queued:
        return found
    older = await _older(session, [job.id for job in queued], at)
    lines = await _lines(session)
    near = [_rank(job, at) for job in queued if older.get(job.id, 0) < LAST_POSITION]
    if near:
        await _count(session, lines, at, lowest=min(near))
    for job in queued:
        found[job.id] = _queued(job, lines, older.get(job.id, 0), at)
    return found


def _reason(job: Job, moment: datetime) -> Waiting | None:
    """Return what keeps a job from the queue, None where nothing does."""
    if job.status is JobStatus.NEW:
        detail = "The job has not been started."
        return Waiting(WaitKind.START, detail, until=job.give_up_at)
    if job.waits_for_job:
        detail = "The job that it comes after has not ended."
        return Waiting(WaitKind.DEPENDENCY, detail, job_id=job.execute_after_id)
    if job.waits_for_data:
        return Waiting(WaitKind.DATA, "Not all bytes of its documents are here yet.")
    if job.due_at > moment:
        return Waiting(WaitKind.RETRY, "It is tried again after a lost attempt.", until=job.due_at)
    return None


def _queued(job: Job, lines: dict[UUID, _Line], older: int, at: dict[str, datetime]) -> Waiting:
    line = lines[job.application_id]
    if line.stopped:
        detail = f"Its application runs as many jobs as it may at once: {line.running}."
        return Waiting(WaitKind.QUOTA, detail)
    position = None
    if older < LAST_POSITION:
        position = _position(line, list(lines.values()), _rank(job, at), older)
    if position is not None and position > LAST_POSITION:
        position = None
    return Waiting(WaitKind.QUEUE, "It waits for a worker.", position)


def _position(own: _Line, lines: list[_Line], rank: int, older: int) -> int:
    """Return the place of a job of `own` that has `older` jobs of its rank and line before it.

    It is the order in which workers take the jobs up where none ends meanwhile: each job that is
    taken up makes its application wait until the others have as many.
    """
    level = own.level(rank) + older
    ahead = own.before(rank) + older
    for line in lines:
        if line is own or line.stopped:
            continue
        first = _turn(line, rank) < _turn(own, rank)
        rounds = level - line.level(rank) + first
        ahead += line.before(rank) + min(max(rounds, 0), line.waiting.get(rank, 0))
    return ahead + 1


def _turn(line: _Line, rank: int) -> tuple[Any, ...]:
    """Return what decides between applications of which equally many run by then."""
    # Whoever runs more now has been served longer ago by the time the other one has caught up.
    return (-line.level(rank), line.before(rank) > 0, line.served_at, line.oldest)


async def _lines(session: ReadSession) -> dict[UUID, _Line]:
    """Return the line of each application, not counted yet."""
    never = datetime.min.replace(tzinfo=UTC)
    statement: Any = select(*turns.standings().c)
    return {
        row.id: _Line(row.jobs, row.limit, row.served_at or never)
        for row in await session.exec(statement)
    }


async def _count(
    session: ReadSession, lines: dict[UUID, _Line], at: dict[str, datetime], *, lowest: int
) -> None:
    """Count the jobs of each line, of each rank from `lowest` on, to just beyond LAST_POSITION."""
    counted = await session.exec(_counting(LAST_POSITION + 1), params={**at, "lowest": lowest})
    for id, rank, waiting, oldest in counted:
        if waiting:
            lines[id].add(rank, waiting, oldest)


@cache
def _counting(most: int) -> Any:  # noqa: ANN401 - a select
    other, spans = aliased(Job), turns.spans()
    line = (
        select(col(other.queued_at))
        .where(*_within(other, spans), col(other.application_id) == col(Application.id))
        .order_by(col(other.queued_at), col(other.id))
        .correlate(Application, spans)
    )
    rows = line.limit(most).subquery()
    count = select(func.count()).select_from(rows).correlate(Application, spans).scalar_subquery()
    statement = select(col(Application.id), spans.c.rank, count, line.limit(1).scalar_subquery())
    return statement.join(spans, spans.c.rank >= bindparam("lowest", type_=Integer))


async def _older(
    session: ReadSession, job_ids: Sequence[UUID], at: dict[str, datetime]
) -> dict[UUID, int]:
    """Return how many jobs of its line and rank come before each job, to about LAST_POSITION."""
    found: dict[UUID, int] = dict.fromkeys(job_ids, 0)
    params = {**at, "jobs": list(job_ids)}
    for id, older in await session.exec(_before(LAST_POSITION), params=params):
        found[id] += older
    return found


@cache
def _before(most: int) -> Any:  # noqa: ANN401 - a select
    job, other, spans = aliased(Job), aliased(Job), turns.spans()
    before = (col(other.queued_at) < col(job.queued_at)) | (
        (col(other.queued_at) == col(job.queued_at)) & (col(other.id) < col(job.id))
    )
    rows = (
        select(literal(1).label("one"))
        .select_from(other)
        .where(
            *_within(other, spans),
            col(other.application_id) == col(job.application_id),
            col(other.queued_at) <= col(job.queued_at),
            before,
        )
        .limit(most)
        .correlate(job, spans)
        .subquery()
    )
    count = select(func.count()).select_from(rows).correlate(job, spans).scalar_subquery()
    rank = turns.rank(col(job.priority), col(job.queued_at))
    statement = select(col(job.id), count).join(spans, spans.c.rank == rank)
    return statement.where(col(job.id).in_(bindparam("jobs", expanding=True)))


def _within(job: Any, spans: Any) -> tuple[Any, ...]:  # noqa: ANN401 - an alias, a subquery
    return (
        *turns.ready(job),
        col(job.priority) == spans.c.priority,
        col(job.queued_at) > spans.c.after,
        col(job.queued_at) <= spans.c.until,
    )


def _rank(job: Job, at: dict[str, datetime]) -> int:
    queued_at = job.queued_at or at["moment"]
    raised = (queued_at <= at["once"]) + (queued_at <= at["twice"])
    return min(job.priority + raised, int(JobPriority.HIGH))
