"""What both stores promise, in the same words."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from app.db.columns import new_id
from app.documents.content import at_once
from app.documents.media import HEAD_BYTES
from app.documents.store import Store, Stored, store_for
from app.errors import FileTooLarge, UploadBusy, UploadRange
from app.settings import MIB, Settings

pytestmark = pytest.mark.anyio

PLENTY = 64 * MIB
LARGE = os.urandom(MIB) * 9 + b"end"  # more than one block, and more than one request takes


@pytest.fixture(params=["file", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = f"file://{tmp_path}" if request.param == "file" else request.getfixturevalue("bucket")
    return Settings(store_url=url, free_disk_bytes=0)


@pytest.fixture
def store(settings: Settings) -> Store:
    return store_for(settings)


async def broken_off(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content
    raise ConnectionError("the sender went away")


async def held(before: bytes, begun: asyncio.Event, go: asyncio.Event) -> AsyncIterator[bytes]:
    """Give enough for some blocks, then wait before the last."""
    yield before
    begun.set()
    await go.wait()
    yield b"after"


async def append(store: Store, key: UUID, content: bytes, offset: int = 0) -> int:
    return await store.append(key, at_once(content), offset=offset, limit=PLENTY)


async def put(store: Store, content: bytes) -> UUID:
    key = new_id()
    await append(store, key, content)
    await store.complete(key)
    return key


async def content_of(store: Store, key: UUID) -> bytes:
    async with store.local(key) as path:
        return path.read_bytes()


def stored(content: bytes) -> Stored:
    return Stored(len(content), hashlib.sha256(content).hexdigest(), content[:HEAD_BYTES])


@pytest.mark.parametrize("content", [b"", b"a", b"x" * HEAD_BYTES + b"y", LARGE], ids=len)
async def test_what_was_put_in_comes_out_again(store: Store, content: bytes) -> None:
    key = new_id()
    assert await append(store, key, content) == len(content)
    assert await store.received(key) == len(content)
    assert await store.complete(key) == stored(content)
    assert await store.received(key) == 0
    assert await content_of(store, key) == content


async def test_bytes_are_read_from_anywhere_in_a_large_file(store: Store) -> None:
    key = await put(store, LARGE)
    far = 4 * MIB  # where both stores begin another block
    for start, stop in ((0, len(LARGE)), (1, 2), (far - 1, 2 * far + 1), (3, 3)):
        read = [block async for block in store.read(key, start, stop)]
        assert b"".join(read) == LARGE[start:stop]
        assert all(len(block) <= far for block in read)
    with pytest.raises(FileNotFoundError):
        await anext(store.read(new_id(), 0, 1))


async def test_many_small_chunks_are_one_file(store: Store) -> None:
    key, pieces = new_id(), [bytes([number]) * 1000 for number in range(256)]
    await store.append(key, at_once(*pieces), offset=0, limit=PLENTY)
    assert await store.complete(key) == stored(b"".join(pieces))


async def test_an_upload_goes_on_where_it_stopped(store: Store) -> None:
    key = new_id()
    assert await append(store, key, b"one ") == 4
    assert await append(store, key, LARGE, offset=4) == 4 + len(LARGE)
    assert await append(store, key, b"", offset=4 + len(LARGE)) == 4 + len(LARGE)
    assert await append(store, key, b" three", offset=4 + len(LARGE)) == 10 + len(LARGE)
    content = b"one " + LARGE + b" three"
    assert await store.complete(key) == stored(content)
    assert await content_of(store, key) == content


@pytest.mark.parametrize("offset", [0, 2, 4])
async def test_bytes_out_of_order_are_refused_and_change_nothing(store: Store, offset: int) -> None:
    key = new_id()
    await append(store, key, b"abc")
    with pytest.raises(UploadRange) as refused:
        await append(store, key, b"def", offset=offset)
    assert refused.value.received_bytes == 3
    assert await store.complete(key) == stored(b"abc")


async def test_what_came_before_the_sender_went_away_stays(store: Store) -> None:
    key = new_id()
    with pytest.raises(ConnectionError):
        await store.append(key, broken_off(LARGE, b"tail"), offset=0, limit=PLENTY)
    assert await store.received(key) == len(LARGE) + 4
    await append(store, key, b"!", offset=len(LARGE) + 4)
    assert await store.complete(key) == stored(LARGE + b"tail!")


async def test_more_than_the_limit_is_refused_and_never_kept(store: Store) -> None:
    key, limit = new_id(), len(LARGE) - 1
    with pytest.raises(FileTooLarge):
        await store.append(key, at_once(LARGE), offset=0, limit=limit)
    kept = await store.received(key)
    assert kept <= limit
    with pytest.raises(FileTooLarge):
        await store.append(key, at_once(LARGE[kept:]), offset=kept, limit=limit)
    assert await store.received(key) <= limit


async def test_exactly_the_limit_is_taken(store: Store) -> None:
    key = new_id()
    assert await store.append(key, at_once(b"abc", b"def"), offset=0, limit=6) == 6


async def test_of_two_senders_one_is_refused_and_the_file_is_the_others(store: Store) -> None:
    key, go = new_id(), asyncio.Event()
    begun = [asyncio.Event(), asyncio.Event()]
    sending = [
        asyncio.create_task(
            store.append(key, held(bytes([number]), begun[number], go), offset=0, limit=PLENTY)
        )
        for number in range(2)
    ]
    for number, task in enumerate(sending):
        waiting = asyncio.create_task(begun[number].wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    go.set()
    answers = await asyncio.gather(*sending, return_exceptions=True)
    (winner,) = [number for number in range(2) if answers[number] == 6]
    assert isinstance(answers[1 - winner], UploadBusy)
    assert await store.complete(key) == stored(bytes([winner]) + b"after")


async def test_files_that_come_at_once_do_not_mix(store: Store) -> None:
    contents = [bytes([number]) * (MIB + number) for number in range(8)]
    keys = await asyncio.gather(*(put(store, content) for content in contents))
    found = await asyncio.gather(*(content_of(store, key) for key in keys))
    assert found == contents


async def test_nothing_is_completed_where_nothing_came(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        await store.complete(new_id())
    assert list(store.keys()) == []


async def test_a_file_is_completed_once(store: Store) -> None:
    key = await put(store, LARGE)
    with pytest.raises(FileNotFoundError):
        await store.complete(key)
    assert await content_of(store, key) == LARGE


async def test_of_two_that_complete_at_once_neither_damages_the_file(store: Store) -> None:
    key = new_id()
    await append(store, key, LARGE)
    answers = await asyncio.gather(store.complete(key), store.complete(key), return_exceptions=True)
    good = [answer for answer in answers if answer == stored(LARGE)]
    assert good
    assert all(isinstance(answer, FileNotFoundError) for answer in answers if answer not in good)
    assert await content_of(store, key) == LARGE
    assert list(store.keys()) == [key]


async def test_an_unfinished_file_cannot_be_read(store: Store) -> None:
    key = new_id()
    await append(store, key, b"abc")
    with pytest.raises(FileNotFoundError):
        async with store.local(key):
            pass


async def test_nobody_else_on_the_machine_can_read_a_local_file(store: Store) -> None:
    async with store.local(await put(store, b"abc")) as path:
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_deleted_file_is_gone_finished_or_not(store: Store) -> None:
    finished, unfinished, kept = await put(store, LARGE), new_id(), await put(store, b"kept")
    await append(store, unfinished, LARGE)
    for key in (finished, unfinished, finished, new_id()):
        await store.delete(key)
    assert list(store.keys()) == [kept]
    assert await store.received(unfinished) == 0
    with pytest.raises(FileNotFoundError):
        async with store.local(finished):
            pass


async def test_what_is_sent_to_a_deleted_upload_stays_nowhere(store: Store) -> None:
    key, begun, go = new_id(), asyncio.Event(), asyncio.Event()
    sending = asyncio.create_task(store.append(key, held(LARGE, begun, go), offset=0, limit=PLENTY))
    await begun.wait()
    await store.delete(key)
    go.set()
    await sending
    assert await store.received(key) == 0
    assert list(store.keys()) == []


async def test_a_sender_that_is_cancelled_leaves_whole_blocks(store: Store) -> None:
    key, begun = new_id(), asyncio.Event()
    sending = asyncio.create_task(
        store.append(key, held(LARGE, begun, asyncio.Event()), offset=0, limit=PLENTY)
    )
    await begun.wait()
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    kept = await store.received(key)
    await append(store, key, LARGE[kept:], offset=kept)
    assert await store.complete(key) == stored(LARGE)


async def test_keys_are_those_of_all_files_each_once(store: Store) -> None:
    finished, unfinished = await put(store, b"abc"), new_id()
    await append(store, unfinished, LARGE)
    assert sorted(store.keys()) == sorted([finished, unfinished])


async def test_an_upload_goes_on_in_another_process(store: Store, settings: Settings) -> None:
    key, other = new_id(), store_for(settings)
    await append(store, key, b"abc")
    assert await other.received(key) == 3
    await append(other, key, b"def", offset=3)
    assert await store.complete(key) == stored(b"abcdef")
    assert await content_of(other, key) == b"abcdef"
