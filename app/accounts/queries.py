"""Reading applications and their keys."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select

from app.accounts.models import ApiKey
from app.db.work import ReadSession


async def keys_of(
    session: ReadSession, application_ids: Sequence[UUID]
) -> dict[UUID, list[ApiKey]]:
    """Return the keys of each application, oldest first."""
    owner = col(ApiKey.application_id)
    found: dict[UUID, list[ApiKey]] = {id: [] for id in application_ids}
    statement = select(ApiKey).where(owner.in_(application_ids)).order_by(col(ApiKey.id))
    for row in await session.exec(statement):
        found[row.application_id].append(row)
    return found
