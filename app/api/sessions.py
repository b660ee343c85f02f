"""Who is connected for long: websockets and event streams, which end when their key does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from app.clock import now

logger = logging.getLogger(__name__)

EXPIRED = "The key has expired"
REVOKED = "The key was revoked"


class Expiring(Protocol):
    """Whoever calls, as far as sessions care; hashable."""

    @property
    def expires_at(self) -> datetime | None:
        """When the key ends, aware; None if it does not."""


CallerT = TypeVar("CallerT", bound=Expiring)

End = Callable[[str], None]
"""Ends a session; gets the reason, in words for a person."""


class Sessions(Generic[CallerT]):
    """The sessions of one process.

    revoked: returns those of the callers whose key was taken back; asked with all of them at once.
    every: how often it is asked.
    """

    def __init__(
        self,
        revoked: Callable[[Collection[CallerT]], Awaitable[Collection[CallerT]]],
        *,
        every: timedelta,
    ) -> None:
        self._revoked = revoked
        self._every = every
        self._open: dict[object, tuple[CallerT, End]] = {}
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def admitted(self, caller: CallerT, end: End) -> Iterator[None]:
        """Call `end` when the key of a caller expires or is revoked before the block is left."""
        session = object()
        self._open[session] = (caller, end)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())
        expiry = None
        if caller.expires_at is not None:
            left = (caller.expires_at - now()).total_seconds()
            expiry = asyncio.get_running_loop().call_later(max(left, 0), end, EXPIRED)
        try:
            yield
        finally:
            if expiry is not None:
                expiry.cancel()
            del self._open[session]
            if not self._open and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                gone = await self._revoked({caller for caller, _ in self._open.values()})
            except Exception as error:  # noqa: BLE001 - a database that is away ends no session
                logger.warning("keys could not be checked: %s", type(error).__name__)
                continue
            for caller, end in list(self._open.values()):
                if caller in gone:
                    end(REVOKED)
