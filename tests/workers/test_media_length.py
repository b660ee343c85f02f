"""The length of a document is there soon after its bytes, whatever the file does."""

import asyncio
from uuid import UUID

import pytest
from service import ADD_DATA, DOCUMENT, Service

from app.db.work import reading
from app.documents.models import Document
from app.jobs.queue import QUEUE
from workers import sweep
from workers.examination import examine_next

pytestmark = pytest.mark.anyio

LENGTHS = """
query($id: ID!) {
  job(id: $id) {
    progressDetail { done total }
    documents { nodes { mediaLength progress document { id mediaLength } } }
  }
}
"""


async def taken_up(service: Service, id: str) -> bool:
    """Return whether a worker has the document in hand, or has had it."""
    async with reading(service.database) as session:
        return (await session.get_one(Document, UUID(id))).examined_at is not None


async def length(service: Service, id: str) -> int | None:
    document = await service.ask(DOCUMENT, id=id)
    assert document["status"] == "PROCESSED"
    found: int | None = document["mediaLength"]
    return found


async def test_a_file_has_its_length_soon_after_it_came(paced: Service) -> None:
    uploaded = await paced.upload("pages 3")
    put, link = await paced.create_upload(7)
    await paced.http.put(link, content=b"pages 4")
    assert (await length(paced, uploaded), await length(paced, put)) == (None, None)
    await paced.work()
    assert (await length(paced, uploaded), await length(paced, put)) == (3, 4)


async def test_the_data_of_a_draft_has_its_length_before_the_start(paced: Service) -> None:
    id = await paced.create("pages 5", start=False)
    await paced.send_files(
        ADD_DATA,
        {"id": id, "data": [{"source": {"file": None}}]},
        {"variables.data.0.source.file": ("b.txt", b"pages 6")},
    )
    await paced.work()
    job = await paced.ask(LENGTHS, id=id)
    assert [each["mediaLength"] for each in job["documents"]["nodes"]] == [5, 6]
    assert [each["document"]["mediaLength"] for each in job["documents"]["nodes"]] == [5, 6]
    assert job["progressDetail"] == {"done": 0, "total": 11}


async def test_jobs_go_first(paced: Service) -> None:
    document = await paced.upload("pages 2")
    other = await paced.upload("page One\nhang")
    id = await paced.create("page One\nhang", documentIds=[document])
    async with paced.working():
        await paced.progress(id, 1)
        assert (await length(paced, document), await length(paced, other)) == (None, None)


@pytest.mark.parametrize("fate", ["crash", "fail PASSWORD", "fail CORRUPT", "odd"])
async def test_a_hostile_file_costs_its_own_child_only(paced: Service, fate: str) -> None:
    hostile = await paced.upload(f"page One\n{fate}")
    good = await paced.upload("pages 2")
    await paced.work()
    assert (await length(paced, hostile), await length(paced, good)) == (None, 2)
    await sweep.ring_for_forgotten(paced.worker())
    assert await paced.bell.redis.zcard(QUEUE) == 0


async def test_a_worker_that_is_stopped_leaves_the_document_to_another(paced: Service) -> None:
    document = await paced.upload("hang")
    context = paced.worker()
    async with paced.working(context), asyncio.timeout(20):
        while not await taken_up(paced, document):  # nothing tells of it
            await paced.ask(DOCUMENT, id=document)
    assert not await taken_up(paced, document)


async def test_a_worker_that_is_stopped_as_it_takes_a_document_up_leaves_it_to_another(
    paced: Service,
) -> None:
    document = await paced.upload("pages 2")
    taking = asyncio.create_task(examine_next(paced.worker()))
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert not await taken_up(paced, document)
    await paced.work()
    assert await length(paced, document) == 2


async def test_a_ring_for_a_document_that_nobody_heard_is_rung_again(paced: Service) -> None:
    document = await paced.upload("pages 2")
    await paced.bell.redis.flushall()
    await paced.work()
    assert await length(paced, document) is None
    await sweep.ring_for_forgotten(paced.worker())
    await paced.work()
    assert await length(paced, document) == 2


async def test_a_real_file_has_its_length(service: Service) -> None:
    document = await service.upload(b"\x89PNG\r\n\x1a\n" + bytes(20), "broken.png")
    text = await service.upload("words " * 20_000)
    await service.work()
    assert (await length(service, document), await length(service, text)) == (None, 2)
