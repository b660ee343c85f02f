"""The tables come up on both databases, one process at a time, and are what the models say."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from app.accounts.models import Application
from app.clock import now
from app.db.engine import Database
from app.db.migration import config, is_current, migrate
from app.db.work import reading, transaction
from app.documents.models import Document
from app.failures import ErrorCode
from app.jobs.models import Job
from app.jobs.states import JobStatus
from app.jobs.types import JobOutcome, JobType

pytestmark = pytest.mark.anyio


@pytest.fixture
async def empty(
    kind_of_database: str, postgresql: str, tmp_path: Path
) -> AsyncIterator[list[Database]]:
    """Three processes' connections to a database without tables."""
    if kind_of_database == "sqlite":
        url = f"sqlite:///{tmp_path / 'docyard.db'}"
    else:
        name = f"t{uuid4().hex}"
        url = postgresql.format(name=name)
        admin = create_async_engine(
            postgresql.format(name="postgres").replace("postgresql:", "postgresql+asyncpg:"),
            isolation_level="AUTOCOMMIT",
        )
        async with admin.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        await admin.dispose()
    databases = [Database(url) for _ in range(3)]
    yield databases
    for database in databases:
        await database.close()


async def tables(database: Database) -> set[str]:
    """Return the names of the tables."""
    async with database.engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_several_processes_migrate_at_once(empty: list[Database]) -> None:
    assert [await is_current(database) for database in empty] == [False] * 3
    await asyncio.gather(*(migrate(database) for database in empty))
    assert [await is_current(database) for database in empty] == [True] * 3
    assert await tables(empty[0]) == {*SQLModel.metadata.tables, "alembic_version"}
    await migrate(empty[0])


async def test_the_tables_go_and_come_back(empty: list[Database]) -> None:
    database = empty[0]
    await migrate(database)
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(config(sync), "base"))
    assert await tables(database) == {"alembic_version"}
    assert await is_current(database) is False
    await migrate(database)
    assert await is_current(database) is True


async def test_the_models_say_what_the_tables_are(database: Database) -> None:
    async with database.engine.connect() as connection:
        await connection.run_sync(lambda sync: command.check(config(sync)))


async def test_a_migration_that_fails_leaves_nothing(empty: list[Database]) -> None:
    async with transaction(empty[0]) as work:
        await (await work.session.connection()).execute(text("CREATE TABLE segment (id INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        await migrate(empty[0])
    assert await tables(empty[0]) == {"segment"}


def canceled_job(application: Application, *, number: int, type: JobType) -> Job:
    return Job(
        application_id=application.id,
        number=number,
        name="Straße",
        type=type,
        status=JobStatus.CANCELED,
        outcome=JobOutcome.ERROR,
        finished_at=now(),
        settings={},
        max_attempts=1,
        timeout_seconds=1,
    )


async def add(database: Database, *rows: SQLModel) -> None:
    async with transaction(database) as work:
        for row in rows:
            work.session.add(row)
            await work.session.flush()


async def downgrade(database: Database) -> None:
    """Go back to the tables of the first version."""
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(config(sync), "0001"))


async def test_what_is_there_gets_what_is_new(empty: list[Database]) -> None:
    database = empty[0]
    await migrate(database)
    application = Application(name="a", max_open_jobs=1)
    document = Document(application_id=application.id, filename="ÄRGER.pdf")
    job = canceled_job(application, number=1, type=JobType.SEGMENT)
    await add(database, application, document, job)
    await downgrade(database)
    await migrate(database)
    async with reading(database) as session:
        old, file = await session.get_one(Job, job.id), await session.get_one(Document, document.id)
    assert (old.name_folded, file.filename_folded) == ("strasse", "ärger.pdf")
    assert old.error_code is ErrorCode.CANCELED
    for row in (old, file):
        assert row.expires_at is not None
        assert timedelta(0) <= now() + timedelta(days=30) - row.expires_at < timedelta(minutes=1)


async def test_there_is_no_way_back_for_jobs_that_the_first_version_does_not_know(
    empty: list[Database],
) -> None:
    database = empty[0]
    await migrate(database)
    application = Application(name="a", max_open_jobs=1)
    job = canceled_job(application, number=1, type=JobType.PREDICT)
    await add(database, application, job)
    with pytest.raises(RuntimeError, match="1 jobs are not of type SEGMENT"):
        await downgrade(database)
    assert await is_current(database) is True
    async with reading(database) as session:
        assert (await session.get_one(Job, job.id)).name == "Straße"
