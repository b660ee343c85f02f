"""The feed over all jobs: nothing is missed where commits overtake each other."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import select
from world import World

from app.clock import now
from app.db.pages import cursor as opaque
from app.db.work import reading, transaction
from app.errors import CursorExpired, InvalidCursor
from app.jobs import deletions, events, feed
from app.jobs.events import Note
from app.jobs.feed import Batch, Place
from app.jobs.models import JobEvent
from app.jobs.states import JobStatus
from app.jobs.types import EventKind

pytestmark = pytest.mark.anyio


async def batch(world: World, place: Place, limit: int = 100) -> Batch:
    """Read the feed of our application."""
    async with reading(world.database) as session:
        return await feed.after(
            session, application_id=world.caller.application_id, place=place, limit=limit
        )


def told(batch: Batch) -> list[tuple[UUID, int]]:
    """Return job and number of each event."""
    return [(row.job_id, row.seq) for row in batch.rows]


async def test_an_event_whose_commit_was_overtaken_is_told_and_only_once(world: World) -> None:
    if world.database.is_sqlite:
        pytest.skip("SQLite writes one transaction at a time")
    first, second = await world.create(), await world.create()
    async with reading(world.database) as session:
        start = await feed.newest(session)

    async def log(work: object, id: UUID) -> None:
        note = Note(EventKind.LOG, "A line.")
        await events.change(work, world.bell, id, note=note, status=JobStatus.PENDING)  # type: ignore[arg-type]

    async with transaction(world.database) as slow:
        await log(slow, first)
        async with transaction(world.database) as quick:
            await log(quick, second)
        early = await batch(world, start)
        assert (told(early), early.pending) == ([], True)
    late = await batch(world, start)
    assert (told(late), late.pending) == ([(first, 2), (second, 2)], False)
    assert told(await batch(world, feed.place_of(late.rows[0]))) == [(second, 2)]
    assert told(await batch(world, feed.place_of(late.rows[1]))) == []


async def test_pages_of_the_feed_join_to_all_events(world: World) -> None:
    ids = [await world.create() for _ in range(4)]
    place = Place(0, 0)
    seen: list[JobEvent] = []
    while rows := (await batch(world, place, 3)).rows:
        seen += rows
        place = feed.place_of(rows[-1])
    assert [(row.job_id, row.seq) for row in seen] == [(id, 1) for id in ids]
    async with reading(world.database) as session:
        assert len(set(await session.exec(select(JobEvent.id)))) == len(seen)


async def test_what_is_newest_is_after_all_there_is(world: World) -> None:
    await world.create()
    async with reading(world.database) as session:
        place = await feed.newest(session)
    assert (await batch(world, place)).rows == []
    id = await world.create()
    assert told(await batch(world, place)) == [(id, 1)]


async def test_one_cursor_is_good_in_the_job_and_in_the_feed(world: World) -> None:
    id = await world.create()
    (row,) = (await batch(world, Place(0, 0))).rows
    cursor = events.cursor(row)
    assert events.cursor_seq(cursor, job_id=id) == 1
    assert await place_at(world, cursor) == feed.place_of(row)


async def place_at(world: World, cursor: str) -> Place:
    """Return the place of a cursor in the feed of our application."""
    async with reading(world.database) as session:
        return await feed.place_at(session, cursor, application_id=world.caller.application_id)


async def test_a_cursor_that_is_too_old_or_forged_is_refused(world: World) -> None:
    id = await world.create()
    old = JobEvent(
        id=1, job_id=id, application_id=id, seq=1, transaction_id=1, kind=EventKind.LOG,
        at=now() - timedelta(days=1, seconds=1), status=JobStatus.PENDING, progress=0,
    )  # fmt: skip
    assert await place_at(world, events.cursor(old)) == Place(1, 1)  # nothing was deleted since
    async with transaction(world.database) as work:
        await deletions.delete(work, world.bell, caller=world.caller, job_id=id, store=world.store)
    with pytest.raises(CursorExpired):
        await place_at(world, events.cursor(old))
    assert events.cursor_seq(events.cursor(old), job_id=id) == 1
    for forged in ("", "x", opaque(id.hex, 1, 1), opaque(id.hex, 1, -1, 1, 1),
                   opaque(id.hex, 1, 1, 2**63, 1), opaque(id.hex, 1, 1, 1, 10**40)):  # fmt: skip
        with pytest.raises(InvalidCursor):
            await place_at(world, forged)


async def test_a_cursor_of_the_first_version_goes_on(world: World) -> None:
    id = await world.create()
    (row,) = (await batch(world, Place(0, 0))).rows
    old = opaque(id.hex, row.seq, row.transaction_id or 0, row.id or 0)
    assert events.cursor_seq(old, job_id=id) == 1
    assert await place_at(world, old) == feed.place_of(row)
    async with transaction(world.database) as work:
        await deletions.delete(work, world.bell, caller=world.caller, job_id=id, store=world.store)
    with pytest.raises(CursorExpired):  # it has no time: what was forgotten after it is not known
        await place_at(world, old)
