"""What is particular about a bucket, and the product's whole way over one."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import pytest
from service import DELETE, DOCUMENT, Service, reach, serve

from app.db.columns import new_id
from app.documents import bucket as bucket_module
from app.documents.bucket import BucketStore
from app.documents.content import at_once
from app.documents.store import store_for
from app.errors import StoreUnavailable
from app.settings import MIB, SettingError, Settings
from workers.sandbox import Sandbox

pytestmark = pytest.mark.anyio

TEXT = b"# Title\n\nHello there, this is a paragraph.\n\n## Part\n\n- one\n- two\n"
TAIL = {"range": "bytes=-5"}
FILE_HEADERS = {
    "content-type": "text/markdown; charset=utf-8",
    "content-disposition": "attachment; filename*=utf-8''%C3%9Cn%C3%AF%20code.md",
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-transform",
    "accept-ranges": "bytes",
}

# What is done with bytes does not depend on the database.
one_database = pytest.mark.parametrize("kind_of_database", ["sqlite"], indirect=True)


async def put(store: BucketStore, content: bytes) -> UUID:
    key = new_id()
    await store.append(key, at_once(content), offset=0, limit=len(content))
    await store.complete(key)
    return key


def objects(s3: str, bucket: str, *, uploads: bool = False) -> list[str]:
    """Ask the server for the names of all objects, or of unfinished multipart uploads."""
    query = "uploads" if uploads else "list-type=2"
    answer = httpx2.get(f"{s3}/{urlsplit(bucket).netloc}?{query}", trust_env=False).text
    return [each.partition("</Key>")[0] for each in answer.split("<Key>")[1:]]


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def any_bytes(folder: Path) -> bool:
    return any(path.stat().st_size for path in files(folder))


async def half_in_place(s3: str, bucket: str, store: BucketStore, key: UUID) -> "asyncio.Task[Any]":
    """Begin to put a file in place; return when some of it is there."""
    await store.append(key, at_once(*[bytes(MIB)] * 56), offset=0, limit=56 * MIB)
    completing = asyncio.create_task(store.complete(key))
    while not await asyncio.to_thread(objects, s3, bucket, uploads=True):
        assert not completing.done()
    return completing


@pytest.fixture(params=["file", "s3"])
async def kept(
    request: pytest.FixtureRequest, settings: Settings, sandbox: Sandbox
) -> AsyncIterator[Service]:
    """The service as it ships, on each of the stores in turn."""
    if request.param == "s3":
        url = request.getfixturevalue("bucket")
        settings = settings.model_copy(update={"store_url": url})
    async with serve(settings) as address, reach(address, settings, sandbox) as service:
        yield service


@one_database
async def test_a_document_goes_through_a_bucket_and_leaves_it_empty(
    settings: Settings, sandbox: Sandbox, s3: str, bucket: str
) -> None:
    settings = settings.model_copy(update={"store_url": bucket})
    async with serve(settings) as address, reach(address, settings, sandbox) as service:
        id = await service.create(TEXT)
        await service.work()
        job = await service.job(id)
        (document,) = job["documents"]["nodes"]
        url = (await service.ask(DOCUMENT, id=document["document"]["id"]))["url"]
        tail = await service.http.get(url, headers=TAIL)
        names = objects(s3, bucket)
        gone = await service.ask(DELETE, id=id)
    titles = [segment["title"] for segment in job["result"]["segments"]["nodes"]]
    key = UUID(document["document"]["id"]).hex
    assert (job["outcome"], titles) == ("SUCCESS", ["Title", "Part"])
    assert (tail.status_code, tail.content) == (206, TEXT[-5:])
    assert f"some/prefix/{key[-2:]}/{key}" in names
    assert len(names) == 3  # with the two results
    assert gone["__typename"] == "DeleteJobSuccess"
    assert objects(s3, bucket) == []


@one_database
async def test_an_upload_by_link_goes_on_after_a_part(kept: Service) -> None:
    id, link = await kept.create_upload(len(TEXT))
    first = await kept.http.put(link, content=TEXT[:10])
    total = f"bytes 10-{len(TEXT) - 1}/{len(TEXT)}"
    second = await kept.http.put(link, content=TEXT[10:], headers={"content-range": total})
    assert (first.json()["receivedBytes"], second.json()["status"]) == (10, "PROCESSED")
    document = await kept.ask(DOCUMENT, id=id)
    assert (await kept.http.get(document["url"])).content == TEXT


@one_database
async def test_a_download_answers_alike_from_both_stores(kept: Service) -> None:
    id = await kept.upload(TEXT, "Ünï code.md")
    document = await kept.ask(DOCUMENT, id=id)
    url, etag, size = document["url"], f'"{document["sha256"]}"', len(TEXT)
    whole = (200, None, TEXT)
    answers: list[tuple[dict[str, str], tuple[int, str | None, bytes]]] = [
        ({}, whole),
        ({"range": "bytes=0-3"}, (206, f"bytes 0-3/{size}", TEXT[:4])),
        ({"range": "bytes=7-"}, (206, f"bytes 7-{size - 1}/{size}", TEXT[7:])),
        ({"range": "bytes=5-9999"}, (206, f"bytes 5-{size - 1}/{size}", TEXT[5:])),
        (TAIL, (206, f"bytes {size - 5}-{size - 1}/{size}", TEXT[-5:])),
        ({"range": "bytes=-9999"}, (206, f"bytes 0-{size - 1}/{size}", TEXT)),
        ({**TAIL, "if-range": etag}, (206, f"bytes {size - 5}-{size - 1}/{size}", TEXT[-5:])),
        ({**TAIL, "if-range": '"other"'}, whole),
    ]
    for headers, expected in answers:
        answer = await kept.http.get(url, headers=headers)
        found = (answer.status_code, answer.headers.get("content-range"), answer.content)
        assert found == expected, headers
        promised = {**FILE_HEADERS, "etag": etag, "content-length": str(len(expected[2]))}
        assert {name: answer.headers.get(name) for name in promised} == promised
    outside = await kept.http.get(url, headers={"range": f"bytes={size}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{size}")
    head = await kept.http.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")


@one_database
async def test_a_range_that_makes_no_sense_gets_the_whole_file(kept: Service) -> None:
    url = (await kept.ask(DOCUMENT, id=await kept.upload(TEXT)))["url"]
    for value in ("bytes=5-2", "bytes=-", "bytes=0-1,3-4", "pages=1-2", "bytes"):
        answer = await kept.http.get(url, headers={"range": value})
        assert (answer.status_code, answer.content) == (200, TEXT), value


@one_database
async def test_a_file_that_is_known_is_not_sent_again(kept: Service) -> None:
    document = await kept.ask(DOCUMENT, id=await kept.upload(TEXT))
    etag = f'"{document["sha256"]}"'
    for value in (etag, "*", f'"other", W/{etag}'):
        answer = await kept.http.get(document["url"], headers={"if-none-match": value})
        found = (answer.status_code, answer.headers["etag"], answer.content)
        assert found == (304, etag, b""), value
    answer = await kept.http.get(document["url"], headers={"if-none-match": '"other"'})
    assert (answer.status_code, answer.content) == (200, TEXT)


@one_database
async def test_a_file_that_is_another_than_the_caller_knows_is_not_sent(kept: Service) -> None:
    document = await kept.ask(DOCUMENT, id=await kept.upload(TEXT))
    etag = f'"{document["sha256"]}"'
    for value, status in ((etag, 200), ("*", 200), (f'"other", {etag}', 200), ('"other"', 412)):
        answer = await kept.http.get(document["url"], headers={"if-match": value})
        assert (answer.status_code, answer.headers["etag"]) == (status, etag), value


@one_database
async def test_an_empty_file_is_sent_from_both_stores(kept: Service) -> None:
    url = (await kept.ask(DOCUMENT, id=await kept.upload(b"")))["url"]
    answer = await kept.http.get(url)
    found = (answer.status_code, answer.headers["content-length"], answer.content)
    assert found == (200, "0", b"")
    outside = await kept.http.get(url, headers={"range": "bytes=0-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, "bytes */0")


@one_database
async def test_bytes_that_are_gone_are_not_found(kept: Service) -> None:
    id = await kept.upload(TEXT)
    document = await kept.ask(DOCUMENT, id=id)
    await kept.store.delete(UUID(id))
    answer = await kept.http.get(document["url"])
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_the_temporary_file_is_removed_whatever_happens(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = BucketStore(bucket)
    key = await put(store, os.urandom(MIB) * 16)
    with pytest.raises(RuntimeError):
        async with store.local(key):
            raise RuntimeError
    with pytest.raises(FileNotFoundError):
        async with store.local(new_id()):
            pass

    async def hold() -> None:
        async with store.local(key):
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    while not await asyncio.to_thread(any_bytes, tmp_path):
        assert not holding.done()
    holding.cancel()
    await asyncio.wait({holding})
    await asyncio.to_thread(store._threads.shutdown)
    assert files(tmp_path) == []


async def test_an_upload_that_is_cancelled_while_put_in_place_can_be_completed_later(
    s3: str, bucket: str
) -> None:
    store, key = BucketStore(bucket), new_id()
    completing = await half_in_place(s3, bucket, store, key)
    completing.cancel()
    await asyncio.wait({completing})
    assert completing.cancelled()
    await asyncio.to_thread(store._threads.shutdown)
    assert objects(s3, bucket, uploads=True) == []
    assert (await BucketStore(bucket).complete(key)).size == 56 * MIB


async def test_a_file_that_is_deleted_while_put_in_place_leaves_nothing(
    s3: str, bucket: str
) -> None:
    store, key = BucketStore(bucket), new_id()
    completing = await half_in_place(s3, bucket, store, key)
    await store.delete(key)
    await asyncio.wait({completing})
    assert isinstance(completing.exception(), FileNotFoundError)
    assert objects(s3, bucket, uploads=True) == objects(s3, bucket) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.append(new_id(), at_once(b"a"), offset=0, limit=9),
        lambda store: store.complete(new_id()),
        lambda store: store.received(new_id()),
        lambda store: store.delete(new_id()),
        lambda store: anext(store.read(new_id(), 0, 1)),
    ],
    ids=["append", "complete", "received", "delete", "read"],
)
async def test_a_bucket_that_is_not_there_is_told_without_address_or_key(
    bucket: str, use: Callable[[BucketStore], Awaitable[object]]
) -> None:
    store = BucketStore(f"{bucket.partition('/some')[0]}-not")
    with pytest.raises(StoreUnavailable) as failed:
        await use(store)
    assert str(failed.value) == "The bucket of DOCYARD_STORE_URL fails: NoSuchBucket."
    assert failed.value.__suppress_context__


async def test_a_server_that_says_nothing_is_not_waited_for(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "REQUEST_LIMIT", timedelta(seconds=0.2))
    monkeypatch.setattr(bucket_module, "RETRIES", 0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(match=r"fails: Timeout\.$"):
            await BucketStore(bucket).received(new_id())


@pytest.mark.parametrize(
    ("url", "variables", "sentence"),
    [
        ("s3://", {}, "DOCYARD_STORE_URL: use s3://bucket or s3://bucket/prefix."),
        ("s3://AKID:sesame@b/x", {}, "DOCYARD_STORE_URL: use s3://bucket or s3://bucket/prefix."),
        ("s3://bucket?key=sesame", {}, "DOCYARD_STORE_URL: use s3://bucket or s3://bucket/prefix."),
        (
            "s3://bucket",
            {"AWS_ENDPOINT_URL": "sesame"},
            "AWS_ENDPOINT_URL: use https://host or https://host:port.",
        ),
        (
            "s3://bucket",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1"},
            "AWS_ENDPOINT_URL begins with http: AWS_ALLOW_HTTP=true permits that.",
        ),
        (
            "s3://bucket",
            {"AWS_CONDITIONAL_PUT": "sesame"},
            "One of the variables AWS_* has a value that is not known.",
        ),
    ],
)
def test_a_wrong_setting_is_told_without_its_value(
    url: str, variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as wrong:
        store_for(Settings(store_url=url))
    assert str(wrong.value) == sentence


def test_without_the_extra_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(SettingError) as wrong:
        store_for(Settings(store_url="s3://bucket"))
    assert str(wrong.value) == (
        "DOCYARD_STORE_URL names a bucket; for that, pip install 'docyard[s3]'."
    )


def test_files_need_no_obstore() -> None:
    code = "import sys, app.documents.store; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_process_whose_last_call_failed_ends_in_peace(bucket: str) -> None:
    code = f"""
import asyncio, contextlib, uuid
from app.documents.bucket import BucketStore
async def main():
    with contextlib.suppress(FileNotFoundError):
        async with BucketStore({bucket!r}).local(uuid.uuid4()):
            pass
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
