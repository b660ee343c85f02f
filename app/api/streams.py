"""GraphQL over server-sent events: the protocol graphql-sse, one connection an operation."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, suppress
from datetime import timedelta

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.answers import error_entry
from app.api.sessions import End
from app.errors import Unauthenticated

HEARTBEAT_SECONDS = 12
"""Proxies give up a connection on which nothing is said, usually after 30 to 60 seconds."""


class EventStream(Response):
    """The results of one operation, each as an event `next`, then an event `complete`.

    results: bodies as they are to be sent; closed when the client goes.
    admitted: is entered with what ends the stream when the caller's key ends.
    stopping: ends the stream without `complete`, so that its client comes back; so does a client
    that does not read.
    at_end: is closed before the end is told, and whatever happens.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        results: AsyncGenerator[str, None],
        *,
        headers: Mapping[str, str],
        admitted: Callable[[End], AbstractContextManager[None]],
        at_end: AsyncExitStack,
        stopping: asyncio.Event,
        send_timeout: timedelta,
    ) -> None:
        # What lies between may neither gather the events nor compress them, which gathers them too.
        cache = f"{headers.get('Cache-Control', 'no-store')}, no-transform"
        super().__init__(headers={**headers, "Cache-Control": cache, "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._results = results
        self._admitted = admitted
        self._at_end = at_end
        self._stopping = stopping
        self._send_timeout = send_timeout.total_seconds()
        self._done = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the results end, the client goes or does not read, or its key ends."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with self._at_end:
            tasks = [
                asyncio.create_task(self._beat(send)),
                asyncio.create_task(self._all(send)),
                asyncio.create_task(_left(receive)),
                asyncio.create_task(self._stopping.wait()),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if not self._done:
            with suppress(TimeoutError):
                await self._write(send, "", more=False)

    async def _all(self, send: Send) -> None:
        ended = ""

        def end(reason: str) -> None:
            nonlocal ended
            ended = reason
            life.reschedule(asyncio.get_running_loop().time())

        try:
            async with asyncio.timeout(None) as life, aclosing(self._results):
                with self._admitted(end):
                    async for body in self._results:
                        await self._write(send, f"event: next\ndata: {body}\n\n")
                        await asyncio.sleep(0)  # others have their turn, however fast it goes
        except TimeoutError:
            if not ended:
                return  # the client does not read
            error = error_entry(Unauthenticated.code, f"{ended}.")
            await self._write(send, f"event: next\ndata: {json.dumps({'errors': [error]})}\n\n")
        await self._at_end.aclose()
        await self._write(send, "event: complete\ndata:\n\n")
        await self._write(send, "", more=False)
        self._done = True

    async def _beat(self, send: Send) -> None:
        while True:
            await self._write(send, ":\n\n")
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _write(self, send: Send, text: str, *, more: bool = True) -> None:
        async with asyncio.timeout(self._send_timeout):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": more})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
