"""Bytes get a row once all of them are there, and are removed where that does not come about."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import select, update
from world import World

from app.clock import now
from app.db.work import reading, transaction
from app.documents.models import FileRemoval
from app.jobs import attachments
from app.jobs.attachments import GivenUp, Written
from app.jobs.models import Attachment
from app.jobs.states import JobStatus
from app.jobs.types import AttachmentType

pytestmark = pytest.mark.anyio


async def write(world: World) -> list[Written]:
    """Write two files as a worker does."""
    async with transaction(world.database) as work:
        keys = attachments.expect(work, files=2)
    files = []
    for key, type in zip(keys, (AttachmentType.RESULT, AttachmentType.RESULT_MIN), strict=True):

        async def content() -> AsyncIterator[bytes]:
            yield b"{}"

        await world.store.append(key, content(), offset=0, limit=10)
        stored = await world.store.complete(key)
        files.append(
            Written(
                key=key,
                type=type,
                filename="a.json",
                mime_type="application/json",
                size=stored.size,
                sha256=stored.sha256,
            )
        )
    return files


async def kept(world: World) -> tuple[set[UUID], set[UUID], set[UUID]]:
    """Return the keys of attachments, of removals that are to come, and of stored files."""
    async with reading(world.database) as session:
        rows = set((await session.exec(select(Attachment.id))).all())
        removals = set((await session.exec(select(FileRemoval.key))).all())
    return rows, removals, set(world.store.keys())


async def test_bytes_wait_for_their_row_and_their_removal_goes_when_it_comes(
    world: World,
) -> None:
    id = await world.job(JobStatus.PROCESSING)
    files = await write(world)
    keys = {file.key for file in files}
    assert await kept(world) == (set(), keys, keys)
    async with transaction(world.database) as work:
        await attachments.keep(work, files, job_id=id, document_id=None)
    assert await kept(world) == (keys, set(), keys)
    async with transaction(world.database) as work:
        await attachments.give_up(work, keys, store=world.store)
    assert await kept(world) == (keys, set(), keys)


async def test_bytes_that_took_too_long_are_not_kept(world: World) -> None:
    id = await world.job(JobStatus.PROCESSING)
    files = await write(world)
    keys = {file.key for file in files}
    async with transaction(world.database) as work:
        past = now() - timedelta(seconds=1)
        await work.session.exec(update(FileRemoval).values(due_at=past))
    with pytest.raises(GivenUp):
        async with transaction(world.database) as work:
            await attachments.keep(work, files, job_id=id, document_id=None)
    assert await kept(world) == (set(), keys, keys)
    async with transaction(world.database) as work:
        await attachments.give_up(work, keys, store=world.store)
    assert await kept(world) == (set(), keys, set())
