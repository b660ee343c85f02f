"""Making applications and keys, and taking keys back."""

from datetime import timedelta
from uuid import UUID

from sqlmodel import col, select, update

from app.accounts.models import ApiKey, Application, Scope
from app.accounts.tokens import PREFIX_CHARS, new_token, token_hash
from app.clock import now
from app.db.work import Work


async def create_application(
    work: Work, *, name: str, max_open_jobs: int, max_running_jobs: int = 0
) -> Application:
    """Make an application; it has no key yet. max_running_jobs: 0 is no limit."""
    application = Application(
        name=name, max_open_jobs=max_open_jobs, max_running_jobs=max_running_jobs or None
    )
    work.session.add(application)
    await work.session.flush()
    return application


async def first_application(work: Work) -> Application | None:
    """Return the oldest application, None where there is none."""
    return (await work.session.exec(select(Application).order_by(col(Application.id)))).first()


async def create_key(
    work: Work,
    *,
    application_id: UUID,
    name: str,
    scope: Scope,
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; return its row and the token, which is never shown again."""
    token = new_token()
    key = ApiKey(
        application_id=application_id,
        name=name,
        prefix=token[:PREFIX_CHARS],
        token_hash=token_hash(token),
        scope=scope,
        expires_at=None if lifetime is None else now() + lifetime,
    )
    work.session.add(key)
    await work.session.flush()
    return key, token


async def revoke_key(work: Work, key_id: UUID) -> None:
    """Make a key worthless, now and for good; nothing happens where it is already."""
    statement = (
        update(ApiKey)
        .where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=now())
    )
    await work.session.exec(statement)
