"""The database, opened for a command: that it does not answer is told in a sentence."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError

from app.db.engine import Database
from app.settings import Settings
from app.terminal import CommandFailed


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database, and close it at the end of the block.

    Raises:
        CommandFailed: it does not answer, or lets nobody in.
    """
    database = Database(settings.database_url)
    try:
        try:
            async with database.engine.connect():
                pass
        except (OSError, DBAPIError) as error:
            why = str(error.orig if isinstance(error, DBAPIError) else error)
            why = why.rpartition("'>: ")[2]  # asyncpg's words come after the name of a class
            raise CommandFailed(f"DOCYARD_DATABASE_URL cannot be opened: {why}") from None
        yield database
    finally:
        await database.close()
