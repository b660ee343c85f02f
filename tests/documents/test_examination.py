"""Documents that wait to be looked at: each is taken up once, and once more where that was lost."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import update
from world import World

from app.clock import now
from app.db.work import reading, transaction
from app.documents import commands, examination
from app.documents.examination import Examination
from app.documents.models import Document, DocumentStatus
from app.documents.store import Stored

pytestmark = pytest.mark.anyio


async def arrived(world: World, head: bytes = b"%PDF-1.7") -> UUID:
    """Have a document arrive."""
    id = await world.document(DocumentStatus.NEW)
    async with transaction(world.database) as work:
        await commands.complete(work, id, Stored(8, "0" * 64, head))
    return id


async def claim(world: World) -> Examination | None:
    async with transaction(world.database) as work:
        return await examination.claim(work)


async def row(world: World, id: UUID) -> Document:
    async with reading(world.database) as session:
        return await session.get_one(Document, id)


async def let_the_lease_end(world: World) -> None:
    async with transaction(world.database) as work:
        past = now() - timedelta(seconds=1)
        statement = update(Document).where(Document.examine_at.is_not(None))  # type: ignore[union-attr]
        await work.session.exec(statement.values(examine_at=past))


async def test_what_has_no_length_is_not_looked_at(world: World) -> None:
    id = await arrived(world, b"PK\x03\x04")
    assert await claim(world) is None
    assert (await row(world, id)).examined_at is None


async def test_each_document_is_taken_up_once_the_oldest_first(world: World) -> None:
    ids = [await arrived(world) for _ in range(5)]
    assert await claim(world) == Examination(ids[0], "application/pdf")
    taken = await asyncio.gather(*(claim(world) for _ in range(8)))
    assert sorted(each.document_id for each in taken if each is not None) == ids[1:]
    assert None not in [(await row(world, id)).examined_at for id in ids]
    async with reading(world.database) as session:
        assert await examination.waits(session) is False


async def test_a_document_whose_worker_was_lost_is_taken_up_once_more(world: World) -> None:
    id = await arrived(world)
    for _ in range(2):
        assert await claim(world) is not None
        assert await claim(world) is None
        await let_the_lease_end(world)
    assert await claim(world) is None
    document = await row(world, id)
    assert (document.media_length, document.examine_at) == (None, None)


async def test_a_document_that_is_put_back_waits_as_if_nobody_had_had_it(world: World) -> None:
    id = await arrived(world)
    for _ in range(3):
        taken = await claim(world)
        assert taken is not None
        async with transaction(world.database) as work:
            await examination.put_back(work, taken)
        assert (await row(world, id)).examined_at is None


@pytest.mark.parametrize("known", [None, 7])
async def test_a_length_that_is_known_already_stays(world: World, known: int | None) -> None:
    id = await arrived(world)
    taken = await claim(world)
    assert taken is not None
    async with transaction(world.database) as work:
        await work.session.exec(update(Document).values(media_length=known))
        await examination.finish(work, taken, media_length=3)
    document = await row(world, id)
    assert (document.media_length, document.examine_at) == (known or 3, None)
    assert document.examined_at is not None


async def test_a_length_that_cannot_be_told_is_not_looked_for_again(world: World) -> None:
    id = await arrived(world)
    taken = await claim(world)
    assert taken is not None
    async with transaction(world.database) as work:
        await examination.finish(work, taken, media_length=None)
    await let_the_lease_end(world)
    assert await claim(world) is None
    assert (await row(world, id)).media_length is None
