"""Making good what was lost: silent workers, unheard rings, uploads, bytes without a row."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, exists, literal_column
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col, delete, func, select
from sqlmodel.sql.expression import SelectOfScalar

from app.clock import now
from app.db.work import reading, transaction, unbroken
from app.documents import commands as documents
from app.documents import examination
from app.documents.models import FileRemoval
from app.jobs import (
    commands,
    deletions,
    feed,
    idempotency,
    patience,
    recording,
    retention,
    runs,
    turns,
)
from app.jobs.models import IdempotencyKey, JobEvent, Worker
from workers.context import WorkerContext

logger = logging.getLogger(__name__)

WORKERS_KEPT = timedelta(hours=1)
REMOVALS_AT_ONCE = 500


async def sweep_for_ever(context: WorkerContext) -> None:
    """Sweep every `settings.sweep`, whatever goes wrong meanwhile."""
    while True:
        for step in STEPS:
            await _safely(step, context)
        await asyncio.sleep(context.settings.sweep.total_seconds())


async def beat_for_ever(context: WorkerContext) -> None:
    """Keep this worker's own row, every `settings.heartbeat`."""
    while True:
        await _safely(beat, context)
        await asyncio.sleep(context.settings.heartbeat.total_seconds())


async def beat(context: WorkerContext) -> None:
    """Say that this worker is alive and how busy it is."""
    async with transaction(context.database) as work:
        row = await work.session.get(Worker, context.worker_id)
        if row is None:
            row = Worker(id=context.worker_id, capacity=context.settings.worker_slots)
            work.session.add(row)
        row.last_seen_at = now()
        row.running = len(context.nudges)


async def leave(context: WorkerContext) -> None:
    """Say that this worker is gone."""
    async with transaction(context.database) as work:
        await work.session.exec(delete(Worker).where(col(Worker.id) == context.worker_id))


async def take_back_lost(context: WorkerContext) -> None:
    """Take jobs from workers that have been silent for longer than the lease."""
    settings = context.settings
    async with reading(context.database) as session:
        lost = await runs.lost(session)
    for job_id in lost:
        begun = time.monotonic()
        async with transaction(context.database) as work:
            waited = timedelta(seconds=time.monotonic() - begun)
            # Whoever kept us from writing kept workers from saying that they live.
            more = waited + settings.lease if waited > settings.heartbeat else timedelta(0)
            await recording.take_back(
                work, context.bell, job_id, delay=settings.retry_delay, patience=more
            )


async def ring_for_forgotten(context: WorkerContext) -> None:
    """Ring for due jobs as long as this worker has nothing to do: their own rings were lost.

    For new documents, too, once there is no such job.
    """
    if context.free_slots <= 0:
        return
    first = turns.first_of_lines().limit(context.free_slots)
    async with reading(context.database) as session:
        at = turns.moments(context.settings.ageing)
        waiting = (await session.exec(first, params=at)).all()
        new_documents = not waiting and await examination.waits(session)
    for job in waiting:
        await context.bell.ring(job.id)
    if new_documents:
        await context.bell.ring(context.worker_id)


async def give_up_uploads(context: WorkerContext) -> None:
    """Give up uploads whose time is over; jobs that wait for them go on without."""
    async with reading(context.database) as session:
        expired = await documents.expired_uploads(session)
    for id in expired:  # each by itself: two at once could wait for one another
        async with transaction(context.database) as work:
            await documents.give_up(work, id, store=context.store)
            await commands.data_arrived(work, context.bell, id)


async def give_up_waits(context: WorkerContext) -> None:
    """Fail drafts and jobs that have waited for too long."""
    async with reading(context.database) as session:
        overdue = await patience.overdue(session)
    for job_id in overdue:
        async with transaction(context.database) as work:
            await patience.give_up(work, context.bell, job_id)


async def remove_expired(context: WorkerContext) -> None:
    """Remove jobs and documents whose time is over, with their bytes."""
    async with reading(context.database) as session:
        expired = await retention.expired_jobs(session)
        documents_too = await retention.has_expired_documents(session)
    for job_id in expired:
        async with transaction(context.database) as work:
            await deletions.expire(work, context.bell, job_id, store=context.store)
    while expired or documents_too:
        async with transaction(context.database) as work:
            removed = await retention.remove_documents(work, store=context.store)
        if removed < retention.AT_ONCE:
            return


async def remove_files(context: WorkerContext) -> None:
    """Remove bytes whose rows are gone, where the process that should have did not live to."""
    async with reading(context.database) as session:
        due = select(FileRemoval.key).where(col(FileRemoval.due_at) <= now())
        statement = due.order_by(col(FileRemoval.due_at).desc())
        keys = (await session.exec(statement.limit(REMOVALS_AT_ONCE))).all()
    gone = [key for key in keys if await _removed(context, key)]
    if gone:
        async with transaction(context.database) as work:
            await work.session.exec(delete(FileRemoval).where(col(FileRemoval.key).in_(gone)))
        context.removed = True


async def _removed(context: WorkerContext, key: UUID) -> bool:
    try:
        await context.store.delete(key)
    except Exception:  # one file that stays must not keep the others
        logger.exception("stored file %s could not be removed; it is tried again", key)
        return False
    return True


async def wipe(context: WorkerContext) -> None:
    """Have nothing of a deleted job or document stay in SQLite's write-ahead log."""
    moment = now()
    newest = select(func.max(JobEvent.at)).where(col(JobEvent.kind) == literal_column("'DELETED'"))
    async with reading(context.database) as session:
        deleted_at = (await session.exec(newest)).one()
    wiped = context.wiped_until
    deleted = deleted_at is not None and (wiped is None or deleted_at >= wiped)
    if (deleted or context.removed) and await context.database.empty_log():
        context.wiped_until, context.removed = moment, False


async def forget(context: WorkerContext) -> None:
    """Forget deleted jobs, old keys of requests, and workers that went without a word."""
    async with reading(context.database) as session:
        old = [each for each in _old() if (await session.exec(_any(*each))).first()]
    if old:  # where there is nothing to forget nobody is kept from writing
        async with transaction(context.database) as work:
            for model, condition in old:
                await work.session.exec(delete(model).where(condition))


def _old() -> list[tuple[type[SQLModel], ColumnElement[bool]]]:
    moment = now()
    later = aliased(JobEvent)
    word: ColumnElement[str] = literal_column("'DELETED'")  # as the index has it
    told = (col(JobEvent.kind) == word) & (col(JobEvent.at) < moment - feed.DELETED_KEPT)
    newest = ~exists().where(
        col(later.application_id) == JobEvent.application_id,
        col(later.kind) == word,
        col(later.at) > JobEvent.at,
    )
    return [
        (JobEvent, told & ~newest),
        (IdempotencyKey, col(IdempotencyKey.created_at) < moment - idempotency.KEPT),
        (Worker, col(Worker.last_seen_at) < moment - WORKERS_KEPT),
    ]


def _any(model: type[SQLModel], condition: ColumnElement[bool]) -> SelectOfScalar[int]:
    return select(literal_column("1", Integer)).select_from(model).where(condition).limit(1)


async def _safely(
    step: Callable[[WorkerContext], Coroutine[Any, Any, None]], context: WorkerContext
) -> None:
    try:
        await unbroken(step(context))
    except Exception:
        logger.exception("%s failed; it is tried again", step.__name__)


STEPS = (
    take_back_lost,
    ring_for_forgotten,
    give_up_waits,
    give_up_uploads,
    remove_expired,
    remove_files,
    forget,
    wipe,
)
