"""The doorbell: wakes workers and watchers through Redis. It carries ids only and may fail.

A message may come twice or never. What is true stands in the database, and the sweep makes good
what was not heard, so a ring or a publish that fails is logged and never raised.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid4

from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, RedisError, TimeoutError  # noqa: A004

from app.settings import SettingError

logger = logging.getLogger(__name__)

QUEUE = "docyard:queue"
RUN_JOB = "run_job"
ANSWER_SECONDS = 0.25
ID_BYTES = 16
MOST_RINGS = 100


@dataclass(frozen=True, slots=True)
class Told:
    """What was heard: of which job, and, with events, of which application."""

    channel: "Channel"
    job_id: UUID
    application_id: UUID | None = None


class Channel(StrEnum):
    """What is told over Redis besides the queue; each message is an id, or two."""

    EVENTS = "docyard:events"
    CANCELS = "docyard:cancels"
    RINGS = "docyard:rings"


class Doorbell:
    """Rings for work and tells of changes; one connection pool a process."""

    def __init__(self, redis_url: str) -> None:
        self.url = redis_url
        pool = connection_pool(redis_url, patient=False)
        self.redis = queue_client(pool)
        self._unheard = False
        self._listeners = Redis.from_url(redis_url)

    async def ring(self, id: UUID) -> None:
        """Wake a worker, for a job or for a new document.

        It takes the best job that is due, which need not be this one, and looks at new documents
        when there is none.
        """
        # A new arq id for each ring: arq drops one whose id it has seen.
        await self._say("ring", self.redis.enqueue_job(RUN_JOB, str(id), _job_id=uuid4().hex))
        if not self._unheard:
            # An idle worker would come to look by itself, a tenth of a second later.
            await self._say("ring", self.redis.publish(Channel.RINGS, id.bytes))

    async def ring_for(self, ids: Sequence[UUID]) -> None:
        """Wake workers for many jobs: MOST_RINGS do, since each is answered by job after job."""
        for id in ids[:MOST_RINGS]:
            await self.ring(id)

    async def publish(self, job_id: UUID, application_id: UUID) -> None:
        """Tell watchers that a job has new events."""
        ids = job_id.bytes + application_id.bytes
        await self._say("publish", self.redis.publish(Channel.EVENTS, ids))

    async def publish_all(self, jobs: Sequence[tuple[UUID, UUID]]) -> None:
        """Tell watchers that these jobs have new events, each with its application."""
        if not jobs:
            return
        pipeline = self.redis.pipeline(transaction=False)
        for job_id, application_id in jobs:
            pipeline.publish(Channel.EVENTS, job_id.bytes + application_id.bytes)
        await self._say("publish", pipeline.execute())

    async def cancel(self, job_id: UUID) -> None:
        """Tell the worker of a job to stop; the row says so already."""
        await self._say("cancel", self.redis.publish(Channel.CANCELS, job_id.bytes))

    async def ping(self) -> bool:
        """Return whether Redis answers."""
        try:
            return bool(await self.redis.ping())
        except (RedisError, OSError):
            return False

    async def listen(self, *channels: Channel) -> AsyncGenerator[Told | None, None]:
        """Go through what is told on these channels, for ever.

        None means: something may have been missed, read the database again. It comes with each new
        connection, and every two seconds at the latest while there is none.
        """
        delay = ExponentialBackoff(cap=2, base=0.05)
        failures = 0
        while True:
            try:
                async with self._listeners.pubsub() as pubsub:
                    await pubsub.subscribe(*channels)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            yield _told(message["channel"].decode(), message["data"])
                        else:  # Redis has the subscription; before that it would tell us nothing
                            failures = 0
                            yield None
            except (RedisError, OSError, ValueError):  # the last: what is no id of ours
                failures += 1
                yield None
                await asyncio.sleep(delay.compute(failures))

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose(close_connection_pool=True)
        await self._listeners.aclose()

    async def _say(self, what: str, message: Awaitable[object]) -> None:
        try:
            await message
        except (RedisError, OSError) as error:
            # Once an outage: while it lasts, every write of every job would say it again.
            level = logging.DEBUG if self._unheard else logging.WARNING
            logger.log(level, "%s was not heard: %s", what, type(error).__name__)
            self._unheard = True
        else:
            self._unheard = False


def _told(channel: str, ids: bytes) -> Told:
    """Read a message; raises ValueError for what is none of ours."""
    job, application = ids[:ID_BYTES], ids[ID_BYTES:]
    owner = UUID(bytes=application) if application else None
    return Told(Channel(channel), UUID(bytes=job), owner)


def connection_pool(redis_url: str, *, patient: bool) -> ConnectionPool:
    """Return connections to Redis.

    patient: True for workers, which outlive a restart of Redis; False where somebody waits.

    Raises:
        SettingError: DOCYARD_REDIS_URL is not an address of Redis.
    """
    try:
        if patient:
            return ConnectionPool.from_url(
                redis_url,
                retry=Retry(ExponentialBackoff(cap=2, base=0.1), 60),
                # OSError: a socket that is not there yet, which redis-py does not count as refused.
                retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError, OSError],
            )
        return ConnectionPool.from_url(
            redis_url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
        )
    except ValueError as error:
        raise SettingError(f"DOCYARD_REDIS_URL: {error}") from None


class QueueClient(ArqRedis):
    """arq's client, closed as redis-py asks: arq itself still calls what redis-py is to drop."""

    async def close(self, close_connection_pool: bool | None = None) -> None:
        """Close the connections."""
        await self.aclose(close_connection_pool)


def queue_client(pool: ConnectionPool) -> QueueClient:
    """Return arq's client on our queue. JSON, because who reads pickles runs them."""
    return QueueClient(
        connection_pool=pool,
        job_serializer=lambda value: json.dumps(value).encode(),
        job_deserializer=json.loads,
        default_queue_name=QUEUE,
    )
