"""Each cause for which a job waits is told by its name."""

from datetime import timedelta
from uuid import UUID

import pytest
from service import CREATE_JOB, Service
from sqlmodel import col, update
from world import World

from app.accounts.models import Application
from app.clock import now
from app.db.work import transaction
from app.failures import ErrorCode, Failure
from app.jobs import recording
from app.jobs.models import Job

pytestmark = pytest.mark.anyio

WAITING = """query($id: ID!) { job(id: $id) {
  status waitingOn { kind detail position until job { id } } createdAt } }"""


async def test_each_cause_is_told(paced: Service) -> None:
    draft = await paced.create("page One", start=False)
    coming, _ = await paced.create_upload(100)
    data = await paced.create_on(coming)
    queued, retried = [await paced.create("page One") for _ in range(2)]
    input = {"task": {"segment": {}}, "documentIds": [await paced.upload("page Two")]}
    after = (await paced.ask(CREATE_JOB, input={**input, "executeAfterId": queued}))["job"]["id"]
    until = now() + timedelta(minutes=1)
    async with transaction(paced.database) as work:
        again = update(Job).where(col(Job.id) == UUID(retried))
        await work.session.exec(again.values(due_at=until))
    found = {id: await waiting(paced, id) for id in (draft, data, retried, after, queued)}
    given_up_at = found[draft]["until"]
    assert given_up_at is not None
    assert found == {
        draft: told("START", "The job has not been started.", until=given_up_at),
        data: told("DATA", "Not all bytes of its documents are here yet."),
        retried: told("RETRY", "It is tried again after a lost attempt.", until=until.isoformat()),
        after: told("DEPENDENCY", "The job that it comes after has not ended.", job={"id": queued}),
        queued: told("QUEUE", "It waits for a worker.", position=1),
    }
    async with transaction(paced.database) as work:
        ours = update(Application).where(col(Application.name) == "ours")
        await work.session.exec(ours.values(max_running_jobs=1))
        running = update(Job).where(col(Job.id) == UUID(retried))
        lease = now() + timedelta(minutes=1)
        await work.session.exec(running.values(status="PROCESSING", lease_until=lease))
    quota = told("QUOTA", "Its application runs as many jobs as it may at once: 1.")
    assert await waiting(paced, queued) == quota
    assert await waiting(paced, retried) is None


async def test_the_wait_between_attempts_doubles_up_to_five_minutes(world: World) -> None:
    id = await world.create(max_attempts=100)
    failure = Failure(ErrorCode.EXTERNAL, "The store does not answer.")
    delays = []
    for charged in (0, 1, 2, 8, 98):
        async with transaction(world.database) as work:
            await work.session.exec(update(Job).values(charged_attempts=charged, due_at=now()))
        run = await world.claimed()
        before = now()
        async with transaction(world.database) as work:
            delay = timedelta(seconds=2)
            await recording.try_again(work, world.bell, run, failure, delay=delay)
        delays.append(round(((await world.row(id)).due_at - before).total_seconds()))
    assert delays == [2, 4, 8, 300, 300]


async def waiting(service: Service, id: str) -> dict[str, object]:
    """Return what a job waits for."""
    found: dict[str, object] = (await service.ask(WAITING, id=id))["waitingOn"]
    return found


def told(kind: str, detail: str, **more: object) -> dict[str, object]:
    """Return what is told of a wait."""
    return {"kind": kind, "detail": detail, "position": None, "until": None, "job": None, **more}
