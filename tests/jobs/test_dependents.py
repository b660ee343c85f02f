"""Jobs that come after others: before, while and after those end; however they end."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import select
from world import World

from app.db.batches import AT_ONCE
from app.db.work import transaction
from app.documents.models import Document, DocumentStatus
from app.errors import InvalidInput, NotFound
from app.failures import ErrorCode
from app.jobs import (
    commands,
    creation,
    deletions,
    dependents,
    events,
    recording,
    retries,
)
from app.jobs.events import Note
from app.jobs.models import Job, JobEvent
from app.jobs.states import FINISHED, JobStatus
from app.jobs.types import EventKind, JobOutcome, JobType

pytestmark = pytest.mark.anyio

S = JobStatus
LOST = [S.FAILED, S.CANCELED]


async def end(world: World, id: UUID, to: JobStatus = S.COMPLETED) -> None:
    """End a job as whoever worked on it would."""
    async with transaction(world.database) as work:
        if to is S.CANCELED:
            await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
            return
        note = Note(EventKind.STATUS, "made to end")
        await events.move(work, world.bell, id, to=S.PROCESSING, note=note)
        outcome = JobOutcome.SUCCESS if to is S.COMPLETED else JobOutcome.ERROR
        await events.move(work, world.bell, id, to=to, note=note, outcome=outcome)


async def delete(world: World, id: UUID) -> deletions.Deleted:
    async with transaction(world.database) as work:
        return await deletions.delete(
            work, world.bell, caller=world.caller, job_id=id, store=world.store
        )


async def after(world: World, id: UUID, **more: Any) -> UUID:  # noqa: ANN401 - of JobRequest
    return await world.create(execute_after_id=id, **more)


async def made(
    world: World,
    *,
    by: UUID | None = None,
    of: UUID | None = None,
    **more: Any,  # noqa: ANN401 - columns of Document
) -> UUID:
    """Make the document that a job produced of another one."""
    async with transaction(world.database) as work:
        document = Document(
            application_id=world.caller.application_id,
            filename="made.png",
            status=DocumentStatus.PROCESSED,
            size=10,
            sha256="1" * 64,
            produced_by_id=by,
            original_id=of,
            **more,
        )
        work.session.add(document)
    return document.id


async def log(world: World, id: UUID) -> list[tuple[int, EventKind, JobStatus]]:
    async with transaction(world.database) as work:
        statement = select(JobEvent).where(JobEvent.job_id == id).order_by("seq")
        return [(each.seq, each.kind, each.status) for each in await work.session.exec(statement)]


async def document_ids(world: World, id: UUID) -> list[UUID]:
    return [row.document_id for row in await world.documents(id)]


async def test_a_job_waits_for_the_one_it_comes_after(world: World) -> None:
    first = await world.create()
    second = await after(world, first)
    run = await world.claimed()
    assert run.job_id == first
    assert await world.claim() is None
    async with transaction(world.database) as work:
        for document in run.documents:
            await recording.end_document(work, world.bell, run, document, None)
        await recording.finish(work, world.bell, run)
    assert (await world.claimed()).job_id == second
    assert await log(world, second) == [
        (1, EventKind.STATUS, S.PENDING),
        (2, EventKind.LOG, S.PENDING),
        (3, EventKind.STATUS, S.PROCESSING),
    ]


async def test_after_a_job_that_is_done_there_is_no_wait(world: World) -> None:
    first = await world.job(S.COMPLETED)
    second = await after(world, first)
    assert (await world.claimed()).job_id == second


@pytest.mark.parametrize("how", LOST)
async def test_what_comes_after_a_lost_job_fails_with_it(world: World, how: JobStatus) -> None:
    first = await world.create(name="the first")
    second, third, draft = (
        await after(world, first, name="the second"),
        await after(world, first),
        await after(world, first, start=False),
    )
    fourth = await after(world, second)
    await end(world, first, how)
    word = "canceled" if how is S.CANCELED else "failed"
    verb = f"was {word}" if how is S.CANCELED else word
    for id in (second, third, draft):
        row = await world.row(id)
        assert (row.status, row.outcome, row.error_code) == (
            S.FAILED,
            JobOutcome.ERROR,
            ErrorCode.DEPENDENCY,
        )
        assert row.error_message == (
            f"'the first' ({first}), which this job was to come after, {verb}."
        )
        assert [each.status for each in await world.documents(id)] == [S.FAILED]
    row = await world.row(fourth)
    assert row.error_message == (
        f"'the second' ({second}), which this job was to come after, failed, because "
        f"'the first' ({first}) {verb}."
    )
    assert await log(world, fourth) == [
        (1, EventKind.STATUS, S.PENDING),
        (2, EventKind.STATUS, S.FAILED),
    ]


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("start", [True, False])
async def test_after_a_lost_job_a_new_one_fails_at_once(
    world: World, how: JobStatus, start: bool
) -> None:
    first = await world.job(how)
    second = await world.row(await after(world, first, start=start))
    assert (second.status, second.error_code) == (S.FAILED, ErrorCode.DEPENDENCY)
    assert str(first) in (second.error_message or "")


async def test_a_deletion_fails_what_waits_and_leaves_what_does_not(world: World) -> None:
    first, done = await world.create(), await world.job(S.COMPLETED)
    waiting, following = await after(world, first), await after(world, done)
    await delete(world, first)
    await delete(world, done)
    assert (await world.row(waiting)).status is S.FAILED
    assert (await world.row(following)).status is S.PENDING


@pytest.mark.parametrize("of", ["itself", "the conditional job it belongs to"])
async def test_who_waits_for_an_open_job_is_told_that_it_was_deleted(world: World, of: str) -> None:
    parent = await world.job(S.PROCESSING, type=JobType.CONDITIONAL, lease_until=None)
    first = await world.create(name="first")
    async with transaction(world.database) as work:
        (await work.session.get_one(Job, first)).parent_id = parent
        rule = {"name": "rule", "matched": True, "jobIds": [str(first)], "requests": []}
        (await work.session.get_one(Job, parent)).rules = [rule]
    second = await after(world, first, name="second")
    third = await after(world, second)
    gone = await delete(world, first if of == "itself" else parent)
    assert gone.canceled_first
    assert gone.status is S.CANCELED
    waiting = await world.row(second)
    assert (waiting.status, waiting.error_code) == (S.FAILED, ErrorCode.DEPENDENCY)
    reason = f"'first' ({first}), which this job was to come after, was deleted."
    assert waiting.error_message == reason
    further = (await world.row(third)).error_message
    assert further is not None
    assert further.endswith(f"failed, because 'first' ({first}) was deleted.")
    if of == "itself":
        ended = await world.row(parent)
        told = f"No rule that held could be carried out: 'first' ({first}): The job was deleted."
        assert (ended.status, ended.error_message) == (S.FAILED, told)


async def test_a_draft_that_was_to_live_on_a_deleted_job_fails(world: World) -> None:
    done = await world.job(S.COMPLETED, type=JobType.CONDITIONAL)
    draft = await after(world, done, start=False, documents=())
    await delete(world, done)
    row = await world.row(draft)
    assert (row.status, row.error_code) == (S.FAILED, ErrorCode.DEPENDENCY)
    assert "was deleted" in (row.error_message or "")


async def test_a_draft_waits_once_it_is_started(world: World) -> None:
    first = await world.create()
    draft = await after(world, first, start=False)
    async with transaction(world.database) as work:
        await creation.start(work, world.bell, caller=world.caller, job_id=draft)
    assert (await world.claimed()).job_id == first
    assert await world.claim() is None
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=first)
    assert (await world.row(draft)).status is S.FAILED


async def test_a_draft_that_has_all_it_needs_outlives_the_job_before_it(world: World) -> None:
    done = await world.job(S.COMPLETED)
    draft = await after(world, done, start=False)
    await delete(world, done)
    async with transaction(world.database) as work:
        await creation.start(work, world.bell, caller=world.caller, job_id=draft)
    assert (await world.claimed()).job_id == draft


async def test_a_draft_that_will_never_have_documents_is_not_started(world: World) -> None:
    first = await world.create()
    draft = await after(world, first, start=False, documents=())
    with pytest.raises(InvalidInput) as refused:
        async with transaction(world.database) as work:
            await creation.start(work, world.bell, caller=world.caller, job_id=draft)
    assert [(error.loc, error.type) for error in refused.value.errors] == [(("id",), "missing")]
    assert (await world.row(draft)).status is S.NEW


async def test_nothing_comes_after_a_job_that_is_not_there(world: World) -> None:
    with pytest.raises(NotFound):
        await after(world, uuid4())
    first = await world.job(S.PENDING)
    with pytest.raises(InvalidInput) as refused:
        await after(world, first, documents=())
    assert refused.value.errors[0].loc == ("documentIds",)


@pytest.mark.parametrize("done_before", [True, False])
async def test_without_documents_a_job_works_on_what_the_other_produced(
    world: World, done_before: bool
) -> None:
    first = await world.job(S.PENDING, type=JobType.CONDITIONAL)
    source = await world.document()
    if done_before:
        await end(world, first)
    third = await made(world, by=first, of=source, page=3)
    second = await made(world, by=first, of=source, page=2)
    await made(world, by=uuid4(), of=source)
    job = await after(world, first, documents=())
    if not done_before:
        await end(world, first)
    assert await document_ids(world, job) == [second, third]
    assert (await world.row(job)).total_size == 20
    assert (await world.claimed()).job_id == job


async def test_a_tag_chooses_among_what_was_made_of_the_documents_of_the_other(
    world: World,
) -> None:
    one, other = await world.document(), await world.document()
    first = await world.create(one, other)
    wanted = [
        await made(world, of=one, page=2, tags=["pages"]),
        await made(world, of=other, tags=["pages", "more"]),
    ]
    await made(world, of=one, tags=["page"])
    await made(world, of=await world.document(), tags=["pages"])
    job = await after(world, first, documents=(), input_tag="pages")
    nothing = await after(world, first, documents=(), input_tag="no such tag")
    await end(world, first)
    assert await document_ids(world, job) == wanted
    row = await world.row(nothing)
    assert (row.status, row.error_code) == (S.FAILED, ErrorCode.DEPENDENCY)
    assert "no such tag" in (row.error_message or "")


async def test_a_retried_job_of_a_rule_looks_by_its_tag_where_the_rule_did(world: World) -> None:
    source = await world.document()
    first = await world.create(source)
    await end(world, first)
    more = {"type": JobType.CONDITIONAL, "execute_after_id": first}
    rules = await world.job(S.FAILED, **more)
    before = await world.job(S.COMPLETED, type=JobType.TRANSFORM, parent_id=rules)
    lost = {"parent_id": rules, "outcome": JobOutcome.ERROR, "input_tag": "pages"}
    children = [
        await world.job(S.FAILED, **lost),
        await world.job(S.FAILED, execute_after_id=before, **lost),
    ]
    wanted = await made(world, of=source, tags=["pages"])
    for child in children:
        async with transaction(world.database) as work:
            again = await retries.retry(work, world.bell, caller=world.caller, job_id=child)
        assert await document_ids(world, again.id) == [wanted]


async def test_a_slice_chooses_among_the_pages_that_were_made_of_a_document(world: World) -> None:
    first = await world.job(S.COMPLETED, type=JobType.CONDITIONAL)
    source = await world.document()
    pages = [await made(world, by=first, of=source, page=page) for page in (1, 2, 3)]
    whole = await made(world, by=first, of=source)
    job = await after(world, first, documents=(), page_slice="0,-1")
    assert sorted(await document_ids(world, job)) == sorted([pages[0], pages[2], whole])


async def test_a_slice_chooses_among_the_pages_that_one_job_made(world: World) -> None:
    source = await world.document()
    rules = await world.job(S.COMPLETED, type=JobType.CONDITIONAL)
    pages = []
    for _ in range(2):
        child = await world.job(S.COMPLETED, type=JobType.TRANSFORM, parent_id=rules)
        pages += [await made(world, by=child, of=source, page=page) for page in (1, 2, 3)]
    job = await after(world, rules, documents=(), page_slice="0,-1")
    assert await document_ids(world, job) == [pages[0], pages[3], pages[2], pages[5]]


async def test_a_job_that_gets_no_documents_fails_and_takes_along_what_follows(
    world: World,
) -> None:
    first = await world.job(S.PENDING, type=JobType.CONDITIONAL)
    second = await after(world, first, documents=())
    third = await after(world, second)
    await end(world, first)
    assert [(await world.row(id)).status for id in (second, third)] == [S.FAILED, S.FAILED]
    assert "produced no documents" in ((await world.row(second)).error_message or "")


async def test_a_chain_of_five_hundred_fails_at_once(world: World) -> None:
    first = last = await world.create()
    rows = jobs_that_wait(world, 500)
    for row in rows:
        row.execute_after_id, last = last, row.id
    async with transaction(world.database) as work:
        work.session.add_all(rows)
    tip = await after(world, last)
    await end(world, first, S.CANCELED)
    row = await world.row(tip)
    assert (row.status, row.error_code) == (S.FAILED, ErrorCode.DEPENDENCY)
    assert str(last) in (row.error_message or "")
    assert str(first) in (row.error_message or "")
    async with transaction(world.database) as work:
        jobs: Sequence[Job] = (await work.session.exec(select(Job))).all()
    assert {job.status for job in jobs if job.id != first} == {S.FAILED}


async def test_however_many_jobs_fail_together_a_statement_names_a_bounded_number(
    world: World,
) -> None:
    """PostgreSQL takes 32,767 values at most."""
    first = await world.create()
    rows = jobs_that_wait(world, 2 * AT_ONCE)
    for row in rows:
        row.execute_after_id = first
    async with transaction(world.database) as work:
        work.session.add_all(rows)
    counts = []

    def note(*seen: Any) -> None:  # noqa: ANN401 - what SQLAlchemy tells
        _connection, _cursor, _statement, values, _context, is_many = seen
        counts.append(0 if is_many else len(values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await end(world, first, S.CANCELED)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert (await world.row(rows[-1].id)).status is S.FAILED
    assert max(counts) < 5 * AT_ONCE


def jobs_that_wait(world: World, count: int) -> list[Job]:
    return [
        Job(
            application_id=world.caller.application_id,
            number=1001 + place,
            name=f"job {place}",
            type=JobType.SEGMENT,
            status=S.PENDING,
            settings={},
            max_attempts=3,
            timeout_seconds=60,
            event_seq=1,
            waits_for_job=True,
        )
        for place in range(count)
    ]


async def test_a_new_job_and_the_end_of_the_other_do_not_miss_each_other(world: World) -> None:
    for how in (S.COMPLETED, S.CANCELED, S.FAILED):
        first = await world.create()
        made_meanwhile, _ = await asyncio.gather(
            asyncio.gather(*(after(world, first) for _ in range(4))), end(world, first, how)
        )
        for id in made_meanwhile:
            row = await world.row(id)
            if how is S.COMPLETED:
                assert (row.status, row.waits_for_job) == (S.PENDING, False)
            else:
                assert row.status is S.FAILED


async def test_the_newest_retry_stands_for_a_job(world: World) -> None:
    first = await world.job(S.FAILED)
    again = await world.job(S.FAILED, retry_of_id=first)
    newest = await world.job(S.PENDING, retry_of_id=again)
    alone = await world.job(S.PENDING)
    async with transaction(world.database) as work:
        found = [
            await dependents.newest_retry(work.session, id) for id in (first, again, newest, alone)
        ]
    assert found == [newest, newest, newest, alone]


async def test_a_retried_job_waits_for_the_newest_retry_of_the_other(world: World) -> None:
    first = await world.create()
    second = await after(world, first)
    await end(world, first, S.FAILED)
    first_again = await retry(world, await retry(world, first, ended=True))
    second_again = await retry(world, second)
    row = await world.row(second_again)
    assert (row.status, row.execute_after_id, row.waits_for_job) == (S.PENDING, first_again, True)
    await end(world, first_again)
    assert (await world.claimed()).job_id == second_again


async def retry(world: World, id: UUID, *, ended: bool = False) -> UUID:
    async with transaction(world.database) as work:
        job = await retries.retry(work, world.bell, caller=world.caller, job_id=id)
    if ended:
        await end(world, job.id, S.FAILED)
    return job.id


@pytest.mark.parametrize("status", [S.PROCESSING, *sorted(FINISHED)])
async def test_who_no_longer_waits_is_left_alone(world: World, status: JobStatus) -> None:
    first = await world.create()
    second = await world.job(status, execute_after_id=first)
    await end(world, first, S.CANCELED)
    assert (await world.row(second)).status is status
