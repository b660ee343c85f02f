"""Documents: uploaded with a request, listed, and fetched by link."""

import hashlib
from datetime import timedelta
from uuid import UUID

import pytest
from service import DOCUMENT, UPLOAD, Service

from app.clock import now
from app.documents.links import Action, Links

pytestmark = pytest.mark.anyio

CONTENT = "# Héllo\n\n# World\n".encode()
LIST = """
query($first: Int, $after: String) {
  documents(first: $first, after: $after) {
    totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}
"""


async def link_of(service: Service, id: str) -> str:
    """Return the link to the bytes of a document."""
    link: str = (await service.ask(DOCUMENT, id=id))["url"]
    return link


async def test_a_file_of_a_request_becomes_a_document(service: Service) -> None:
    variables = {"file": None, "tags": ["b", " a ", "b"]}
    file = ("../dir/naïve.TXT", CONTENT)
    answer = await service.send_files(UPLOAD, variables, {"variables.file": file})
    document = answer["document"]
    assert (await service.http.get(document.pop("url"))).content == CONTENT
    assert document.pop("id") == str(service.stored()[0])
    assert document == {
        "filename": "naïve.TXT",
        "mimeType": "text/markdown",
        "extension": "md",
        "size": len(CONTENT),
        "receivedBytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "status": "PROCESSED",
        "tags": ["b", "a"],
    }


@pytest.mark.parametrize(
    ("name", "size", "tags", "code", "places"),
    [
        ("a.txt", 3 * 1024 * 1024 + 1, [], "FILE_TOO_LARGE", []),
        ("a.txt", 3, [""], "INVALID_INPUT", [["tags"]]),
        ("..", 3, [], "INVALID_INPUT", [["file"]]),
    ],
    ids=["too large", "an empty tag", "no name"],
)
async def test_a_refused_file_leaves_nothing(  # noqa: PLR0917 - parameters of the cases
    service: Service, name: str, size: int, tags: list[str], code: str, places: list[list[str]]
) -> None:
    before = await service.kept()
    variables = {"file": None, "tags": tags}
    answer = await service.send_files(UPLOAD, variables, {"variables.file": (name, bytes(size))})
    assert answer["code"] == code
    assert [error["loc"] for error in answer.get("errors", [])] == places
    assert await service.kept() == before


async def test_a_key_that_may_only_read_uploads_nothing(service: Service) -> None:
    before = await service.kept()
    answer = await service.send_files(
        UPLOAD, {"file": None}, {"variables.file": ("a.txt", b"x")}, token=service.read_token
    )
    assert (answer["__typename"], answer["code"]) == ("Forbidden", "FORBIDDEN")
    assert await service.kept() == before


@pytest.mark.parametrize("size", [1.5, "x", True, -1])
async def test_a_size_that_is_none_is_refused(service: Service, size: object) -> None:
    before = await service.kept()
    query = """mutation($size: BigInt!) { createUpload(filename: "a.txt", size: $size) {
      __typename ... on Problem { code } } }"""
    answer = await service.post(query, {"size": size})
    if size == -1:
        assert answer["data"]["createUpload"] == {
            "__typename": "InvalidInput",
            "code": "INVALID_INPUT",
        }
    else:
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert await service.kept() == before


async def test_a_link_gives_the_file_and_lets_no_browser_run_it(service: Service) -> None:
    id = await service.upload("<html><script>alert(1)</script></html>", "a 'b' é.html")
    answer = await service.http.get(await link_of(service, id))
    assert answer.text == "<html><script>alert(1)</script></html>"
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=utf-8''a%20%27b%27%20%C3%A9.html"
    )
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    sha256 = hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["etag"] == f'"{sha256}"'


async def test_a_link_answers_ranges(service: Service) -> None:
    link = await link_of(service, await service.upload(CONTENT))
    part = await service.http.get(link, headers={"Range": "bytes=2-6"})
    assert (part.status_code, part.content) == (206, CONTENT[2:7])
    assert part.headers["content-range"] == f"bytes 2-6/{len(CONTENT)}"
    last = await service.http.get(link, headers={"Range": "bytes=-3"})
    assert (last.status_code, last.content) == (206, CONTENT[-3:])
    beyond = await service.http.get(link, headers={"Range": "bytes=999-"})
    assert beyond.status_code == 416
    tag = part.headers["etag"]
    same = await service.http.get(link, headers={"Range": "bytes=0-1", "If-Range": tag})
    assert (same.status_code, same.content) == (206, CONTENT[:2])
    other = await service.http.get(link, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, CONTENT)
    head = await service.http.head(link)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CONTENT))


async def test_only_the_right_link_gives_the_file(service: Service) -> None:
    id = await service.upload(CONTENT)
    key = UUID(id)
    links = Links(service.settings.link_keys)
    later = now() + timedelta(minutes=1)
    good = links.path(Action.DOWNLOAD, key, expires_at=later)
    upload = links.path(Action.UPLOAD, key, expires_at=later).replace("/uploads/", "/files/")
    expired = links.path(Action.DOWNLOAD, key, expires_at=now() - timedelta(seconds=1))
    foreign = Links((b"x" * 32,)).path(Action.DOWNLOAD, key, expires_at=later)
    for path, status in (
        (good, 200),
        (upload, 403),
        (expired, 403),
        (foreign, 403),
        (f"/files/{id}", 403),
        ("/files/malformed?expires=1&signature=1", 403),
        (good.replace("signature=", "signature=%C3%A9"), 403),
        (good.replace("expires=", "expires=" + "9" * 5000), 403),
    ):
        answer = await service.http.get(service.url + path)
        assert answer.status_code == status, path
        if status == 403:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json() == {
                "type": "urn:docyard:problem:invalid-link",
                "title": "Link not valid",
                "status": 403,
                "detail": "This link has expired or was changed. Ask the API for a new one.",
                "code": "INVALID_LINK",
            }


async def test_a_link_to_a_document_that_is_gone_finds_nothing(service: Service) -> None:
    id = await service.create("Some text.")
    query = "query($id: ID!) { job(id: $id) { documents { nodes { document { url } } } } }"
    found = await service.ask(query, id=id)
    link = found["documents"]["nodes"][0]["document"]["url"]
    assert (await service.http.get(link)).status_code == 200
    await service.ask("mutation($id: ID!) { deleteJob(id: $id) { __typename } }", id=id)
    answer = await service.http.get(link)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(("asked", "lives"), [(None, 3600), (60, 60), (0, 1), (10**9, 7 * 86400)])
async def test_a_link_lives_as_long_as_asked_within_limits(
    service: Service, asked: int | None, lives: int
) -> None:
    id = await service.upload(CONTENT)
    query = "query($id: ID!, $s: Int) { document(id: $id) { url(expiresInSeconds: $s) } }"
    before = now().timestamp()
    link = (await service.ask(query, id=id, s=asked))["url"]
    expires = int(link.partition("expires=")[2].partition("&")[0])
    assert int(before + lives) <= expires <= now().timestamp() + lives


async def test_documents_are_listed_newest_first(service: Service) -> None:
    ids = [await service.upload(f"{number}") for number in range(3)]
    first = await service.ask(LIST, first=2)
    assert [node["id"] for node in first["nodes"]] == [ids[2], ids[1]]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (3, True)
    rest = await service.ask(LIST, first=2, after=first["pageInfo"]["endCursor"])
    assert [node["id"] for node in rest["nodes"]] == [ids[0]]
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert (await service.ask(LIST, token=service.other_token))["totalCount"] == 0


async def test_a_document_names_the_jobs_that_use_it(service: Service) -> None:
    id = await service.upload(CONTENT)
    jobs = [await service.create_on(id) for _ in range(2)]
    await service.create("Other text.")
    query = """query($id: ID!) { document(id: $id) {
      original { id } producedBy { id } jobs { totalCount nodes { id } } } }"""
    assert await service.ask(query, id=id) == {
        "original": None,
        "producedBy": None,
        "jobs": {"totalCount": 2, "nodes": [{"id": jobs[1]}, {"id": jobs[0]}]},
    }
