"""Jobs that repeat others: what had succeeded is taken over, the rest begins anew."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from service import CANCEL, DELETE, RETRY, Service
from sqlmodel import col, select, update
from world import World

from app.accounts.models import Application
from app.db.work import reading, transaction
from app.errors import AlreadyRetried, NotFound, NothingToRetry, PrerequisiteFailed, SecretsGone
from app.failures import ErrorCode, Failure
from app.jobs import commands, deletions, recording, retries, runs, turns
from app.jobs.models import Job, JobDocument, RuleDocument, Segment
from app.jobs.runs import Run, RunLost
from app.jobs.states import FINISHED, JobStatus
from app.jobs.types import JobOutcome, JobPriority, JobType, WaitKind
from app.jobs.waits import waits

pytestmark = pytest.mark.anyio

BROKEN = Failure(ErrorCode.CORRUPT, "It is broken.")


async def test_what_was_done_is_taken_over_and_the_rest_is_done_again(paced: Service) -> None:
    texts = ("page One\npage Two", "page Three\nfail CORRUPT", "page Four")
    id = await paced.create(*texts, name="Mine", groupId="ours", priority="HIGH", ttlSeconds=900)
    await paced.work()
    old = await paced.job(id)
    # Whoever opened the first document again would not find it.
    await paced.store.delete(UUID(old["documents"]["nodes"][0]["document"]["id"]))
    answer = await paced.ask(RETRY, id=id)
    again = answer["job"]["id"]
    assert answer["job"] == {
        "id": again,
        "name": "Mine",
        "status": "PENDING",
        "retryOf": {"id": id, "retriedBy": {"id": again}},
    }
    await paced.work()
    new = await paced.job(again)
    for field in ("status", "outcome", "groupId", "priority", "settings", "documents"):
        assert new[field] == old[field], field
    assert new["result"] == old["result"]
    assert (await ids_of_segments(paced, id)).isdisjoint(await ids_of_segments(paced, again))
    assert await expiry(paced, again) == timedelta(seconds=900)
    assert await files(paced, again) == await files(paced, id)


async def test_a_document_that_was_not_finished_begins_at_its_first_page(paced: Service) -> None:
    id = await paced.create("pages 3\nhang")
    async with paced.working():
        await paced.progress(id, 3)
        await paced.ask(CANCEL, id=id)
    again = (await paced.ask(RETRY, id=id))["job"]["id"]
    async with paced.working():
        await paced.progress(again, 3)
        await paced.ask(CANCEL, id=again)
    job = await paced.job(again)
    assert [each["ordinal"] for each in job["result"]["segments"]["nodes"]] == [1, 2, 3]
    third = (await paced.ask(RETRY, id=id))["job"]
    assert third["retryOf"]["retriedBy"]["id"] == third["id"]


async def test_only_a_job_that_ended_with_something_left_is_repeated(world: World) -> None:
    document = await world.document()
    for status in JobStatus:
        for outcome in JobOutcome if status in FINISHED else (None,):
            id = await world.job(status, outcome=outcome)
            async with transaction(world.database) as work:
                work.session.add(JobDocument(job_id=id, document_id=document, position=0))
            if status in FINISHED and outcome is not JobOutcome.SUCCESS:
                assert (await world.row(await retry(world, id))).retry_of_id == id
                continue
            with pytest.raises(NothingToRetry):
                await retry(world, id)


async def test_a_draft_that_never_had_a_document_is_not_repeated(world: World) -> None:
    id = await world.job(JobStatus.CANCELED, outcome=JobOutcome.ERROR)
    with pytest.raises(NothingToRetry, match="no documents"):
        await retry(world, id)
    assert await world.claim() is None


async def test_many_retries_at_once_make_one_job(world: World) -> None:
    id = await failed(world)
    answers = await asyncio.gather(*(retry(world, id) for _ in range(5)), return_exceptions=True)
    (made,) = [each for each in answers if isinstance(each, UUID)]
    refused = [each for each in answers if isinstance(each, AlreadyRetried)]
    assert [each.job_id for each in refused] == [made] * 4
    assert (await world.row(made)).number == 2


async def test_the_job_that_repeats_it_comes_with_the_refusal(paced: Service) -> None:
    id = await paced.create("fail CORRUPT")
    await paced.work()
    first = (await paced.ask(RETRY, id=id))["job"]["id"]
    assert await paced.ask(RETRY, id=id) == {
        "__typename": "Conflict",
        "code": "ALREADY_RETRIED",
        "detail": "The job is being repeated already.",
        "conflictingJob": {"id": first},
    }


async def test_a_retry_counts_as_an_open_job(paced: Service) -> None:
    id = await paced.create("fail CORRUPT")
    await paced.work()
    async with transaction(paced.database) as work:
        ours = col(Application.name) == "ours"
        await work.session.exec(update(Application).where(ours).values(max_open_jobs=1))
    await paced.create("page One")
    before = await paced.kept()
    answer = await paced.ask(RETRY, id=id)
    assert (answer["code"], answer["limit"]) == ("TOO_MANY_JOBS", 1)
    assert await paced.kept() == before


async def test_a_password_that_is_needed_again_must_be_given_again(world: World) -> None:
    wiped = [{"name": "DOC.PASSWORD", "wiped": True}]
    of_done, of_failed = await partly_failed(world), await partly_failed(world)
    for id, place in ((of_done, 0), (of_failed, 1)):
        async with transaction(world.database) as work:
            row = (col(JobDocument.job_id) == id, col(JobDocument.position) == place)
            statement = update(JobDocument).where(*row)
            await work.session.exec(statement.values(options=wiped))
    with pytest.raises(SecretsGone):
        await retry(world, of_failed)
    await retry(world, of_done)


async def test_a_job_with_nothing_but_warnings_does_those_documents_again(world: World) -> None:
    id = await world.create(*[await world.document() for _ in range(2)])
    run = await world.claimed()
    for place in range(2):
        await world.record(run, 1, total=1, document=place)
        await end(world, run, place, None)
    async with transaction(world.database) as work:
        odd = [{"code": "ODD", "message": "Odd.", "page": 1, "severity": "WARNING"}]
        second = update(JobDocument).where(col(JobDocument.position) == 1)
        await work.session.exec(second.values(issues=odd))
        await recording.finish(work, world.bell, run)
    assert (await world.row(id)).outcome is JobOutcome.WARNING
    again = await world.documents(await retry(world, id))
    assert [each.taken_from_id for each in again] == [id, None]


async def test_a_lost_worker_costs_a_block_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "BLOCK", 2)
    id = await partly_failed(world, pages=5)
    again = await retry(world, id)
    run = await world.claimed()
    assert await take_over(world, run) is True
    async with transaction(world.database) as work:
        job = await world.row(again)
        await runs.give_back(work, world.bell, run, reason="stopped", due_at=job.due_at)
    with pytest.raises(RunLost):
        await take_over(world, run)
    run = await world.claimed()
    assert [await take_over(world, run) for _ in range(2)] == [True, False]
    assert await world.segments(again) == [
        each for each in await world.segments(id) if each[0] == 0
    ]
    old, new = (await world.documents(id))[0], (await world.documents(again))[0]
    for column in ("pages_done", "pages_total", "segment_count", "segments_sha256", "issues"):
        assert getattr(new, column) == getattr(old, column), column
    keys = [await keys_of_segments(world, each) for each in (id, again)]
    assert keys[0][:5] == keys[1]


async def test_what_cannot_be_taken_over_any_more_is_done_again(paced: Service) -> None:
    id = await paced.create("page One", "fail CORRUPT")
    await paced.work()
    again = (await paced.ask(RETRY, id=id))["job"]["id"]
    gone = await paced.ask(DELETE, id=id)
    assert gone["deletedDocumentIds"] == []
    await paced.work()
    job = await paced.job(again)
    assert (job["outcome"], job["result"]["segmentCount"]) == ("WARNING", 1)


async def test_a_retry_while_the_job_is_being_deleted_finds_nothing(world: World) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    id = await failed(world)
    async with transaction(world.database) as work:
        await deletions.delete(work, world.bell, caller=world.caller, job_id=id, store=world.store)
        task = asyncio.create_task(retry(world, id))
        await asyncio.wait({task}, timeout=0.2)
    with pytest.raises(NotFound):
        await task


async def test_settings_of_the_old_job_are_those_of_the_new(world: World) -> None:
    asked: dict[str, Any] = {
        "priority": JobPriority.LOW,
        "group_id": "g",
        "queue_timeout": timedelta(seconds=77),
        "ttl": timedelta(seconds=99),
        "timeout": timedelta(seconds=55),
        "max_attempts": 2,
    }
    id = await world.create(owned=True, **asked)
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
    again = await retry(world, id)
    old, new = await world.row(id), await world.row(again)
    for column in retries.COPIED:
        assert getattr(new, column) == getattr(old, column), column
    assert (old.name, new.name) == ("SEGMENT 1", "SEGMENT 2")
    assert new.queued_at is not None
    assert new.give_up_at == new.queued_at + timedelta(seconds=77)
    assert [(each.document_id, each.owned) for each in await world.documents(again)] == [
        (each.document_id, True) for each in await world.documents(id)
    ]


async def test_what_comes_after_a_failed_job_waits_for_its_retry(world: World) -> None:
    first = await world.create()
    second = await world.create(await world.document(), execute_after_id=first)
    run = await world.claimed()
    async with transaction(world.database) as work:
        await recording.fail(work, world.bell, run, BROKEN)
    assert (await world.row(second)).error_code is ErrorCode.DEPENDENCY
    with pytest.raises(PrerequisiteFailed) as refused:
        await retry(world, second)
    assert refused.value.job_id == first
    first_again = await retry(world, first)
    second_again = await retry(world, second)
    job = await world.row(second_again)
    assert (job.waits_for_job, job.execute_after_id) == (True, first_again)
    async with reading(world.database) as session:
        (wait,) = (await waits(session, [second_again], ageing=turns.AGEING)).values()
    assert wait is not None
    assert (wait.kind, wait.job_id) == (WaitKind.DEPENDENCY, first_again)
    run = await world.claimed()
    assert run.job_id == first_again
    await world.record(run, 1, total=1)
    await end(world, run, 0, None)
    async with transaction(world.database) as work:
        await recording.finish(work, world.bell, run)
    assert (await world.claimed()).job_id == second_again


async def test_a_job_that_ran_is_repeated_though_the_one_before_it_is_gone(world: World) -> None:
    before = await world.job(JobStatus.COMPLETED)
    id = await world.create(await world.document(), execute_after_id=before)
    run = await world.claimed()
    async with transaction(world.database) as work:
        await recording.fail(work, world.bell, run, BROKEN)
        await work.session.delete(await work.session.get_one(Job, before))
    again = await retry(world, id)
    assert (await world.claimed()).job_id == again


async def test_a_conditional_job_is_judged_anew(world: World) -> None:
    before = await world.job(JobStatus.COMPLETED)
    rule = {"name": "r", "conditions": {}, "jobs": [], "requests": []}
    judged = {"matched": True, "clauses": [], "jobIds": [str(before)]}
    id = await world.job(
        JobStatus.FAILED,
        type=JobType.CONDITIONAL,
        outcome=JobOutcome.ERROR,
        settings={},
        execute_after_id=before,
        rules=[{**rule, **judged}],
    )
    named = await world.document()
    async with transaction(world.database) as work:
        work.session.add(RuleDocument(job_id=id, document_id=named))
    job = await world.row(await retry(world, id))
    async with reading(world.database) as session:
        kept = select(RuleDocument.document_id).where(RuleDocument.job_id == job.id)
        assert (await session.exec(kept)).all() == [named]
    assert (job.status, job.execute_after_id) == (JobStatus.PENDING, before)
    assert job.rules == [{**rule, "matched": None, "clauses": [], "jobIds": []}]


async def test_a_child_is_repeated_by_itself(world: World) -> None:
    parent = await world.job(JobStatus.COMPLETED)
    id = await failed(world)
    async with transaction(world.database) as work:
        await work.session.exec(update(Job).where(col(Job.id) == id).values(parent_id=parent))
    assert (await world.row(await retry(world, id))).parent_id is None


async def retry(world: World, id: UUID) -> UUID:
    """Repeat a job; return the id of the new one."""
    async with transaction(world.database) as work:
        job = await retries.retry(work, world.bell, caller=world.caller, job_id=id)
    return job.id


async def failed(world: World) -> UUID:
    """Make a job of which nothing was done."""
    id = await world.create(owned=True)
    run = await world.claimed()
    async with transaction(world.database) as work:
        await recording.fail(work, world.bell, run, BROKEN)
    return id


async def partly_failed(world: World, *, pages: int = 1) -> UUID:
    """Make a job whose first document was done, and whose second failed after a page."""
    id = await world.create(*[await world.document() for _ in range(2)])
    run = await world.claimed()
    await world.record(run, *range(1, pages + 1), total=pages)
    await world.record(run, 1, total=2, document=1)
    await end(world, run, 0, None)
    await end(world, run, 1, BROKEN)
    async with transaction(world.database) as work:
        await recording.finish(work, world.bell, run)
    return id


async def end(world: World, run: Run, place: int, failure: Failure | None) -> None:
    """End a document of a run."""
    async with transaction(world.database) as work:
        await recording.end_document(work, world.bell, run, run.documents[place], failure)


async def take_over(world: World, run: Run) -> bool:
    """Take over the next block of the first document."""
    async with transaction(world.database) as work:
        return await retries.take_over(work, world.bell, run, run.documents[0])


async def ids_of_segments(service: Service, id: str) -> set[UUID]:
    """Return the ids of the segments of a job."""
    async with reading(service.database) as session:
        return set(await session.exec(select(Segment.id).where(Segment.job_id == UUID(id))))


async def keys_of_segments(world: World, id: UUID) -> list[str]:
    """Return the keys of the segments of a job in reading order."""
    order = (col(Segment.position), col(Segment.ordinal))
    async with reading(world.database) as session:
        keys = select(Segment.key).where(Segment.job_id == id).order_by(*order)
        return list(await session.exec(keys))


async def expiry(service: Service, id: str) -> timedelta | None:
    """Return how long a job is kept after its end."""
    async with reading(service.database) as session:
        job = await session.get_one(Job, UUID(id))
    if job.expires_at is None or job.finished_at is None:
        return None
    return job.expires_at - job.finished_at


async def files(service: Service, id: str) -> list[tuple[str, str]]:
    """Return type and name of the files that a job has, but for its log."""
    query = """query($id: ID!) { job(id: $id) {
      attachments(types: [RESULT, RESULT_MIN]) { nodes { type filename } } } }"""
    found = (await service.ask(query, id=id))["attachments"]["nodes"]
    return [(each["type"], each["filename"]) for each in found]
