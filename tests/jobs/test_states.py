"""Every pair of states against the table: what it allows happens, the rest changes nothing."""

from itertools import product

import pytest
from sqlmodel import select
from world import World

from app.db.work import reading, transaction
from app.jobs import events
from app.jobs.events import Note
from app.jobs.models import Job, JobEvent
from app.jobs.states import FINISHED, MEANINGS, MOVES, OPEN, JobStatus, sources
from app.jobs.types import EventKind, JobOutcome

pytestmark = pytest.mark.anyio

NOTE = Note(EventKind.STATUS, "moved")


@pytest.mark.parametrize(
    ("start", "target"),
    list(product(JobStatus, JobStatus)),
    ids=str,
)
async def test_a_job_moves_where_the_table_allows_it(
    world: World, start: JobStatus, target: JobStatus
) -> None:
    id = await world.job(start)
    before = await world.row(id)
    outcome = JobOutcome.ERROR if target in FINISHED else None
    async with transaction(world.database) as work:
        moved = await events.move(work, world.bell, id, to=target, note=NOTE, outcome=outcome)
    after = await world.row(id)
    async with reading(world.database) as session:
        told = (await session.exec(select(JobEvent.status).where(JobEvent.job_id == id))).all()
    if target in MOVES[start]:
        assert moved is not None
        assert (after.status, after.event_seq) == (target, before.event_seq + 1)
        assert (after.finished_at is not None) is (target in FINISHED)
        assert told == [target]
    else:
        assert moved is None
        assert after == before
        assert told == []


def test_the_table_knows_every_state() -> None:
    assert set(MOVES) == set(MEANINGS) == set(JobStatus)
    assert set(JobStatus) == FINISHED | OPEN
    assert set() == FINISHED & OPEN
    assert {status for status, targets in MOVES.items() if not targets} == FINISHED
    assert sources(JobStatus.PENDING) == {JobStatus.NEW, JobStatus.PROCESSING}
    assert sources(JobStatus.NEW) == set()


async def test_a_move_in_another_attempt_changes_nothing(world: World) -> None:
    id = await world.job(JobStatus.PROCESSING, attempt=2)
    for fence in (1, 3):
        async with transaction(world.database) as work:
            assert (
                await events.move(
                    work, world.bell, id, to=JobStatus.PENDING, note=NOTE, fence=fence
                )
                is None
            )
    assert (await world.row(id)).status is JobStatus.PROCESSING
    async with transaction(world.database) as work:
        job = await events.move(work, world.bell, id, to=JobStatus.PENDING, note=NOTE, fence=2)
    assert isinstance(job, Job)
    assert job.lease_until is None
