"""Waking those who watch a job, over one connection to Redis a process."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from app.jobs.queue import Channel, Doorbell

logger = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""How long a watcher waits to be woken: a connection may die without a word. While Redis is known
to be down the doorbell wakes everybody every two seconds."""


class Wake:
    """Says that a job may have changed. What changed stands in the database."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake whoever waits, or will wait next."""
        self._event.set()

    async def wait(self) -> None:
        """Return when the job may have changed, at the latest after LOOK_SECONDS."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), LOOK_SECONDS)
        self._event.clear()


class Live:
    """The watchers of one API process."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell
        self._watchers: dict[UUID, set[Wake]] = {}

    async def listen(self) -> None:
        """Pass on what is told, for ever."""
        async for message in self._bell.listen(Channel.EVENTS):
            if message is None:  # anything may have been missed
                for wakes in self._watchers.values():
                    for wake in wakes:
                        wake.set()
                continue
            for wake in self._watchers.get(message[1], ()):
                wake.set()

    @asynccontextmanager
    async def watch(self, job_id: UUID) -> AsyncIterator[Wake]:
        """Be woken by changes of a job for as long as the block lasts."""
        wake = Wake()
        self._watchers.setdefault(job_id, set()).add(wake)
        try:
            yield wake
        finally:
            wakes = self._watchers[job_id]
            wakes.discard(wake)
            if not wakes:
                del self._watchers[job_id]
