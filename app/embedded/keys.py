"""API keys that the command line makes: the first, the one of each start, those asked for."""

import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlmodel import col, select

from app.accounts import sign_in
from app.accounts.commands import (
    create_application,
    create_key,
    first_application,
    revoke_key,
)
from app.accounts.models import ApiKey, Application, Scope
from app.db.engine import Database
from app.db.work import Work, transaction
from app.settings import Settings

DEFAULT_APPLICATION = "default"
NAME_CHARS = 255
START = "docyard up on "


@dataclass(frozen=True, slots=True)
class StartKeys:
    """The keys of one start.

    first: only where no key was there that lasts. code: signs a browser in, once.
    """

    start: str
    start_id: UUID
    first: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A key that somebody asks for. application: a name; it is made where there is none of it."""

    application: str | None
    name: str
    scope: Scope
    lifetime: timedelta | None


async def make_for_start(database: Database, settings: Settings, *, attended: bool) -> StartKeys:
    """Make the key of this start, after revoking those that crashed starts left.

    attended: somebody reads what is printed. Make a key that lasts, too, where there is none, and a
    code that signs a browser in.
    """
    async with transaction(database) as work:
        application = await _owner(work, None, settings)
        first = None
        if attended and not await _has_lasting_key(work):
            _, first = await create_key(
                work, application_id=application.id, name="first key", scope=Scope.ADMIN
            )
        name = _start_name(settings.data_dir)
        await _revoke_named(work, name)
        key, token = await create_key(
            work, application_id=application.id, name=name, scope=Scope.ADMIN
        )
        code = None
        if attended:
            code = await sign_in.create_code(work, application_id=application.id)
    return StartKeys(token, key.id, first, code)


async def create_sign_in_code(database: Database, settings: Settings) -> str:
    """Make a code that signs a browser in to the application of this machine, and return it."""
    async with transaction(database) as work:
        owner = await _owner(work, None, settings)
        return await sign_in.create_code(work, application_id=owner.id)


async def revoke(database: Database, key_id: UUID) -> None:
    """Make a key worthless."""
    async with transaction(database) as work:
        await revoke_key(work, key_id)


async def create(database: Database, asked: Asked, settings: Settings) -> str:
    """Make a key and return it; it is never shown again."""
    async with transaction(database) as work:
        owner = await _owner(work, asked.application, settings)
        _, token = await create_key(
            work,
            application_id=owner.id,
            name=asked.name,
            scope=asked.scope,
            lifetime=asked.lifetime,
        )
    return token


async def _owner(work: Work, name: str | None, settings: Settings) -> Application:
    if name is None:
        found = await first_application(work)
    else:
        named = select(Application).where(Application.name == name).order_by(col(Application.id))
        found = (await work.session.exec(named)).first()
    return found or await create_application(
        work,
        name=name or DEFAULT_APPLICATION,
        max_open_jobs=settings.max_open_jobs,
        max_running_jobs=settings.max_running_jobs,
    )


async def _has_lasting_key(work: Work) -> bool:
    lasting = select(ApiKey.id).where(
        ~col(ApiKey.name).startswith(START, autoescape=True), col(ApiKey.name) != sign_in.KEY_NAME
    )
    return (await work.session.exec(lasting.limit(1))).first() is not None


async def _revoke_named(work: Work, name: str) -> None:
    left_over = select(ApiKey.id).where(ApiKey.name == name, col(ApiKey.revoked_at).is_(None))
    for key_id in (await work.session.exec(left_over)).all():
        await revoke_key(work, key_id)


def _start_name(data_dir: Path) -> str:
    # With the machine and the folder: others that share the database keep theirs.
    return f"{START}{socket.gethostname()}, {data_dir}"[:NAME_CHARS]
