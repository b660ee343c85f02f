"""Secrets at rest: sealed with the keys of the service, opened only where they are needed."""

import base64
import resource
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.settings import SettingError

KEY_BYTES = 32
PURPOSE = b"docyard: secrets at rest"
"""A key made for this purpose says nothing of those that sign links, which have the same origin."""


class CannotOpen(Exception):
    """No key that is here opens this; the text says what to do, and nothing of the secret."""

    def __init__(self) -> None:
        super().__init__("DOCYARD_SECRET_KEYS does not hold the key that sealed it")


class Seals:
    """Seals texts and opens them: the first key seals, all open, so that keys can be changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take the keys of the service, of any length; there may be none, for want of a setting."""
        self._box = MultiFernet([Fernet(_derived(key)) for key in keys]) if keys else None

    def seal(self, text: str) -> str:
        """Return the text sealed; twice the same text gives two seals.

        Raises:
            SettingError: there is no key.
        """
        if self._box is None:
            raise SettingError("DOCYARD_SECRET_KEYS is not set: secrets cannot be kept.")
        return self._box.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the text that was sealed.

        Raises:
            CannotOpen: it was sealed with another key, or changed since.
        """
        if self._box is None:
            raise CannotOpen
        try:
            return self._box.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise CannotOpen from None


def forbid_core_dumps() -> None:
    """Keep what this process opens out of core dumps; the processes it starts inherit that."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _derived(key: bytes) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=PURPOSE).derive(key)
    return base64.urlsafe_b64encode(derived)
