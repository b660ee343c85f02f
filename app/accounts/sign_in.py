"""Signing a browser in: a one-use code, given away in a link, becomes a key that ends by itself."""

import secrets
from datetime import timedelta
from uuid import UUID

from sqlmodel import col, delete

from app.accounts.commands import create_key
from app.accounts.models import ApiKey, Scope, SignInCode
from app.accounts.tokens import token_hash
from app.clock import now
from app.db.work import Work
from app.errors import SignInRefused

CODE_LIFETIME = timedelta(minutes=15)
KEY_LIFETIME = timedelta(hours=12)
KEY_NAME = "explorer"


async def create_code(work: Work, *, application_id: UUID) -> str:
    """Make a code; return it. Only its hash is kept, for CODE_LIFETIME at most."""
    await work.session.exec(delete(SignInCode).where(col(SignInCode.expires_at) <= now()))
    code = secrets.token_urlsafe(32)
    row = SignInCode(
        code_hash=token_hash(code),
        application_id=application_id,
        expires_at=now() + CODE_LIFETIME,
    )
    work.session.add(row)
    await work.session.flush()
    return code


async def exchange(work: Work, code: str) -> tuple[ApiKey, str]:
    """Use a code up; return the row of a new key of its application, and the token.

    Raises:
        SignInRefused: the code was used, has expired, or never was.
    """
    # Of two that come at once one deletes the row.
    taken = (
        delete(SignInCode)
        .where(col(SignInCode.code_hash) == token_hash(code), col(SignInCode.expires_at) > now())
        .returning(col(SignInCode.application_id))
    )
    application_id = (await work.session.exec(taken)).scalar_one_or_none()
    if application_id is None:
        raise SignInRefused
    return await create_key(
        work,
        application_id=application_id,
        name=KEY_NAME,
        scope=Scope.ADMIN,
        lifetime=KEY_LIFETIME,
    )
