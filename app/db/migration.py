"""Bringing the tables up to date, by one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.db.engine import Database

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
    """
    async with database.engine.begin() as connection:
        if not database.is_sqlite:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        await connection.run_sync(lambda sync: command.upgrade(config(sync), "head"))


async def is_current(database: Database) -> bool:
    """Return whether the tables are at the newest step."""

    def compare(connection: Connection) -> bool:
        script = ScriptDirectory.from_config(config(connection))
        return (
            MigrationContext.configure(connection).get_current_revision()
            == script.get_current_head()
        )

    async with database.engine.connect() as connection:
        return await connection.run_sync(compare)
