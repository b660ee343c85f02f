"""createJob and what it refuses; cancelJob, deleteJob; jobs and their lists."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from service import (
    CANCEL,
    CREATE_JOB,
    CREATE_UPLOAD,
    DELETE,
    DOCUMENT,
    EVENTS,
    SEGMENTS,
    Refused,
    Service,
)
from sqlalchemy import text
from sqlmodel import col, update

from app.accounts.models import Application
from app.api.pages import InnerList
from app.clock import now
from app.db.pages import cursor
from app.db.work import transaction
from app.jobs.models import Job

pytestmark = pytest.mark.anyio

SEGMENT: dict[str, Any] = {"segment": {}}
LIST = """
query($filter: JobFilter, $first: Int, $after: String) {
  jobs(filter: $filter, first: $first, after: $after) {
    totalCount
    nodes { number }
    edges { cursor }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


def problem(answer: dict[str, Any]) -> tuple[str, str, list[tuple[str, str]]]:
    """Return the type and code of a problem, and where its errors are."""
    errors = [(".".join(error["loc"]), error["type"]) for error in answer.get("errors", [])]
    return answer["__typename"], answer["code"], errors


async def numbers(service: Service, **variables: Any) -> list[int]:  # noqa: ANN401 - variables
    """List jobs by their numbers."""
    found = await service.ask(LIST, **variables)
    return [node["number"] for node in found["nodes"]]


async def test_documents_are_worked_on_in_the_order_they_were_given(paced: Service) -> None:
    before = await paced.upload("page Sent before", "before.txt")
    inline = await paced.upload("page In the middle", "inline.txt")
    data = [
        {"source": {"file": None}, "filename": "folder/first.txt"},
        {"source": {"documentId": inline}},
        {"source": {"file": None}},
    ]
    answer = await paced.send_files(
        CREATE_JOB,
        {"input": {"task": SEGMENT, "data": data, "documentIds": [before]}},
        {
            "variables.input.data.0.source.file": ("x.txt", b"page One"),
            "variables.input.data.2.source.file": ("third.txt", b"page Three"),
        },
    )
    assert answer["replayed"] is False
    assert (answer["job"]["number"], answer["job"]["name"]) == (1, "SEGMENT 1")
    await paced.work()
    job = await paced.job(answer["job"]["id"])
    names = [each["document"]["filename"] for each in job["documents"]["nodes"]]
    assert names == ["first.txt", "inline.txt", "third.txt", "before.txt"]
    bodies = [each["body"] for each in job["result"]["segments"]["nodes"]]
    assert bodies == ["One", "In the middle", "Three", "Sent before"]
    assert job["totalSize"] == 8 + 18 + 10 + 16


async def test_one_file_of_a_request_may_stand_in_two_places(paced: Service) -> None:
    variables = {
        "input": {
            "task": SEGMENT,
            "data": [{"source": {"file": None}}, {"source": {"file": None}, "filename": "b.txt"}],
        }
    }
    paths = ["variables.input.data.0.source.file", "variables.input.data.1.source.file"]
    answer = await paced.send_file_to(CREATE_JOB, variables, paths, ("a.txt", b"page Same"))
    await paced.work()
    segments = (await paced.job(answer["job"]["id"]))["result"]["segments"]["nodes"]
    assert [(each["document"]["filename"], each["body"]) for each in segments] == [
        ("a.txt", "Same"),
        ("b.txt", "Same"),
    ]


async def test_nulls_mean_the_defaults(paced: Service) -> None:
    document = await paced.upload("page One")
    names = "docType maxSize useTags tagDescriptions maxTags processImages pdfParsingBackend"
    options = dict.fromkeys([*names.split(), "enableOcr", "ocrBackend", "forceFullPageOcr"])
    nothing = dict.fromkeys(["name", "groupId", "data", "priority", "timeoutSeconds"])
    id = await paced.create_on(document, task={"segment": options}, **nothing)
    job = await paced.job(id)
    plain = await paced.job(await paced.create_on(document))
    assert job["settings"] == plain["settings"]
    assert job["settings"]["maxSize"] == 5000
    assert (job["name"], job["groupId"], job["priority"]) == ("SEGMENT 1", None, "NORMAL")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"task": {"segment": {}, "pdfImages": {}}}, ".task"),
        ({"task": {"segment": None}}, ".task.segment"),
        ({"task": {}}, ".task"),
        ({"data": [{"source": {"documentId": "a", "url": "b"}}]}, ".data[0].source"),
        ({"data": [{"source": {}}]}, ".data[0].source"),
    ],
)
async def test_what_takes_exactly_one_field_says_so_and_where(
    service: Service, wrong: object, place: str
) -> None:
    answer = await service.post(CREATE_JOB, {"input": wrong})
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert f"invalid value at {place}: Within OneOf" in error["message"]


@pytest.mark.parametrize("task", ["{}", "{ segment: null }", "{ segment: {}, predict: $other }"])
async def test_a_document_that_names_not_exactly_one_field_is_refused(
    service: Service, task: str
) -> None:
    variable = "($other: PredictInput!)" if "$" in task else ""
    query = f"mutation{variable} {{ createJob(input: {{ task: {task} }}) {{ __typename }} }}"
    (error,) = (await service.post(query))["errors"]
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert "exactly one field" in error["message"]


async def test_what_is_given_is_kept(paced: Service) -> None:
    document = await paced.upload("page One")
    task = {"segment": {"docType": "novel", "maxSize": 100, "maxTags": 20}}
    limits = {"timeoutSeconds": 7, "queueTimeoutSeconds": 8, "ttlSeconds": 60}
    pages = {"pageSlice": "0:"}
    id = await paced.create_on(
        document, task=task, name="Näme", groupId="g 1", priority="HIGH", **limits, **pages
    )
    query = """query($id: ID!) { job(id: $id) {
      timeoutSeconds queueTimeoutSeconds ttlSeconds pageSlice inputTag } }"""
    assert (await paced.ask(query, id=id)) == {**limits, **pages, "inputTag": None}
    pictures = await paced.create_on(document, task={"pdfImages": {}}, outputTags=["a", " b", "a"])
    tags = "query($id: ID!) { job(id: $id) { outputTags } }"
    assert (await paced.ask(tags, id=pictures)) == {"outputTags": ["a", "b"]}
    job = await paced.job(id)
    assert (job["name"], job["groupId"], job["priority"]) == ("Näme", "g 1", "HIGH")
    assert job["settings"] == {
        "docType": "novel",
        "maxSize": 100,
        "useTags": [],
        "tagDescriptions": None,
        "maxTags": 20,
        "processImages": False,
        "pdfParsingBackend": "PYMUPDF",
        "enableOcr": False,
        "ocrBackend": None,
        "forceFullPageOcr": False,
    }


def refused_inputs() -> Iterator[Any]:
    """Go through inputs that are refused for what they say themselves."""
    both = {"maxSize": 99, "maxTags": 21, "docType": "x" * 256}
    for name, change, code, errors in (
        (
            "options",
            {"task": {"segment": both}},
            "INVALID_INPUT",
            [
                ("task.segment.maxSize", "out_of_range"),
                ("task.segment.maxTags", "out_of_range"),
                ("task.segment.docType", "string_length"),
            ],
        ),
        (
            "large options",
            {"task": {"segment": {"maxSize": 100_001, "maxTags": -1}}},
            "INVALID_INPUT",
            [("task.segment.maxSize", "out_of_range"), ("task.segment.maxTags", "out_of_range")],
        ),
        (
            "unsupported options",
            {
                "task": {
                    "segment": {
                        "processImages": True,
                        "enableOcr": True,
                        "forceFullPageOcr": True,
                        "ocrBackend": "TESSERACT",
                        "useTags": ["a"],
                        "tagDescriptions": [{"name": "a"}],
                        "pdfParsingBackend": "PYMUPDF_LAYOUT",
                    }
                }
            },
            "UNSUPPORTED_FEATURE",
            [
                ("task.segment.processImages", "unsupported"),
                ("task.segment.enableOcr", "unsupported"),
                ("task.segment.forceFullPageOcr", "unsupported"),
                ("task.segment.ocrBackend", "unsupported"),
                ("task.segment.useTags", "unsupported"),
                ("task.segment.tagDescriptions", "unsupported"),
                ("task.segment.pdfParsingBackend", "unsupported"),
            ],
        ),
        (
            "tags for what is not made",
            {"outputTags": ["a"]},
            "INVALID_INPUT",
            [("outputTags", "unused")],
        ),
        (
            "what only a new file can have",
            {
                "data": [
                    {"source": {"file": None}},
                    {"source": {"documentId": "a"}, "filename": "b", "tags": ["c"]},
                ]
            },
            "INVALID_INPUT",
            [("data.1.filename", "unused"), ("data.1.tags", "unused")],
        ),
        ("long name", {"name": "x" * 256}, "INVALID_INPUT", [("name", "string_length")]),
        ("name with a line", {"name": "a\nb"}, "INVALID_INPUT", [("name", "string_length")]),
        ("half a character", {"name": "\ud800"}, "INVALID_INPUT", [("name", "string_length")]),
        ("NUL in a group", {"groupId": "a\0"}, "INVALID_INPUT", [("groupId", "string_length")]),
        (
            "NUL in a docType",
            {"task": {"segment": {"docType": "a\0b"}}},
            "INVALID_INPUT",
            [("task.segment.docType", "string_length")],
        ),
        (
            "half a character in a docType",
            {"task": {"segment": {"docType": "\udc00"}}},
            "INVALID_INPUT",
            [("task.segment.docType", "string_length")],
        ),
        ("no time", {"timeoutSeconds": 0}, "INVALID_INPUT", [("timeoutSeconds", "out_of_range")]),
        (
            "much time",
            {"timeoutSeconds": 86_401},
            "INVALID_INPUT",
            [("timeoutSeconds", "out_of_range")],
        ),
        (
            "an address",
            {"data": [{"source": {"file": None}}, {"source": {"url": "https://a.example/"}}]},
            "UNSUPPORTED_FEATURE",
            [("data.1.source.url", "unsupported")],
        ),
        (
            "a bad tag",
            {"data": [{"source": {"file": None}, "tags": ["a", " "]}]},
            "INVALID_INPUT",
            [("data.0.tags", "string_length")],
        ),
        (
            "half a character in a tag",
            {"data": [{"source": {"file": None}, "tags": ["\ud800"]}]},
            "INVALID_INPUT",
            [("data.0.tags", "string_length")],
        ),
        (
            "no filename",
            {"data": [{"source": {"file": None}, "filename": "a/"}]},
            "INVALID_INPUT",
            [("data.0.filename", "missing")],
        ),
    ):
        yield pytest.param(change, code, errors, id=name)


@pytest.mark.parametrize(("change", "code", "errors"), list(refused_inputs()))
async def test_a_refused_job_leaves_nothing(
    service: Service, change: dict[str, Any], code: str, errors: list[tuple[str, str]]
) -> None:
    before = await service.kept()
    input = {"task": SEGMENT, "data": [{"source": {"file": None}}], **change}
    file = ("a.txt", b"Some text.")
    answer = await service.send_files(
        CREATE_JOB, {"input": input}, {"variables.input.data.0.source.file": file}
    )
    assert problem(answer) == ("InvalidInput", code, errors)
    assert await service.kept() == before


@pytest.mark.parametrize(
    "id", ["malformed", "01900000-0000-7000-8000-000000000000", "", "\0", "\ud800"]
)
async def test_a_document_that_is_not_there_is_not_found(service: Service, id: str) -> None:
    before = await service.kept()
    answer = await service.send_files(
        CREATE_JOB,
        {"input": {"task": SEGMENT, "data": [{"source": {"file": None}}], "documentIds": [id]}},
        {"variables.input.data.0.source.file": ("a.txt", b"Some text.")},
    )
    assert (answer["__typename"], answer["code"], answer["status"]) == (
        "NotFound",
        "NOT_FOUND",
        404,
    )
    assert await service.kept() == before


async def test_a_document_of_another_application_is_not_found(service: Service) -> None:
    foreign = await service.upload("Some text.")
    before = await service.kept()
    input = {"task": SEGMENT, "documentIds": [foreign]}
    answer = await service.ask(CREATE_JOB, input=input, token=service.other_token)
    assert (answer["__typename"], answer["id"]) == ("NotFound", foreign)
    assert await service.kept() == before


async def test_no_document_and_the_same_twice_are_refused(service: Service) -> None:
    document = await service.upload("Some text.")
    before = await service.kept()
    for input, kind in (
        ({}, "missing"),
        ({"data": [], "documentIds": []}, "missing"),
        ({"documentIds": [document, document]}, "repeated"),
        ({"data": [{"source": {"documentId": document}}], "documentIds": [document]}, "repeated"),
    ):
        answer = await service.ask(CREATE_JOB, input={"task": SEGMENT, **input})
        assert problem(answer) == ("InvalidInput", "INVALID_INPUT", [("documentIds", kind)])
    assert await service.kept() == before


async def test_too_many_open_jobs_are_refused_until_one_ends(service: Service) -> None:
    async with transaction(service.database) as work:
        await work.session.exec(
            update(Application).where(col(Application.name) == "ours").values(max_open_jobs=1)
        )
    first = await service.create("Some text.")
    before = await service.kept()
    answer = await service.send_files(
        CREATE_JOB,
        {"input": {"task": SEGMENT, "data": [{"source": {"file": None}}]}},
        {"variables.input.data.0.source.file": ("a.txt", b"Some text.")},
    )
    assert answer == {
        "__typename": "LimitExceeded",
        "code": "TOO_MANY_JOBS",
        "type": "urn:docyard:problem:too-many-jobs",
        "title": "Too many jobs",
        "status": 503,
        "detail": "The application has as many open jobs as it may have: 1.",
        "limit": 1,
        "retryAfterSeconds": 60,
    }
    assert await service.kept() == before
    await service.ask(CANCEL, id=first)
    assert (await service.job(await service.create("Some text.")))["number"] == 2


async def test_busy_and_broken_are_different_answers(service: Service) -> None:
    async with transaction(service.database) as work:
        ours = update(Application).where(col(Application.name) == "ours")
        await work.session.exec(ours.values(max_open_jobs=1))
    document = await service.upload("Some text.")
    await service.create_on(document)
    input = {"task": SEGMENT, "documentIds": [document]}
    busy = await service.post(CREATE_JOB, {"input": input})
    async with service.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE job_event RENAME TO hidden"))
    try:
        async with transaction(service.database) as work:
            ours = update(Application).where(col(Application.name) == "ours")
            await work.session.exec(ours.values(max_open_jobs=2))
        broken = await service.post(CREATE_JOB, {"input": input})
    finally:
        async with service.database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE hidden RENAME TO job_event"))
    assert "errors" not in busy
    refused = busy["data"]["createJob"]
    assert (refused["status"], refused["title"]) == (503, "Too many jobs")
    assert refused["retryAfterSeconds"] > 0
    assert broken["data"] is None
    assert [error["extensions"]["code"] for error in broken["errors"]] == ["INTERNAL"]


async def test_concurrent_creations_do_not_pass_the_limit(service: Service) -> None:
    async with transaction(service.database) as work:
        await work.session.exec(
            update(Application).where(col(Application.name) == "ours").values(max_open_jobs=3)
        )
    document = await service.upload("Some text.")
    input = {"task": SEGMENT, "documentIds": [document]}
    answers = await asyncio.gather(*(service.ask(CREATE_JOB, input=input) for _ in range(8)))
    made = [each["job"]["number"] for each in answers if each["__typename"] == "CreateJobSuccess"]
    assert sorted(made) == [1, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"tags": ["a", "b" * 101]}, ("data.1.tags", "string_length")),
        ({"filename": ".."}, ("data.1.filename", "missing")),
    ],
)
async def test_what_is_wrong_with_one_of_several_files_is_told_of_that_one(
    service: Service, wrong: dict[str, Any], error: tuple[str, str]
) -> None:
    before = await service.kept()
    data = [{"source": {"file": None}}, {"source": {"file": None}, **wrong}]
    files = {f"variables.input.data.{place}.source.file": ("a.txt", b"Text.") for place in (0, 1)}
    answer = await service.send_files(CREATE_JOB, {"input": {"task": SEGMENT, "data": data}}, files)
    assert problem(answer) == ("InvalidInput", "INVALID_INPUT", [error])
    assert await service.kept() == before


async def test_too_large_a_file_is_refused(service: Service) -> None:
    before = await service.kept()
    limit = service.settings.upload_limit_bytes
    answer = await service.send_files(
        CREATE_JOB,
        {"input": {"task": SEGMENT, "data": [{"source": {"file": None}}] * 2}},
        {
            "variables.input.data.0.source.file": ("a.txt", b"Some text."),
            "variables.input.data.1.source.file": ("b.txt", bytes(limit + 1)),
        },
    )
    assert (answer["__typename"], answer["code"], answer["limit"], answer["status"]) == (
        "LimitExceeded",
        "FILE_TOO_LARGE",
        limit,
        413,
    )
    assert await service.kept() == before


async def test_a_key_that_may_only_read_changes_nothing(service: Service) -> None:
    id = await service.create("Some text.")
    document = await service.upload("Some text.")
    before = await service.kept()
    reader = service.read_token
    for query, variables in (
        (CREATE_JOB, {"input": {"task": SEGMENT, "documentIds": [document]}}),
        (CREATE_UPLOAD, {"filename": "a.txt", "size": 1}),
        (CANCEL, {"id": id}),
        (DELETE, {"id": id}),
    ):
        answer = await service.ask(query, token=reader, **variables)
        assert (answer["__typename"], answer["code"]) == ("Forbidden", "FORBIDDEN")
    assert await service.kept() == before
    assert (await service.ask("query($id: ID!) { job(id: $id) { status } }", id=id, token=reader))[
        "status"
    ] == "PENDING"


async def test_canceling_an_open_job_ends_it(service: Service) -> None:
    id = await service.create("Some text.", "Other text.")
    answer = await service.ask(CANCEL, id=id)
    assert answer == {
        "__typename": "CancelJobSuccess",
        "changed": True,
        "reason": None,
        "job": {"status": "CANCELED", "outcome": "ERROR"},
    }
    error = (await service.job(id))["error"]
    assert (error["code"], error["message"]) == ("CANCELED", "The job was canceled.")
    await service.work()
    job = await service.job(id)
    assert (job["status"], job["attempt"]) == ("CANCELED", 0)
    assert [each["status"] for each in job["documents"]["nodes"]] == ["CANCELED", "CANCELED"]
    assert job["progressDetail"] is None


async def test_canceling_a_finished_job_changes_nothing(paced: Service) -> None:
    done, failed, canceled = [
        await paced.create(text) for text in ("page One", "fail CORRUPT", "page Two")
    ]
    await paced.ask(CANCEL, id=canceled)
    await paced.work()
    for id, status in ((done, "COMPLETED"), (failed, "FAILED"), (canceled, "CANCELED")):
        before = await paced.job(id)
        answer = await paced.ask(CANCEL, id=id)
        assert answer["changed"] is False
        assert answer["reason"] == f"The job had already ended: {status}."
        assert await paced.job(id) == before


async def test_a_deleted_job_goes_with_all_that_came_with_it(paced: Service) -> None:
    kept = await paced.upload("page Kept")
    id = await paced.create("page One", "page Two", documentIds=[kept])
    owned = [each["document"]["id"] for each in (await paced.job(id))["documents"]["nodes"]][:2]
    await paced.work()
    files = "query($id: ID!) { job(id: $id) { attachments { nodes { type size } } } }"
    attached = (await paced.ask(files, id=id))["attachments"]["nodes"]
    results = sum(each["size"] for each in attached if each["type"] != "LOG")
    answer = await paced.ask(DELETE, id=id)
    assert answer == {
        "__typename": "DeleteJobSuccess",
        "deletedId": id,
        "lastStatus": "COMPLETED",
        "canceledFirst": False,
        "deletedJobIds": [id],
        "deletedDocumentIds": owned,
        "freedBytes": 16 + results,
    }
    assert await paced.job(id) is None
    assert [str(key) for key in paced.stored()] == [kept]
    assert await paced.kept() == {
        "Document": 1,
        "Job": 0,
        "JobDocument": 0,
        "JobEvent": 1,
        "Segment": 0,
        "numbers": 1,
        "files": 1,
    }
    assert (await paced.ask(DELETE, id=id))["__typename"] == "NotFound"


async def test_a_document_that_another_job_uses_stays(paced: Service) -> None:
    first = await paced.create("page One")
    document = (await paced.job(first))["documents"]["nodes"][0]["document"]["id"]
    second = await paced.create_on(document)
    answer = await paced.ask(DELETE, id=first)
    assert (answer["lastStatus"], answer["canceledFirst"]) == ("CANCELED", True)
    assert (answer["deletedDocumentIds"], answer["freedBytes"]) == ([], 0)
    await paced.work()
    assert (await paced.job(second))["status"] == "COMPLETED"


async def test_a_job_waits_for_bytes_and_runs_when_they_are_here(paced: Service) -> None:
    document, link = await paced.create_upload(8)
    id = await paced.create("page Zero", documentIds=[document])
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["attempt"], job["totalSize"]) == ("PENDING", 0, 9)
    assert job["waitingOn"]["kind"] == "DATA"
    await paced.http.put(link, content=b"page One")
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["waitingOn"], job["totalSize"]) == ("COMPLETED", None, 17)


async def test_a_job_whose_upload_was_damaged_fails_and_does_not_wait(paced: Service) -> None:
    document, link = await paced.create_upload(8, sha256="0" * 64)
    id = await paced.create_on(document)
    await paced.http.put(link, content=b"page One")
    await paced.work()
    job = await paced.job(id)
    assert (job["status"], job["error"]["code"]) == ("FAILED", "EXPIRED")


async def test_waiting_jobs_know_their_place_in_the_queue(paced: Service) -> None:
    low = await paced.create("page One", priority="LOW")
    normal = await paced.create("page One")
    high = await paced.create("page One", priority="HIGH")
    places = [(await paced.job(id))["waitingOn"] for id in (high, normal, low)]
    assert [(each["kind"], each["position"]) for each in places] == [
        ("QUEUE", 1),
        ("QUEUE", 2),
        ("QUEUE", 3),
    ]


async def test_a_job_to_be_tried_again_says_when(paced: Service) -> None:
    id = await paced.create("page One")
    until = now() + timedelta(minutes=1)
    async with transaction(paced.database) as work:
        await work.session.exec(update(Job).values(due_at=until))
    query = "query($id: ID!) { job(id: $id) { waitingOn { kind until position } } }"
    assert (await paced.ask(query, id=id))["waitingOn"] == {
        "kind": "RETRY",
        "until": until.isoformat(),
        "position": None,
    }


async def test_jobs_are_listed_newest_first_in_pages_that_stay(service: Service) -> None:
    document = await service.upload("Some text.")
    for _ in range(5):
        await service.create_on(document)
    page = await service.ask(LIST, first=2)
    assert [node["number"] for node in page["nodes"]] == [5, 4]
    assert page["totalCount"] == 5
    info = page["pageInfo"]
    assert (info["hasNextPage"], info["hasPreviousPage"]) == (True, False)
    cursors = [edge["cursor"] for edge in page["edges"]]
    assert [info["startCursor"], info["endCursor"]] == cursors
    newest = await service.create_on(document)
    middle = await service.ask(LIST, first=2, after=cursors[-1])
    assert [node["number"] for node in middle["nodes"]] == [3, 2]
    await service.ask(DELETE, id=newest)
    last = await service.ask(LIST, first=2, after=middle["pageInfo"]["endCursor"])
    assert [node["number"] for node in last["nodes"]] == [1]
    assert last["pageInfo"]["hasNextPage"] is False
    assert last["pageInfo"]["hasPreviousPage"] is True


async def test_filters_hold_together(service: Service) -> None:
    document = await service.upload("Some text.")
    ids = [
        await service.create_on(document, name="100% Ready", groupId="a"),
        await service.create("Some text.", name="1000 ready", groupId="a"),
        await service.create("Some text.", groupId="b"),
    ]
    await service.ask(CANCEL, id=ids[0])
    created = "query($id: ID!) { job(id: $id) { createdAt } }"
    second = (await service.ask(created, id=ids[1]))["createdAt"]
    for filter, expected in (
        ({}, [3, 2, 1]),
        (dict.fromkeys(["ids", "numbers", "groupId", "types", "statuses", "name"]), [3, 2, 1]),
        ({"ids": [ids[0], "malformed"]}, [1]),
        ({"ids": []}, []),
        ({"ids": ["malformed"]}, []),
        ({"numbers": [2, 3, 7]}, [3, 2]),
        ({"groupId": "a"}, [2, 1]),
        ({"types": ["SEGMENT"]}, [3, 2, 1]),
        ({"types": []}, []),
        ({"statuses": ["CANCELED", "FAILED"]}, [1]),
        ({"name": "READY"}, [2, 1]),
        ({"name": "100%"}, [1]),
        ({"name": "a\0b"}, []),
        ({"groupId": "\ud800"}, []),
        ({"documentId": document}, [1]),
        ({"documentId": "malformed"}, []),
        ({"createdAfter": second}, [3]),
        ({"createdBefore": second}, [1]),
        ({"createdBefore": second[:-6]}, [1]),
        ({"groupId": "a", "statuses": ["PENDING"]}, [2]),
    ):
        assert await numbers(service, filter=filter) == expected, filter


@pytest.mark.parametrize("time", ["yesterday", "0001-01-01T00:00:00+14:00", 1, "\ud800"])
async def test_a_time_that_is_none_is_refused(service: Service, time: object) -> None:
    answer = await service.post(LIST, {"filter": {"createdAfter": time}})
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("first", [0, -1, 101])
async def test_a_page_of_another_size_is_refused(service: Service, first: int) -> None:
    answer = await service.post(LIST, {"first": first})
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_PAGE"


@pytest.mark.parametrize("after", ["", "x", "é", "\0", "MQ", "YQpi", "A" * 10_000])
async def test_a_cursor_of_another_list_is_refused(service: Service, after: str) -> None:
    answer = await service.post(LIST, {"after": after})
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_CURSOR"


async def test_another_application_sees_nothing(paced: Service) -> None:
    id = await paced.create("page One")
    await paced.work()
    job = await paced.job(id)
    document = job["documents"]["nodes"][0]["document"]["id"]
    other = paced.other_token
    for malformed in (False, True):
        wanted = "malformed" if malformed else id
        assert (
            await paced.ask("query($id: ID!) { job(id: $id) { id } }", id=wanted, token=other)
            is None
        )
        assert (
            await paced.ask("query($id: ID!) { node(id: $id) { id } }", id=wanted, token=other)
            is None
        )
        assert (await paced.ask(CANCEL, id=wanted, token=other))["__typename"] == "NotFound"
        assert (await paced.ask(DELETE, id=wanted, token=other))["__typename"] == "NotFound"
        for query in (EVENTS, SEGMENTS):
            async with paced.subscribe(query, id=wanted, token=other) as values:
                with pytest.raises(Refused) as refused:
                    await anext(values)
            assert refused.value.code == "NOT_FOUND"
    assert await paced.ask(DOCUMENT, id=document, token=other) is None
    assert await numbers(paced, token=other) == []
    assert await numbers(paced, token=other, filter={"documentId": document}) == []
    assert await paced.job(id) == job


async def test_everything_has_a_node(paced: Service) -> None:
    id = await paced.create("page One")
    await paced.work()
    query = """query($id: ID!) { job(id: $id) {
      id application { id } submitter { id } documents { nodes { document { id } } }
      result { ... on SegmentResult { segments { nodes { id } } } }
    } }"""
    job = await paced.ask(query, id=id)
    for type, found in (
        ("Job", job["id"]),
        ("Application", job["application"]["id"]),
        ("ApiKey", job["submitter"]["id"]),
        ("Document", job["documents"]["nodes"][0]["document"]["id"]),
        ("Segment", job["result"]["segments"]["nodes"][0]["id"]),
    ):
        node = "query($id: ID!) { node(id: $id) { __typename id } }"
        assert await paced.ask(node, id=found) == {"__typename": type, "id": found}
        assert await paced.ask(node, id=found, token=paced.other_token) is None


async def test_documents_segments_and_events_come_in_pages(paced: Service) -> None:
    id = await paced.create("pages 3", "fail CORRUPT", "pages 2")
    await paced.work()
    query = """query($id: ID!, $documents: String, $segments: String, $events: String) {
      job(id: $id) {
        documents(first: 2, after: $documents) {
          nodes { status } pageInfo { hasNextPage endCursor } totalCount }
        failed: documents(statuses: [FAILED]) { totalCount nodes { status } }
        result { ... on SegmentResult { segments(first: 4, after: $segments) {
          nodes { body } pageInfo { hasNextPage endCursor } totalCount } } }
        events(first: 2, after: $events) {
          nodes { seq } pageInfo { hasNextPage endCursor } totalCount }
      }
    }"""
    first = await paced.ask(query, id=id)
    lists = [first["documents"], first["result"]["segments"], first["events"]]
    assert all(each["pageInfo"]["hasNextPage"] for each in lists)
    assert [each["status"] for each in first["documents"]["nodes"]] == ["COMPLETED", "FAILED"]
    assert first["failed"] == {"totalCount": 1, "nodes": [{"status": "FAILED"}]}
    assert [each["totalCount"] for each in lists[:2]] == [3, 5]
    cursors = [each["pageInfo"]["endCursor"] for each in lists]
    names = ["documents", "segments", "events"]
    rest = await paced.ask(query, id=id, **dict(zip(names, cursors, strict=True)))
    assert [each["status"] for each in rest["documents"]["nodes"]] == ["COMPLETED"]
    assert [each["body"] for each in rest["result"]["segments"]["nodes"]] == ["2 of 2"]
    assert [each["seq"] for each in rest["events"]["nodes"]] == [3, 4]


@pytest.mark.parametrize("field", ["documents", "segments", "events"])
async def test_forged_cursors_of_inner_lists_are_refused(service: Service, field: str) -> None:
    id = await service.create("Some text.")
    inner = f"{field}(after: $after) {{ pageInfo {{ hasNextPage }} }}"
    if field == "segments":
        inner = f"result {{ ... on SegmentResult {{ {inner} }} }}"
    query = f"query($id: ID!, $after: String) {{ job(id: $id) {{ {inner} }} }}"
    own = InnerList(field, UUID(id))
    for keys in forged_keys(id):
        after = keys if field == "events" else own.cursor(keys)
        answer = await service.post(query, {"id": id, "after": after})
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_CURSOR", keys


async def test_a_cursor_of_an_inner_list_is_good_in_that_list_alone(paced: Service) -> None:
    document = await paced.upload("pages 3")
    ids = [await paced.create_on(document) for _ in range(2)]
    for id in ids:
        await paced.create_on(document, executeAfterId=id)
    await paced.work()
    lists = {
        "documents": "documents",
        "segments": "result { ... on SegmentResult { segments",
        "attachments": "attachments",
        "dependents": "dependents",
        "events": "events",
        "jobs": "documents { nodes { document { jobs",
    }
    queries = {
        name: f"query($id: ID!, $after: String) {{ job(id: $id) {{ {path}"
        "(first: 1, after: $after) { edges { cursor } }" + " }" * (2 + path.count("{"))
        for name, path in lists.items()
    }
    cursors = {}
    for name, query in queries.items():
        answer = await paced.post(query, {"id": ids[0]})
        cursors[name] = re.findall(r'"cursor": "([^"]+)"', json.dumps(answer))[0]
        assert "errors" not in await paced.post(query, {"id": ids[0], "after": cursors[name]})
    foreign = [(ids[1], name, name) for name in lists if name != "jobs"]
    crossed = [(ids[0], name, other) for name in lists for other in lists if name != other]
    for id, name, other in foreign + crossed:
        answer = await paced.post(queries[name], {"id": id, "after": cursors[other]})
        codes = [error["extensions"]["code"] for error in answer["errors"]]
        assert codes == ["INVALID_CURSOR"], (name, other)


def forged_keys(id: str) -> Iterator[str]:
    """Go through cursors that look well and hold numbers that no row can have."""
    huge = "9" * 30
    endless = "9" * 5000
    for keys in ((huge,), (endless,), ("-1x",), (huge, "1"), ("1", huge), ("1", endless)):
        yield cursor(*keys)
    for seq in (huge, endless, "-1", "²"):
        yield cursor(id.replace("-", ""), seq, 0, 0)
    yield cursor(uuid4().hex, 1, 0, 0)


async def test_the_lists_of_one_operation_read_up_to_a_limit(paced: Service) -> None:
    id = await paced.create("pages 500")
    await paced.work()
    one = (
        "job(id: $id) { result { ... on SegmentResult { segments(first: 500) { nodes { id } } } } }"
    )
    for lists, codes in ((39, set()), (40, {"TOO_MANY_ROWS"})):
        aliased = " ".join(f"a{each}: {one}" for each in range(lists))
        answer = await paced.post(f"query($id: ID!) {{ {aliased} }}", {"id": id})
        errors = answer.get("errors", [])
        assert {error["extensions"]["code"] for error in errors} == codes


async def test_a_filter_lists_a_thousand_values_at_most(service: Service) -> None:
    for name, values in (("numbers", [1] * 1001), ("ids", [str(uuid4())] * 1001)):
        answer = await service.post(LIST, {"filter": {name: values}})
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "INVALID_INPUT"
        assert error["message"] == f"{name} may list at most 1000."
    statuses = ["PENDING"] * 50_000
    assert (await service.ask(LIST, filter={"statuses": statuses}))["totalCount"] == 0


async def test_too_many_documents_are_refused_before_a_byte_is_stored(service: Service) -> None:
    many = [{"source": {"documentId": str(uuid4())}}] * 1000
    answer = await service.send_files(
        CREATE_JOB,
        {"input": {"task": SEGMENT, "data": [{"source": {"file": None}}, *many]}},
        {"variables.input.data.0.source.file": ("a.txt", b"x")},
    )
    assert answer["detail"] == "A job may have at most 1000 documents."
    assert list(service.stored()) == []
