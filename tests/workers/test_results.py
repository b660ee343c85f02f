"""RESULT and RESULT_MIN: what is in them, when they are there, and that nothing is left over."""

import json
from datetime import timedelta
from typing import Any

import pytest
from service import DELETE, Service
from sqlmodel import select, update

from app.clock import now
from app.db.work import reading, transaction
from app.documents.models import FileRemoval
from app.jobs import attachments
from app.jobs.models import Attachment, Job
from workers import results, sweep
from workers.run_job import claim, work_on

pytestmark = pytest.mark.anyio

FILES = """
query($id: ID!) {
  job(id: $id) {
    log attachmentTypes
    attachments { totalCount nodes { id type filename mimeType size sha256 document { id } } }
    documents { nodes { mediaLength
      document { id sha256 createdAt } full { id url filename } min { id url filename size } } }
    events { nodes { kind message attachment { id } document { filename } } }
  }
}
"""


async def content(service: Service, file: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Fetch a file by its link and read it as JSON."""
    answer = await service.http.get(file["url"])
    assert answer.status_code == 200
    return json.loads(answer.content)


async def test_the_result_of_a_document_holds_everything(paced: Service) -> None:
    id = await paced.create("page One\npage An odd one", name="Näme", groupId="g", pageSlice="0:")
    await paced.work()
    job = await paced.ask(FILES, id=id)
    (entry,) = job["documents"]["nodes"]
    segments = (await paced.job(id))["result"]["segments"]["nodes"]
    found = await content(paced, entry["full"])
    ids = [segment.pop("id") for segment in found["segments"]]
    assert len(set(ids)) == 2
    assert found == {
        "version": 1,
        "job": {
            "id": id,
            "number": 1,
            "name": "Näme",
            "groupId": "g",
            "type": "SEGMENT",
            "workflow": None,
            "profile": None,
            "pageSlice": "0:",
        },
        "settings": (await paced.job(id))["settings"],
        "options": [],
        "document": {
            "id": entry["document"]["id"],
            "filename": "0.txt",
            "mimeType": "text/plain",
            "size": 24,
            "sha256": entry["document"]["sha256"],
            "mediaLength": 2,
            "tags": [],
            "page": None,
            "createdAt": entry["document"]["createdAt"],
        },
        "status": "COMPLETED",
        "pageCount": 2,
        "segmentCount": 2,
        "segmentsSha256": (await paced.job(id))["resultJson"]["documents"][0]["segmentsSha256"],
        "issues": [{"code": "ODD", "severity": "WARNING", "message": "An odd page.", "page": 2}],
        "segments": [
            {
                "key": segment["key"],
                "ordinal": number,
                "status": "COMPLETED",
                "page": number,
                "group": "Book",
                "title": f"Chapter {number}",
                "headings": ["Book", f"Chapter {number}"],
                "lang": "en",
                "tags": [],
                "tagScores": [],
                "boxes": [{"page": number, "x0": 1, "y0": 2, "x1": 3, "y1": 4}],
                "durationMs": None,
                "body": body,
            }
            for number, body, segment in zip((1, 2), ("One", "An odd one"), segments, strict=True)
        ],
    }


async def test_the_small_result_holds_what_is_shown_and_searched(paced: Service) -> None:
    id = await paced.create("pages 250")
    await paced.work()
    job = await paced.ask(FILES, id=id)
    (entry,) = job["documents"]["nodes"]
    found = await content(paced, entry["min"])
    assert found == {
        "version": 1,
        "document": {
            "id": entry["document"]["id"],
            "filename": "0.txt",
            "mediaLength": 250,
        },
        "segments": [
            {"page": number, "title": f"Chapter {number}", "tags": [], "body": f"{number} of 250"}
            for number in range(1, 251)
        ],
    }
    sizes = {each["type"]: each["size"] for each in job["attachments"]["nodes"]}
    assert sizes["RESULT_MIN"] * 3 < sizes["RESULT"]


async def test_only_documents_that_are_done_have_files(paced: Service) -> None:
    id = await paced.create("page One", "page Two\nfail CORRUPT", "page ☃")
    await paced.work()
    job = await paced.ask(FILES, id=id)
    first, second, third = job["documents"]["nodes"]
    assert (first["full"]["filename"], first["min"]["filename"]) == (
        "0.txt.json",
        "0.txt.min.json",
    )
    assert (second["full"], second["min"]) == (None, None)
    assert job["attachmentTypes"] == ["RESULT", "RESULT_MIN", "LOG"]
    files = job["attachments"]["nodes"]
    assert [(each["type"], each["document"] and each["document"]["id"]) for each in files] == [
        ("RESULT", first["document"]["id"]),
        ("RESULT_MIN", first["document"]["id"]),
        ("RESULT", third["document"]["id"]),
        ("RESULT_MIN", third["document"]["id"]),
        ("LOG", None),
    ]
    told = [event for event in job["events"]["nodes"] if event["kind"] == "RESULT"]
    assert [(event["document"]["filename"], event["attachment"]["id"]) for event in told] == [
        ("0.txt", first["full"]["id"]),
        ("2.txt", third["full"]["id"]),
    ]
    lines = [line.partition("Z ")[2] for line in job["log"].splitlines()]
    assert lines == [
        "INFO The job was accepted.",
        "INFO A worker took the job up.",
        "INFO '0.txt' is done. [0.txt]",
        "INFO The result of '0.txt' is there. [0.txt]",
        "ERROR It cannot be read. [1.txt]",
        "INFO '2.txt' is done. [2.txt]",
        "INFO The result of '2.txt' is there. [2.txt]",
        "INFO The job is done.",
    ]
    assert len(paced.stored()) == 3 + 4


async def test_a_document_without_segments_has_a_result_too(service: Service) -> None:
    id = await service.create("<html></html>")
    await service.work()
    (entry,) = (await service.ask(FILES, id=id))["documents"]["nodes"]
    assert (await content(service, entry["full"]))["segments"] == []
    assert (await content(service, entry["min"]))["segments"] == []


async def removals(service: Service) -> int:
    async with reading(service.database) as session:
        return len((await session.exec(select(FileRemoval))).all())


async def test_a_run_that_is_lost_while_it_writes_leaves_no_bytes(paced: Service) -> None:
    id = await paced.create("page One")
    before = paced.stored()
    context = paced.worker()
    run = await claim(context)
    assert run is not None
    async with transaction(paced.database) as work:
        # Once the files are written the run finds that it is no longer wanted.
        await work.session.exec(update(Job).values(attempt=Job.attempt + 1))
    await work_on(context, run)
    assert paced.stored() == before
    assert (await paced.job(id))["status"] == "PROCESSING"


async def test_bytes_of_a_killed_worker_are_swept_away_and_written_once_more(
    paced: Service,
) -> None:
    id = await paced.create("page One")
    context = paced.worker()
    run = await claim(context)
    assert run is not None
    async with transaction(paced.database) as work:
        keys = attachments.expect(work, files=results.FILES)
    await results.write(context, run, run.documents[0], keys)  # and here it dies
    await sweep.remove_files(context)
    assert set(keys) < set(paced.stored())
    async with transaction(paced.database) as work:
        past = now() - timedelta(seconds=1)
        await work.session.exec(update(FileRemoval).values(due_at=past))
        await work.session.exec(update(Job).values(lease_until=past))
    await sweep.remove_files(context)
    await sweep.take_back_lost(context)
    assert len(paced.stored()) == 1
    await paced.work()
    job = await paced.ask(FILES, id=id)
    assert [each["type"] for each in job["attachments"]["nodes"]] == [
        "RESULT",
        "RESULT_MIN",
        "LOG",
    ]
    assert await removals(paced) == 0


async def test_a_deleted_job_takes_its_files_along(paced: Service) -> None:
    id = await paced.create("page One")
    await paced.work()
    files = (await paced.ask(FILES, id=id))["attachments"]["nodes"]
    document = 8
    kept = sum(each["size"] for each in files if each["type"] != "LOG")
    answer = await paced.ask(DELETE, id=id)
    assert answer["freedBytes"] == document + kept
    assert paced.stored() == []
    async with reading(paced.database) as session:
        assert (await session.exec(select(Attachment))).all() == []
