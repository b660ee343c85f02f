"""Tails: what those who watch the same are told, read for all of them at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from world import World

from app.api.live import FeedTail, JobTail, Wake
from app.jobs.feed import Place

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def always_woken(tail: JobTail | FeedTail) -> AsyncIterator[None]:
    """Tell a tail that there is something new, all the time."""

    async def wake() -> None:
        while True:
            tail.freshness.spoil()
            await asyncio.sleep(0)

    waking = asyncio.create_task(wake())
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        waking.cancel()


async def test_a_watcher_of_a_job_is_told_while_ever_more_comes(world: World) -> None:
    id = await world.create()
    tail = JobTail(world.database, id, world.caller.application_id)
    async with always_woken(tail):
        assert [row.seq for row in await tail.after(0)] == [1]


async def test_a_watcher_of_all_jobs_is_told_while_ever_more_comes(world: World) -> None:
    id = await world.create()
    tail = FeedTail(world.database, world.caller.application_id, Place(0, 0))
    async with always_woken(tail):
        assert [row.job_id for row in await tail.after(Place(0, 0))] == [id]


@pytest.mark.parametrize("turns", range(3))
async def test_a_watcher_that_goes_as_it_is_woken_is_gone(turns: int) -> None:
    wake = Wake()
    watching = asyncio.create_task(wake.wait())
    await asyncio.sleep(0)
    wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    told = watching.cancel()
    await asyncio.wait({watching})
    assert watching.cancelled() is told
