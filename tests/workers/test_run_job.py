"""The one data path: claimed, done document by document, canceled, lost, given back."""

import asyncio
import logging
import signal
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from history import BUG
from redis.asyncio import Redis
from service import CANCEL, DELETE, PATIENCE_SECONDS, SEGMENTS, Service, local_store
from sqlalchemy import text
from sqlmodel import col, select, update

from app.accounts.tokens import new_token
from app.clock import now
from app.db.work import reading, transaction
from app.embedded.valkey import Valkey
from app.jobs.models import Job, Segment
from app.jobs.queue import Channel, Doorbell
from workers import sweep
from workers.__main__ import arq_worker, close, hear_rings
from workers.run_job import claim, keep_alive, work_on

pytestmark = pytest.mark.anyio


def bodies(job: dict[str, object]) -> list[str]:
    """Return the bodies of the segments of a job."""
    result = job["result"]
    assert isinstance(result, dict)
    return [segment["body"] for segment in result["segments"]["nodes"]]


async def test_each_document_has_its_own_fate(paced: Service) -> None:
    id = await paced.create("pages 2", "page One\ncrash", "fail PASSWORD", "page Last")
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["outcome"], job["error"]) == ("COMPLETED", "WARNING", None)
    assert (job["progress"], job["attempt"], job["chargedAttempts"]) == (100, 1, 0)
    fates = [
        (each["status"], each["failure"] and each["failure"]["code"], each["mediaLength"])
        for each in job["documents"]["nodes"]
    ]
    assert fates == [
        ("COMPLETED", None, 2),
        ("FAILED", "CRASHED", 1),
        ("FAILED", "PASSWORD", None),
        ("COMPLETED", None, 1),
    ]
    assert bodies(job) == ["1 of 2", "2 of 2", "One", "Last"]
    assert job["resultJson"]["segmentCount"] == 4


async def test_a_job_of_which_nothing_succeeded_fails_with_the_first_error(paced: Service) -> None:
    id = await paced.create("fail PASSWORD", "fail CORRUPT")
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["outcome"]) == ("FAILED", "ERROR")
    assert job["error"] == {
        "code": "PASSWORD",
        "message": "It cannot be read.",
        "retryable": False,
        "document": {"filename": "0.txt"},
    }
    assert job["resultJson"] is None


async def test_issues_make_the_outcome_a_warning(paced: Service) -> None:
    id = await paced.create("page One\npage An odd one")
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "WARNING")
    assert job["issues"] == [
        {
            "code": "ODD",
            "severity": "WARNING",
            "message": "An odd page.",
            "page": 2,
            "document": {"filename": "0.txt"},
        }
    ]


async def test_a_document_knows_its_length_once_it_was_read(paced: Service) -> None:
    document = await paced.upload("pages 3")
    await paced.create_on(document)
    await paced.work()
    query = "query($id: ID!) { document(id: $id) { mediaLength } }"
    assert await paced.ask(query, id=document) == {"mediaLength": 3}


async def test_a_cancel_ends_the_work_in_the_middle_of_a_page(paced: Service) -> None:
    id = await paced.create("page One\nhang", "page Two")
    # It has to be told: it would not look for itself.
    context = paced.worker(heartbeat=timedelta(hours=1), lease=timedelta(hours=2))
    async with paced.working(context):
        await paced.progress(id, 1)
        answer = await paced.ask(CANCEL, id=id)
        assert (answer["changed"], answer["job"]["status"]) == (True, "CANCELED")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while context.nudges:  # nothing tells of the end of a run that is not wanted
                await paced.job(id)
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["outcome"], job["attempt"]) == ("CANCELED", "ERROR", 1)
    assert bodies(job) == ["One"]


async def test_a_job_that_is_deleted_while_it_runs_is_let_go(paced: Service) -> None:
    id = await paced.create("page One\nhang")
    context = paced.worker()
    async with paced.working(context):
        await paced.progress(id, 1)
        assert (await paced.ask(DELETE, id=id))["canceledFirst"] is True
        async with asyncio.timeout(PATIENCE_SECONDS):
            while context.nudges:
                await paced.ask("{ viewer { scope } }")
    assert (await paced.kept())["Segment"] == 0
    assert paced.stored() == []


async def test_a_worker_that_is_stopped_gives_the_job_back_uncharged(paced: Service) -> None:
    id = await paced.create("page One\nhang")
    async with paced.working():
        await paced.progress(id, 1)
    job = await paced.job(id)
    assert (job["status"], job["attempt"], job["chargedAttempts"]) == ("PENDING", 1, 0)
    assert job["events"]["nodes"][-1]["message"] == "The worker is stopping; another one goes on."
    assert (job["waitingOn"]["kind"], job["waitingOn"]["position"]) == ("QUEUE", 1)


async def test_a_worker_that_is_stopped_as_its_job_is_nudged_gives_it_back(paced: Service) -> None:
    id = await paced.create("page One\nhang")
    run = await claim(context := paced.worker())
    assert run is not None
    working = asyncio.create_task(work_on(context, run))
    await paced.progress(id, 1)
    context.nudges[run.job_id].set()
    working.cancel()
    done, _ = await asyncio.wait({working}, timeout=PATIENCE_SECONDS)
    assert done
    assert working.cancelled()
    assert (await paced.job(id))["status"] == "PENDING"


async def test_a_worker_closes_in_peace_whatever_its_jobs_end_with(paced: Service) -> None:
    worker = arq_worker(paced.worker())
    job: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
    worker.tasks["a job that is ending"] = job
    await close(worker)
    assert job.cancelled()


async def test_a_worker_whose_redis_has_gone_gives_the_job_back_and_ends_soon(
    paced: Service, short_folder: Path
) -> None:
    (short_folder / "own").mkdir(exist_ok=True)
    server = Valkey(short_folder / "own")
    running = await server.start()
    id = await paced.create("page One\nhang")
    worker = arq_worker(paced.worker(redis_url=server.url))
    working = asyncio.create_task(worker.async_run())
    bell = Doorbell(server.url)
    await bell.ring(UUID(id))
    await bell.close()
    await paced.progress(id, 1)
    running.send_signal(signal.SIGKILL)
    await running.wait()
    working.cancel()
    await asyncio.wait({working})
    closing = asyncio.create_task(close(worker))
    done, _ = await asyncio.wait({closing}, timeout=20)
    assert done
    assert isinstance(closing.exception(), TimeoutError)
    assert (await paced.job(id))["status"] == "PENDING"
    running = await server.start()  # for the last words of arq, which we did not wait for
    await asyncio.wait([each for each in asyncio.all_tasks() if "finish_job" in str(each)])
    await close(worker)
    running.send_signal(signal.SIGTERM)
    await running.wait()


async def test_a_lost_run_is_taken_up_at_its_checkpoint(paced: Service) -> None:
    unbroken = await paced.create("pages 5")
    await paced.work()
    id = await paced.create("pages 3\nhang\npage 4 of 5\npage 5 of 5")
    async with paced.working():
        await paced.progress(id, 3)
    # As if the three pages had been followed by the end of the worker.
    await rewrite(paced, id, "page x\npage x\npage x\npage 4 of 5\npage 5 of 5")
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["attempt"]) == ("COMPLETED", 2)
    assert bodies(job) == ["1 of 3", "2 of 3", "3 of 3", "4 of 5", "5 of 5"]
    assert (job["progressDetail"]["done"], job["progressDetail"]["total"]) == (5, 5)
    assert job["resultJson"]["pageCount"] == 5
    progress = [event["progress"] for event in job["events"]["nodes"]]
    assert progress == sorted(progress)
    assert (await paced.job(unbroken))["resultJson"]["segmentCount"] == 5


async def test_a_job_that_takes_too_long_ends_in_time(paced: Service) -> None:
    id = await paced.create("page One", "page Two\nhang", "page Three", timeoutSeconds=60)
    async with transaction(paced.database) as work:
        await work.session.exec(update(Job).values(duration_ms=56_000))
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "WARNING")
    codes = [each["failure"] and each["failure"]["code"] for each in job["documents"]["nodes"]]
    assert codes == [None, "TIMEOUT", "TIMEOUT"]
    assert bodies(job) == ["One", "Two"]


async def test_a_page_that_takes_too_long_fails_its_document_only(paced: Service) -> None:
    id = await paced.create("hang", "page Two")
    await paced.work(paced.worker(page_time=timedelta(seconds=2)))
    job = await paced.job(id)
    codes = [each["failure"] and each["failure"]["code"] for each in job["documents"]["nodes"]]
    assert codes == ["TIMEOUT", None]


async def test_a_document_with_too_many_pages_is_not_read(paced: Service) -> None:
    id = await paced.create("pages 4", "pages 3")
    await paced.work(paced.worker(page_limit=3))
    job = await paced.job(id)
    long, short = [each["failure"] for each in job["documents"]["nodes"]]
    assert long == {
        "code": "TOO_LARGE",
        "message": "The document has 4 pages; at most 3 are taken.",
    }
    assert (short, len(bodies(job))) == (None, 3)


@pytest.mark.parametrize("code", ["PASSWORD", "CORRUPT", "UNSUPPORTED_FORMAT"])
async def test_what_is_wrong_with_a_file_is_not_tried_again(paced: Service, code: str) -> None:
    id = await paced.create(f"page One\nfail {code}")
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["attempt"], job["chargedAttempts"]) == ("FAILED", 1, 0)
    assert (job["error"]["code"], job["error"]["retryable"]) == (code, False)


async def test_bytes_that_are_gone_fail_their_document(paced: Service) -> None:
    id = await paced.create("page One", "page Two")
    await paced.store.delete(paced.stored()[0])
    await paced.work()
    job = await paced.job(id)
    codes = [each["failure"] and each["failure"]["code"] for each in job["documents"]["nodes"]]
    assert codes == ["INTERNAL", None]


async def test_a_long_document_makes_at_most_four_events_a_second(paced: Service) -> None:
    id = await paced.create("pages 3000")
    await paced.work()
    job = await paced.job(id)
    query = "query($id: ID!) { job(id: $id) { durationMs events(first: 500) { nodes { kind } } } }"
    found = await paced.ask(query, id=id)
    told = sum(event["kind"] == "PROGRESS" for event in found["events"]["nodes"])
    assert job["resultJson"]["segmentCount"] == 3000
    # One at the start, one at the end.
    assert told <= found["durationMs"] / 250 + 2


async def test_the_first_segments_are_shown_at_once(paced: Service) -> None:
    id = await paced.create("page One\nhang")
    async with paced.working(), paced.subscribe(SEGMENTS, id=id) as segments:
        shown = await anext(segments)
        assert shown["node"]["body"] == "One"
        assert (await paced.job(id))["status"] == "PROCESSING"


async def test_one_ring_takes_up_all_that_is_due(paced: Service) -> None:
    ids = [await paced.create("page One") for _ in range(3)]
    await paced.bell.redis.flushall()
    await paced.bell.ring(UUID(ids[2]))
    await paced.work()
    assert [(await paced.job(id))["status"] for id in ids] == ["COMPLETED"] * 3


async def test_an_idle_worker_hears_a_ring_at_once(paced: Service) -> None:
    context = paced.worker()
    worker = arq_worker(context)
    worker.poll_delay_s = 3600
    working = asyncio.create_task(worker.async_run())
    hearing = asyncio.create_task(hear_rings(context, worker))
    async with asyncio.timeout(20):
        while not (await paced.bell.redis.pubsub_numsub(Channel.RINGS))[0][1]:
            await paced.ask("{ viewer { scope } }")
        id = await paced.create("page One")
        assert (await paced.events(id))[-1]["status"] == "COMPLETED"
    for each in (working, hearing):
        each.cancel()
    await asyncio.gather(working, hearing, return_exceptions=True)
    await close(worker)


async def test_a_worker_outlives_connections_that_break_as_it_looks_at_a_ring(
    paced: Service,
) -> None:
    worker = arq_worker(paced.worker())
    worker.poll_delay_s = 0.01
    working = asyncio.create_task(worker.async_run())
    async with Redis.from_url(paced.settings.redis_url) as redis:
        for _ in range(20):
            async with redis.monitor() as monitor, asyncio.timeout(PATIENCE_SECONDS):
                await paced.bell.ring(uuid4())
                commands = (each["command"] async for each in monitor.listen())
                while not (await anext(commands)).startswith("WATCH arq:in-progress"):
                    pass
                await redis.client_kill_filter(_type="normal", skipme=True)
    id = await paced.create("page One")
    await paced.bell.ring(UUID(id))  # its own may have met a connection that was broken
    await paced.event(id, lambda event: event["status"] == "COMPLETED")
    assert not working.done()
    working.cancel()
    await asyncio.wait({working})
    await close(worker)


async def test_a_failing_database_costs_an_attempt_and_no_secret(
    paced: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    id = await paced.create("page Confidential words", name="top secret")
    await alter(paced, "ALTER TABLE segment RENAME TO hidden")
    try:
        run = await claim(context := paced.worker())
        assert run is not None
        await work_on(context, run)
    finally:
        await alter(paced, "ALTER TABLE hidden RENAME TO segment")
    assert any("went wrong" in record.message for record in caplog.records)
    for secret in ("Confidential", "top secret", paced.token):
        assert secret not in caplog.text
    job = await paced.job(id)
    assert (job["status"], job["chargedAttempts"]) == ("PENDING", 1)
    assert BUG in [event["message"] for event in job["events"]["nodes"]]  # what faults look for
    await paced.work()
    assert bodies(await paced.job(id)) == ["Confidential words"]


async def test_refusals_and_failures_leave_no_secret_in_the_log(
    paced: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    unknown = new_token()
    await paced.create("page Confidential words\ncrash", "fail PASSWORD", name="top secret")
    await paced.work()
    await paced.post("{ viewer { scope } }", token=unknown)
    await paced.post('{ jobs(after: "x") { totalCount } }')
    for secret in ("Confidential", "top secret", paced.token, unknown):
        assert secret not in caplog.text


async def test_a_sandbox_that_died_costs_an_attempt_and_is_replaced(paced: Service) -> None:
    id = await paced.create("page One\nhang")
    context = paced.worker()
    async with paced.working(context):
        await paced.progress(id, 1)
        parent = paced.sandbox._parent
        assert parent is not None
        # Before it dies: the next attempt may read the file at any moment after.
        await rewrite(paced, id, "page One\npage Two")
        parent.kill()
        await paced.event(id, lambda event: event["message"] == "The sandbox was lost.")
        await sweep.ring_for_forgotten(paced.worker())
        await paced.event(id, lambda event: event["status"] == "COMPLETED")
    job = await paced.job(id)
    assert job["chargedAttempts"] == 1
    assert bodies(job) == ["One", "Two"]


async def test_keys_are_the_same_in_every_job_and_for_every_option(service: Service) -> None:
    content = "# One\n\nShort.\n\n# Two\n\n" + "A long sentence that goes on. " * 8
    document = await service.upload(content, "a.md")
    again = await service.upload(content, "b.md")
    ids = [
        await service.create_on(document),
        await service.create_on(again),
        await service.create_on(document, task={"segment": {"maxSize": 200}}),
    ]
    await service.work()
    async with reading(service.database) as session:
        keys = [
            [
                (segment.body, segment.key)
                for segment in await session.exec(
                    select(Segment).where(Segment.job_id == UUID(id)).order_by(col(Segment.ordinal))
                )
            ]
            for id in ids
        ]
    assert keys[0] == keys[1]
    assert len({key for _, key in keys[0]}) == len(keys[0]) == 2
    assert keys[2][0] == keys[0][0]
    assert len(keys[2]) == 3


async def rewrite(service: Service, id: str, text: str) -> None:
    """Change what the only document of a job says."""
    (key,) = service.stored()[-1:]
    assert str(key) == (await service.job(id))["documents"]["nodes"][-1]["document"]["id"]
    local_store(service.settings).path(key).write_text(text)


async def alter(service: Service, statement: str) -> None:
    """Change the tables."""
    async with service.database.engine.begin() as connection:
        await connection.execute(text(statement))


async def test_a_claim_marks_the_run(paced: Service) -> None:
    id = await paced.create("page One")
    context = paced.worker()
    before = now()
    run = await claim(context)
    assert run is not None
    async with reading(paced.database) as session:
        job = await session.get_one(Job, UUID(id))
    assert (job.worker_id, job.attempt, run.attempt) == (context.worker_id, 1, 1)
    assert job.lease_until is not None
    assert before + context.settings.lease <= job.lease_until <= now() + context.settings.lease
    assert await claim(context) is None


async def test_a_heartbeat_that_meets_the_end_of_its_job_is_no_fault(
    paced: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await paced.create("page One")
    context = paced.worker(heartbeat=timedelta(0))
    run = await claim(context)
    assert run is not None
    context.nudges[run.job_id] = asyncio.Event()
    async with transaction(paced.database) as work:
        ended = {"attempt": Job.attempt + 1}
        await work.session.exec(update(Job).where(col(Job.id) == run.job_id).values(ended))
        pulse = asyncio.create_task(keep_alive(context, run))
        for _ in range(10):
            await asyncio.sleep(0)  # the heartbeat waits for our commit now
        pulse.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulse
    assert [each.getMessage() for each in caplog.records] == []
