"""Bringing the tables up to date, by one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from app.db.engine import Database
from app.terminal import CommandFailed

ADVISORY_LOCK = 0x646F6379  # "docy": any number, as long as nobody else in this database uses it


def config(connection: Connection) -> Config:
    """Return alembic's configuration for our migrations on this connection."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.attributes["connection"] = connection
    return settings


async def migrate(database: Database) -> None:
    """Upgrade the tables to the newest step; return at once where they are.

    Safe to call from many processes at the same time: on PostgreSQL an advisory lock, on SQLite the
    write lock lets one work and the others wait.

    Raises:
        CommandFailed: a newer version made the tables.
    """
    async with database.engine.begin() as connection:
        if not database.is_sqlite:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        if not await connection.run_sync(_is_current):
            await connection.run_sync(lambda sync: command.upgrade(config(sync), "head"))


async def is_current(database: Database) -> bool:
    """Return whether the tables are at the newest step.

    Raises:
        CommandFailed: a newer version made them.
    """
    async with database.engine.connect() as connection:
        return await connection.run_sync(_is_current)


def _is_current(connection: Connection) -> bool:
    steps = ScriptDirectory.from_config(config(connection))
    step = MigrationContext.configure(connection).get_current_revision()
    try:
        steps.get_revision(step or "base")
    except CommandError:
        raise CommandFailed(
            "The database is of a newer version of Docyard; install that, or go back to a backup."
        ) from None
    return step == steps.get_current_head()
