"""Bytes on their way in: each step by itself, and nothing left of what was refused."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlmodel import col, select, update
from world import World

from app.clock import now
from app.db.work import ReadSession, Work, WriteSession, reading, transaction
from app.documents import commands, uploads
from app.documents.models import Document, DocumentStatus, FileRemoval
from app.errors import (
    FileTooLarge,
    InvalidInput,
    InvalidLink,
    StorageFull,
    UploadComplete,
    UploadMismatch,
    UploadRange,
)
from app.settings import MIB

pytestmark = pytest.mark.anyio


class SenderLost(Exception):
    """The sender went away."""


async def sent(*chunks: bytes, lost: bool = False) -> AsyncIterator[bytes]:
    """Send these bytes, and perhaps go away."""
    for chunk in chunks:
        yield chunk
    if lost:
        raise SenderLost


async def row(world: World, id: UUID) -> Document:
    """Read a document."""
    async with reading(world.database) as session:
        return await session.get_one(Document, id)


async def put(world: World, id: UUID, chunks: AsyncIterator[bytes], offset: int = 0) -> int:
    """Send bytes of an upload."""
    return await uploads.put(
        world.database, world.store, document_id=id, chunks=chunks, offset=offset
    )


async def receive(world: World, chunks: AsyncIterator[bytes], filename: str = "a.txt") -> UUID:
    """Receive a file of a request."""
    received = await uploads.receive(
        world.database,
        world.store,
        caller=world.caller,
        filename=filename,
        tags=[],
        chunks=chunks,
        limit=10,
    )
    return received.document_id


async def test_what_came_before_the_sender_went_away_stays(world: World) -> None:
    id = await world.announce(10)
    with pytest.raises(SenderLost):
        await put(world, id, sent(b"abc", b"de", lost=True))
    assert await world.store.received(id) == 5
    assert await put(world, id, sent(b"fghij"), offset=5) == 10
    assert (await world.store.complete(id)).head == b"abcdefghij"


async def test_bytes_at_the_wrong_place_change_nothing(world: World) -> None:
    id = await world.announce(10)
    await put(world, id, sent(b"abc"))
    for offset in (0, 2, 4):
        with pytest.raises(UploadRange) as refused:
            await put(world, id, sent(b"x"), offset=offset)
        assert refused.value.received_bytes == 3
    assert await world.store.received(id) == 3


async def test_more_bytes_than_announced_are_refused_and_the_rest_stays(world: World) -> None:
    id = await world.announce(MIB + 5)
    with pytest.raises(FileTooLarge) as refused:
        await put(world, id, sent(bytes(MIB), bytes(6)))
    assert refused.value.limit == MIB + 5
    assert await world.store.received(id) == MIB


async def test_an_upload_that_is_over_takes_nothing(world: World) -> None:
    done, canceled = await world.announce(1), await world.announce(1)
    await put(world, done, sent(b"x"))
    async with transaction(world.database) as work:
        await commands.complete(work, done, await world.store.complete(done))
        await commands.give_up(work, canceled, store=world.store)
    with pytest.raises(UploadComplete):
        await put(world, done, sent(b"y"))
    for id in (canceled, uuid4()):
        with pytest.raises(InvalidLink):
            await put(world, id, sent(b"y"))
    assert list(world.store.keys()) == [done]


@pytest.mark.parametrize(("size", "sha256"), [(4, None), (3, "0" * 64)])
async def test_other_bytes_than_announced_are_refused(
    world: World, size: int, sha256: str | None
) -> None:
    id = await world.announce(size, sha256)
    await put(world, id, sent(b"abc"))
    stored = await world.store.complete(id)
    with pytest.raises(UploadMismatch):
        async with transaction(world.database) as work:
            await commands.complete(work, id, stored)
    assert (await row(world, id)).status is DocumentStatus.NEW


async def test_the_time_of_a_document_begins_once_all_of_it_is_here(world: World) -> None:
    id = await world.announce(1)
    begun = now() - timedelta(hours=1)
    async with transaction(world.database) as work:
        statement = update(Document).where(col(Document.id) == id)
        times = {"created_at": begun, "expires_at": begun + timedelta(minutes=1)}
        await work.session.exec(statement.values(**times))
    await put(world, id, sent(b"x"))
    async with transaction(world.database) as work:
        await commands.complete(work, id, await world.store.complete(id))
    until = (await row(world, id)).expires_at
    assert until is not None
    assert timedelta(seconds=30) < until - now() <= timedelta(minutes=1)


async def test_giving_up_is_for_unfinished_uploads_only(world: World) -> None:
    id = await world.announce(1)
    await put(world, id, sent(b"x"))
    async with transaction(world.database) as work:
        await commands.complete(work, id, await world.store.complete(id))
    before = await row(world, id)
    async with transaction(world.database) as work:
        await commands.give_up(work, id, store=world.store)
    assert await row(world, id) == before
    assert world.store.path(id).read_bytes() == b"x"


async def test_a_refused_file_leaves_no_row_and_no_bytes(world: World) -> None:
    for chunks, filename, error in (
        (sent(b"12345678901"), "a.txt", FileTooLarge),
        (sent(b"123", lost=True), "a.txt", SenderLost),
        (sent(b"123"), "..", InvalidInput),
    ):
        with pytest.raises(error):
            await receive(world, chunks, filename)
    async with reading(world.database) as session:
        assert (await session.exec(select(Document))).all() == []
    assert list(world.store.keys()) == []


async def test_a_file_is_discarded_even_where_the_process_dies(world: World) -> None:
    id = await receive(world, sent(b"123"))
    async with world.database.writer() as session, session.begin():
        # A process that dies between the commit and what follows it makes no calls.
        work = Work(WriteSession(ReadSession(session)))
        await commands.delete(work, [id], store=world.store)
    assert list(world.store.keys()) == [id]
    async with reading(world.database) as reader:
        assert (await reader.exec(select(FileRemoval.key))).all() == [id]


async def test_a_full_disk_takes_no_file(world: World) -> None:
    world.store.free_disk_bytes = 2**62
    with pytest.raises(StorageFull):
        await receive(world, sent(b"123"))
    async with reading(world.database) as session:
        assert (await session.exec(select(Document))).all() == []


async def test_only_uploads_whose_time_is_over_are_expired(world: World) -> None:
    late, timely, done = [await world.announce(1) for _ in range(3)]
    await put(world, done, sent(b"x"))
    async with transaction(world.database) as work:
        await commands.complete(work, done, await world.store.complete(done))
    async with transaction(world.database) as work:
        past = now() - timedelta(seconds=1)
        statement = update(Document).where(col(Document.id) == late)
        await work.session.exec(statement.values(upload_expires_at=past))
        assert await commands.expired_uploads(work.session) == [late]
    assert (await row(world, timely)).status is DocumentStatus.NEW


async def test_an_upload_is_noted_once_and_never_after_it_was_given_up(world: World) -> None:
    id, late = await world.announce(1), await world.announce(1)
    for each in (id, late):
        await put(world, each, sent(b"x"))
    stored = await world.store.complete(id)
    async with transaction(world.database) as work:
        await commands.complete(work, id, stored)
        await commands.give_up(work, late, store=world.store)
    for each, refusal in ((id, UploadComplete), (late, InvalidLink)):
        with pytest.raises(refusal):
            async with transaction(world.database) as work:
                await commands.complete(work, each, stored)
    assert (await row(world, late)).status is DocumentStatus.CANCELED


async def test_bytes_in_their_place_are_not_replaced(world: World) -> None:
    id = await world.announce(4)
    await put(world, id, sent(b"good"))
    first = await world.store.complete(id)
    await put(world, id, sent(b"evil"))
    assert await world.store.complete(id) == first
    assert world.store.path(id).read_bytes() == b"good"
