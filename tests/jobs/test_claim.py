"""Which job is taken up next, and that nobody else takes it."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from world import LEASE, World, caller_of

from app.clock import now
from app.db.work import reading
from app.documents.models import DocumentStatus
from app.jobs import queries
from app.jobs.states import JobStatus
from app.jobs.types import JobPriority, WaitKind

pytestmark = pytest.mark.anyio


async def taken(world: World) -> list[UUID]:
    """Claim until nothing is due; return the jobs in their order."""
    order = []
    while (run := await world.claim()) is not None:
        order.append(run.job_id)
    return order


async def test_the_highest_priority_goes_first_and_then_the_oldest(world: World) -> None:
    low = await world.create(priority=JobPriority.LOW)
    normal = [await world.create() for _ in range(2)]
    high = await world.create(priority=JobPriority.HIGH)
    assert await taken(world) == [high, *normal, low]


async def test_applications_take_turns(world: World) -> None:
    other = World(
        world.database, world.bell, world.store, await caller_of(world.database, "others")
    )
    ours = [await world.create() for _ in range(3)]
    theirs = [await other.create() for _ in range(2)]
    assert await taken(world) == [ours[0], theirs[0], ours[1], theirs[1], ours[2]]


async def test_the_position_in_the_queue_is_the_order_of_the_claim(world: World) -> None:
    ids = [
        await world.create(priority=priority)
        for priority in (JobPriority.LOW, JobPriority.HIGH, JobPriority.NORMAL, JobPriority.HIGH)
    ]
    for id in ids:
        waiting = queries.waiting_on(await world.row(id))
        assert waiting is not None
        assert waiting.kind is WaitKind.QUEUE
    async with reading(world.database) as session:
        places = await queries.queue_positions(session, ids)
    assert sorted(place for place in places.values() if place) == [1, 2, 3, 4]
    assert sorted(ids, key=lambda each: places[each] or 0) == await taken(world)


async def test_jobs_that_are_not_due_are_left(world: World) -> None:
    await world.job(JobStatus.PENDING, due_at=now() + timedelta(minutes=1))
    await world.create(await world.document(DocumentStatus.NEW))
    for status in JobStatus:
        if status is not JobStatus.PENDING:
            await world.job(status)
    assert await taken(world) == []


async def test_twenty_workers_take_ten_jobs_each_once(world: World) -> None:
    ids = [await world.create() for _ in range(10)]
    runs = await asyncio.gather(*(world.claim() for _ in range(20)))
    assert Counter(run.job_id for run in runs if run is not None) == Counter(ids)
    for id in ids:
        job = await world.row(id)
        assert (job.status, job.attempt, job.event_seq) == (JobStatus.PROCESSING, 1, 2)


async def test_a_claim_begins_an_attempt(world: World) -> None:
    id = await world.create()
    before = now()
    run = await world.claimed()
    job = await world.row(id)
    assert (run.job_id, run.attempt, job.attempt, job.charged_attempts) == (id, 1, 1, 0)
    assert job.lease_until is not None
    assert before + LEASE <= job.lease_until <= now() + LEASE
    assert job.started_at == job.attempt_started_at
    assert run.time_left == timedelta(minutes=1)
