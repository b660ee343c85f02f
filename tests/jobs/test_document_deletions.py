"""A document is deleted at once, unless a job needs it; jobs that have ended go on without it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from service import DELETE_DOCUMENT, DOCUMENT, RETRY, Service, reach, serve
from sqlmodel import col, select, update
from world import World

from app.db.work import carried_out, reading, transaction
from app.documents import uploads
from app.documents.models import Document, DocumentStatus
from app.documents.store import store_for
from app.errors import DocumentInUse, NotFound, NothingToRetry, UploadBusy
from app.failures import ErrorCode, Failure
from app.jobs import commands, deletions, recording, retries, uses
from app.jobs.models import Job, JobDocument, RuleDocument
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import JobType
from app.settings import Settings

pytestmark = pytest.mark.anyio

TOLD = """
query($id: ID!) {
  job(id: $id) {
    status outcome progress totalSize resultJson attachmentTypes log error { code document { id } }
    progressDetail { done total } issues { code document { id } }
    documents { totalCount nodes { document { id } full { id } } }
    attachments { nodes { type size url document { id } } }
    events { nodes { seq kind message document { id } attachment { id } } }
    result {
      ... on SegmentResult { segmentCount segments { totalCount nodes { document { id } body } } }
    }
  }
}
"""


async def test_a_job_that_has_ended_goes_on_without_the_document(paced: Service) -> None:
    id, other = await paced.upload("page One\npage Two"), await paced.upload("page Other")
    job = await paced.create_on(id, other)
    await paced.work()
    before = await paced.ask(TOLD, id=job)
    answer = await paced.ask(DELETE_DOCUMENT, id=id)
    assert answer == {"__typename": "DeleteDocumentSuccess", "deletedId": id}
    again = await paced.ask(DELETE_DOCUMENT, id=id)
    assert (again["__typename"], again["id"]) == ("NotFound", id)
    told = await paced.ask(TOLD, id=job)
    for name in ("status", "outcome", "progress", "totalSize", "resultJson", "attachmentTypes"):
        assert told[name] == before[name]
    assert told["progressDetail"] == {"done": 3, "total": 3}
    assert [node["document"]["id"] for node in told["documents"]["nodes"]] == [other]
    assert (told["result"]["segmentCount"], told["documents"]["totalCount"]) == (1, 1)
    assert [node["body"] for node in told["result"]["segments"]["nodes"]] == ["Other"]
    events = [[event["seq"] for event in each["events"]["nodes"]] for each in (before, told)]
    assert events[0] == events[1]
    assert "What was said here went with the document that it was about." in told["log"]
    assert [node["type"] for node in told["attachments"]["nodes"]].count("RESULT") == 1
    await log_is_whole(paced, told)


async def log_is_whole(service: Service, told: dict[str, Any]) -> None:
    """Assert that the log of a job is as long as its attachment says."""
    (log,) = (node for node in told["attachments"]["nodes"] if node["type"] == "LOG")
    answer = await service.http.get(log["url"])
    assert (answer.status_code, len(answer.content)) == (200, log["size"])
    assert answer.text == told["log"]


async def test_a_job_that_has_lost_its_only_document_is_readable(paced: Service) -> None:
    id = await paced.upload("fail CORRUPT")
    job = await paced.create_on(id)
    await paced.work()
    await paced.ask(DELETE_DOCUMENT, id=id)
    told = await paced.ask(TOLD, id=job)
    assert told["error"] == {"code": "CORRUPT", "document": None}
    assert (told["documents"]["nodes"], told["progressDetail"]) == ([], None)
    await log_is_whole(paced, told)
    answer = await paced.ask(RETRY, id=job)
    assert (answer["__typename"], answer["code"]) == ("Conflict", "NOTHING_TO_RETRY")
    assert answer["detail"] == "The job has no documents."


async def test_a_retry_goes_on_with_the_documents_that_are_left(paced: Service) -> None:
    first, second, third = [
        await paced.upload(text) for text in ("page One", "fail CORRUPT", "page Three")
    ]
    job = await paced.create_on(first, second, third)
    await paced.work()
    await paced.ask(DELETE_DOCUMENT, id=first)
    again = (await paced.ask(RETRY, id=job))["job"]["id"]
    answer = await paced.ask(DELETE_DOCUMENT, id=third)
    assert answer["conflictingJob"] == {"id": again}
    await paced.work()
    told = await paced.ask(TOLD, id=again)
    assert [node["document"]["id"] for node in told["documents"]["nodes"]] == [second, third]
    assert (told["outcome"], told["result"]["segmentCount"]) == ("WARNING", 1)


@pytest.mark.parametrize("status", sorted(JobStatus))
async def test_only_a_job_that_has_not_ended_keeps_its_documents(
    world: World, status: JobStatus
) -> None:
    document, made = await world.document(), await world.document()
    id = await world.job(status)
    async with transaction(world.database) as work:
        work.session.add(JobDocument(job_id=id, document_id=document, position=0))
        of_job = update(Document).where(col(Document.id) == made)
        await work.session.exec(of_job.values(produced_by_id=id, original_id=document))
    for each in (made, document):
        if status in OPEN:
            with pytest.raises(DocumentInUse) as refused:
                await delete(world, each)
            assert refused.value.job_id == id
        else:
            await delete(world, each)
    left = {document, made} if status in OPEN else set()
    assert await documents(world) == left
    assert len(await world.documents(id)) == (1 if status in OPEN else 0)


async def test_what_was_made_of_a_document_stays_and_forgets_it(world: World) -> None:
    original, page = await world.document(), await world.document()
    async with transaction(world.database) as work:
        await work.session.exec(
            update(Document).where(col(Document.id) == page).values(original_id=original, page=1)
        )
    await delete(world, original)
    async with reading(world.database) as session:
        row = await session.get_one(Document, page)
    assert (row.original_id, row.page) == (None, 1)


async def test_rules_keep_the_documents_that_they_may_still_need(world: World) -> None:
    named, came_before = await world.document(), await world.document()
    before = await world.job(JobStatus.COMPLETED)
    async with transaction(world.database) as work:
        work.session.add(JobDocument(job_id=before, document_id=came_before, position=0))

    async def conditional(status: JobStatus, **rule: Any) -> UUID:  # noqa: ANN401 - of a rule
        tag = rule.pop("tag", None)
        rules = [{"name": "r", "matched": None, "requests": [{"inputTag": tag}], **rule}]
        about = {"type": JobType.CONDITIONAL, "settings": {}, "execute_after_id": before}
        return await world.job(status, rules=rules, **about)

    await conditional(JobStatus.PENDING)
    await conditional(JobStatus.PROCESSING, tag="x", matched=False)
    await conditional(JobStatus.COMPLETED, tag="x", matched=True)
    ended = await conditional(JobStatus.COMPLETED)
    waits = await conditional(JobStatus.PENDING)
    async with transaction(world.database) as work:
        for id in (ended, waits):
            work.session.add(RuleDocument(job_id=id, document_id=named))
    assert await needed_by(world, named) == waits
    assert await needed_by(world, came_before) is None
    for status, matched in ((JobStatus.PENDING, None), (JobStatus.PROCESSING, True)):
        looks = await conditional(status, tag="x", matched=matched)
        assert await needed_by(world, came_before) == looks
        async with transaction(world.database) as work:
            await work.session.delete(await work.session.get_one(Job, looks))
    await delete(world, came_before)
    async with transaction(world.database) as work:
        await work.session.delete(await work.session.get_one(Job, waits))
    await delete(world, named)
    assert await documents(world) == set()


async def test_a_draft_that_will_look_for_pages_by_tag_keeps_their_original(world: World) -> None:
    document, before = await world.document(), await world.job(JobStatus.COMPLETED)
    async with transaction(world.database) as work:
        work.session.add(JobDocument(job_id=before, document_id=document, position=0))
    await world.job(JobStatus.NEW, execute_after_id=before)
    waiting = await world.job(JobStatus.NEW, execute_after_id=before, input_tag="x")
    with pytest.raises(DocumentInUse) as refused:
        await delete(world, document)
    assert refused.value.job_id == waiting


async def test_a_new_job_has_its_document_or_is_refused(world: World) -> None:
    outcomes = []
    for number in range(12):
        document = await world.document()
        steps = [world.create(document), carried_out(partial(delete, world, document))]
        tasks = [asyncio.create_task(step) for step in (steps if number % 2 else steps[::-1])]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        made, gone = results if number % 2 else results[::-1]
        outcomes.append(isinstance(made, UUID))
        if isinstance(made, UUID):
            assert isinstance(gone, DocumentInUse)
            assert gone.job_id == made
            assert [row.document_id for row in await world.documents(made)] == [document]
        else:
            assert (type(made), gone) == (NotFound, None)
    async with reading(world.database) as session:
        assert len((await session.exec(select(Job.id))).all()) == outcomes.count(True)


async def test_all_that_happens_to_a_document_at_once_is_carried_out_or_refused(
    world: World,
) -> None:
    dice = random.Random(5)  # noqa: S311 - an order, no secret
    for number in range(6):
        first, second = await world.document(), await world.document()
        job = await world.create(first, second, owned=bool(number % 2))
        await end(world)
        steps: list[Callable[[], Coroutine[Any, Any, UUID | None]]] = [
            *(partial(delete, world, each) for each in (first, second, first)),
            partial(delete_job, world, job),
            partial(retry, world, job),
            partial(world.create, second, first),
        ]
        dice.shuffle(steps)
        answers = await asyncio.gather(*map(carried_out, steps), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, UUID):
                async with transaction(world.database) as work:
                    await commands.cancel(work, world.bell, caller=world.caller, job_id=answer)
            else:
                assert answer is None or isinstance(
                    answer, (DocumentInUse, NotFound, NothingToRetry)
                )
    async with reading(world.database) as session:
        assert (await session.exec(select(Job.id).where(Job.status == "PENDING"))).all() == []


@pytest.mark.parametrize("first", ["job", "deletion"])
async def test_who_comes_second_waits_for_the_first(world: World, first: str) -> None:
    if world.database.is_sqlite:
        pytest.skip("one writer at a time")
    document, id = await world.document(), await world.job(JobStatus.PENDING)
    async with transaction(world.database) as work:
        if first == "deletion":
            await deletions.delete_document(
                work, caller=world.caller, document_id=document, store=world.store
            )
            task: asyncio.Task[Any] = asyncio.create_task(world.create(document))
        else:
            held = select(Document).where(col(Document.id) == document)
            await work.session.exec(held.with_for_update(read=True))
            work.session.add(JobDocument(job_id=id, document_id=document, position=0))
            await work.session.flush()
            task = asyncio.create_task(delete(world, document))
        done, _ = await asyncio.wait({task}, timeout=0.2)
        assert not done
    with pytest.raises(NotFound if first == "deletion" else DocumentInUse):
        await task


async def test_a_file_that_a_request_brings_just_now_is_not_deleted(world: World) -> None:
    coming = await world.announce(None)
    with pytest.raises(UploadBusy):
        await delete(world, coming)
    canceled = await world.document(DocumentStatus.CANCELED)
    await delete(world, canceled)
    assert await documents(world) == {coming}


async def test_only_who_may_write_deletes_what_is_theirs(service: Service) -> None:
    id = await service.upload("Some text.")
    answer = await service.ask(DELETE_DOCUMENT, id=id, token=service.read_token)
    assert (answer["__typename"], answer["code"]) == ("Forbidden", "FORBIDDEN")
    for whose, token in ((id, service.other_token), ("nobody", service.token)):
        answer = await service.ask(DELETE_DOCUMENT, id=whose, token=token)
        assert (answer["__typename"], answer["id"]) == ("NotFound", whose)
    link = (await service.ask(DOCUMENT, id=id))["url"]
    assert (await service.http.get(link)).status_code == 200
    await service.ask(DELETE_DOCUMENT, id=id)
    assert (await service.http.get(link)).status_code == 404
    assert service.stored() == []


@pytest.fixture(params=["folder", "bucket"])
def store_url(request: pytest.FixtureRequest, shared_settings: Settings) -> str:
    """The address of each store in turn."""
    folder = request.param == "folder"
    url: str = shared_settings.store_url if folder else request.getfixturevalue("bucket")
    return url


async def test_an_upload_that_is_deleted_while_its_bytes_come_takes_none(
    service: Service, store_url: str
) -> None:
    settings = service.settings.model_copy(update={"store_url": store_url})
    begun, deleted = asyncio.Event(), asyncio.Event()

    async def sent() -> AsyncIterator[bytes]:
        yield b"x" * 500_000
        begun.set()
        await deleted.wait()
        yield b"x" * 500_000

    async with serve(settings) as api, reach(api, settings, service.sandbox) as there:
        id, link = await there.create_upload(1_000_000)
        headers = {"Content-Length": "1000000"}
        task = asyncio.create_task(there.http.put(link, content=sent(), headers=headers))
        await begun.wait()
        gone = await there.ask(DELETE_DOCUMENT, id=id)
        assert gone == {"__typename": "DeleteDocumentSuccess", "deletedId": id}
        deleted.set()
        for answer in (await task, await there.http.put(link, content=b"x")):
            assert (answer.status_code, answer.json()["code"]) == (403, "INVALID_LINK")
        assert await asyncio.to_thread(lambda: list(there.store.keys())) == []


async def test_what_came_of_a_deleted_upload_before_its_sender_went_away_goes(
    world: World, settings: Settings, store_url: str
) -> None:
    store = store_for(settings.model_copy(update={"store_url": store_url}))
    id = await world.announce(10)

    async def sent() -> AsyncIterator[bytes]:
        async with transaction(world.database) as work:
            await deletions.delete_document(work, caller=world.caller, document_id=id, store=store)
        yield b"abc"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await uploads.put(world.database, store, document_id=id, chunks=sent(), offset=0)
    assert await asyncio.to_thread(lambda: list(store.keys())) == []


async def needed_by(world: World, id: UUID) -> UUID | None:
    """Return the job that needs a document."""
    async with reading(world.database) as session:
        return await uses.needed_by(session, await session.get_one(Document, id))


async def delete(world: World, id: UUID) -> None:
    """Delete a document."""
    async with transaction(world.database) as work:
        await deletions.delete_document(
            work, caller=world.caller, document_id=id, store=world.store
        )


async def delete_job(world: World, id: UUID) -> None:
    """Delete a job."""
    async with transaction(world.database) as work:
        await deletions.delete(work, world.bell, caller=world.caller, job_id=id, store=world.store)


async def retry(world: World, id: UUID) -> UUID:
    """Repeat a job; return the new one."""
    async with transaction(world.database) as work:
        return (await retries.retry(work, world.bell, caller=world.caller, job_id=id)).id


async def end(world: World) -> None:
    """Do one document of the job that is due, and fail the other."""
    run = await world.claimed()
    await world.record(run, 1, total=1)
    async with transaction(world.database) as work:
        for document, failure in zip(
            run.documents, (None, Failure(ErrorCode.CORRUPT, "It is broken.")), strict=True
        ):
            await recording.end_document(work, world.bell, run, document, failure)
        await recording.finish(work, world.bell, run)


async def documents(world: World) -> set[UUID]:
    """Return the ids of all documents."""
    async with reading(world.database) as session:
        return set((await session.exec(select(Document.id))).all())
