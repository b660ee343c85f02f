import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from service import Service

from app.cli.client import Client, Refused, ServiceGone
from app.embedded.endpoint import Endpoint

pytestmark = [
    pytest.mark.anyio,
    # What is under test here does not see the database.
    pytest.mark.parametrize("kind_of_database", ["sqlite"], indirect=True),
]


def endpoint(service: Service, *, key: str | None = None, url: str | None = None) -> Endpoint:
    return Endpoint.at(url or service.url, api_key=key or service.token, pid=0)


@pytest.fixture
async def client(paced: Service) -> AsyncIterator[Client]:
    async with Client(endpoint(paced)) as client:
        yield client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "two pages.txt"
    path.write_text("page One\npage Two\n")
    return path


async def all_events(client: Client, job_id: str, after: str | None = None) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return [event async for event in client.events(job_id, after=after)]


async def document(service: Service, id: str) -> dict[str, Any]:
    query = "query($id: ID!) { document(id: $id) { filename size sha256 } }"
    found: dict[str, Any] = await service.ask(query, id=id)
    return found


@pytest.mark.parametrize("large_bytes", [1, 1000])
async def test_a_file_arrives_whole_with_a_request_or_by_a_link(
    paced: Service, file: Path, large_bytes: int
) -> None:
    async with Client(endpoint(paced), large_bytes=large_bytes) as client:
        id = await client.upload(file)
    content = b"page One\npage Two\n"
    assert await document(paced, id) == {
        "filename": "two pages.txt",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


async def test_a_file_that_is_too_large_is_refused_in_a_sentence(
    client: Client, paced: Service, tmp_path: Path
) -> None:
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * (paced.settings.upload_limit_bytes + 1))
    with pytest.raises(Refused, match=r"^File too large \(FILE_TOO_LARGE\): .+\.$"):
        await client.upload(large)


async def test_a_job_runs_from_the_file_to_its_segments(
    client: Client, paced: Service, file: Path
) -> None:
    id = await client.create_job([await client.upload(file)], max_size=1000)
    await paced.work()
    events = await all_events(client, id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["status"] == "COMPLETED"
    job = await client.job(id)
    assert (job["id"], job["status"], job["outcome"]) == (id, "COMPLETED", "SUCCESS")
    assert [entry["document"]["filename"] for entry in job["documents"]] == ["two pages.txt"]
    segments = [segment async for segment in client.segments(id)]
    assert [(segment["page"], segment["body"]) for segment in segments] == [(1, "One"), (2, "Two")]
    assert segments[0]["boxes"] == [{"page": 1, "x0": 1, "y0": 2, "x1": 3, "y1": 4}]


async def test_segments_come_page_by_page_until_all_are_there(
    client: Client, paced: Service, tmp_path: Path
) -> None:
    many = tmp_path / "many.txt"
    many.write_text("pages 501\n")
    few = tmp_path / "few.txt"
    few.write_text("page Only\n")
    ids = [await client.upload(many), await client.upload(few)]
    job_id = await client.create_job(ids, max_size=1000)
    await paced.work()
    assert len([segment async for segment in client.segments(job_id)]) == 502
    only = [segment async for segment in client.segments(job_id, document_id=ids[1])]
    assert [segment["body"] for segment in only] == ["Only"]


async def test_a_job_can_be_canceled_twice(client: Client, file: Path) -> None:
    id = await client.create_job([await client.upload(file)], max_size=1000)
    await client.cancel(id)
    await client.cancel(id)
    assert (await client.job(id))["status"] == "CANCELED"


async def test_what_the_service_refuses_is_told_in_a_sentence(client: Client, file: Path) -> None:
    id = await client.upload(file)
    with pytest.raises(Refused, match=r"^Invalid input \(INVALID_INPUT\): .+\.$"):
        await client.create_job([id], max_size=0)


async def test_a_job_that_is_not_there_is_told_in_a_sentence(client: Client) -> None:
    with pytest.raises(Refused, match=r"^There is no job nothing\.$"):
        await client.job("nothing")


async def test_a_wrong_key_is_told_in_a_sentence(paced: Service) -> None:
    async with Client(endpoint(paced, key="dy_wrong")) as client:
        with pytest.raises(Refused, match=r"^The service does not accept this key\.$"):
            await client.job("nothing")
        with pytest.raises(Refused, match=r"^The service does not accept this key\.$"):
            await all_events(client, "nothing")


async def test_nobody_at_the_address_is_told_in_a_sentence(paced: Service) -> None:
    async with Client(endpoint(paced, url="http://127.0.0.1:1")) as client:
        assert not await client.alive()
        with pytest.raises(ServiceGone, match=r"^Nothing answers at http://127\.0\.0\.1:1"):
            await client.job("nothing")
        with pytest.raises(ServiceGone, match=r"^Nothing answers at http://127\.0\.0\.1:1"):
            await all_events(client, "nothing")


async def test_an_address_that_is_no_service_is_told_in_a_sentence(paced: Service) -> None:
    async with Client(endpoint(paced, url=f"{paced.url}/files")) as client:
        with pytest.raises(Refused, match=r"/files/graphql answered with HTTP 405\.$"):
            await client.job("nothing")


class Line:
    """A connection to the service that can be cut."""

    def __init__(self, service: Service) -> None:
        self._port = int(service.url.rpartition(":")[2])
        self._open: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def close(self) -> None:
        self.cut()
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._open += [writer, far_writer]
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._copy(source, target))
            self._tasks.add(task)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()


async def test_after_a_broken_connection_the_events_go_on_without_gap_or_repeat(
    paced: Service, file: Path
) -> None:
    line = Line(paced)
    async with Client(endpoint(paced, url=await line.listen())) as client:
        id = await client.create_job([await client.upload(file)], max_size=1000)
        events = client.events(id, after=None)
        seen = [await anext(events)]
        line.cut()
        with pytest.raises(ServiceGone, match=r"^The connection to http://\S+ broke\.$"):
            await asyncio.wait_for(anext(events), 20)
        await paced.work()
        seen += await all_events(client, id, after=seen[0]["cursor"])
    await line.close()
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1]["status"] == "COMPLETED"
