"""Units of work: one transaction a step, and what is to happen once it is committed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NewType, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.engine import Database

logger = logging.getLogger(__name__)

ReadSession = NewType("ReadSession", AsyncSession)
WriteSession = NewType("WriteSession", ReadSession)  # one may read in it too

T = TypeVar("T")

DEADLOCK_DETECTED = "40P01"
DEADLOCKS = 3
"""How often a step that met one is done again."""

AfterCommit = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Work:
    """A transaction in hand. Nothing in the middle commits; effects wait for the commit."""

    session: WriteSession
    after_commit_calls: list[AfterCommit] = field(default_factory=list)

    def after_commit(self, call: AfterCommit) -> None:
        """Call this once the transaction is committed, never otherwise."""
        self.after_commit_calls.append(call)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what the block did where it raises, and keep what was done before it."""
        calls = len(self.after_commit_calls)
        try:
            async with self.session.begin_nested():
                yield
        except BaseException:
            del self.after_commit_calls[calls:]
            raise


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[Work]:
    """Open a transaction; commit at the end of the block, roll back where it raises."""
    async with database.writer() as session:
        work = Work(WriteSession(ReadSession(session)))
        async with session.begin():
            # Begun now and not with the first statement: a time that is read before the wait for
            # SQLite's write lock may be over when it is written.
            await session.connection()
            yield work
    for call in work.after_commit_calls:
        try:
            await call()
        except Exception:
            # What was promised is in the rows; the sweep makes good what was not said aloud.
            logger.exception("a call after commit failed")


async def unbroken(
    step: Coroutine[Any, Any, T], *, undo: Callable[[T], Coroutine[Any, Any, None]] | None = None
) -> T:
    """Carry a step that uses the database to its end, also where its caller is canceled meanwhile.

    The cancellation takes effect after it. Canceled in the middle, a connection is thrown away with
    its transaction open, and SQLite keeps the write lock until the last cursor of it is collected.

    undo: is called, and carried to its end too, with what a caller that was canceled never learns.
    """
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await ended(task)
        if not task.cancelled():
            if (error := task.exception()) is not None:
                logger.warning("a canceled step failed: %s", type(error).__name__)
            elif undo is not None:
                await unbroken(undo(task.result()))
        raise


async def ended(task: asyncio.Task[Any]) -> None:
    """Wait for the end of a task, for callers that were canceled already and raise that afterwards.

    One may be canceled again meanwhile: by who waits for it, and by the process that stops.
    """
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})


async def carried_out(step: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Carry a step to its end like `unbroken`; do it again where it met another one head-on.

    PostgreSQL ends one of two transactions that wait for each other. Nothing is left of it, and the
    same step goes through once the other one is over.
    """
    return await unbroken(_repeated(step))


async def _repeated(step: Callable[[], Coroutine[Any, Any, T]]) -> T:
    for _ in range(DEADLOCKS):
        try:
            return await step()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != DEADLOCK_DETECTED:
                raise
            logger.info("a transaction met another one head-on; it is done again")
    return await step()


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[ReadSession]:
    """Open a short session that only reads."""
    async with database.reader() as session:
        yield ReadSession(session)
