"""What the code promises about a row, the tables enforce."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select
from world import World

from app.db.work import reading, transaction
from app.jobs.models import Job
from app.jobs.states import JobStatus

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("job", "status = 'LOST'"),
        ("job", "status = 'COMPLETED'"),
        ("job", "finished_at = created_at"),
        ("job", "outcome = 'SUCCESS'"),
        ("job", "lease_until = created_at"),
        ("job", "progress = 101"),
        ("job", "progress = -1"),
        ("job", "application_id = id"),
        ("job_document", "status = 'FAILED'"),
        ("job_document", "failure_code = 'CRASHED'"),
        ("job_document", "status = 'LOST'"),
        ("job_document", "position = 0"),
        ("document", "size = NULL"),
        ("document", "sha256 = NULL"),
        ("document", "status = 'LOST'"),
        ("job_event", "seq = 1"),
        ("segment", "ordinal = 1"),
        ("segment", "status = 'LOST'"),
        ("api_key", "scope = 'ROOT'"),
    ],
)
async def test_a_row_that_breaks_a_promise_is_refused(
    world: World, table: str, change: str
) -> None:
    other = await world.create()
    run = await world.claimed()
    await world.record(run, 1, 2)
    id = await world.create(await world.document(), await world.document())
    before: list[Any] = [await world.row(id), await world.documents(id), await world.row(other)]
    where = " WHERE status = 'PENDING'" if table == "job" else ""
    with pytest.raises(IntegrityError):
        await execute(world, f"UPDATE {table} SET {change}{where}")  # noqa: S608 - ours
    assert [await world.row(id), await world.documents(id), await world.row(other)] == before


async def test_a_document_that_a_job_uses_cannot_be_deleted(world: World) -> None:
    await world.create()
    with pytest.raises(IntegrityError):
        await execute(world, "DELETE FROM document")


async def test_an_application_goes_with_all_that_is_its(world: World) -> None:
    await world.job(JobStatus.PENDING)
    await execute(world, "DELETE FROM application")
    async with reading(world.database) as session:
        assert (await session.exec(select(Job))).all() == []


async def execute(world: World, statement: str) -> None:
    """Run a statement that the code would never run."""
    async with transaction(world.database) as work:
        await (await work.session.connection()).execute(text(statement))
