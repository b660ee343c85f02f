"""Attachments in the schema, and fetching them by their links."""

from typing import Any

import pytest
from service import Service
from sqlmodel import update

from app.db.work import transaction
from app.jobs.models import JobEvent

pytestmark = pytest.mark.anyio

JOB = """
query($id: ID!, $types: [AttachmentType!], $first: Int, $after: String, $tail: Int) {
  job(id: $id) {
    log(tailBytes: $tail)
    attachments(types: $types, first: $first, after: $after) {
      totalCount
      nodes { id type filename mimeType size sha256 createdAt url job { id } document { filename } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
ATTACHMENT = "query($id: ID!) { attachment(id: $id) { id type } }"
NODE = "query($id: ID!) { node(id: $id) { __typename id } }"


async def done(service: Service) -> tuple[str, list[dict[str, Any]]]:
    """Run a job; return its id and its attachments."""
    id = await service.create("page One", "page Two")
    await service.work()
    return id, (await service.ask(JOB, id=id))["attachments"]["nodes"]


async def test_attachments_are_listed_by_type_and_page(paced: Service) -> None:
    id, files = await done(paced)
    assert [each["type"] for each in files] == ["RESULT", "RESULT_MIN"] * 2 + ["LOG"]
    assert {each["job"]["id"] for each in files} == {id}
    assert (files[3]["document"], files[4]["document"]) == ({"filename": "1.txt"}, None)
    page = (await paced.ask(JOB, id=id, types=["LOG", "RESULT"], first=2))["attachments"]
    assert page["totalCount"] == 3
    assert page["pageInfo"]["hasNextPage"] is True
    assert [each["id"] for each in page["nodes"]] == [files[0]["id"], files[2]["id"]]
    rest = await paced.ask(
        JOB, id=id, types=["LOG", "RESULT"], first=2, after=page["pageInfo"]["endCursor"]
    )
    assert [each["id"] for each in rest["attachments"]["nodes"]] == [files[4]["id"]]
    assert (await paced.ask(JOB, id=id, types=[]))["attachments"]["nodes"] == []


async def test_an_attachment_is_found_by_its_id_by_its_owner_only(paced: Service) -> None:
    _, (file, *_) = await done(paced)
    id = file["id"]
    assert await paced.ask(ATTACHMENT, id=id) == {"id": id, "type": "RESULT"}
    assert await paced.ask(NODE, id=id) == {"__typename": "Attachment", "id": id}
    for query in (ATTACHMENT, NODE):
        assert await paced.ask(query, id=id, token=paced.other_token) is None
    assert await paced.ask(ATTACHMENT, id="no id") is None


async def test_every_attachment_is_fetched_by_its_link(paced: Service) -> None:
    _, files = await done(paced)
    for file in files:
        answer = await paced.http.get(file["url"])
        assert len(answer.content) == file["size"]
        assert answer.headers["etag"] == f'"{file["sha256"]}"'
        assert answer.headers["content-type"] == file["mimeType"]
        assert answer.headers["content-disposition"] == f'attachment; filename="{file["filename"]}"'
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        part = await paced.http.get(file["url"], headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, answer.content[5:10])
        assert part.headers["content-range"] == f"bytes 5-9/{file['size']}"
        far = {"Range": f"bytes={file['size']}-"}
        assert (await paced.http.get(file["url"], headers=far)).status_code == 416
        forged = file["url"].replace("signature=", "signature=0")
        assert (await paced.http.get(forged)).status_code == 403


async def test_the_log_is_read_while_the_job_runs_and_after_it_as_a_file(paced: Service) -> None:
    id = await paced.create("page One")
    waiting = await paced.ask(JOB, id=id)
    assert waiting["log"].endswith("Z INFO The job was accepted.\n")
    assert waiting["attachments"]["nodes"] == []
    await paced.work()
    ended = await paced.ask(JOB, id=id, types=["LOG"])
    (file,) = ended["attachments"]["nodes"]
    assert (await paced.http.get(file["url"])).text == ended["log"]
    assert ended["log"].startswith(waiting["log"])
    assert (await paced.ask(JOB, id=id, tail=50))["log"].endswith("Z INFO The job is done.\n")


async def test_a_log_that_says_less_since_its_link_was_given_out_is_whole(paced: Service) -> None:
    id = await paced.create("page One")
    await paced.work()
    (file,) = (await paced.ask(JOB, id=id, types=["LOG"]))["attachments"]["nodes"]
    async with transaction(paced.database) as work:
        # As a deletion of a document does, before it has measured the log again.
        await work.session.exec(update(JobEvent).values(message="Gone."))
    answer = await paced.http.get(file["url"])
    assert (answer.status_code, answer.text) == (200, (await paced.ask(JOB, id=id))["log"])
    assert answer.headers["etag"] != f'"{file["sha256"]}"'


async def test_more_of_a_log_than_is_given_at_once_is_refused(paced: Service) -> None:
    id = await paced.create("page One")
    answer = await paced.post(JOB, {"id": id, "tail": 0})
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert error["message"] == "tailBytes must be 1 to 1048576."
