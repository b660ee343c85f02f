"""Which job is taken up next, and that nobody else takes it."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import col, update
from world import LEASE, World, caller_of

from app.accounts.models import Application
from app.clock import now
from app.db.work import reading, transaction
from app.documents.models import DocumentStatus
from app.failures import ErrorCode, Failure
from app.jobs import recording, turns
from app.jobs.models import Job
from app.jobs.runs import Run
from app.jobs.states import JobStatus
from app.jobs.types import JobPriority, WaitKind
from app.jobs.waits import waits

pytestmark = pytest.mark.anyio


async def taken(world: World) -> list[UUID]:
    """Claim until nothing is due; return the jobs in their order."""
    order = []
    while (run := await world.claim()) is not None:
        order.append(run.job_id)
    return order


async def test_the_highest_priority_goes_first_and_then_the_oldest(world: World) -> None:
    low = await world.create(priority=JobPriority.LOW)
    normal = [await world.create() for _ in range(2)]
    high = await world.create(priority=JobPriority.HIGH)
    assert await taken(world) == [high, *normal, low]


async def test_applications_take_turns(world: World) -> None:
    other = World(
        world.database, world.bell, world.store, await caller_of(world.database, "others")
    )
    ours = [await world.create() for _ in range(3)]
    theirs = [await other.create() for _ in range(2)]
    assert await taken(world) == [ours[0], theirs[0], ours[1], theirs[1], ours[2]]


async def test_the_position_in_the_queue_is_the_order_of_the_claim(world: World) -> None:
    ids = [
        await world.create(priority=priority)
        for priority in (JobPriority.LOW, JobPriority.HIGH, JobPriority.NORMAL, JobPriority.HIGH)
    ]
    async with reading(world.database) as session:
        found = await waits(session, ids, ageing=turns.AGEING)
    assert {wait and wait.kind for wait in found.values()} == {WaitKind.QUEUE}
    places = {id: wait.position for id, wait in found.items() if wait is not None}
    assert sorted(place for place in places.values() if place) == [1, 2, 3, 4]
    assert sorted(ids, key=lambda each: places[each] or 0) == await taken(world)


async def test_jobs_that_are_not_due_are_left(world: World) -> None:
    await world.job(JobStatus.PENDING, due_at=now() + timedelta(minutes=1))
    await world.create(await world.document(DocumentStatus.NEW))
    for status in JobStatus:
        if status is not JobStatus.PENDING:
            await world.job(status)
    assert await taken(world) == []


async def test_twenty_workers_take_ten_jobs_each_once(world: World) -> None:
    ids = [await world.create() for _ in range(10)]
    runs = await asyncio.gather(*(world.claim() for _ in range(20)))
    assert Counter(run.job_id for run in runs if run is not None) == Counter(ids)
    for id in ids:
        job = await world.row(id)
        assert (job.status, job.attempt, job.event_seq) == (JobStatus.PROCESSING, 1, 2)


async def test_a_claim_begins_an_attempt(world: World) -> None:
    id = await world.create()
    before = now()
    run = await world.claimed()
    job = await world.row(id)
    assert (run.job_id, run.attempt, job.attempt, job.charged_attempts) == (id, 1, 1, 0)
    assert job.lease_until is not None
    assert before + LEASE <= job.lease_until <= now() + LEASE
    assert job.started_at == job.attempt_started_at
    assert run.time_left == timedelta(minutes=1)


async def test_a_job_rises_by_one_class_with_each_time_it_has_waited(world: World) -> None:
    waited = {"fresh": 0, "once": 11, "twice": 21}
    low = [await world.create(priority=JobPriority.LOW) for _ in waited]
    normal = [await world.create() for _ in waited]
    high = await world.create(priority=JobPriority.HIGH)
    for ids in (low, normal):
        for id, minutes in zip(ids, waited.values(), strict=True):
            await age(world, id, minutes)
    # Within a class the oldest goes first.
    order = [low[2], normal[2], normal[1], high, low[1], normal[0], low[0]]
    assert await taken(world) == order


async def test_a_low_job_among_an_endless_supply_of_high_ones_has_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [now()]
    monkeypatch.setattr(turns, "now", lambda: clock[0])
    low = await world.job(JobStatus.PENDING, priority=JobPriority.LOW, queued_at=clock[0])
    taken_after: timedelta | None = None
    while taken_after is None and clock[0] < now() + timedelta(hours=1):
        clock[0] += timedelta(minutes=1)
        for _ in range(2):  # twice as many as can be done
            await world.job(JobStatus.PENDING, priority=JobPriority.HIGH, queued_at=clock[0])
        if (await world.claimed()).job_id == low:
            taken_after = timedelta(minutes=len(world.numbers) // 2)
    assert taken_after == timedelta(minutes=20)


async def test_applications_go_round_with_one_worker_too(world: World) -> None:
    others = [
        World(world.database, world.bell, world.store, await caller_of(world.database, name))
        for name in ("second", "third")
    ]
    lines = [[await each.create() for _ in range(3)] for each in (world, *others)]
    order = []
    while (run := await world.claim()) is not None:
        order.append(run.job_id)
        await end(world, run)
    assert order == [line[place] for place in range(3) for line in lines]


async def test_an_application_runs_no_more_jobs_than_its_limit(world: World) -> None:
    other = World(
        world.database, world.bell, world.store, await caller_of(world.database, "others")
    )
    await limit(world, 2)
    ours = [await world.create(priority=JobPriority.HIGH) for _ in range(4)]
    theirs = await other.create()
    runs = await asyncio.gather(*(world.claim() for _ in range(5)))
    assert {run.job_id for run in runs if run} == {*ours[:2], theirs}
    assert {id: kind for id, (kind, _) in (await why(world, *ours)).items()} == {
        ours[0]: None,
        ours[1]: None,
        ours[2]: WaitKind.QUOTA,
        ours[3]: WaitKind.QUOTA,
    }
    await end(world, next(run for run in runs if run and run.job_id == ours[0]))
    assert await why(world, ours[3]) == {ours[3]: (WaitKind.QUEUE, 2)}
    assert await taken(world) == [ours[2]]


async def test_a_conditional_job_that_waits_for_its_children_does_not_count(world: World) -> None:
    await limit(world, 1)
    await world.job(JobStatus.PROCESSING, lease_until=None)
    id = await world.create()
    assert await taken(world) == [id]


async def test_places_in_the_queue_tell_how_applications_take_turns(world: World) -> None:
    other = World(
        world.database, world.bell, world.store, await caller_of(world.database, "others")
    )
    ours = [await world.create() for _ in range(4)]
    theirs = [await other.create() for _ in range(2)]
    await world.claimed()
    aged = await other.create(priority=JobPriority.LOW)
    await age(world, aged, 30)
    found = await why(world, *ours[1:], *theirs, aged)
    assert sorted(found, key=lambda each: found[each][1] or 0) == await taken(world)


async def test_places_in_the_queue_tell_what_waiting_adds_to_a_priority(world: World) -> None:
    ids = []
    for minutes in (5, 25, 15):
        for priority in JobPriority:
            ids.append(await world.create(priority=priority))
            await age(world, ids[-1], minutes)
    found = await why(world, *ids)
    order = sorted(ids, key=lambda each: found[each][1] or 0)
    assert [found[id][1] for id in order] == list(range(1, 10))
    assert order == await taken(world)


async def test_a_job_far_behind_has_no_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.waits.LAST_POSITION", 2)
    ids = [await world.create() for _ in range(4)]
    found = await why(world, *ids)
    assert [found[id] for id in ids] == [
        (WaitKind.QUEUE, 1),
        (WaitKind.QUEUE, 2),
        (WaitKind.QUEUE, None),
        (WaitKind.QUEUE, None),
    ]


async def test_a_worker_takes_another_job_while_somebody_holds_the_first_of_every_line(
    world: World,
) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    first, second = [await world.create() for _ in range(2)]
    async with transaction(world.database) as work:
        await work.session.get(Job, first, with_for_update=True)
        assert (await world.claimed()).job_id == second


async def age(world: World, id: UUID, minutes: int) -> None:
    """Have a job wait for so long."""
    async with transaction(world.database) as work:
        queued_at = now() - timedelta(minutes=minutes)
        await work.session.exec(update(Job).where(col(Job.id) == id).values(queued_at=queued_at))


async def limit(world: World, jobs: int) -> None:
    """Have the application run so many jobs at once."""
    async with transaction(world.database) as work:
        await work.session.exec(
            update(Application)
            .where(col(Application.id) == world.caller.application_id)
            .values(max_running_jobs=jobs)
        )


async def end(world: World, run: Run) -> None:
    """Have a run end."""
    async with transaction(world.database) as work:
        failure = Failure(ErrorCode.CORRUPT, "It is broken.")
        await recording.fail(work, world.bell, run, failure)


async def why(world: World, *ids: UUID) -> dict[UUID, tuple[WaitKind | None, int | None]]:
    """Return what jobs wait for, and their places in the queue."""
    async with reading(world.database) as session:
        found = await waits(session, ids, ageing=turns.AGEING)
    return {
        id: (None, None) if wait is None else (wait.kind, wait.position)
        for id, wait in found.items()
    }
