"""Tags of documents that are here: put on, taken off, and what is found by them from then on."""

import asyncio
from typing import Any

import pytest
from service import DOCUMENT, TAG, Service
from sqlmodel import col, select, update
from world import World

from app.db.work import reading, transaction
from app.documents import commands
from app.documents.models import Document
from app.jobs.models import Segment

pytestmark = pytest.mark.anyio

DOCUMENTS = "query($tags: [String!]) { documents(filter: { tags: $tags }) { nodes { id } } }"
SEGMENTS = """
query($id: ID!, $first: Int, $after: String, $tag: String, $documentId: ID) {
  job(id: $id) { result { ... on SegmentResult {
    segments(first: $first, after: $after, tag: $tag, documentId: $documentId) {
      totalCount nodes { body tags } pageInfo { hasNextPage endCursor }
    }
  } } }
}
"""


async def test_tags_keep_their_order_and_what_changes_nothing_is_no_error(service: Service) -> None:
    id = await service.upload("Some text.", tags=["b", "a", "c"])
    for change, expected in (
        ({"add": [" d ", "a", "d"]}, ["b", "a", "c", "d"]),
        ({"remove": ["a", "nowhere", "a"]}, ["b", "c", "d"]),
        ({"add": ["a"], "remove": [" b "]}, ["c", "d", "a"]),
        ({"add": None, "remove": None}, ["c", "d", "a"]),
        ({"add": [], "remove": []}, ["c", "d", "a"]),
    ):
        answer = await service.ask(TAG, id=id, **change)
        assert answer["document"] == {"id": id, "tags": expected}, change
    assert (await service.ask(DOCUMENT, id=id))["tags"] == ["c", "d", "a"]
    for tag, found in (("a", [id]), (" a ", [id]), ("b", [])):
        nodes = (await service.ask(DOCUMENTS, tags=[tag]))["nodes"]
        assert [node["id"] for node in nodes] == found


HUNDRED = [str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"add": [""]}, "add"),
        ({"add": ["x" * 101]}, "add"),
        ({"add": ["a\nb"]}, "add"),
        ({"add": HUNDRED}, "add"),
        ({"add": [*HUNDRED, "a"], "remove": ["a"]}, "add"),
        ({"remove": ["\0"]}, "remove"),
        ({"add": ["x"], "remove": [" x"]}, "remove"),
    ],
    ids=["empty", "long", "control", "too many", "many", "no tag", "in both lists"],
)
async def test_what_is_no_tag_changes_nothing(
    service: Service, change: dict[str, Any], loc: str
) -> None:
    id = await service.upload("Some text.", tags=["a"])
    answer = await service.ask(TAG, id=id, **change)
    assert (answer["__typename"], answer["errors"][0]["loc"]) == ("InvalidInput", [loc])
    assert (await service.ask(DOCUMENT, id=id))["tags"] == ["a"]
    ninety_nine = await service.ask(TAG, id=id, add=HUNDRED[:99])
    assert len(ninety_nine["document"]["tags"]) == 100


async def test_only_who_may_write_tags_what_is_theirs(service: Service) -> None:
    id = await service.upload("Some text.", tags=["a"])
    answer = await service.ask(TAG, id=id, add=["x"], token=service.read_token)
    assert (answer["__typename"], answer["code"]) == ("Forbidden", "FORBIDDEN")
    for whose, token in ((id, service.other_token), ("nobody", service.token)):
        answer = await service.ask(TAG, id=whose, add=["x"], token=token)
        assert (answer["__typename"], answer["id"]) == ("NotFound", whose)
    assert (await service.ask(DOCUMENT, id=id))["tags"] == ["a"]


async def test_of_many_changes_at_once_none_is_lost(world: World) -> None:
    id = await world.document()

    async def change(number: int) -> None:
        async with transaction(world.database) as work:
            await commands.tag(
                work, caller=world.caller, document_id=id, add=[f"{number:02}"], remove=[]
            )

    await asyncio.gather(*map(change, range(10)))
    async with reading(world.database) as session:
        tags = (await session.exec(select(Document.tags).where(Document.id == id))).one()
    assert sorted(tags) == [f"{number:02}" for number in range(10)]


async def test_a_job_takes_what_was_tagged_after_it_was_made(service: Service) -> None:
    first = await service.create("Some text.", task={"transform": {"output": "TEXT"}})
    await service.work()
    second = await service.create_on(executeAfterId=first, inputTag=" chosen ", start=False)
    query = "query($id: ID!) { job(id: $id) { result { ... on TransformResult { %s } } } }"
    found = await service.ask(query % "documents { nodes { id } }", id=first)
    (made,) = found["result"]["documents"]["nodes"]
    await service.ask(TAG, id=made["id"], add=["chosen"])
    start = """mutation($id: ID!) { startJob(id: $id) { ... on StartJobSuccess {
      job { documents { nodes { document { id } } } } } } }"""
    started = await service.ask(start, id=second)
    assert started["job"]["documents"]["nodes"] == [{"document": made}]


async def test_segments_are_found_by_their_tags(paced: Service) -> None:
    id = await paced.create("\n".join(f"page {n}" for n in range(6)), "page other")
    await paced.work()
    async with transaction(paced.database) as work:
        for body, tags in (("1", ["a"]), ("3", ["b", "a"]), ("5", ["a"]), ("other", ["a"])):
            statement = update(Segment).where(col(Segment.body) == body)
            await work.session.exec(statement.values(tags=tags))

    async def read(**asked: Any) -> tuple[list[str], int, dict[str, Any]]:  # noqa: ANN401 - variables
        found = (await paced.ask(SEGMENTS, id=id, **asked))["result"]["segments"]
        bodies = [node["body"] for node in found["nodes"]]
        return bodies, found["totalCount"], found["pageInfo"]

    bodies, count, page = await read(tag="a", first=2)
    assert (bodies, count, page["hasNextPage"]) == (["1", "3"], 4, True)
    bodies, count, page = await read(tag=" a ", first=2, after=page["endCursor"])
    assert (bodies, count, page["hasNextPage"]) == (["5", "other"], 4, False)
    first = (await paced.job(id))["documents"]["nodes"][0]["document"]["id"]
    assert (await read(tag="a", documentId=first))[:2] == (["1", "3", "5"], 3)
    for tag, bodies in (("b", ["3"]), ("A", []), ("", []), ("\0", [])):
        assert (await read(tag=tag))[:2] == (bodies, len(bodies))
    assert (await read(tag=None))[1] == 7
