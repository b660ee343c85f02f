"""A way to the API that breaks off in the middle: what a network does to a long stream."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

NEXT = b'"next"'
CHUNK_BYTES = 65536


class Cutter:
    """A proxy that cuts each connection after one to three messages, at any byte of the last."""

    def __init__(self, host: str, port: int, *, seed: int) -> None:
        self.cuts = 0
        self.url = ""
        self._upstream = (host, port)
        self._random = random.Random(seed)  # noqa: S311 - the same cuts again

    async def serve_one(self, down: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it, or we do."""
        reader, writer = await asyncio.open_connection(*self._upstream)
        sending = asyncio.create_task(self._carry(down, writer))
        try:
            with suppress(ConnectionError):
                await self._carry_and_cut(reader, up)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            for each in (writer, up):
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()

    async def _carry_and_cut(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        left = self._random.randint(1, 3)
        while data := await reader.read(CHUNK_BYTES):
            left -= data.count(NEXT)
            if left <= 0:
                self.cuts += 1
                writer.write(data[: self._random.randint(1, len(data))])
                with suppress(ConnectionError):
                    await writer.drain()
                return
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def cutting(url: str, *, seed: int) -> AsyncIterator[Cutter]:
    """Serve such a proxy in front of the API at this address."""
    found = urlsplit(url)
    assert found.hostname is not None
    assert found.port is not None
    cutter = Cutter(found.hostname, found.port, seed=seed)
    server = await asyncio.start_server(cutter.serve_one, "127.0.0.1", 0)
    cutter.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql"
    try:
        yield cutter
    finally:
        server.close()
        await server.wait_closed()
