"""A document is sorted, and what it is decides what is done with it."""

from typing import Any

import pymupdf
import pytest
from service import CREATE_CONDITIONAL, CREATE_JOB, Service

pytestmark = pytest.mark.anyio

READ = """
query($id: ID!) {
  job(id: $id) {
    status outcome resultJson
    children { nodes { id type status
      documents { nodes { document { filename page tags original { id } producedBy { id } } } }
      result {
        ... on TransformResult { documents { nodes { filename page tags } } }
        ... on SegmentResult { segments { nodes { body page } } }
      } } }
    result { ... on ConditionalResult { rules { name matched clauses { field seen holds } } } }
  }
}
"""
PAGES = (
    "Ducks, geese and swans are birds that live on water and fly south in winter.",
    "A duck sleeps with one eye open, and its feathers never get wet in the pond.",
    "Eggs of geese are larger than those of ducks, and both birds breed in spring.",
)
CATEGORIES = [{"name": "cooking"}, {"name": "animals", "description": "Birds, fish and beasts."}]


def paper() -> bytes:
    document = pymupdf.open()
    for number, text in enumerate(PAGES):
        document.new_page(width=600, height=400).insert_text((40, 60 + 40 * number), text)
    content: bytes = document.tobytes()
    return content


async def create(service: Service, **input: Any) -> str:  # noqa: ANN401 - fields of the input
    answer = await service.ask(CREATE_JOB, input=input)
    assert answer["__typename"] == "CreateJobSuccess", answer
    id: str = answer["job"]["id"]
    return id


async def test_what_a_document_is_decides_what_becomes_of_it(service: Service) -> None:
    document = await service.upload(paper(), "birds.pdf")
    predict = {"predict": {"categories": CATEGORIES}}
    sorted_ = await create(service, task=predict, documentIds=[document])
    pictures = {"transform": {"output": "IMAGE", "dpi": 36}}
    text = {"transform": {"output": "TEXT"}}
    rules = [
        {
            "name": "birds",
            "conditions": {"category": "animals", "accuracy": {"$gt": 0.1}},
            "jobs": [
                {
                    "task": text,
                    "documentIds": [document],
                    "outputTags": ["text"],
                    "pageSlice": "1:",
                },
                {"task": {"segment": {}}},
            ],
        },
        {
            "name": "recipes",
            "conditions": {"category": ["cooking"]},
            "jobs": [{"task": pictures, "documentIds": [document]}],
        },
    ]
    answer = await service.ask(
        CREATE_CONDITIONAL, input={"executeAfterId": sorted_, "rules": rules}
    )
    id = answer["job"]["id"]
    await service.work()
    found = await service.ask(READ, id=id)
    assert (found["status"], found["outcome"]) == ("COMPLETED", "SUCCESS")
    assert [each["matched"] for each in found["result"]["rules"]] == [True, False]
    made, cut = found["children"]["nodes"]
    (written,) = made["result"]["documents"]["nodes"]
    assert written["tags"] == ["text"]
    (taken,) = cut["documents"]["nodes"]
    assert taken["document"]["original"] == {"id": document}
    assert taken["document"]["producedBy"] == {"id": made["id"]}
    body = " ".join(each["body"] for each in cut["result"]["segments"]["nodes"])
    assert [text in " ".join(body.split()) for text in PAGES] == [False, True, True]
    entries = found["resultJson"]["birds"]
    assert [each["result_type"] for each in entries] == ["TRANSFORM", "SEGMENT"]


async def test_pages_and_tags_choose_what_the_next_job_works_on(service: Service) -> None:
    document = await service.upload(paper(), "birds.pdf")
    pictures = {"transform": {"output": "IMAGE", "dpi": 36}}
    first = await create(
        service, task=pictures, documentIds=[document], outputTags=["page"], pageSlice="::2"
    )
    # A picture has no text, so that these fail, but on what was chosen.
    predict = {"predict": {"categories": CATEGORIES}}
    after = await create(service, task=predict, executeAfterId=first, pageSlice="-1")
    tagged = await create(service, task=predict, executeAfterId=first, inputTag="page")
    other = await create(service, task=predict, executeAfterId=first, inputTag="no such")
    await service.work()
    assert await pages(service, after) == [3]
    assert await pages(service, tagged) == [1, 3]
    assert await pages(service, other) == []


async def pages(service: Service, id: str) -> list[int]:
    query = "query($id: ID!) { job(id: $id) { documents { nodes { document { page } } } } }"
    found = await service.ask(query, id=id)
    return [each["document"]["page"] for each in found["documents"]["nodes"]]
