"""Whose turn it is: the one order in which workers take jobs up, and who may not go now.

First the priority, which rises by one class with each `ageing` that a job has waited, so that none
waits for ever; then the application of which the fewest jobs run; then the one that was served
longest ago; then the oldest job. Applications go round also where there is one worker only.

Claims are made one at a time: only so two workers at once keep to the order and to the limits of
running jobs. When an application was last served is a row of its own, since whoever creates jobs
holds the row of the application.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, literal_column, true, union_all
from sqlalchemy.orm import aliased
from sqlmodel import case, col, func, literal, select, text, update
from sqlmodel.sql.sqltypes import UTCDateTime

from app.accounts.models import Application
from app.clock import now
from app.db.work import Work
from app.jobs.models import Job, Turn
from app.jobs.types import JobPriority

AGEING = timedelta(minutes=10)
FIRSTS = 8
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""No job was queued before or after."""
CLAIM_LOCK = 0x636C6169  # "clai": any number, as long as nobody else in this database uses it


async def take(work: Work, *, ageing: timedelta) -> UUID | None:
    """Return the job whose turn it is, locked, None where none is due; its application was served.

    Waits until no other worker is at this; the turn ends with the transaction.
    """
    connection = await work.session.connection()
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({CLAIM_LOCK})"))
    at = moments(ageing)
    for query in (first_of_lines(), in_order()):
        locked = query.limit(1).with_for_update(skip_locked=True, of=Job)
        found = (await work.session.exec(locked, params=at)).first()
        if found is not None:
            await _serve(work, found.application_id, at["moment"])
            return UUID(str(found.id))
    return None


def moments(ageing: timedelta) -> dict[str, datetime]:
    """Return the times that the queries of this module ask for, as of now."""
    # Made here: the databases count with times differently.
    moment = now()
    return {"moment": moment, "once": moment - ageing, "twice": moment - 2 * ageing}


def ready(job: Any = Job) -> tuple[Any, ...]:  # noqa: ANN401 - Job or an alias
    """Return the conditions under which a job may be taken up, its application's limit apart."""
    # Literally as the index `ix_job_turn` has them, or neither database would use it.
    return (
        col(job.status) == literal_column("'PENDING'"),
        col(job.waits_for_data).is_(False),
        col(job.waits_for_job).is_(False),
        col(job.due_at) <= _at("moment"),
    )


def rank(priority: Any, queued_at: Any) -> Any:  # noqa: ANN401 - expressions
    """Return the priority of a job with what its waiting adds to it."""
    once, twice = queued_at <= _at("once"), queued_at <= _at("twice")
    normal = priority == int(JobPriority.NORMAL)
    high = (priority >= int(JobPriority.HIGH)) | (normal & once) | twice
    return case(
        (high, int(JobPriority.HIGH)),
        (normal | once, int(JobPriority.NORMAL)),
        else_=int(JobPriority.LOW),
    )


def spans() -> Any:  # noqa: ANN401 - a subquery
    """Return what `rank` says as spans of time: `priority`, `rank`, queued `after` and `until`.

    So `ix_job_turn` can be asked for the jobs of a rank, without a look at all the others.
    """
    first, last = (literal(each, UTCDateTime()) for each in (EARLIEST, LATEST))
    low, normal, high = map(int, JobPriority)
    each = (
        (high, high, first, last),
        (normal, high, first, _at("once")),
        (normal, normal, _at("once"), last),
        (low, high, first, _at("twice")),
        (low, normal, _at("twice"), _at("once")),
        (low, low, _at("once"), last),
    )
    return union_all(
        *(
            select(
                literal(priority).label("priority"),
                literal(rank).label("rank"),
                after.label("after"),
                until.label("until"),
            )
            for priority, rank, after, until in each
        )
    ).subquery()


def standings() -> Any:  # noqa: ANN401 - a subquery
    """Return each application: `id`, `jobs` that run, its `limit` of those, and `served_at`."""
    # Those with a lease: a conditional job is PROCESSING without a worker while its children run.
    running = (
        select(col(Job.application_id).label("id"), func.count().label("jobs"))
        .where(col(Job.lease_until).is_not(None))
        .group_by(col(Job.application_id))
        .subquery()
    )
    return (
        select(
            col(Application.id),
            func.coalesce(running.c.jobs, 0).label("jobs"),
            col(Application.max_running_jobs).label("limit"),
            col(Turn.served_at),
        )
        .select_from(Application)
        .outerjoin(running, running.c.id == col(Application.id))
        .outerjoin(Turn, col(Turn.application_id) == col(Application.id))
        .subquery()
    )


@cache
def in_order() -> Any:  # noqa: ANN401 - a select
    """Return the query for `id` and `application_id` of all jobs that may be taken up now."""
    applications = standings()
    jobs = select(col(Job.id), col(Job.application_id)).join(
        applications, applications.c.id == col(Job.application_id)
    )
    job = (col(Job.priority), col(Job.queued_at), col(Job.id))
    return jobs.where(*ready(), _room(applications.c)).order_by(*_order(applications.c, *job))


@cache
def first_of_lines() -> Any:  # noqa: ANN401 - a select
    """Return the same query for some of the first jobs of each application and priority alone.

    The best of all is among these, and each is found by one look into `ix_job_turn`: to sort ten
    thousand jobs for each claim would take longer than many a job. Only where somebody else holds
    the first of each line just now this finds none though there are some.
    """
    applications = standings()
    priorities = union_all(
        *(select(literal(int(each)).label("priority")) for each in JobPriority)
    ).subquery()
    line = (applications, priorities)
    lines = (
        select(
            _first_of(line, Job.id).label("id"),
            _first_of(line, Job.queued_at).label("queued_at"),
            priorities.c.priority,
            applications.c.jobs,
        )
        .add_columns(applications.c.served_at)
        .select_from(applications.join(priorities, true()))
        .where(_room(applications.c))
        .subquery()
    )
    place = (lines.c.priority, lines.c.queued_at, lines.c.id)
    firsts = (
        select(*lines.c)
        .where(lines.c.id.is_not(None))
        .order_by(*_order(lines.c, *place))
        .limit(FIRSTS)
        .subquery()
    )
    jobs = select(col(Job.id), col(Job.application_id)).join(firsts, firsts.c.id == col(Job.id))
    job = (col(Job.priority), col(Job.queued_at), col(Job.id))
    # Asked again of the job itself: it may have changed while the lock was waited for.
    return jobs.where(*ready()).order_by(*_order(firsts.c, *job))


def _first_of(line: tuple[Any, Any], column: Any) -> Any:  # noqa: ANN401 - expressions
    applications, priorities = line
    job = aliased(Job)
    return (
        select(getattr(job, column.key))
        .where(
            col(job.application_id) == applications.c.id,
            col(job.priority) == priorities.c.priority,
            *ready(job),
        )
        .order_by(col(job.queued_at), col(job.id))
        .limit(1)
        .correlate(applications, priorities)
        .scalar_subquery()
    )


def _order(standing: Any, priority: Any, queued_at: Any, id: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return (
        rank(priority, queued_at).desc(),
        standing.jobs,
        standing.served_at.asc().nulls_first(),
        queued_at,
        id,
    )


def _room(standing: Any) -> Any:  # noqa: ANN401 - expressions
    return standing.limit.is_(None) | (standing.jobs < standing.limit)


def _at(name: str) -> Any:  # noqa: ANN401 - an expression
    return bindparam(name, type_=UTCDateTime())


async def _serve(work: Work, application_id: UUID, moment: datetime) -> None:
    served = update(Turn).where(col(Turn.application_id) == application_id).values(served_at=moment)
    if not (await work.session.exec(served)).rowcount:
        work.session.add(Turn(application_id=application_id, served_at=moment))
        await work.session.flush()
