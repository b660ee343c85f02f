"""Telling those who watch: one connection to Redis a process, and new rows are read once.

A tail holds the newest events of one job, or of one application, for as long as anybody watches.
It is woken through Redis, reads what is new in one query, and gives the same rows to all its
watchers. One that has fallen further behind than the tail reaches reads for itself, from its place.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from uuid import UUID

from app.db.engine import Database
from app.db.work import reading
from app.jobs import events, feed
from app.jobs.feed import Place, place_of
from app.jobs.models import JobEvent
from app.jobs.queue import Channel, Doorbell

LOOK_SECONDS = 30.0
"""How long a watcher waits to be woken: a connection may die without a word. While Redis is known
to be down the doorbell wakes everybody every two seconds."""
PENDING_SECONDS = 0.1
"""How soon a feed looks again for what is committed but cannot be ordered yet."""
GATHER_SECONDS = 0.05
"""A feed is read at most so often: what comes meanwhile comes together."""
KEPT_EVENTS = 256
READ_EVENTS = 500


class Wake:
    """Says that there may be something new. What it is stands in the database."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake whoever waits, or will wait next."""
        self._event.set()

    async def wait(self, seconds: float = LOOK_SECONDS) -> None:
        """Return when there may be something new, at the latest after so many seconds."""
        # Not `wait_for`, which keeps a cancellation to itself that comes with what it waits for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


class Freshness:
    """Whether a tail has to read again. One of its watchers reads, the others wait for it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._told = 1
        self._read = 0
        self._read_at = -math.inf

    def spoil(self) -> None:
        """Say that there may be something new."""
        self._told += 1

    def doubt(self, seconds: float) -> None:
        """Say the same, unless it was read within so many seconds."""
        if self.age >= seconds:
            self.spoil()

    async def renew(self, read: Callable[[], Awaitable[bool]]) -> None:
        """Read all that was told of before the call; `read` returns whether there is yet more.

        What is told of meanwhile is for the next call: else none would end where more always comes.
        """
        wanted = self._told
        async with self._lock:
            while self._read < wanted:
                told = self._told
                if not await read():
                    self._read = told
                    self._read_at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it was read."""
        return time.monotonic() - self._read_at


class JobTail:
    """The newest events of one job."""

    def __init__(self, database: Database, job_id: UUID, application_id: UUID) -> None:
        self._database = database
        self._job_id = job_id
        self._application_id = application_id
        self._rows: deque[JobEvent] = deque(maxlen=KEPT_EVENTS)
        self.freshness = Freshness()

    @property
    def newest(self) -> JobEvent | None:
        """The newest event that was read."""
        return self._rows[-1] if self._rows else None

    async def after(self, seq: int) -> Sequence[JobEvent]:
        """Return the next events after this number, some hundred at most; none: up to date."""
        await self.freshness.renew(self._read_on)
        if self._rows and seq >= self._rows[0].seq - 1:
            return [row for row in self._rows if row.seq > seq]
        return await self._read(seq)

    async def _read_on(self) -> bool:
        rows = await self._new()
        self._rows.extend(rows)
        return len(rows) == READ_EVENTS

    async def _new(self) -> Sequence[JobEvent]:
        if self.newest is not None:
            return await self._read(self.newest.seq)
        async with reading(self._database) as session:
            row = await events.newest(
                session, job_id=self._job_id, application_id=self._application_id
            )
        return [] if row is None else [row]

    async def _read(self, seq: int) -> Sequence[JobEvent]:
        async with reading(self._database) as session:
            found = await events.after(
                session,
                [self._job_id],
                application_id=self._application_id,
                seq=seq,
                limit=READ_EVENTS,
            )
        return found[self._job_id].rows


class FeedTail:
    """The newest events of all jobs of one application: all after one place, up to another."""

    def __init__(self, database: Database, application_id: UUID, start: Place) -> None:
        self._database = database
        self._application_id = application_id
        self._rows: deque[JobEvent] = deque(maxlen=KEPT_EVENTS)
        self._start = self._end = start
        self.freshness = Freshness()
        self.pending = False

    async def after(self, place: Place) -> Sequence[JobEvent]:
        """Return the next events after this place, some hundred at most; none: up to date."""
        await self.freshness.renew(self._read_on)
        if place >= self._start:
            return [row for row in self._rows if place_of(row) > place]
        return (await self._read(place)).rows

    async def _read_on(self) -> bool:
        await asyncio.sleep(GATHER_SECONDS - self.freshness.age)
        batch = await self._read(self._end)
        for row in batch.rows:
            if len(self._rows) == KEPT_EVENTS:
                self._start = place_of(self._rows[0])
            self._rows.append(row)
            self._end = place_of(row)
        self.pending = batch.pending
        return len(batch.rows) == READ_EVENTS

    async def _read(self, place: Place) -> feed.Batch:
        async with reading(self._database) as session:
            return await feed.after(
                session, application_id=self._application_id, place=place, limit=READ_EVENTS
            )


Key = TypeVar("Key")
TailT = TypeVar("TailT", JobTail, FeedTail)


class Watched(Generic[TailT]):
    """A tail and those who watch it."""

    def __init__(self, tail: TailT) -> None:
        self.tail: TailT = tail
        self.wakes: set[Wake] = set()

    def wake(self) -> None:
        """Have the tail read again, and everybody look."""
        self.tail.freshness.spoil()
        for wake in self.wakes:
            wake.set()


class Live:
    """The watchers of one API process."""

    def __init__(self, bell: Doorbell, database: Database) -> None:
        self._bell = bell
        self._database = database
        self._jobs: dict[tuple[UUID, UUID], Watched[JobTail]] = {}
        self._feeds: dict[UUID, Watched[FeedTail]] = {}

    async def listen(self) -> None:
        """Pass on what is told, for ever."""
        async for told in self._bell.listen(Channel.EVENTS):
            if told is None:  # anything may have been missed
                self._wake([*self._jobs.values(), *self._feeds.values()])
                continue
            if told.application_id is not None:
                job = self._jobs.get((told.job_id, told.application_id))
                owner = self._feeds.get(told.application_id)
                self._wake([each for each in (job, owner) if each is not None])

    @asynccontextmanager
    async def job(
        self, job_id: UUID, *, application_id: UUID
    ) -> AsyncIterator[tuple[JobTail, Wake]]:
        """Watch a job of this application for as long as the block lasts."""
        key = (job_id, application_id)
        if key not in self._jobs:
            self._jobs[key] = Watched(JobTail(self._database, *key))
        with self._watching(self._jobs, key) as wake:
            yield self._jobs[key].tail, wake

    @asynccontextmanager
    async def feed(self, application_id: UUID) -> AsyncIterator[tuple[FeedTail, Wake]]:
        """Watch all jobs of an application for as long as the block lasts."""
        if application_id not in self._feeds:
            async with reading(self._database) as session:
                start = await feed.newest(session)
            made = Watched(FeedTail(self._database, application_id, start))
            self._feeds.setdefault(application_id, made)
        with self._watching(self._feeds, application_id) as wake:
            yield self._feeds[application_id].tail, wake

    @contextlib.contextmanager
    def _watching(self, tails: dict[Key, Watched[TailT]], key: Key) -> Iterator[Wake]:
        wake, watched = Wake(), tails[key]
        watched.wakes.add(wake)
        try:
            yield wake
        finally:
            watched.wakes.discard(wake)
            if not watched.wakes:
                del tails[key]

    @staticmethod
    def _wake(watched: Iterable[Watched[JobTail] | Watched[FeedTail]]) -> None:
        for each in watched:
            each.wake()
