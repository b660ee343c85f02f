"""The events of all jobs of an application in one order, without a gap.

On PostgreSQL commits overtake each other: an event with a smaller number may become visible after
one with a larger. So an event keeps the number of its transaction, and the feed reads only below
the oldest transaction that is still open, in the order of (transaction, id). SQLite writes one
transaction at a time, and its numbers are in order as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, String, cast, literal_column, tuple_
from sqlmodel import col, func, select

from app.accounts.caller import Caller
from app.clock import now
from app.db.work import ReadSession
from app.errors import CursorExpired, InvalidCursor
from app.jobs.events import cursor_keys
from app.jobs.filters import JobFilter
from app.jobs.models import Job, JobEvent
from app.jobs.types import EventKind

DELETED_KEPT = timedelta(days=1)
"""How long the event that tells of a deletion is kept; of each application the newest is for good,
so that an older cursor is known to have missed none, or may have."""
CLOCKS_APART = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the feed of an application: after this event."""

    transaction_id: int
    id: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that follow each other. pending: more are committed that cannot be ordered yet."""

    rows: Sequence[JobEvent]
    pending: bool


def place_of(event: JobEvent) -> Place:
    """Return where an event stands."""
    return Place(event.transaction_id or 0, event.id or 0)


async def place_at(session: ReadSession, cursor: str, *, application_id: UUID) -> Place:
    """Return the place that the cursor of an event stands for.

    Raises:
        InvalidCursor: it is no cursor of an event.
        CursorExpired: events after it may have been forgotten.
    """
    _job, _seq, transaction_id, id, at = cursor_keys(cursor)
    try:
        place, moment = Place(int(transaction_id), int(id)), int(at)
        told_at = datetime.fromtimestamp(moment / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidCursor from None
    if not (0 <= place.transaction_id < 2**63 and 0 <= place.id < 2**63):
        raise InvalidCursor
    if told_at < now() - DELETED_KEPT:
        deleted = select(JobEvent.id).where(
            JobEvent.application_id == application_id,
            col(JobEvent.kind) == literal_column("'DELETED'"),  # as the index has it
            col(JobEvent.at) > told_at - CLOCKS_APART,
        )
        if (await session.exec(deleted.limit(1))).first() is not None:
            raise CursorExpired
    return place


async def newest(session: ReadSession) -> Place:
    """Return the place after which everything is still to come."""
    if _is_sqlite(session):
        last = (await session.exec(select(func.max(JobEvent.id)))).one()
        return Place(0, last or 0)
    return Place((await session.exec(select(_horizon()))).one(), 0)


async def after(session: ReadSession, *, application_id: UUID, place: Place, limit: int) -> Batch:
    """Return the next events of an application, `limit` at most."""
    order = (col(JobEvent.transaction_id), col(JobEvent.id))
    here = tuple_(*order)
    ours = select(JobEvent).where(JobEvent.application_id == application_id)
    statement = ours.where(here > (place.transaction_id, place.id)).order_by(*order).limit(limit)
    if _is_sqlite(session):
        return Batch((await session.exec(statement)).all(), pending=False)
    readable = col(JobEvent.transaction_id) < _horizon()
    rows = (await session.exec(statement.where(readable))).all()
    waiting = select(JobEvent.id).where(JobEvent.application_id == application_id, ~readable)
    pending = (await session.exec(waiting.limit(1))).first() is not None
    return Batch(rows, pending)


async def matching(
    session: ReadSession, *, caller: Caller, where: JobFilter, rows: Sequence[JobEvent]
) -> list[JobEvent]:
    """Return those of the events whose jobs are meant, in their order.

    `statuses` is held against the status that an event tells of, everything else against the job
    as it is now. The end of a deleted job is told whatever is asked for but ids: nothing is left
    to look at.
    """
    if where.statuses is not None:
        rows = [row for row in rows if row.status in where.statuses]
    where = replace(where, statuses=None)
    if where == JobFilter():
        return list(rows)
    asked = select(Job.id).where(col(Job.id).in_({row.job_id for row in rows}))
    meant = set((await session.exec(where.apply(asked, caller=caller))).all())
    return [row for row in rows if row.job_id in meant or _is_told_anyway(row, where)]


def _is_told_anyway(row: JobEvent, where: JobFilter) -> bool:
    return row.kind is EventKind.DELETED and (where.ids is None or row.job_id in where.ids)


def _horizon() -> Any:  # noqa: ANN401 - an expression of SQL
    """The oldest transaction that is still open: what is below is all there is, for good."""
    return cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String), BigInteger)


def _is_sqlite(session: ReadSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"
