"""Signed links: whoever holds one may fetch or send these bytes until it expires, without a key."""

import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from urllib.parse import urlencode
from uuid import UUID

from app.clock import now
from app.errors import InvalidLink

MAX_LIFETIME = timedelta(days=7)


class Action(StrEnum):
    """What a link allows; the word is part of its path and of what is signed."""

    DOWNLOAD = "files"
    UPLOAD = "uploads"


class Links:
    """Makes and checks links with the keys of the service: the first signs, all are accepted."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self.keys = keys

    def path(self, action: Action, id: UUID, *, expires_at: datetime) -> str:
        """Return the path and query of a link, without the address of the service."""
        expires = int(expires_at.timestamp())
        query = urlencode(
            {"expires": expires, "signature": _sign(self.keys[0], action, id, expires)}
        )
        return f"/{action}/{id}?{query}"

    def check(self, action: Action, id: UUID, *, expires: str, signature: str) -> None:
        """Do nothing where the link is good.

        Raises:
            InvalidLink: it has expired, was changed, or signs something else.
        """
        try:
            until = int(expires)
            given = signature.encode("ascii")
        except ValueError:
            raise InvalidLink from None
        good = any(
            hmac.compare_digest(_sign(key, action, id, until).encode(), given) for key in self.keys
        )
        if not good or until <= now().timestamp():
            raise InvalidLink


def _sign(key: bytes, action: Action, id: UUID, expires: int) -> str:
    return hmac.new(key, f"{action}/{id}/{expires}".encode(), sha256).hexdigest()
