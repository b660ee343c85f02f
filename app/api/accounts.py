"""Applications, keys and the caller in the schema."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from app.accounts import models
from app.accounts.queries import keys_of
from app.api.context import Context, Info
from app.api.pages import Node
from app.api.vocabulary import Scope
from app.jobs import queries


@strawberry.type(
    description="A key of an application. The key itself is shown once, when it is made."
)
class ApiKey(Node):
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="What it is for.")
    prefix: str = strawberry.field(description="Its first characters, to know it by.")
    scope: Scope = strawberry.field(description="What it may do.")
    created_at: datetime = strawberry.field(description="When it was made.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to the minute; null for never."
    )
    expires_at: datetime | None = strawberry.field(description="When it ends, null for never.")
    revoked_at: datetime | None = strawberry.field(
        description="When it was revoked; null: it was not."
    )

    @classmethod
    def from_row(cls, row: models.ApiKey) -> Self:
        """Translate a row."""
        return cls(
            id=strawberry.ID(str(row.id)),
            name=row.name,
            prefix=row.prefix,
            scope=row.scope,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )


@strawberry.type(description="The tenant: owns documents and jobs, has keys.")
class Application(Node):
    row: strawberry.Private[models.Application]

    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="Its name.")
    email: str | None = strawberry.field(description="Whom to write to, where that is known.")
    max_open_jobs: int = strawberry.field(description="How many jobs it may have open at once.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def from_row(cls, row: models.Application) -> Self:
        """Translate a row."""
        return cls(
            row=row,
            id=strawberry.ID(str(row.id)),
            name=row.name,
            email=row.email,
            max_open_jobs=row.max_open_jobs,
            created_at=row.created_at,
        )

    @strawberry.field(description="How many of its jobs have not ended.")
    async def open_jobs(self, info: Info) -> int:
        return await info.context.loaders.gather(queries.open_jobs, self.row.id)

    @strawberry.field(
        description="Its keys, oldest first; for callers whose key may do all (ADMIN), an error "
        "with the code FORBIDDEN for others."
    )
    async def api_keys(self, info: Info) -> list[ApiKey]:
        info.context.caller.require(Scope.ADMIN)
        rows = await info.context.loaders.gather(keys_of, self.row.id)
        return [ApiKey.from_row(row) for row in rows]


@strawberry.type(description="Who is asking.")
class Viewer:
    application: Application = strawberry.field(description="The application of the key.")
    api_key: ApiKey | None = strawberry.field(description="The key.")
    scope: Scope = strawberry.field(description="What the key may do.")
    expires_at: datetime | None = strawberry.field(description="When the key ends, null for never.")


async def viewer(context: Context) -> Viewer:
    """Return who is asking."""
    caller = context.caller
    application = await application_of(context, caller.application_id)
    return Viewer(
        application=application,
        api_key=await api_key_of(context, caller.api_key_id),
        scope=caller.scope,
        expires_at=caller.expires_at,
    )


async def application_of(context: Context, id: UUID) -> Application:
    """Return the caller's application."""
    row = await context.loaders.applications.load(id)
    if row is None:
        raise LookupError("the caller's application is gone")
    return Application.from_row(row)


async def api_key_of(context: Context, id: UUID | None) -> ApiKey | None:
    """Return a key of the caller's application; None where there is none."""
    row = None if id is None else await context.loaders.api_keys.load(id)
    return None if row is None else ApiKey.from_row(row)
