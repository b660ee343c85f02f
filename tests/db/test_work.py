"""A transaction: all or nothing, and what waits for its commit."""

import asyncio
import gc
import logging
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, func, select, update

from app.accounts import commands
from app.accounts.models import Application
from app.db.engine import Database
from app.db.work import Work, carried_out, reading, transaction, unbroken
from app.settings import SettingError

pytestmark = pytest.mark.anyio


async def applications(database: Database) -> int:
    """Count the applications that are committed."""
    async with reading(database) as session:
        return (await session.exec(select(func.count()).select_from(Application))).one()


async def make(work: Work) -> None:
    """Write a row."""
    await commands.create_application(work, name="new", max_open_jobs=1)


async def test_calls_come_after_the_commit_in_their_order(database: Database) -> None:
    seen = []

    async def note(word: str) -> None:
        seen.append((word, await applications(database)))

    async with transaction(database) as work:
        await make(work)
        work.after_commit(lambda: note("first"))
        work.after_commit(lambda: note("second"))
        assert seen == []
    assert seen == [("first", 1), ("second", 1)]


async def test_a_block_that_raises_keeps_and_calls_nothing(database: Database) -> None:
    seen = []

    async def note() -> None:
        seen.append("called")

    async def fail() -> None:
        async with transaction(database) as work:
            await make(work)
            work.after_commit(note)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (seen, await applications(database)) == ([], 0)


async def test_a_call_that_raises_does_not_stop_the_others(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    seen = []

    async def fail() -> None:
        raise ZeroDivisionError

    async def note() -> None:
        seen.append("called")

    async with transaction(database) as work:
        await make(work)
        work.after_commit(fail)
        work.after_commit(note)
    assert (seen, await applications(database)) == (["called"], 1)
    assert [record.message for record in caplog.records] == ["a call after commit failed"]


async def test_three_writers_lose_nothing(database_url: str, database: Database) -> None:
    async with transaction(database) as work:
        await make(work)
    writers = [Database(database_url) for _ in range(3)]

    async def count(writer: Database) -> None:
        async with transaction(writer) as work:
            row = (await work.session.exec(select(Application).with_for_update())).one()
            row.last_job_number += 1

    await asyncio.gather(*(count(writer) for writer in writers for _ in range(20)))
    for writer in writers:
        await writer.close()
    async with reading(database) as session:
        assert (await session.exec(select(Application.last_job_number))).one() == 60


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    async with transaction(database) as work:
        await make(work)
        async with asyncio.timeout(20):
            assert await applications(database) == 0


@pytest.mark.parametrize("url", ["mysql://host/name", "no address", ""])
def test_an_address_of_another_database_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match=r"^DOCYARD_DATABASE_URL "):
        Database(url)


async def test_a_log_that_is_locked_is_emptied_another_time(
    sqlite_template: Path, tmp_path: Path
) -> None:
    path = shutil.copy(sqlite_template, tmp_path / "docyard.db")
    database = Database(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        assert not await database.empty_log()
    assert await database.empty_log()
    await database.close()


async def test_a_step_that_is_canceled_is_carried_to_its_end(database: Database) -> None:
    begun, told = asyncio.Event(), []

    async def step() -> None:
        async with transaction(database) as work:
            begun.set()
            await commands.create_application(work, name="whole", max_open_jobs=1)
        told.append("whole")

    task = asyncio.create_task(unbroken(step()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["whole"]
    async with reading(database) as session:
        names = (await session.exec(select(Application.name))).all()
    assert names == ["whole"]


async def test_a_step_is_carried_to_its_end_however_often_it_is_canceled() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def step() -> None:
        begun.set()
        await go_on.wait()
        raise LookupError

    task = asyncio.create_task(unbroken(step()))
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert complaints == []


async def test_what_a_step_returns_or_raises_is_passed_on() -> None:
    async def step(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 7

    assert await unbroken(step(None)) == 7
    with pytest.raises(LookupError):
        await unbroken(step(LookupError()))


async def test_a_savepoint_undoes_what_it_holds_and_nothing_before_it(database: Database) -> None:
    said: list[str] = []

    async def say(word: str) -> None:
        said.append(word)

    async with transaction(database) as work:
        work.session.add(Application(name="before", max_open_jobs=1))
        work.after_commit(lambda: say("before"))
        with suppress(LookupError):
            async with work.savepoint():
                work.session.add(Application(name="within", max_open_jobs=1))
                await work.session.flush()
                work.after_commit(lambda: say("within"))
                raise LookupError
        async with work.savepoint():
            work.session.add(Application(name="after", max_open_jobs=1))
            work.after_commit(lambda: say("after"))
    async with reading(database) as session:
        names = set(await session.exec(select(Application.name)))
    assert (names, said) == ({"before", "after"}, ["before", "after"])


async def test_of_two_steps_that_wait_for_each_other_both_are_done(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite writes one transaction at a time")
    async with transaction(database) as work:
        ids = [(await commands.create_application(work, name=n, max_open_jobs=1)).id for n in "ab"]
    met = asyncio.Barrier(2)
    tries = 0

    async def both(first: UUID, second: UUID) -> None:
        nonlocal tries
        tries += 1
        async with transaction(database) as work:
            await work.session.exec(raised(first))
            if tries <= 2:
                await met.wait()
            await work.session.exec(raised(second))

    await asyncio.gather(
        carried_out(lambda: both(ids[0], ids[1])), carried_out(lambda: both(ids[1], ids[0]))
    )
    async with reading(database) as session:
        limits = (await session.exec(select(Application.max_open_jobs))).all()
    assert (list(limits), tries) == ([3, 3], 3)


def raised(id: UUID) -> Any:  # noqa: ANN401 - an update
    """Return the statement that allows an application one job more."""
    more = Application.max_open_jobs + 1
    return update(Application).where(col(Application.id) == id).values(max_open_jobs=more)
