"""Documents that jobs make: whole or not there, each once, and gone with their job."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from service import CANCEL, DELETE, Service, local_store
from sqlmodel import update

from app.clock import now
from app.db.work import transaction
from app.documents.content import at_once
from app.documents.models import FileRemoval
from app.jobs.models import Job
from workers import sweep

pytestmark = pytest.mark.anyio

TASK = {"transform": {"output": "TEXT"}}
PRODUCED = """
query($id: ID!) {
  job(id: $id) {
    result { ... on TransformResult { conformance { standard } documents(first: 100) { totalCount
      nodes { id filename mimeType extension size mediaLength status tags page
        original { id } producedBy { id } } } } }
  }
}
"""


async def produced(service: Service, id: str) -> list[dict[str, Any]]:
    """Return the documents that a job made, by their names."""
    result = (await service.ask(PRODUCED, id=id))["result"]
    assert result["documents"]["totalCount"] == len(result["documents"]["nodes"])
    return sorted(result["documents"]["nodes"], key=lambda each: each["filename"])


async def contents(service: Service, id: str) -> list[tuple[str, bytes]]:
    """Return the names and bytes of the documents that a job made."""
    found = []
    for each in await produced(service, id):
        async with service.store.local(UUID(each["id"])) as path:
            found.append((each["filename"], path.read_bytes()))
    return found


async def originals(service: Service, id: str) -> list[str]:
    nodes = (await service.job(id))["documents"]["nodes"]
    return [each["document"]["id"] for each in nodes]


async def test_what_is_made_of_documents_becomes_documents(paced: Service) -> None:
    id = await paced.create("page One\npage Two", "fail CORRUPT", "page Three", task=TASK)
    async with transaction(paced.database) as work:
        await work.session.exec(update(Job).values(output_tags=["made"]))
    await paced.work()

    assert await contents(paced, id) == [
        ("0-1.png", b"One"),
        ("0-2.png", b"Two"),
        ("0.txt", b"One\nTwo\n"),
        ("2-1.png", b"Three"),
        ("2.txt", b"Three\n"),
    ]
    first, _, text, *_ = await produced(paced, id)
    given = await originals(paced, id)
    assert first == {
        "id": first["id"],
        "filename": "0-1.png",
        "mimeType": "image/png",
        "extension": "png",
        "size": 3,
        "mediaLength": 1,
        "status": "PROCESSED",
        "tags": ["made"],
        "page": 1,
        "original": {"id": given[0]},
        "producedBy": {"id": id},
    }
    assert (text["mimeType"], text["page"], text["size"]) == ("text/plain", None, 8)
    job = await paced.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "WARNING")
    job["resultJson"]["documentIds"].sort()
    assert job["resultJson"] == {
        "documentCount": 5,
        "pageCount": 3,
        "documentIds": sorted(each["id"] for each in await produced(paced, id)),
        "documents": [
            {"documentId": given[0], "status": "COMPLETED", "documentCount": 3, "pageCount": 2},
            {"documentId": given[1], "status": "FAILED", "documentCount": 0, "pageCount": 0},
            {"documentId": given[2], "status": "COMPLETED", "documentCount": 2, "pageCount": 1},
        ],
    }


async def test_a_lost_run_is_taken_up_and_makes_nothing_twice(paced: Service) -> None:
    id = await paced.create("pages 2\nhang\npage Three", task=TASK)
    async with paced.working():
        await paced.progress(id, 2)
    assert [name for name, _ in await contents(paced, id)] == ["0-1.png", "0-2.png"]
    (original,) = await originals(paced, id)
    draft = set(paced.stored()) - {UUID(original)}
    draft -= {UUID(each["id"]) for each in await produced(paced, id)}
    # As if a worker had stored the next piece, and had died before it could say so.
    (key,) = draft
    await paced.store.append(key, at_once(b"Thr"), offset=14, limit=100)
    rewritten = "page 1 of 2\npage 2 of 2\npage Three"
    local_store(paced.settings).path(UUID(original)).write_text(rewritten)
    await paced.work()

    assert await contents(paced, id) == [
        ("0-1.png", b"1 of 2"),
        ("0-2.png", b"2 of 2"),
        ("0-3.png", b"Three"),
        ("0.txt", b"1 of 2\n2 of 2\nThree\n"),
    ]
    assert (await paced.job(id))["attempt"] == 2


async def test_a_whole_file_that_got_no_row_gets_it_from_the_next_worker(paced: Service) -> None:
    id = await paced.create("page One\nhang", task=TASK)
    async with paced.working():
        await paced.progress(id, 1)
    (original,) = await originals(paced, id)
    made = {UUID(each["id"]) for each in await produced(paced, id)}
    (key,) = set(paced.stored()) - {UUID(original)} - made
    await paced.store.complete(key)
    local_store(paced.settings).path(UUID(original)).write_text("page One")
    await paced.work()

    assert await contents(paced, id) == [("0-1.png", b"One"), ("0.txt", b"One\n")]


async def test_a_failure_keeps_the_pages_and_drops_the_half_written_file(paced: Service) -> None:
    id = await paced.create("page One\ncrash", "page Two", task=TASK)
    await paced.work()

    assert [name for name, _ in await contents(paced, id)] == ["0-1.png", "1-1.png", "1.txt"]
    await swept(paced)
    results = 2
    assert (await paced.kept())["files"] == 2 + 3 + results


async def test_a_cancel_leaves_no_half_written_file(paced: Service) -> None:
    id = await paced.create("page One\nhang", task=TASK)
    context = paced.worker()
    async with paced.working(context):
        await paced.progress(id, 1)
        assert (await paced.ask(CANCEL, id=id))["changed"] is True
    await swept(paced)

    assert [name for name, _ in await contents(paced, id)] == ["0-1.png"]
    assert (await paced.kept())["files"] == 2


async def test_what_a_job_made_goes_with_it_but_for_what_another_job_uses(paced: Service) -> None:
    id = await paced.create("page One\npage Two", task=TASK)
    await paced.work()
    first, second, text = [each["id"] for each in await produced(paced, id)]
    await paced.create_on(second)
    gone = await paced.ask(DELETE, id=id)

    assert second not in gone["deletedDocumentIds"]
    assert {first, text} <= set(gone["deletedDocumentIds"])
    kept = await paced.ask(
        "query($id: ID!) { document(id: $id) { filename original { id } producedBy { id } } }",
        id=second,
    )
    assert kept == {"filename": "0-2.png", "original": None, "producedBy": None}
    await paced.work()
    assert UUID(second) in paced.stored()
    assert not {UUID(first), UUID(text)} & set(paced.stored())


async def swept(service: Service) -> None:
    """Remove what is to be removed, as if some minutes had passed."""
    async with transaction(service.database) as work:
        await work.session.exec(update(FileRemoval).values(due_at=now() - timedelta(minutes=1)))
    await sweep.remove_files(service.worker())
