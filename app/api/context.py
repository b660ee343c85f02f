"""What a resolver is given: who asks, and the service that is asked."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import strawberry
from starlette.requests import HTTPConnection

from app.accounts.caller import Caller
from app.api.live import Live
from app.api.loaders import Loaders
from app.api.vocabulary import Scope
from app.clock import now
from app.db.engine import Database
from app.db.work import ReadSession, Work, reading, transaction
from app.documents.links import MAX_LIFETIME, Action, Links
from app.documents.store import Store
from app.errors import TooManyRows
from app.jobs.queue import Doorbell
from app.seals import Seals
from app.settings import Settings

ROWS_AN_OPERATION = 20_000
"""Rows that the lists of one operation, or of one event of a subscription, may read in all."""


@dataclass(slots=True)
class Services:
    """What one API process holds."""

    settings: Settings
    database: Database
    bell: Doorbell
    store: Store
    links: Links
    seals: Seals
    live: Live
    started_at: datetime = field(default_factory=now)


@dataclass(slots=True)
class Context:
    """One operation: made anew for each, also on a websocket."""

    services: Services
    caller: Caller
    loaders: Loaders
    request_id: str
    ip: str | None
    base_url: str
    rows_left: int = ROWS_AN_OPERATION

    def spend(self, rows: int) -> None:
        """Count rows that a list has read: lists within lists multiply.

        Raises:
            TooManyRows: the operation has read more than it may.
        """
        self.rows_left -= rows + 1
        if self.rows_left < 0:
            raise TooManyRows(limit=ROWS_AN_OPERATION)

    def reading(self) -> AbstractAsyncContextManager[ReadSession]:
        """Open a short session that only reads."""
        return reading(self.services.database)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Work]:
        """Open a transaction.

        Raises:
            Forbidden: the caller's key may only read.
        """
        self.caller.require(Scope.WRITE)
        async with transaction(self.services.database) as work:
            yield work

    def link(self, action: Action, id: UUID, *, lifetime: timedelta) -> str:
        """Return a signed link; it lives for a second at least and seven days at most."""
        lifetime = min(max(lifetime, timedelta(seconds=1)), MAX_LIFETIME)
        path = self.services.links.path(action, id, expires_at=now() + lifetime)
        return f"{self.base_url}{path}"


Info = strawberry.Info[Context, None]


class MakeContext:
    """Makes the context of an operation."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def __call__(
        self, *, caller: Caller, request_id: str, ip: str | None, connection: HTTPConnection
    ) -> Context:
        """Return what resolvers find as info.context."""
        public = self.services.settings.public_url.rstrip("/")
        return Context(
            services=self.services,
            caller=caller,
            loaders=Loaders(self.services.database, caller),
            request_id=request_id,
            ip=ip,
            base_url=public or base_url(connection),
        )


def base_url(connection: HTTPConnection) -> str:
    """Return the address under which this caller reached us, without a slash at its end."""
    url = connection.base_url
    scheme = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
    return str(url.replace(scheme=scheme)).rstrip("/")
