"""The doorbell: what is told, and when something may have been missed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest

from app.jobs.queue import Channel, Doorbell, Told

pytestmark = pytest.mark.anyio


class Gate:
    """Stands before Valkey, and lets subscriptions through once it is open."""

    def __init__(self, server: str) -> None:
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        self._server = server

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, commands = await asyncio.open_unix_connection(self._server)
        back = asyncio.create_task(self._pass(answers, writer))
        await self._pass(reader, commands)
        await back

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            if b"SUBSCRIBE" in part:
                self.asked.set()
                await self.open.wait()
            writer.write(part)
        writer.close()


@pytest.fixture
async def gate(redis_url: str, short_folder: Path) -> AsyncIterator[tuple[str, Gate]]:
    made = Gate(redis_url.removeprefix("unix://"))
    path = short_folder / "gate"
    async with await asyncio.start_unix_server(made, path):
        yield f"unix://{path}", made


async def test_whoever_listens_reads_again_once_nothing_more_can_be_missed(
    gate: tuple[str, Gate], redis_url: str
) -> None:
    address, held = gate
    far, near = Doorbell(address), Doorbell(redis_url)
    async with asyncio.timeout(20), aclosing(far.listen(Channel.EVENTS)) as told:
        first = asyncio.ensure_future(anext(told))
        await held.asked.wait()
        done, _ = await asyncio.wait({first}, timeout=0.1)
        assert not done
        held.open.set()
        assert await first is None
        job, application = uuid4(), uuid4()
        await near.publish(job, application)
        assert await anext(told) == Told(Channel.EVENTS, job, application)
    await far.close()
    await near.close()
