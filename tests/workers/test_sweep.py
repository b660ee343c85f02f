"""What was lost is made good: workers, rings, uploads given up, bytes without a row."""

import asyncio
import logging
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from service import DELETE, DOCUMENT, Service
from sqlalchemy import text
from sqlmodel import col, select, update

from app.clock import now
from app.db.work import reading, transaction
from app.documents.models import Document, FileRemoval
from app.jobs.models import Job, JobEvent, Worker
from app.jobs.queue import QUEUE
from workers import sweep
from workers.run_job import claim

pytestmark = pytest.mark.anyio


async def test_a_job_of_a_silent_worker_is_taken_up_by_another(paced: Service) -> None:
    id = await paced.create("page One")
    assert await claim(paced.worker()) is not None
    await sweep.take_back_lost(paced.worker())
    assert (await paced.job(id))["status"] == "PROCESSING"
    async with transaction(paced.database) as work:
        await work.session.exec(update(Job).values(lease_until=now() - timedelta(seconds=1)))
    await sweep.take_back_lost(paced.worker())
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["attempt"], job["chargedAttempts"]) == ("COMPLETED", 2, 1)
    told = [event["message"] for event in job["events"]["nodes"]][1:4]
    assert told == [
        "A worker took the job up.",
        "The worker was lost while it was at this job.",
        "The job is taken up again.",
    ]


async def test_nobody_is_lost_who_could_not_write_himself(paced: Service) -> None:
    id = await paced.create("page One")
    assert await claim(paced.worker()) is not None
    # One that has to wait for its turn to write longer than for a heartbeat.
    blocked = paced.worker(heartbeat=timedelta(microseconds=1), lease=timedelta(minutes=1))
    for silent, status in ((timedelta(seconds=1), "PROCESSING"), (timedelta(hours=1), "PENDING")):
        async with transaction(paced.database) as work:
            await work.session.exec(update(Job).values(lease_until=now() - silent))
        await sweep.take_back_lost(blocked)
        assert (await paced.job(id))["status"] == status


async def test_a_ring_that_nobody_heard_is_rung_again(paced: Service) -> None:
    ids = [await paced.create("page One") for _ in range(2)]
    await paced.bell.redis.flushall()
    await paced.work()
    assert [(await paced.job(id))["status"] for id in ids] == ["PENDING", "PENDING"]
    await sweep.ring_for_forgotten(paced.worker())
    assert await paced.bell.redis.zcard(QUEUE) == 1
    await paced.work()
    assert [(await paced.job(id))["status"] for id in ids] == ["COMPLETED", "COMPLETED"]


async def test_a_busy_worker_does_not_ring(paced: Service) -> None:
    await paced.create("page One")
    run = await claim(context := paced.worker())
    assert run is not None
    await paced.create("page Two")
    await paced.bell.redis.flushall()
    context.nudges[run.job_id] = asyncio.Event()
    await sweep.ring_for_forgotten(context)
    assert await paced.bell.redis.zcard(QUEUE) == 0


async def test_an_upload_whose_time_is_over_is_given_up_and_jobs_go_on(paced: Service) -> None:
    late, link = await paced.create_upload(100)
    await paced.http.put(link, content=b"page", headers={"Content-Range": "bytes 0-3/100"})
    timely, _ = await paced.create_upload(100)
    id = await paced.create("page One", documentIds=[late])
    async with transaction(paced.database) as work:
        past = now() - timedelta(seconds=1)
        await work.session.exec(
            update(Document).where(col(Document.id) == UUID(late)).values(upload_expires_at=past)
        )
    await sweep.give_up_uploads(paced.worker())
    document = await paced.ask(DOCUMENT, id=late)
    assert (document["status"], document["receivedBytes"]) == ("CANCELED", 0)
    assert (await paced.ask(DOCUMENT, id=timely))["status"] == "NEW"
    assert len(paced.stored()) == 1
    answer = await paced.http.put(link, content=b"page One")
    assert (answer.status_code, answer.json()["code"]) == (403, "INVALID_LINK")
    await paced.work()
    job = await paced.job(id)
    fates = [each["failure"] and each["failure"]["code"] for each in job["documents"]["nodes"]]
    assert (job["status"], job["outcome"], fates) == ("COMPLETED", "WARNING", [None, "EXPIRED"])


async def test_bytes_whose_row_is_gone_are_removed(paced: Service) -> None:
    await paced.upload("page Kept")
    await paced.upload("page Gone")
    kept, gone = paced.stored()
    async with transaction(paced.database) as work:
        work.session.add(FileRemoval(key=gone))
        work.session.add(FileRemoval(key=uuid4()))
    await sweep.remove_files(paced.worker())
    assert paced.stored() == [kept]
    async with reading(paced.database) as session:
        assert (await session.exec(select(FileRemoval))).all() == []


async def test_deleted_jobs_are_remembered_for_a_day_and_the_newest_for_good(
    paced: Service,
) -> None:
    old, new, alive = [await paced.create("page One") for _ in range(3)]
    for id in (old, new):
        await paced.ask(DELETE, id=id)
    for hours in (26, 25), (25, 23), (49, 48):
        async with transaction(paced.database) as work:
            for id, age in zip((old, new), hours, strict=True):
                at = now() - timedelta(hours=age)
                await work.session.exec(
                    update(JobEvent).where(col(JobEvent.job_id) == UUID(id)).values(at=at)
                )
        await sweep.forget(paced.worker())
        async with reading(paced.database) as session:
            left = (await session.exec(select(JobEvent.job_id))).all()
        assert sorted(map(str, left)) == sorted([new, alive])


async def test_a_worker_is_known_while_it_beats(paced: Service) -> None:
    context = paced.worker()
    query = "{ service { status queueLength workers { id running capacity } } }"
    assert (await paced.ask(query))["status"] == "WARNING"
    await sweep.beat(context)
    found = await paced.ask(query)
    assert found["status"] == "RUNNING"
    assert found["workers"] == [{"id": str(context.worker_id), "running": 0, "capacity": 1}]
    async with transaction(paced.database) as work:
        await work.session.exec(update(Worker).values(last_seen_at=now() - timedelta(minutes=1)))
    assert (await paced.ask(query))["workers"] == []
    await sweep.beat(context)
    await sweep.leave(context)
    assert (await paced.ask(query))["workers"] == []


async def test_a_worker_that_went_without_a_word_is_forgotten(paced: Service) -> None:
    silent, alive = paced.worker(), paced.worker()
    for context in (silent, alive):
        await sweep.beat(context)
    async with transaction(paced.database) as work:
        await work.session.exec(
            update(Worker)
            .where(col(Worker.id) == silent.worker_id)
            .values(last_seen_at=now() - timedelta(hours=2))
        )
    await sweep.forget(alive)
    async with reading(paced.database) as session:
        assert (await session.exec(select(Worker.id))).all() == [alive.worker_id]


async def test_a_step_that_fails_does_not_end_the_sweep(
    paced: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with paced.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE file_removal RENAME TO hidden"))
    try:
        await sweep._safely(sweep.remove_files, paced.worker())
    finally:
        async with paced.database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE hidden RENAME TO file_removal"))
    assert [record.message for record in caplog.records] == [
        "remove_files failed; it is tried again"
    ]
