"""Many jobs made at once: each as it would have been by itself, and by few statements."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from sqlmodel import col, select, update
from world import World, caller_of

from app.accounts.models import Application
from app.db.work import reading, transaction
from app.documents.models import DocumentStatus
from app.errors import AppError
from app.jobs import creation
from app.jobs.creation import GivenDocument, JobRequest
from app.jobs.models import Job, JobDocument, JobEvent
from app.jobs.options import SegmentOptions
from app.jobs.states import JobStatus
from app.jobs.types import JobType

pytestmark = pytest.mark.anyio


@dataclass
class Cases:
    """What requests of one application refer to."""

    here: UUID
    coming: UUID
    open: UUID
    failed: UUID
    empty: UUID

    def requests(self) -> list[JobRequest]:
        """Return one request of each kind."""
        here, coming = GivenDocument(self.here, owned=True), GivenDocument(self.coming)
        return [
            asked(here),
            asked(coming, here, name="two"),
            asked(GivenDocument(uuid4())),
            asked(start=False),
            asked(here, here),
            asked(here, execute_after_id=self.open),
            asked(execute_after_id=self.open),
            asked(here, execute_after_id=uuid4()),
            asked(),
            asked(here, execute_after_id=self.failed),
            asked(execute_after_id=self.empty),
            asked(here, execute_after_id=self.empty),
            asked(start=False, execute_after_id=self.failed),
        ]


def asked(*documents: GivenDocument, **more: Any) -> JobRequest:  # noqa: ANN401 - of JobRequest
    return JobRequest(
        **{
            "task": SegmentOptions(),
            "documents": documents,
            "timeout": timedelta(minutes=1),
            "max_attempts": 3,
            "ttl": timedelta(days=1),
            **more,
        }
    )


async def cases(world: World, *, room: int) -> Cases:
    """Make what requests refer to, and leave room for so many open jobs."""
    found = Cases(
        here=await world.document(),
        coming=await world.document(DocumentStatus.NEW),
        open=await world.job(JobStatus.PENDING, type=JobType.PDF_IMAGES),
        failed=await world.job(JobStatus.FAILED, type=JobType.PDF_IMAGES),
        empty=await world.job(JobStatus.COMPLETED, type=JobType.PDF_IMAGES),
    )
    async with transaction(world.database) as work:
        ours = col(Application.id) == world.caller.application_id
        await work.session.exec(update(Application).where(ours).values(max_open_jobs=room + 1))
    return found


async def create(world: World, requests: Sequence[JobRequest]) -> list[Job | AppError]:
    """Create jobs in one transaction."""
    async with transaction(world.database) as work:
        return await creation.create_all(work, world.bell, caller=world.caller, requests=requests)


async def told(world: World, made: Sequence[Job | AppError]) -> list[object]:
    """Return all that is to be seen of what came of requests, but ids and times."""
    async with reading(world.database) as session:
        events = (await session.exec(select(JobEvent).order_by(col(JobEvent.id)))).all()
        documents = (await session.exec(select(JobDocument).order_by("position"))).all()
        rows = {row.id: row for row in await session.exec(select(Job))}
    found: list[object] = []
    for each in made:
        if isinstance(each, AppError):
            found.append(type(each).__name__)
            continue
        row = rows[each.id]
        assert (row.status, row.waits_for_job) == (each.status, each.waits_for_job)
        of_job = [
            (one.status, one.owned, one.failure_code) for one in documents if one.job_id == row.id
        ]
        log = [(one.seq, one.kind, one.status) for one in events if one.job_id == row.id]
        waits = (row.waits_for_data, row.waits_for_job)
        size, name = row.total_size, row.name
        found.append((row.number, name, row.status, row.error_code, waits, size, of_job, log))
    return found


async def test_jobs_made_at_once_are_those_that_are_made_one_by_one(world: World) -> None:
    other = replace(world, caller=await caller_of(world.database, "others"))
    many = (await cases(world, room=15)).requests() * 4
    each = (await cases(other, room=15)).requests() * 4
    at_once = await told(world, await create(world, many))
    one_by_one = [made for request in each for made in await create(other, [request])]
    assert at_once == await told(other, one_by_one)
    assert at_once.count("TooManyJobs") > 9
    numbers = [row[0] for row in at_once if isinstance(row, tuple)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_many_jobs_take_few_statements(world: World) -> None:
    documents = [GivenDocument(await world.document()) for _ in range(3)]
    requests = [asked(documents[place % 3]) for place in range(300)]
    statements: list[str] = []
    engine = world.database.engine.sync_engine

    def note(*arguments: Any) -> None:  # noqa: ANN401 - of the event
        statements.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    made = await create(world, requests)
    event.remove(engine, "before_cursor_execute", note)
    assert [job.number for job in made if isinstance(job, Job)] == list(range(1, 301))
    # Documents, number and limit once; jobs, events and documents of jobs for each hundred.
    assert len([each for each in statements if not each.startswith("BEGIN")]) == 3 + 3 * 3
