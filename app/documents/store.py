"""Where the bytes of documents and attachments are: in a folder, or in a bucket.

Two classes with the same methods; tests/documents/test_store_conformance.py holds them together.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.documents.bucket import BucketStore
from app.documents.content import Stored
from app.documents.local import LocalStore
from app.settings import SettingError, Settings

__all__ = ["BucketStore", "LocalStore", "Store", "Stored", "store_for"]

Store = LocalStore | BucketStore


def store_for(settings: Settings) -> Store:
    """Return the store that the settings name. A bucket is not asked for before its first use.

    Raises:
        SettingError: DOCYARD_STORE_URL has a scheme this version does not know, or names a
            folder or a bucket that cannot be used as it is described.
    """
    url = urlsplit(settings.store_url)
    match url.scheme:
        case "file":
            root = Path(unquote(url.path))
            try:
                return LocalStore(root, free_disk_bytes=settings.free_disk_bytes)
            except OSError as error:
                wrong = f"DOCYARD_STORE_URL: {root} cannot be used: {error.strerror}."
                raise SettingError(wrong) from None
        case "s3":
            return BucketStore(settings.store_url)
        case other:
            known = "file:///path or s3://bucket/prefix"
            raise SettingError(f"DOCYARD_STORE_URL begins with {other!r}; use {known}.")
