"""Large files: announced, sent by PUT whole or in parts, checked, resumed, fetched again."""

import asyncio
import hashlib
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from service import CREATE_UPLOAD, DOCUMENT, Service

from app.settings import MIB

pytestmark = pytest.mark.anyio

CONTENT = b"# Title\n\nHello.\n\n# Next\n\nMore.\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


async def test_a_file_sent_whole_becomes_a_document(service: Service) -> None:
    id, link = await service.create_upload(len(CONTENT), sha256=SHA256.upper(), tags=["a", " b "])
    before = await service.ask(DOCUMENT, id=id)
    answer = await service.http.put(link, content=CONTENT)
    assert answer.status_code == 200
    assert answer.json() == {
        "documentId": id,
        "receivedBytes": len(CONTENT),
        "size": len(CONTENT),
        "sha256": SHA256,
        "status": "PROCESSED",
    }
    assert before["status"] == "NEW"
    assert (before["size"], before["sha256"], before["url"]) == (None, None, None)
    document = await service.ask(DOCUMENT, id=id)
    assert document["status"] == "PROCESSED"
    assert document["mimeType"] == "text/markdown"
    assert document["extension"] == "md"
    assert document["tags"] == ["a", "b"]
    assert (await service.http.get(document["url"])).content == CONTENT


async def test_a_file_may_come_in_parts(service: Service) -> None:
    id, link = await service.create_upload(len(CONTENT), sha256=SHA256)
    total = len(CONTENT)
    first = await service.http.put(
        link, content=CONTENT[:10], headers={"Content-Range": f"bytes 0-9/{total}"}
    )
    assert first.json()["receivedBytes"] == 10
    assert first.json()["status"] == "NEW"
    assert (await service.ask(DOCUMENT, id=id))["receivedBytes"] == 10
    last = await service.http.put(
        link, content=CONTENT[10:], headers={"Content-Range": f"bytes 10-{total - 1}/*"}
    )
    assert last.json()["status"] == "PROCESSED"
    assert last.json()["sha256"] == SHA256


async def test_an_empty_file_is_a_file(service: Service) -> None:
    id, link = await service.create_upload(0)
    answer = await service.http.put(link, content=b"")
    assert answer.json()["status"] == "PROCESSED"
    document = await service.ask(DOCUMENT, id=id)
    assert (document["size"], document["mimeType"]) == (0, "application/octet-stream")


async def test_a_part_at_the_wrong_place_is_refused_and_changes_nothing(service: Service) -> None:
    id, link = await service.create_upload(len(CONTENT))
    await service.http.put(link, content=CONTENT[:10])
    for start in (0, 9, 11):
        headers = {"Content-Range": f"bytes {start}-29/30"}
        answer = await service.http.put(link, content=CONTENT[10:], headers=headers)
        assert answer.status_code == 416
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "UPLOAD_RANGE"
        assert (
            answer.json()["detail"]
            == "The next part must begin at byte 10, up to which all are here."
        )
    document = await service.ask(DOCUMENT, id=id)
    assert (document["status"], document["receivedBytes"]) == ("NEW", 10)


async def test_a_malformed_content_range_is_refused(service: Service) -> None:
    _, link = await service.create_upload(len(CONTENT))
    answer = await service.http.put(link, content=CONTENT, headers={"Content-Range": "10-20"})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")


async def test_more_bytes_than_announced_are_refused(service: Service) -> None:
    id, link = await service.create_upload(10)
    answer = await service.http.put(link, content=CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (413, "FILE_TOO_LARGE")
    assert (await service.ask(DOCUMENT, id=id))["status"] == "NEW"


async def test_too_large_a_file_is_refused_when_it_is_announced(service: Service) -> None:
    limit = service.settings.upload_limit_bytes
    before = await service.kept()
    answer = await service.ask(CREATE_UPLOAD, filename="a.txt", size=limit + 1)
    assert answer["__typename"] == "LimitExceeded"
    assert (answer["code"], answer["limit"]) == ("FILE_TOO_LARGE", limit)
    assert await service.kept() == before


async def test_bytes_that_are_not_those_announced_cancel_the_document(service: Service) -> None:
    id, link = await service.create_upload(len(CONTENT), sha256="0" * 64)
    answer = await service.http.put(link, content=CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (422, "UPLOAD_MISMATCH")
    document = await service.ask(DOCUMENT, id=id)
    assert (document["status"], document["url"]) == ("CANCELED", None)
    assert service.stored() == []
    again = await service.http.put(link, content=CONTENT)
    assert (again.status_code, again.json()["code"]) == (403, "INVALID_LINK")


async def test_a_complete_upload_takes_no_more_bytes(service: Service) -> None:
    id, link = await service.create_upload(len(CONTENT))
    await service.http.put(link, content=CONTENT)
    answer = await service.http.put(link, content=CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (409, "UPLOAD_COMPLETE")
    assert (await service.ask(DOCUMENT, id=id))["sha256"] == SHA256


async def test_an_interrupted_upload_goes_on_where_it_stopped(service: Service) -> None:
    content = CONTENT * 50_000
    id, link = await service.create_upload(len(content))
    await _send_part(service, id, link, content[: 5 * MIB // 4], announced=len(content))
    async with asyncio.timeout(10):
        # The server notices the end of the connection by itself, and tells nobody.
        while not (received := (await service.ask(DOCUMENT, id=id))["receivedBytes"]):
            pass
    assert MIB <= received <= 5 * MIB // 4
    answer = await service.http.put(
        link,
        content=content[received:],
        headers={"Content-Range": f"bytes {received}-{len(content) - 1}/{len(content)}"},
    )
    assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()


async def test_only_one_request_at_a_time_sends_bytes_of_an_upload(service: Service) -> None:
    id, link = await service.create_upload(len(CONTENT))
    host, path, query = (urlsplit(link).netloc, urlsplit(link).path, urlsplit(link).query)
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    head = f"PUT {path}?{query} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(CONTENT)}\r\n"
    writer.write(head.encode() + b"Expect: 100-continue\r\n\r\n")
    # The server asks for the body once the upload is open.
    assert (await reader.readline()).startswith(b"HTTP/1.1 100")
    answer = await service.http.put(link, content=CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (409, "UPLOAD_BUSY")
    writer.write(CONTENT)
    assert (await reader.readuntil(b"}")).endswith(b'"status":"PROCESSED"}')
    writer.close()
    await writer.wait_closed()
    assert (await service.ask(DOCUMENT, id=id))["sha256"] == SHA256


@pytest.mark.parametrize(
    "change",
    [
        lambda link: link[:-1] + ("0" if link[-1] != "0" else "1"),
        lambda link: link.partition("?")[0],
        lambda link: link.replace("expires=", "expires=9"),
        lambda link: link.replace("/uploads/", "/uploads/x"),
    ],
    ids=["signature", "unsigned", "later", "id"],
)
async def test_a_changed_upload_link_takes_nothing(service: Service, change: object) -> None:
    assert callable(change)
    id, link = await service.create_upload(len(CONTENT))
    answer = await service.http.put(change(link), content=CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (403, "INVALID_LINK")
    assert (await service.ask(DOCUMENT, id=id))["receivedBytes"] == 0


async def _send_part(service: Service, id: str, link: str, part: bytes, *, announced: int) -> None:
    """Send the beginning of a body; hang up once some of it is stored."""
    url = urlsplit(link)
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n"
    writer.write(head.encode() + part)
    async with asyncio.timeout(10):
        while not await service.store.received(UUID(id)):
            await writer.drain()
            await service.ask(DOCUMENT, id=id)
    writer.close()
    await writer.wait_closed()
