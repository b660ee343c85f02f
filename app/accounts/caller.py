"""Who is asking: the application, the key and its scope, found by the key."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select, update

from app.accounts.models import ApiKey, Scope
from app.accounts.tokens import token_hash
from app.clock import now
from app.db.engine import Database
from app.db.work import reading, transaction
from app.errors import Forbidden, Unauthenticated

logger = logging.getLogger(__name__)

SEEN_EVERY = timedelta(minutes=1)
"""How fine `last_used_at` is: not every request is worth a write."""

_being_marked: set[UUID] = set()
"""Who comes with such a key meanwhile does not wait: SQLite's write lock may be long in coming."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. Everything it sees and does is within its application."""

    application_id: UUID
    api_key_id: UUID
    scope: Scope
    expires_at: datetime | None

    def require(self, scope: Scope) -> None:
        """Do nothing where the key allows this.

        Raises:
            Forbidden: the scope of the key is too small.
        """
        if not self.scope.includes(scope):
            raise Forbidden(needs=scope.value)


async def authenticate(database: Database, token: str | None) -> Caller:
    """Return the caller that holds this key.

    Raises:
        Unauthenticated: no key, or one that is unknown, revoked or expired.
    """
    if not token:
        raise Unauthenticated
    async with reading(database) as session:
        key = (
            await session.exec(select(ApiKey).where(ApiKey.token_hash == token_hash(token)))
        ).first()
    moment = now()
    if key is None or key.revoked_at is not None:
        raise Unauthenticated
    if key.expires_at is not None and key.expires_at <= moment:
        raise Unauthenticated
    is_due = key.last_used_at is None or moment - key.last_used_at > SEEN_EVERY
    if is_due and key.id not in _being_marked:
        await _mark_used(database, key.id, moment)
    return Caller(key.application_id, key.id, key.scope, key.expires_at)


async def revoked(database: Database, callers: Collection[Caller]) -> set[Caller]:
    """Return those of the callers whose key has been taken back since, or is gone."""
    good = select(ApiKey.id).where(
        col(ApiKey.id).in_({caller.api_key_id for caller in callers}),
        col(ApiKey.revoked_at).is_(None),
    )
    async with reading(database) as session:
        left = set(await session.exec(good))
    return {caller for caller in callers if caller.api_key_id not in left}


async def _mark_used(database: Database, key_id: UUID, moment: datetime) -> None:
    # Of many processes at once one writes.
    unseen = col(ApiKey.last_used_at).is_(None) | (col(ApiKey.last_used_at) < moment - SEEN_EVERY)
    statement = update(ApiKey).where(col(ApiKey.id) == key_id, unseen).values(last_used_at=moment)
    _being_marked.add(key_id)
    try:
        async with transaction(database) as work:
            await work.session.exec(statement)
    except SQLAlchemyError as error:  # who only reads may do so, also where nothing can be written
        logger.warning("the use of a key could not be noted: %s", type(error).__name__)
    finally:
        _being_marked.discard(key_id)
