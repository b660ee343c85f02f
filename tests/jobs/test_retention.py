"""How long jobs and documents are kept, and that what is over really goes."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from service import Service
from sqlmodel import col, select, update
from world import World

from app.clock import now
from app.db.work import reading, transaction
from app.documents.models import Document, DocumentStatus
from app.failures import ErrorCode
from app.jobs import attachments, commands, patience, retention
from app.jobs.models import Attachment, IdempotencyKey, Job, JobDocument, JobEvent
from app.jobs.states import FINISHED, JobStatus
from app.jobs.types import EventKind, JobType
from workers import sweep

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def test_the_time_of_a_job_begins_with_its_end(world: World) -> None:
    id = await world.create(ttl=HOUR)
    assert (await world.row(id)).expires_at is None
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
    job = await world.row(id)
    assert job.finished_at is not None
    assert job.expires_at == job.finished_at + HOUR


async def test_a_document_is_kept_as_long_as_its_longest_job(world: World) -> None:
    document, other = await world.document(), await world.document()
    await put_off(world, {document: now() + HOUR, other: None})
    seen = []
    for ttl in (2 * HOUR, HOUR / 2):
        id = await world.create(document, other, ttl=ttl)
        async with transaction(world.database) as work:
            await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
        seen.append((await read(world, document), (await world.row(id)).expires_at))
    assert seen[0][0] == seen[0][1]
    assert seen[1][0] == seen[0][1]
    assert await read(world, other) is None


async def test_what_a_job_made_is_kept_as_long_as_the_job(world: World) -> None:
    made, other = await world.document(), await world.document()
    id = await world.create()
    async with transaction(world.database) as work:
        statement = update(Document).where(col(Document.id) == made)
        await work.session.exec(statement.values(produced_by_id=id, expires_at=now() + HOUR))
        await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
    assert await read(world, made) == (await world.row(id)).expires_at
    assert await read(world, other) is None


async def test_the_end_of_a_job_does_not_wait_for_who_holds_its_documents(world: World) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    document = await world.document()
    await put_off(world, {document: now()})
    id = await world.create(document)
    async with transaction(world.database) as holder:
        await holder.session.get(Document, document, with_for_update={"read": True})
        async with transaction(world.database) as work, asyncio.timeout(10):
            await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
    assert (await world.row(id)).status is JobStatus.CANCELED


@pytest.mark.parametrize("status", JobStatus)
async def test_only_those_fail_that_still_wait_when_their_time_is_over(
    world: World, status: JobStatus
) -> None:
    past, wait = now() - timedelta(seconds=1), 5
    id = await world.job(status, give_up_at=past, queue_timeout_seconds=wait)
    await patient(world, id)
    job = await world.row(id)
    if status in {JobStatus.NEW, JobStatus.PENDING}:
        assert (job.status, job.error_code) == (JobStatus.FAILED, ErrorCode.EXPIRED)
        assert (
            job.error_message
            == {
                JobStatus.NEW: "The job was not started in time.",
                JobStatus.PENDING: "The job waited for a worker longer than its "
                "queueTimeoutSeconds, 5.",
            }[status]
        )
    else:
        assert job.status is status


async def test_a_job_that_was_taken_up_does_not_wait_any_more(world: World) -> None:
    id = await world.create(queue_timeout=timedelta(seconds=5))
    until = (await world.row(id)).give_up_at
    assert until is not None
    assert now() < until < now() + timedelta(seconds=5)
    await world.claimed()
    assert (await world.row(id)).give_up_at is None


async def test_a_wait_that_is_over_ends_the_documents_too(world: World) -> None:
    id = await world.create(await world.document(DocumentStatus.NEW), await world.document())
    async with transaction(world.database) as work:
        await work.session.exec(update(Job).values(give_up_at=now() - HOUR))
    await patient(world, id)
    assert [(each.status, each.failure_code) for each in await world.documents(id)] == [
        (JobStatus.FAILED, ErrorCode.EXPIRED)
    ] * 2


async def test_the_time_of_a_document_begins_when_it_comes(paced: Service) -> None:
    service_ttl = paced.settings.document_ttl
    upload = """mutation($ttl: Int) { createUpload(filename: "a", size: 1, ttlSeconds: $ttl) {
      ... on CreateUploadSuccess { document { createdAt expiresAt } }
      ... on InvalidInput { errors { loc type } } } }"""
    for ttl, kept in ((None, service_ttl), (60, timedelta(minutes=1))):
        document = (await paced.ask(upload, ttl=ttl))["document"]
        times = [datetime.fromisoformat(document[name]) for name in ("createdAt", "expiresAt")]
        assert abs(times[1] - times[0] - kept) < timedelta(seconds=1)
    for ttl in (59, 10 * 365 * 24 * 3600 + 1):
        refused = await paced.ask(upload, ttl=ttl)
        assert refused["errors"] == [{"loc": ["ttlSeconds"], "type": "out_of_range"}]
    async with reading(paced.database) as session:
        came_with = await paced.create("page One")
        owned = select(Document.expires_at).join(JobDocument)
        (until,) = (await session.exec(owned.where(JobDocument.job_id == UUID(came_with)))).all()
    assert until is not None
    assert abs(until - now() - service_ttl) < timedelta(minutes=1)


async def test_what_is_over_goes_with_its_bytes(paced: Service) -> None:
    old, kept = [await paced.create("page One", ttlSeconds=60) for _ in range(2)]
    spare, used = await paced.upload("page Spare"), await paced.upload("page Used")
    young = await paced.upload("page Young")
    running = await paced.create_on(used)
    await paced.work()
    open_job = await paced.create_on(used)
    async with transaction(paced.database) as work:
        past = now() - timedelta(seconds=1)
        for id in (old, running):
            await work.session.exec(
                update(Job).where(col(Job.id) == UUID(id)).values(expires_at=past)
            )
        for id in (spare, used):
            await work.session.exec(
                update(Document).where(col(Document.id) == UUID(id)).values(expires_at=past)
            )
    workers = [paced.worker() for _ in range(3)]
    await asyncio.gather(*(sweep.remove_expired(worker) for worker in workers))
    async with reading(paced.database) as session:
        jobs = set(await session.exec(select(Job.id)))
        documents = set(await session.exec(select(Document.id)))
        deleted = select(JobEvent.job_id).where(JobEvent.kind == EventKind.DELETED)
        told = set(await session.exec(deleted))
        came_with = select(JobDocument.document_id).where(JobDocument.job_id == UUID(kept))
        owned = (await session.exec(came_with)).one()
        stored = col(Attachment.type).in_(attachments.STORED)
        files = set(await session.exec(select(Attachment.id).where(stored)))
    assert jobs == {UUID(kept), UUID(open_job)}
    assert told == {UUID(old), UUID(running)}
    assert documents == {owned, UUID(used), UUID(young)}
    assert set(paced.stored()) == documents | files


async def test_a_document_that_a_new_job_takes_just_now_stays(world: World) -> None:
    document = await world.document()
    await put_off(world, {document: now() - HOUR})
    id = await world.create(document)
    async with transaction(world.database) as work:
        assert await retention.remove_documents(work, store=world.store) == 0
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
    assert await read(world, document) == (await world.row(id)).expires_at


async def test_keys_of_requests_are_forgotten_after_a_day(paced: Service) -> None:
    ids = [await paced.create("page One", idempotencyKey=name) for name in ("old", "new")]
    async with transaction(paced.database) as work:
        for id, hours in zip(ids, (25, 23), strict=True):
            at = now() - timedelta(hours=hours)
            await work.session.exec(
                update(IdempotencyKey)
                .where(col(IdempotencyKey.job_id) == UUID(id))
                .values(created_at=at)
            )
    await sweep.forget(paced.worker())
    async with reading(paced.database) as session:
        assert (await session.exec(select(IdempotencyKey.key))).all() == ["new"]


@pytest.mark.parametrize("status", sorted(FINISHED))
async def test_a_job_whose_time_is_over_is_found(world: World, status: JobStatus) -> None:
    id = await world.job(status, expires_at=now() - HOUR)
    await world.job(status, expires_at=now() + HOUR)
    await world.job(status)
    async with reading(world.database) as session:
        assert await retention.expired_jobs(session) == [id]


async def test_a_job_stays_for_those_that_come_after_it(world: World) -> None:
    id = await world.job(JobStatus.COMPLETED, expires_at=now() - HOUR)
    later = await world.job(JobStatus.PENDING, type=JobType.CONDITIONAL, execute_after_id=id)
    async with reading(world.database) as session:
        assert await retention.expired_jobs(session) == []
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=later)
    async with reading(world.database) as session:
        assert await retention.expired_jobs(session) == [id]


async def patient(world: World, id: UUID) -> None:
    """Fail the jobs that have waited for too long; this one may be among them."""
    async with reading(world.database) as session:
        overdue = await patience.overdue(session)
    for each in {*overdue, id}:
        async with transaction(world.database) as work:
            await patience.give_up(work, world.bell, each)


async def put_off(world: World, times: dict[UUID, datetime | None]) -> None:
    """Say until when documents are kept."""
    async with transaction(world.database) as work:
        for id, at in times.items():
            await work.session.exec(
                update(Document).where(col(Document.id) == id).values(expires_at=at)
            )


async def read(world: World, id: UUID) -> datetime | None:
    """Return until when a document is kept."""
    async with reading(world.database) as session:
        return (await session.get_one(Document, id)).expires_at
