"""Creating, canceling and deleting in the middle: in every state, and at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlmodel import select
from world import World

from app.db.work import Work, reading, transaction
from app.documents import commands as documents
from app.documents.models import Document, DocumentStatus
from app.documents.store import Stored
from app.errors import NotFound
from app.jobs import commands, creation, deletions
from app.jobs.models import Job, JobEvent
from app.jobs.options import SegmentOptions
from app.jobs.states import FINISHED, JobStatus
from app.jobs.types import EventKind, JobOutcome

pytestmark = pytest.mark.anyio

STORED = Stored(3, "1" * 64, b"abc")


@pytest.mark.parametrize("status", JobStatus)
async def test_a_cancel_ends_a_job_that_is_open(world: World, status: JobStatus) -> None:
    id = await world.job(status)
    before = await world.row(id)
    async with transaction(world.database) as work:
        job, changed = await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
    after = await world.row(id)
    assert job.status is after.status
    assert changed is (status not in FINISHED)
    if changed:
        assert (after.status, after.outcome) == (JobStatus.CANCELED, JobOutcome.ERROR)
    else:
        assert after == before


@pytest.mark.parametrize("status", JobStatus)
async def test_a_deletion_leaves_one_event(world: World, status: JobStatus) -> None:
    id = await world.job(status)
    gone = await delete(world, id)
    assert gone.canceled_first is (status not in FINISHED)
    assert gone.status is (status if status in FINISHED else JobStatus.CANCELED)
    async with reading(world.database) as session:
        assert (await session.exec(select(Job))).all() == []
        (event,) = (await session.exec(select(JobEvent))).all()
    assert (event.job_id, event.kind, event.status) == (id, EventKind.DELETED, gone.status)


async def test_a_job_that_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await delete(world, uuid4())
    with pytest.raises(NotFound):
        async with transaction(world.database) as work:
            await commands.cancel(work, world.bell, caller=world.caller, job_id=uuid4())


async def test_the_last_document_to_arrive_lets_the_job_go(world: World) -> None:
    first, second = [await world.document(DocumentStatus.NEW) for _ in range(2)]
    id = await world.create(first, second)
    async with transaction(world.database) as work:
        await arrive(work, world, first)
    assert (await world.row(id)).waits_for_data is True
    async with transaction(world.database) as work:
        await arrive(work, world, second)
    job = await world.row(id)
    assert (job.waits_for_data, job.total_size) == (False, 6)


async def test_documents_that_arrive_together_let_the_job_go(world: World) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    first, second = [await world.document(DocumentStatus.NEW) for _ in range(2)]
    id = await world.create(first, second)

    async def other() -> None:
        async with transaction(world.database) as work:
            await arrive(work, world, second)

    async with transaction(world.database) as work:
        await arrive(work, world, first)
        task = asyncio.create_task(other())
        await blocked_or_done(world, task)
    await task
    assert (await world.row(id)).waits_for_data is False


async def test_of_two_deletions_one_finds_nothing(world: World) -> None:
    id = await world.create(owned=True)
    answers = await asyncio.gather(*(delete(world, id) for _ in range(2)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Deleted", "NotFound"]


async def test_a_command_that_waited_for_a_deletion_finds_nothing(world: World) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    for command in (delete, cancel):
        id = await world.create(owned=True)
        async with transaction(world.database) as work:
            await deletions.delete(
                work, world.bell, caller=world.caller, job_id=id, store=world.store
            )
            task = asyncio.create_task(command(world, id))
            await blocked_or_done(world, task)
        with pytest.raises(NotFound):
            await task


async def test_a_document_that_a_new_job_takes_survives_the_deletion_of_the_old(
    world: World,
) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    document = await world.document()
    id = await world.create(document, owned=True)
    async with creating(world, document) as created:
        task = asyncio.create_task(delete(world, id))
        await blocked_or_done(world, task)
    assert (await task).document_ids == []
    async with reading(world.database) as session:
        assert await session.get(Document, document) is not None
        assert await session.get(Job, created[0]) is not None


async def test_numbers_count_without_a_gap_whoever_creates(world: World) -> None:
    document = await world.document()
    ids = await asyncio.gather(*(world.create(document) for _ in range(10)))
    numbers = [(await world.row(id)).number for id in ids]
    assert sorted(numbers) == list(range(1, 11))


@asynccontextmanager
async def creating(world: World, document: UUID) -> AsyncIterator[list[UUID]]:
    """Have a job being created, and committed at the end of the block."""
    other = World(world.database, world.bell, world.store, world.caller)
    made: list[UUID] = []
    ready, go = asyncio.Event(), asyncio.Event()

    async def create() -> None:
        async with transaction(world.database) as work:
            request = creation.JobRequest(
                task=SegmentOptions(),
                documents=[creation.GivenDocument(document)],
                ttl=timedelta(days=30),
                timeout=(await world.claimed()).time_left,
                max_attempts=3,
            )
            job = await creation.create(work, other.bell, caller=world.caller, request=request)
            made.append(job.id)
            ready.set()
            await go.wait()

    task = asyncio.create_task(create())
    await ready.wait()
    yield made
    go.set()
    await task


async def arrive(work: Work, world: World, id: UUID) -> None:
    """Have the bytes of a document be here."""
    await documents.complete(work, id, STORED)
    await commands.data_arrived(work, world.bell, id)


async def delete(world: World, id: UUID) -> deletions.Deleted:
    """Delete a job."""
    async with transaction(world.database) as work:
        return await deletions.delete(
            work, world.bell, caller=world.caller, job_id=id, store=world.store
        )


async def cancel(world: World, id: UUID) -> object:
    """Cancel a job."""
    async with transaction(world.database) as work:
        return await commands.cancel(work, world.bell, caller=world.caller, job_id=id)


async def blocked_or_done(world: World, task: "asyncio.Task[object]") -> None:
    """Return when another transaction waits for a lock, or the task has ended."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while not task.done():
            async with reading(world.database) as session:
                connection = await session.connection()
                if (await connection.execute(waiting)).scalar_one():
                    return
