"""Who is asking: the application, the key and its scope, found by the key."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import col, select, update

from app.accounts.models import ApiKey, Scope
from app.accounts.tokens import token_hash
from app.clock import now
from app.db.engine import Database
from app.db.work import reading, transaction
from app.errors import Forbidden, Unauthenticated

SEEN_EVERY = timedelta(minutes=1)
"""How fine `last_used_at` is: not every request is worth a write."""


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
    if key.last_used_at is None or moment - key.last_used_at > SEEN_EVERY:
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
    # Of many requests at once one writes.
    unseen = col(ApiKey.last_used_at).is_(None) | (col(ApiKey.last_used_at) < moment - SEEN_EVERY)
    statement = update(ApiKey).where(col(ApiKey.id) == key_id, unseen).values(last_used_at=moment)
    async with transaction(database) as work:
        await work.session.exec(statement)
