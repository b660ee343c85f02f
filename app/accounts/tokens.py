"""API keys as callers hold them: made at random, shown once, kept as a hash."""

import hashlib
import secrets

PREFIX_CHARS = 11


def new_token() -> str:
    """Return a new key: `dy_` and 256 random bits."""
    return f"dy_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> str:
    """Return what is stored of a key. A plain hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
