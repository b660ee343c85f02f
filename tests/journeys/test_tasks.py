"""What can be asked for beside segments, from the mutation to what comes of it."""

from typing import Any

import httpx2
import pymupdf
import pytest
from service import CREATE_JOB, Service

pytestmark = pytest.mark.anyio

RESULT = """
query($id: ID!) {
  job(id: $id) {
    type status outcome settings resultJson
    result {
      __typename
      ... on PredictResult { predictions { totalCount nodes {
        document { id filename } category accuracy score evidencePages
        scores { category score } } } }
      ... on PdfImagesResult { images { totalCount nodes { filename page mimeType url } } }
      ... on TransformResult { documents { totalCount nodes { filename page mimeType url } } }
    }
  }
}
"""
TEXT = "# Ducks\n\nDucks, geese and swans are birds that live on water.\n"
CATEGORIES = [{"name": "cooking"}, {"name": "animals", "description": "Birds, fish and beasts."}]


def pdf() -> bytes:
    document = pymupdf.open()
    for number in (1, 2):
        document.new_page(width=200, height=100).insert_text((20, 40), f"This is page {number}.")
    content: bytes = document.tobytes()
    return content


async def done(service: Service, id: str) -> dict[str, Any]:
    await service.work()
    job: dict[str, Any] = await service.ask(RESULT, id=id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "SUCCESS")
    return job


async def content(service: Service, url: str) -> bytes:
    answer: httpx2.Response = await service.http.get(url)
    assert answer.status_code == 200
    return answer.content


async def test_a_document_is_sorted_into_a_category(service: Service) -> None:
    id = await service.create(TEXT, task={"predict": {"categories": CATEGORIES}})
    job = await done(service, id)
    assert job["type"] == "PREDICT"
    assert job["settings"] == {
        "categories": [{**CATEGORIES[0], "description": None}, CATEGORIES[1]]
    }
    assert job["result"]["predictions"]["totalCount"] == 1
    (found,) = job["result"]["predictions"]["nodes"]
    document = found.pop("document")
    assert document["filename"] == "0.txt"
    assert (found["category"], found["evidencePages"]) == ("animals", [1])
    assert job["resultJson"] == {**found, "documentId": document["id"]}


async def test_of_several_documents_the_predictions_are_a_list(service: Service) -> None:
    id = await service.create(TEXT, TEXT, task={"predict": {"categories": CATEGORIES}})
    job = await done(service, id)
    assert [each["category"] for each in job["resultJson"]] == ["animals", "animals"]
    assert job["result"]["predictions"]["totalCount"] == 2


async def test_the_pages_of_a_pdf_become_pictures(service: Service) -> None:
    id = await service.create(pdf(), task={"pdfImages": {"dpi": 72, "format": "WEBP"}})
    job = await done(service, id)
    assert job["settings"] == {"dpi": 72, "format": "WEBP", "quality": 75}
    images = job["result"]["images"]["nodes"]
    assert [(each["filename"], each["page"], each["mimeType"]) for each in images] == [
        ("0-1.webp", 1, "image/webp"),
        ("0-2.webp", 2, "image/webp"),
    ]
    assert (await content(service, images[0]["url"]))[8:12] == b"WEBP"
    assert (job["resultJson"]["documentCount"], job["resultJson"]["pageCount"]) == (2, 2)


async def test_a_document_becomes_plain_text(service: Service) -> None:
    id = await service.create(pdf(), task={"transform": {"output": "TEXT"}})
    job = await done(service, id)
    (made,) = job["result"]["documents"]["nodes"]
    assert (made["filename"], made["page"], made["mimeType"]) == ("0.txt", None, "text/plain")
    assert await content(service, made["url"]) == b"This is page 1.\n\fThis is page 2.\n"


async def test_what_is_not_there_and_what_has_no_use_is_refused(service: Service) -> None:
    document = await service.upload(TEXT)
    refusals = []
    for task in ({"output": "PDFA"}, {"output": "TEXT", "dpi": 72}):
        input = {"task": {"transform": task}, "documentIds": [document]}
        refusals.append(await service.ask(CREATE_JOB, input=input))
    assert [(each["__typename"], each["code"], each["errors"]) for each in refusals] == [
        (
            "InvalidInput",
            "UNSUPPORTED_FEATURE",
            [
                {
                    "loc": ["task", "transform", "output"],
                    "msg": "output: PDFA is not available here; TEXT and IMAGE are.",
                    "type": "unsupported",
                }
            ],
        ),
        (
            "InvalidInput",
            "INVALID_INPUT",
            [
                {
                    "loc": ["task", "transform", "dpi"],
                    "msg": "dpi: TEXT has no use for it.",
                    "type": "unused",
                }
            ],
        ),
    ]
    assert (await service.kept())["Job"] == 0


async def test_the_service_says_whether_it_can_predict(service: Service) -> None:
    found = await service.ask("{ service { capabilities { name available detail } } }")
    assert {
        "name": "predict",
        "available": True,
        "detail": "sorting documents into categories of your own; pip install 'docyard[predict]'",
    } in found["capabilities"]
