"""What an operator does by hand: bring the database up to date, make a key."""

import asyncio
from datetime import timedelta

from app.accounts.models import Scope
from app.db import migration
from app.db.engine import Database
from app.embedded import keys
from app.embedded.folder import Folder, keeps_database
from app.settings import Settings
from app.terminal import CommandFailed, say


def migrate(settings: Settings) -> None:
    """Bring the tables up to date; many machines may do so at once."""
    if keeps_database(settings):
        Folder(settings.data_dir).open()
    asyncio.run(_migrate(settings))


def create_key(
    settings: Settings,
    *,
    application: str | None,
    name: str,
    scope: str,
    lifetime: timedelta | None,
) -> None:
    """Make a key and print it. application: its name, made where there is none; None: the oldest.

    Raises:
        CommandFailed: the tables are not up to date.
    """
    asked = keys.Asked(application, name, Scope(scope), lifetime)
    say(asyncio.run(_create_key(settings, asked)))


async def _migrate(settings: Settings) -> None:
    database = Database(settings.database_url)
    try:
        await migration.migrate(database)
    finally:
        await database.close()


async def _create_key(settings: Settings, asked: keys.Asked) -> str:
    if keeps_database(settings) and not (settings.data_dir / "docyard.db").exists():
        raise CommandFailed(
            "There is no database yet; run `docyard up` or `docyard migrate` first."
        )
    database = Database(settings.database_url)
    try:
        if not await migration.is_current(database):
            raise CommandFailed("The database is not up to date; run `docyard migrate` first.")
        return await keys.create(database, asked, settings)
    finally:
        await database.close()
