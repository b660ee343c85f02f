"""Engines for PostgreSQL, and for SQLite set up so that nothing is lost or locked out."""

import asyncio
import contextlib
import sqlite3

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.settings import SettingError

BUSY_TIMEOUT_SECONDS = 30
READERS = 8
PRIMARY_CODE = 0xFF
"""The part of SQLite's codes of errors that says what; the rest says why."""
PLANNED_EACH_TIME = {"plan_cache_mode": "force_custom_plan"}
"""PostgreSQL would make one plan for all callers after five runs of a statement.

Where one application has nearly all rows it is made for the others: 500 rows by their ids then read
the whole table. To plan costs less than a millisecond.
"""


class Database:
    """The database of one process: `reader` for queries, `writer` for commands."""

    def __init__(self, url: str) -> None:
        """Open nothing yet.

        url: `sqlite:///path` or `postgresql://...`.

        Raises:
            SettingError: another scheme, or a malformed address.
        """
        self.url = _driver_url(url)
        # Parameters are hidden from errors, which are logged: they hold what documents say.
        if self.is_sqlite:
            # One writer connection a process: SQLite's own waiting is unfair, a queue is not.
            self._writer = _sqlite_engine(self.url, pool_size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(self.url, pool_size=READERS, begin="BEGIN")
        else:
            self._writer = self._reader = create_async_engine(
                self.url,
                pool_size=READERS,
                max_overflow=READERS,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"server_settings": PLANNED_EACH_TIME},
            )
        self.writer = async_sessionmaker(self._writer, class_=AsyncSession, expire_on_commit=False)
        self.reader = async_sessionmaker(self._reader, class_=AsyncSession, expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        """True on SQLite, False on PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def engine(self) -> AsyncEngine:
        """The engine that writes."""
        return self._writer

    async def empty_log(self) -> bool:
        """Move all that SQLite's write-ahead log holds into the file, and empty it.

        Before that the log has copies of what was deleted. False: somebody reads or writes just
        now; nothing waits for them. True on PostgreSQL, too.
        """
        if not self.is_sqlite:
            return True
        return await asyncio.to_thread(_empty_log, str(self.url.database))

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._reader.dispose()


def _empty_log(path: str) -> bool:
    # A connection of its own: those of the pools wait for others, and have begun a transaction.
    with contextlib.closing(sqlite3.connect(path, timeout=0)) as connection:
        try:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            # Locked as a whole, as while the log of a process that was killed is read again.
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY:
                raise
            return False
    return not busy


def _driver_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingError("DOCYARD_DATABASE_URL is not an address.") from None
    match parsed.get_backend_name():
        case "sqlite":
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql":
            return parsed.set(drivername="postgresql+asyncpg")
        case other:
            raise SettingError(
                f"DOCYARD_DATABASE_URL begins with {other!r}; use sqlite:/// or postgresql://."
            )


def _sqlite_engine(url: URL, *, pool_size: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_timeout=60, hide_parameters=True
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}")
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit that was answered survives a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # What is deleted is overwritten and does not stay in pages that are free.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        # IMMEDIATE: with a deferred start two writers both read, then one dies with "database is
        # locked", and SQLite does not wait out busy_timeout for it.
        connection.exec_driver_sql(begin)

    return engine
