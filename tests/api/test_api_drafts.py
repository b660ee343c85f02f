"""A job in three steps: a draft, its data, its start; and what forbids each of them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from service import ADD_DATA, CREATE_CONDITIONAL, CREATE_JOB, START, Service

pytestmark = pytest.mark.anyio

DRAFT: dict[str, Any] = {"task": {"segment": {}}, "start": False}


async def draft(service: Service, **more: Any) -> str:  # noqa: ANN401 - fields of the input
    """Make a draft; return its id."""
    answer = await service.ask(CREATE_JOB, input={**DRAFT, **more})
    assert answer["job"]["status"] == "NEW", answer
    id: str = answer["job"]["id"]
    return id


async def add(service: Service, id: str, *texts: str, tags: list[str] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Add a file for each text."""
    files = {
        f"variables.data.{place}.source.file": (f"{text}.txt", f"page {text}".encode())
        for place, text in enumerate(texts)
    }
    data = [{"source": {"file": None}, "tags": tags} for _ in texts]
    return await service.send_files(ADD_DATA, {"id": id, "data": data}, files)


async def test_a_draft_takes_data_until_it_is_started(paced: Service) -> None:
    before = await paced.upload("page Before", "before.txt")
    id = await draft(paced, documentIds=[before])
    job = await paced.job(id)
    assert (job["status"], job["waitingOn"]["kind"]) == ("NEW", "START")
    await paced.work()
    assert (await paced.job(id))["status"] == "NEW"
    added = await add(paced, id, "One", "Two", tags=["mine"])
    assert [each["filename"] for each in added["documents"]] == ["One.txt", "Two.txt"]
    assert [each["tags"] for each in added["documents"]] == [["mine"], ["mine"]]
    assert added["job"] == {"id": id, "status": "NEW", "totalSize": 11 + 8 + 8}
    assert (await paced.ask(START, id=id))["job"]["status"] == "PENDING"
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "SUCCESS")
    names = [each["document"]["filename"] for each in job["documents"]["nodes"]]
    assert names == ["before.txt", "One.txt", "Two.txt"]
    messages = [each["message"] for each in job["events"]["nodes"]][:3]
    assert messages == [
        "The draft was made.", "Data was added: 'One.txt', 'Two.txt'.", "The job was started.",
    ]  # fmt: skip


async def test_data_after_the_start_is_refused_and_not_kept(paced: Service) -> None:
    id = await draft(paced)
    await add(paced, id, "One")
    await paced.ask(START, id=id)
    kept = await paced.kept()
    answer = await add(paced, id, "Two")
    assert (answer["__typename"], answer["code"]) == ("Conflict", "JOB_STARTED")
    assert answer["conflictingJob"] == {"id": id}
    assert await paced.kept() == kept


async def test_a_second_start_is_refused(paced: Service) -> None:
    id = await draft(paced)
    await add(paced, id, "One")
    answers = await asyncio.gather(*(paced.ask(START, id=id) for _ in range(5)))
    assert sorted(each["__typename"] for each in answers) == ["Conflict"] * 4 + ["StartJobSuccess"]
    await paced.work()
    answer = await paced.ask(START, id=id)
    assert (answer["code"], answer["conflictingJob"]) == ("JOB_STARTED", {"id": id})


async def test_a_start_without_data_is_refused(service: Service) -> None:
    id = await draft(service)
    answer = await service.ask(START, id=id)
    assert answer["__typename"] == "InvalidInput"
    assert answer["errors"] == [
        {"loc": ["id"], "msg": "A job needs at least one document.", "type": "missing"}
    ]
    assert (await service.job(id))["status"] == "NEW"


async def test_a_draft_of_another_application_is_not_there(service: Service) -> None:
    id = await draft(service)
    data = [{"source": {"documentId": await service.upload("page One")}}]
    for stranger in (id, str(uuid4()), "nonsense"):
        token = service.other_token
        answer = await service.ask(ADD_DATA, token=token, id=stranger, data=data)
        assert answer["code"] == "NOT_FOUND"
        answer = await service.ask(START, token=token, id=stranger)
        assert answer["code"] == "NOT_FOUND"


async def test_a_document_cannot_be_added_twice(service: Service) -> None:
    document = await service.upload("page One")
    id = await draft(service, documentIds=[document])
    answer = await service.ask(ADD_DATA, id=id, data=[{"source": {"documentId": document}}])
    assert [(each["loc"], each["type"]) for each in answer["errors"]] == [(["data"], "repeated")]
    answer = await service.ask(ADD_DATA, id=id, data=[])
    assert [(each["loc"], each["type"]) for each in answer["errors"]] == [(["data"], "missing")]


async def test_a_draft_that_finds_its_documents_by_a_tag_takes_no_data(service: Service) -> None:
    before = await service.create("page One")
    id = await draft(service, executeAfterId=before, inputTag="page")
    kept = await service.kept()
    answer = await add(service, id, "Two")
    assert answer["errors"] == [
        {
            "loc": ["data"],
            "msg": "The job finds its documents by its inputTag; it takes no others.",
            "type": "mixed",
        }
    ]
    assert await service.kept() == kept


async def test_data_by_address_is_refused(service: Service) -> None:
    id = await draft(service)
    data = [{"source": {"url": "https://example.org/a.pdf"}}]
    answer = await service.ask(ADD_DATA, id=id, data=data)
    assert (answer["__typename"], answer["code"]) == ("InvalidInput", "UNSUPPORTED_FEATURE")
    assert answer["errors"][0]["loc"] == ["data", "0", "source", "url"]


async def test_a_started_draft_waits_for_an_upload_that_was_added(paced: Service) -> None:
    text = b"page Late"
    document, link = await paced.create_upload(len(text))
    id = await draft(paced)
    await paced.ask(ADD_DATA, id=id, data=[{"source": {"documentId": document}}])
    assert (await paced.ask(START, id=id))["job"]["waitingOn"] == {"kind": "DATA"}
    await paced.work()
    assert (await paced.job(id))["status"] == "PENDING"
    assert (await paced.http.put(link, content=text)).status_code == 200
    await paced.work()
    assert (await paced.job(id))["status"] == "COMPLETED"


async def test_a_draft_can_be_canceled_and_then_takes_nothing(service: Service) -> None:
    id = await draft(service)
    await service.ask("mutation($id: ID!) { cancelJob(id: $id) { __typename } }", id=id)
    assert (await add(service, id, "One"))["code"] == "JOB_STARTED"
    assert (await service.ask(START, id=id))["code"] == "JOB_STARTED"
    assert (await service.job(id))["status"] == "CANCELED"


async def test_a_conditional_job_takes_no_data(service: Service) -> None:
    document = await service.upload("page One")
    before = await service.create_on(document)
    jobs = [{"task": {"segment": {}}, "documentIds": [document]}]
    rules = [{"name": "all", "conditions": {}, "jobs": jobs}]
    made = await service.ask(CREATE_CONDITIONAL, input={"executeAfterId": before, "rules": rules})
    id = made["job"]["id"]
    answer = await add(service, id, "One")
    assert (answer["code"], answer["conflictingJob"]) == ("JOB_STARTED", {"id": id})
