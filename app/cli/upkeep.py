"""What an operator does by hand: bring the database up to date, make a key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from app.accounts.models import Scope
from app.db import migration
from app.db.engine import Database
from app.embedded import keys
from app.embedded.database import open_database
from app.embedded.endpoint import Endpoint
from app.embedded.folder import Folder, keeps_database
from app.settings import Settings
from app.terminal import CommandFailed, say


def migrate(settings: Settings) -> None:
    """Bring the tables up to date; many machines may do so at once."""
    if keeps_database(settings):
        Folder(settings.data_dir).open()
    asyncio.run(_migrate(settings))


def check(settings: Settings) -> None:
    """Return where the database can be worked with.

    Raises:
        CommandFailed: it does not answer, or is not up to date.
    """
    asyncio.run(_check(settings))


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


def show_explorer(settings: Settings) -> None:
    """Print a link that opens the explorer and signs in, once and soon.

    Raises:
        CommandFailed: no service runs here and none is named, or the tables are not up to date.
    """
    running = Endpoint.read(Folder(settings.data_dir).service_file)
    if settings.public_url:
        running = Endpoint.at(settings.public_url, api_key="", pid=0)
    if running is None:
        raise CommandFailed(
            "No service runs on this data folder; start one with `docyard up`, or name the one you"
            " mean in DOCYARD_PUBLIC_URL."
        )
    say(running.explorer(asyncio.run(_create_sign_in_code(settings))))


async def _migrate(settings: Settings) -> None:
    async with open_database(settings) as database:
        await migration.migrate(database)


async def _check(settings: Settings) -> None:
    async with _current_database(settings):
        pass


async def _create_key(settings: Settings, asked: keys.Asked) -> str:
    async with _current_database(settings) as database:
        return await keys.create(database, asked, settings)


async def _create_sign_in_code(settings: Settings) -> str:
    async with _current_database(settings) as database:
        return await keys.create_sign_in_code(database, settings)


@asynccontextmanager
async def _current_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database.

    Raises:
        CommandFailed: there is none, it does not answer, or it is not up to date.
    """
    if keeps_database(settings) and not (settings.data_dir / "docyard.db").exists():
        raise CommandFailed(
            "There is no database yet; run `docyard up` or `docyard migrate` first."
        )
    async with open_database(settings) as database:
        if not await migration.is_current(database):
            raise CommandFailed("The database is not up to date; run `docyard migrate` first.")
        yield database
