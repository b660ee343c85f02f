"""What one worker process holds: settings, connections, its sandbox, the jobs in hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.db.columns import new_id
from app.db.engine import Database
from app.documents.store import Store, store_for
from app.jobs.queue import Doorbell
from app.seals import Seals
from app.settings import Settings
from workers.sandbox import Limits, Sandbox


@dataclass(slots=True)
class WorkerContext:
    """One worker. `nudges`: for each job in hand, what makes its heartbeat look at once."""

    settings: Settings
    database: Database
    bell: Doorbell
    store: Store
    sandbox: Sandbox
    worker_id: UUID = field(default_factory=new_id)
    nudges: dict[UUID, asyncio.Event] = field(default_factory=dict)
    # Until when this worker knows that nothing deleted is left in the database's log.
    wiped_until: datetime | None = None
    # Whether it has removed bytes since then: their rows may be left there.
    removed: bool = False

    @property
    def limits(self) -> Limits:
        """What one document may use."""
        settings = self.settings
        return Limits(
            memory_bytes=settings.sandbox_memory_bytes,
            page_time=settings.page_time,
            pages=settings.page_limit,
        )

    @property
    def seals(self) -> Seals:
        """What opens the secrets of jobs."""
        return Seals(self.settings.link_keys)

    @property
    def free_slots(self) -> int:
        """How many more jobs this worker may take up."""
        return self.settings.worker_slots - len(self.nudges)


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[WorkerContext]:
    """Open what a worker needs, and close it at the end of the block."""
    database, bell = Database(settings.database_url), Doorbell(settings.redis_url)
    try:
        async with Sandbox() as sandbox:
            yield WorkerContext(settings, database, bell, store_for(settings), sandbox)
    finally:
        await bell.close()
        await database.close()
