"""Options as rows keep them: sealed while the job is open, wiped at its end, whatever that is."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import update
from world import World

from app.db.work import transaction
from app.failures import ErrorCode, Failure
from app.jobs import commands, given, recording
from app.jobs.creation import GivenDocument
from app.jobs.given import GivenOption
from app.jobs.models import Job
from app.jobs.states import JobStatus
from app.seals import CannotOpen, Seals

pytestmark = pytest.mark.anyio

SEALS = Seals([b"k" * 32])
PASSWORD = GivenOption("DOC.PASSWORD", "hush")
TITLE = GivenOption("META.TITLE", "About")


def kept(*options: GivenOption) -> list[dict[str, Any]]:
    return given.kept(options, seals=SEALS)


def test_secret_values_are_sealed_and_shown_as_none() -> None:
    rows = kept(TITLE, PASSWORD)
    assert rows[0] == {"name": "META.TITLE", "value": "About"}
    assert sorted(rows[1]) == ["name", "sealed"]
    assert "hush" not in repr(rows)
    assert given.shown(rows) == [TITLE, GivenOption("DOC.PASSWORD", None)]
    assert given.open_values(rows) == [TITLE]
    assert given.count_passwords(rows) == 1


def test_a_document_has_its_own_passwords_first_and_its_own_words() -> None:
    job = kept(PASSWORD, TITLE, GivenOption("META.ROOM", "1"))
    own = kept(GivenOption("META.TITLE", "Mine"), GivenOption("DOC.PASSWORD", "mine"), PASSWORD)
    found = given.for_document(job, own, seals=SEALS)
    assert found.passwords == ("mine", "hush", "hush")
    assert found.metadata == {"TITLE": "Mine", "ROOM": "1"}
    with pytest.raises(CannotOpen):
        given.for_document(job, own, seals=Seals([b"z" * 32]))


async def finish(world: World, _id: UUID) -> None:
    run = await world.claimed()
    async with transaction(world.database) as work:
        for document in run.documents:
            await recording.end_document(work, world.bell, run, document, None)
        await recording.finish(work, world.bell, run)


async def fail(world: World, _id: UUID) -> None:
    run = await world.claimed()
    async with transaction(world.database) as work:
        failure = Failure(ErrorCode.CORRUPT, "It is broken.")
        await recording.fail(work, world.bell, run, failure)


async def cancel(world: World, id: UUID) -> None:
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=id)


async def cancel_a_run(world: World, id: UUID) -> None:
    await world.claimed()
    await cancel(world, id)


@pytest.mark.parametrize("end", [finish, fail, cancel, cancel_a_run])
async def test_every_end_wipes_the_secrets_and_keeps_the_rest(
    world: World, end: Callable[[World, UUID], Awaitable[None]]
) -> None:
    first, second = await world.document(), await world.document()
    documents = [GivenDocument(first), GivenDocument(second, options=kept(PASSWORD))]
    id = await world.create(documents=documents, options=kept(PASSWORD, TITLE))
    assert not given.were_wiped((await world.row(id)).options)
    await end(world, id)
    job = await world.row(id)
    gone = {"name": "DOC.PASSWORD", "wiped": True}
    assert job.options == [gone, {"name": "META.TITLE", "value": "About"}]
    assert [row.options for row in await world.documents(id)] == [[], [gone]]
    assert given.were_wiped(job.options)
    assert given.shown(job.options) == [GivenOption("DOC.PASSWORD", None), TITLE]
    assert given.for_document(job.options, [gone], seals=SEALS).passwords == ()


async def test_a_job_that_is_given_back_keeps_its_secrets(world: World) -> None:
    id = await world.create(options=kept(PASSWORD))
    run = await world.claimed()
    async with transaction(world.database) as work:
        failure = Failure(ErrorCode.EXTERNAL, "It was away.")
        await recording.try_again(work, world.bell, run, failure, delay=run.time_left)
    job = await world.row(id)
    assert job.status is JobStatus.PENDING
    assert given.for_document(job.options, [], seals=SEALS).passwords == ("hush",)
    async with transaction(world.database) as work:
        await work.session.exec(update(Job).values(options=kept(TITLE)))
    await cancel(world, id)
    assert not given.were_wiped((await world.row(id)).options)
