"""A job in the hands of a worker: what it writes, and that a lost run writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select, update
from world import LEASE, World

from app.clock import now
from app.db.work import ReadSession, Work, WriteSession, reading, transaction
from app.documents.models import Document
from app.failures import ErrorCode, Failure
from app.jobs import commands, deletions, events, idempotency, queries, recording, retries, runs
from app.jobs.idempotency import Fingerprint
from app.jobs.models import Job, JobEvent
from app.jobs.queries import PagesInAll
from app.jobs.results import Issue, Page, Segment
from app.jobs.runs import Run, RunLost
from app.jobs.states import JobStatus
from app.jobs.types import EventKind, JobOutcome, Severity

pytestmark = pytest.mark.anyio

Step = Callable[[Work, World, Run], Awaitable[Any]]
FAILURE = Failure(ErrorCode.CORRUPT, "It is broken.")


def page(number: int, *texts: str, total: int = 5, issues: tuple[Issue, ...] = ()) -> Page:
    """Make a page with these segments."""
    return Page(
        number, total, tuple(Segment(text, number) for text in texts), issues, {"n": number}
    )


STEPS: dict[str, Step] = {
    "extend": lambda work, _, run: runs.extend(work, run, lease=LEASE),
    "record_pages": lambda work, world, run: recording.record_pages(
        work, world.bell, run, run.documents[0], [page(1, "late")]
    ),
    "end_document": lambda work, world, run: recording.end_document(
        work, world.bell, run, run.documents[0], None
    ),
    "finish": lambda work, world, run: recording.finish(work, world.bell, run),
    "fail": lambda work, world, run: recording.fail(work, world.bell, run, FAILURE),
    "give_back": lambda work, world, run: runs.give_back(
        work, world.bell, run, reason="late", due_at=now()
    ),
    "try_again": lambda work, world, run: recording.try_again(
        work, world.bell, run, FAILURE, delay=timedelta(0)
    ),
}


async def lose_to_another(world: World, run: Run) -> None:
    """Have another worker take the job up."""
    async with transaction(world.database) as work:
        await runs.give_back(work, world.bell, run, reason="stopped", due_at=now())
    assert (await world.claimed()).attempt == run.attempt + 1


async def lose_to_a_cancel(world: World, run: Run) -> None:
    """Have the caller cancel the job."""
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=run.job_id)


async def lose_to_a_deletion(world: World, run: Run) -> None:
    """Have the caller delete the job."""
    async with transaction(world.database) as work:
        await deletions.delete(
            work, world.bell, caller=world.caller, job_id=run.job_id, store=world.store
        )


async def everything(world: World) -> list[Any]:
    """Read all that a run could write."""
    async with reading(world.database) as session:
        jobs = (await session.exec(select(Job))).all()
        told = (await session.exec(select(JobEvent).order_by("id"))).all()
    inner = [(await world.documents(job.id), await world.segments(job.id)) for job in jobs]
    return [jobs, told, inner]


@pytest.mark.parametrize("lose", [lose_to_another, lose_to_a_cancel, lose_to_a_deletion])
@pytest.mark.parametrize("step", STEPS)
async def test_a_lost_run_changes_nothing(
    world: World, step: str, lose: Callable[[World, Run], Awaitable[None]]
) -> None:
    await world.create()
    run = await world.claimed()
    await lose(world, run)
    before = await everything(world)
    with pytest.raises(RunLost):
        async with transaction(world.database) as work:
            await STEPS[step](work, world, run)
    assert await everything(world) == before


async def test_pages_bring_segments_progress_and_a_checkpoint(world: World) -> None:
    id = await world.create(await world.document(), await world.document())
    run = await world.claimed()
    issues = (Issue("ODD", "Odd.", 2),)
    async with transaction(world.database) as work:
        await recording.record_pages(
            work,
            world.bell,
            run,
            run.documents[0],
            [page(1, "a", "b", total=4), page(2, total=4, issues=issues)],
        )
    job, (first, second) = await world.row(id), await world.documents(id)
    assert (job.progress, job.pages_done) == (25, 2)
    assert job.message == "Reading 'a.txt': page 2 of 4."
    assert await world.segments(id) == [(0, 1, "a"), (0, 2, "b")]
    assert (first.status, first.checkpoint) == (JobStatus.PROCESSING, {"n": 2})
    assert (first.pages_done, first.pages_total, first.segment_count) == (2, 4, 2)
    assert first.issues == [{"code": "ODD", "severity": "WARNING", "message": "Odd.", "page": 2}]
    assert (second.status, second.pages_done, second.pages_total) == (JobStatus.PENDING, 0, None)


async def test_progress_never_falls(world: World) -> None:
    id = await world.create()
    run = await world.claimed()
    seen = []
    for number, total in ((1, 2), (2, 8), (3, 8), (7, 8)):
        await world.record(run, number, total=total)
        seen.append((await world.row(id)).progress)
    assert seen == [50, 50, 50, 87]


async def test_issues_are_kept_up_to_a_hundred(world: World) -> None:
    id = await world.create()
    run = await world.claimed()
    many = tuple(Issue("ODD", f"Odd {number}.", 1) for number in range(150))
    async with transaction(world.database) as work:
        await recording.record_pages(
            work, world.bell, run, run.documents[0], [page(1, issues=many)]
        )
    (row,) = await world.documents(id)
    assert len(row.issues) == 100


async def test_a_run_goes_on_where_the_last_one_stopped(world: World) -> None:
    id = await world.create()
    whole = await world.create()
    run = await world.claimed()
    await world.record(run, 1, 2)
    async with transaction(world.database) as work:
        await runs.give_back(work, world.bell, run, reason="stopped", due_at=now())
    again = await world.claimed()
    assert again.job_id == id
    document = again.documents[0]
    assert (document.pages_done, document.checkpoint) == (2, {"done": 2})
    await world.record(again, 3, 4, 5)
    unbroken = await world.claimed()
    await world.record(unbroken, 1, 2, 3, 4, 5)
    (row,), (other,) = await world.documents(id), await world.documents(whole)
    assert (row.segment_count, row.segments_sha256) == (5, other.segments_sha256)
    assert await world.segments(id) == await world.segments(whole)


async def test_a_failure_after_a_write_that_was_rolled_back_counts_what_is_there(
    world: World,
) -> None:
    id = await world.create()
    run = await world.claimed()
    await world.record(run, 1)
    async with world.database.writer() as session:
        work = Work(WriteSession(ReadSession(session)))
        await recording.record_pages(work, world.bell, run, run.documents[0], [page(2, "lost")])
        await session.rollback()
    async with transaction(world.database) as work:
        await recording.fail(work, world.bell, run, FAILURE)
    (row,) = await world.documents(id)
    assert (row.segment_count, row.pages_done) == (1, 1)
    assert len(await world.segments(id)) == 1


@pytest.mark.parametrize(
    ("fates", "odd", "end"),
    [
        ([None], None, (JobStatus.COMPLETED, JobOutcome.SUCCESS, None)),
        ([None], Severity.INFO, (JobStatus.COMPLETED, JobOutcome.SUCCESS, None)),
        ([None], Severity.WARNING, (JobStatus.COMPLETED, JobOutcome.WARNING, None)),
        ([None, FAILURE], None, (JobStatus.COMPLETED, JobOutcome.WARNING, None)),
        ([FAILURE], None, (JobStatus.FAILED, JobOutcome.ERROR, ErrorCode.CORRUPT)),
        (
            [Failure(ErrorCode.PASSWORD, "Locked."), FAILURE],
            Severity.WARNING,
            (JobStatus.FAILED, JobOutcome.ERROR, ErrorCode.PASSWORD),
        ),
    ],
    ids=["all done", "a note", "an issue", "one failed", "all failed", "the first error"],
)
async def test_how_a_job_ends(
    world: World,
    fates: list[Failure | None],
    odd: Severity | None,
    end: tuple[JobStatus, JobOutcome, ErrorCode | None],
) -> None:
    ids = [await world.document() for _ in fates]
    id = await world.create(*ids)
    run = await world.claimed()
    issues = () if odd is None else (Issue("ODD", "Odd.", 1, odd),)
    async with transaction(world.database) as work:
        for document, fate in zip(run.documents, fates, strict=True):
            one = page(1, "text", total=1, issues=issues)
            await recording.record_pages(work, world.bell, run, document, [one])
            await recording.end_document(work, world.bell, run, document, fate)
        await recording.finish(work, world.bell, run)
    job = await world.row(id)
    assert (job.status, job.outcome, job.error_code) == end
    failed = job.status is JobStatus.FAILED
    assert job.error_document_id == (ids[0] if failed else None)
    assert (job.progress == 100, job.result is None) == (not failed, failed)
    assert (job.lease_until, job.worker_id, job.message) == (None, None, None)
    assert job.finished_at is not None
    assert job.duration_ms is not None


async def test_a_job_that_runs_out_of_time_keeps_what_was_done(world: World) -> None:
    id = await world.create(*[await world.document() for _ in range(3)])
    run = await world.claimed()
    await world.record(run, 1, total=1)
    async with transaction(world.database) as work:
        await recording.end_document(work, world.bell, run, run.documents[0], None)
    await world.record(run, 1, total=2, document=1)
    late = Failure(ErrorCode.TIMEOUT, "It took too long.")
    async with transaction(world.database) as work:
        await recording.fail(work, world.bell, run, late)
    job = await world.row(id)
    assert (job.status, job.outcome) == (JobStatus.COMPLETED, JobOutcome.WARNING)
    assert (job.error_code, job.error_message, job.error_document_id) == (None, None, None)
    fates = [(row.status, row.failure_code) for row in await world.documents(id)]
    failed = (JobStatus.FAILED, ErrorCode.TIMEOUT)
    assert fates == [(JobStatus.COMPLETED, None), failed, failed]


async def test_a_canceled_job_keeps_the_fates_that_were_known(world: World) -> None:
    id = await world.create(*[await world.document() for _ in range(3)])
    run = await world.claimed()
    async with transaction(world.database) as work:
        await recording.end_document(work, world.bell, run, run.documents[0], None)
        await recording.end_document(work, world.bell, run, run.documents[1], FAILURE)
    await lose_to_a_cancel(world, run)
    job = await world.row(id)
    assert (job.status, job.outcome, job.error_code) == (
        JobStatus.CANCELED,
        JobOutcome.ERROR,
        ErrorCode.CANCELED,
    )
    assert [row.status for row in await world.documents(id)] == [
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.CANCELED,
    ]


async def test_the_result_counts_and_names(world: World) -> None:
    first, second = await world.document(), await world.document()
    id = await world.create(first, second)
    run = await world.claimed()
    await world.record(run, 1, 2, total=2)
    async with transaction(world.database) as work:
        await recording.end_document(work, world.bell, run, run.documents[0], None)
        await recording.end_document(work, world.bell, run, run.documents[1], FAILURE)
        await recording.finish(work, world.bell, run)
        document = await work.session.get_one(Document, first)
    row, _ = await world.documents(id)
    assert document.media_length == 2
    assert (await world.row(id)).result == {
        "segmentCount": 2,
        "pageCount": 2,
        "documents": [
            {
                "documentId": str(first),
                "status": "COMPLETED",
                "segmentCount": 2,
                "pageCount": 2,
                "segmentsSha256": row.segments_sha256,
            },
            {
                "documentId": str(second),
                "status": "FAILED",
                "segmentCount": 0,
                "pageCount": 0,
                "segmentsSha256": None,
            },
        ],
    }


async def test_a_job_is_given_back_uncharged(world: World) -> None:
    id = await world.create()
    run = await world.claimed()
    await world.record(run, 1)
    due_at = now() + timedelta(seconds=3)
    async with transaction(world.database) as work:
        await runs.give_back(work, world.bell, run, reason="stopped", due_at=due_at)
    job = await world.row(id)
    assert (job.status, job.due_at, job.lease_until) == (JobStatus.PENDING, due_at, None)
    assert (job.attempt, job.charged_attempts) == (1, 0)


async def test_a_silent_worker_loses_its_job_until_it_was_tried_enough(world: World) -> None:
    id = await world.create()
    delays = []
    for _ in range(3):
        assert await world.claim() is not None
        await silence(world, id)
        before = now()
        async with transaction(world.database) as work:
            await recording.take_back(work, world.bell, id, delay=timedelta(seconds=10))
        job = await world.row(id)
        if job.status is JobStatus.PENDING:
            delays.append(round((job.due_at - before).total_seconds()))
            async with transaction(world.database) as work:
                await work.session.exec(update(Job).values(due_at=before))
    assert delays == [10, 20]
    job = await world.row(id)
    assert (job.status, job.error_code, job.charged_attempts, job.attempt) == (
        JobStatus.FAILED,
        ErrorCode.WORKER_LOST,
        3,
        3,
    )


async def test_a_worker_that_spoke_keeps_its_job(world: World) -> None:
    id = await world.create()
    run = await world.claimed()
    await silence(world, id)
    async with reading(world.database) as session:
        assert await runs.lost(session) == [id]
    async with transaction(world.database) as work:
        await runs.extend(work, run, lease=LEASE)
    before = await world.row(id)
    async with transaction(world.database) as work:
        await recording.take_back(work, world.bell, id, delay=timedelta(0))
    async with reading(world.database) as session:
        assert await runs.lost(session) == []
    assert await world.row(id) == before


async def test_pages_are_recorded_whoever_makes_a_job_on_the_document_meanwhile(
    world: World,
) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    document = await world.document()
    await world.create(document)
    run = await world.claimed()
    failed = await world.create(document)
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=failed)
    asked = Fingerprint.of({}, keys=[b"key"])
    async with transaction(world.database) as holder:
        await retries.retry(holder, world.bell, caller=world.caller, job_id=failed)
        await idempotency.replayed(holder, caller=world.caller, key="a", request=asked)
        async with asyncio.timeout(10):
            await world.record(run, 1)
    assert (await world.row(run.job_id)).progress == 20


async def test_two_sweeps_charge_a_lost_job_once(world: World) -> None:
    id = await world.create()
    await world.claimed()
    await silence(world, id)

    async def take_back() -> None:
        async with transaction(world.database) as work:
            await recording.take_back(work, world.bell, id, delay=timedelta(0))

    await asyncio.gather(*(take_back() for _ in range(5)))
    job = await world.row(id)
    assert (job.status, job.charged_attempts) == (JobStatus.PENDING, 1)


async def test_the_time_of_every_attempt_counts(world: World) -> None:
    id = await world.create()
    run = await world.claimed()
    async with transaction(world.database) as work:
        earlier = now() - timedelta(seconds=20)
        await work.session.exec(update(Job).values(attempt_started_at=earlier))
    async with transaction(world.database) as work:
        await runs.give_back(work, world.bell, run, reason="stopped", due_at=now())
    again = await world.claimed()
    assert timedelta(seconds=39) < again.time_left <= timedelta(seconds=40)
    assert ((await world.row(id)).duration_ms or 0) >= 20_000


async def test_events_count_without_a_gap_whoever_writes(world: World) -> None:
    id = await world.create()
    run = await world.claimed()

    async def tell(number: int) -> None:
        note = events.Note(EventKind.LOG, f"{number}")
        async with transaction(world.database) as work:
            await events.change(work, world.bell, id, note=note, fence=run.attempt)

    await asyncio.gather(*(tell(number) for number in range(20)))
    async with reading(world.database) as session:
        statement = select(JobEvent).where(JobEvent.job_id == id).order_by("id")
        rows = (await session.exec(statement)).all()
    assert [row.seq for row in rows] == list(range(1, 23))
    assert {row.message for row in rows[2:]} == {str(number) for number in range(20)}
    assert (await world.row(id)).event_seq == 22


async def silence(world: World, id: UUID) -> None:
    """Let the lease of a job be over."""
    async with transaction(world.database) as work:
        past = now() - timedelta(seconds=1)
        await work.session.exec(update(Job).where(col(Job.id) == id).values(lease_until=past))


async def test_pages_of_attached_files_are_none_of_the_documents_own(world: World) -> None:
    id = await world.create()
    run = await world.claimed()
    async with transaction(world.database) as work:
        one = Page(1, 5, (Segment("text", 1),), (), {"n": 1}, attached=3)
        await recording.record_pages(work, world.bell, run, run.documents[0], [one])
    (row,) = await world.documents(id)
    assert row.pages_total == 5
    async with reading(world.database) as session:
        document = await session.get_one(Document, row.document_id)
    assert document.media_length == 2


async def test_pages_that_are_left_out_count_neither_as_done_nor_in_all(world: World) -> None:
    other = await world.document()
    async with transaction(world.database) as work:
        await work.session.exec(update(Document).values(media_length=100))
    id = await world.create(await world.document(), other, page_slice="3:5")
    run = await world.claimed()
    async with transaction(world.database) as work:
        fourth = Page(4, 7, (), (), {"n": 4}, left_out=3, left_out_in_all=5)
        await recording.record_pages(work, world.bell, run, run.documents[0], [fourth])
    first, second = await world.documents(id)
    assert (first.pages_done, first.pages_total, second.pages_total) == (1, 2, None)
    async with reading(world.database) as session:
        document = await session.get_one(Document, first.document_id)
        # How much of the other one is meant is known once it is opened.
        pages = (await queries.pages_in_all(session, [id]))[id]
        job = await session.get_one(Job, id)
    assert document.media_length == 7
    assert pages == PagesInAll(2, complete=False)
    assert (job.pages_done, job.progress) == (1, 25)
    assert job.message == "Reading 'a.txt': page 4 of 7."
