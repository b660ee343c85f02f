"""Figures for operators: all of one moment, and of what waits only what could be taken up."""

import asyncio
from datetime import timedelta

import pytest
from world import World

from app.clock import now
from app.db.work import reading
from app.jobs.figures import Figures, figures
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import JobOutcome, JobType

pytestmark = pytest.mark.anyio

S = JobStatus


async def counted(world: World) -> Figures:
    async with reading(world.database) as session:
        return await figures(session, workers_since=now())


async def test_every_type_and_open_state_has_its_number(world: World) -> None:
    assert set((await counted(world)).open_jobs.values()) == {0}
    await world.job(S.PENDING)
    await world.job(S.COMPLETED)
    found = (await counted(world)).open_jobs
    assert set(found) == {(type, status) for type in JobType for status in OPEN}
    assert {key: count for key, count in found.items() if count} == {
        (JobType.SEGMENT, S.PENDING): 1
    }


async def test_what_waits_for_something_else_is_not_the_oldest_of_the_queue(world: World) -> None:
    long_ago, due = now() - timedelta(days=2), now() - timedelta(minutes=1)
    await world.job(S.PENDING, queued_at=long_ago, due_at=long_ago, waits_for_job=True)
    await world.job(S.PENDING, queued_at=long_ago, due_at=long_ago, waits_for_data=True)
    await world.job(S.PENDING, queued_at=long_ago, due_at=now() + timedelta(minutes=5))
    found = await counted(world)
    assert (found.queue_length, found.oldest) == (0, None)
    # It was made long ago, and came after a job that ended a minute ago.
    await world.job(S.PENDING, queued_at=long_ago, due_at=due)
    found = await counted(world)
    assert (found.queue_length, found.oldest) == (1, due)


async def test_what_has_just_ended_is_told_by_how_it_ended(world: World) -> None:
    await world.job(S.FAILED, outcome=JobOutcome.ERROR)
    await world.job(S.CANCELED, outcome=JobOutcome.ERROR)
    await world.job(S.COMPLETED)
    await world.job(S.COMPLETED, finished_at=now() - timedelta(minutes=6))
    await world.job(S.PENDING)
    assert (await counted(world)).just_ended == {
        JobOutcome.SUCCESS: 1, JobOutcome.WARNING: 0, JobOutcome.ERROR: 2,
    }  # fmt: skip


async def test_how_many_have_ended_never_falls_while_jobs_are_made(world: World) -> None:
    async def make() -> None:
        for _ in range(30):
            await world.create()

    making = asyncio.gather(make(), make())
    seen = set()
    while not making.done():
        seen.add((await counted(world)).ended_jobs)
    await making
    assert seen == {0}
