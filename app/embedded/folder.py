"""The data folder of a single machine: private, for one service at a time, with its own key."""

import contextlib
import fcntl
import os
import secrets
import stat
from pathlib import Path

from pydantic import SecretStr

from app.embedded.valkey import Valkey
from app.settings import SECRET_KEY_CHARS, SettingError, Settings
from app.terminal import CommandFailed

LOCK = "up.lock"
PRIVATE = 0o700
OTHERS = 0o077
CANNOT_STAND_IN_AN_ADDRESS = frozenset("?#%")


class Folder:
    """The data folder; nothing is made or changed before `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.service_file = path / "service.json"
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder and see to it that only its owner can look into it.

        Raises:
            SettingError: the path cannot be used.
        """
        if any(
            char in CANNOT_STAND_IN_AN_ADDRESS or not char.isprintable() for char in f"{self.path}"
        ):
            raise SettingError(
                f"DOCYARD_DATA_DIR (it is {str(self.path)!r}): '?', '#', '%' and control characters"
                " cannot stand in the addresses made from it."
            )
        try:
            self.path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            self._make_private()
        except OSError as error:
            raise self._wrong(error) from None

    def lock(self) -> None:
        """Take the folder for this process, until it ends.

        Raises:
            CommandFailed: a service uses it.
            SettingError: nothing can be written there.
        """
        try:
            fd = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._wrong(error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode().strip()
            os.close(fd)
            raise CommandFailed(
                f"A service runs on this data folder already: {self.path} (process {holder})."
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._lock = fd

    def is_locked(self) -> bool:
        """Return whether a service uses the folder."""
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(self.path / LOCK, os.O_RDONLY)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(fd)
        return False

    def secret_key(self) -> str:
        """Return the folder's own key; make it at the first call.

        Raises:
            SettingError: the file is there, but not as we made it.
        """
        path = self.path / "secret.key"
        if not path.exists():
            draft = self.path / f".secret.key.{os.getpid()}"
            draft.unlink(missing_ok=True)
            fd = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(48))
                file.flush()
                os.fsync(fd)
            # A link, not a rename: of two processes that come here at once one wins, for both.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        key = path.read_text("utf-8", "replace").strip()
        if len(key) < SECRET_KEY_CHARS:
            raise SettingError(f"{path} holds no key; remove it and a new one is made.")
        return key

    def _wrong(self, error: OSError) -> SettingError:
        return SettingError(f"DOCYARD_DATA_DIR: {self.path}: {error.strerror}.")

    def _make_private(self) -> None:
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if not mode & OTHERS:
            return
        # Never close a folder that others use, such as /tmp.
        if any(self.path.iterdir()) and not (self.path / LOCK).exists():
            raise SettingError(
                f"DOCYARD_DATA_DIR: {self.path} holds other files and others may look into it;"
                " name a folder of its own, or close it to them (chmod 700)."
            )
        self.path.chmod(PRIVATE)


def keeps_database(settings: Settings) -> bool:
    """Return whether the database is a file in the data folder: a single machine, not a cluster."""
    return settings.database_url.startswith(f"sqlite:///{settings.data_dir}/")


def keeps_files(settings: Settings) -> bool:
    """Return whether documents are kept in the data folder."""
    return settings.store_url.startswith(f"file://{settings.data_dir}/")


def needs_valkey(settings: Settings) -> bool:
    """Return whether no other server is named: the bundled one is meant."""
    default = f"unix://{settings.data_dir / 'valkey' / 'valkey.sock'}"
    return settings.redis_url in (default, Valkey(settings.data_dir).url)


def complete(settings: Settings) -> Settings:
    """Return the settings with what the data folder gives: its key, and where Valkey's socket is.

    Raises:
        SettingError: the folder cannot be used, or a cluster has no keys: each machine would make
            another one.
    """
    found: dict[str, object] = {}
    if keeps_database(settings) or keeps_files(settings):
        Folder(settings.data_dir).open()  # before anything is kept in it, for nobody else to see
    if needs_valkey(settings):
        found["redis_url"] = Valkey(settings.data_dir).url
    if not settings.secret_keys:
        if not keeps_database(settings):
            raise SettingError(
                "DOCYARD_SECRET_KEYS is not set: with a database outside the data folder every"
                f" machine needs the same keys, of {SECRET_KEY_CHARS} characters or more."
            )
        found["secret_keys"] = (SecretStr(Folder(settings.data_dir).secret_key()),)
    return settings.model_copy(update=found)


def environment(settings: Settings) -> dict[str, str]:
    """Return what a child's environment must say beyond our own, so that it has these settings."""
    keys = ",".join(key.get_secret_value() for key in settings.secret_keys)
    return {
        "DOCYARD_DATA_DIR": str(settings.data_dir),
        "DOCYARD_DATABASE_URL": settings.database_url,
        "DOCYARD_REDIS_URL": settings.redis_url,
        "DOCYARD_STORE_URL": settings.store_url,
        "DOCYARD_SECRET_KEYS": keys,
        "DOCYARD_HOST": settings.host,
        "DOCYARD_PORT": str(settings.port),
        "DOCYARD_WORKERS": str(settings.workers),
    }
