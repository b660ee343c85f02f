"""Bytes that no well-meant client would send, from a stranger to the server as it ships."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from service import serve_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from app import connections

pytestmark = pytest.mark.anyio

HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
POST = b"POST /size HTTP/1.1\r\nHost: x\r\n"


class Line:
    """One connection of a stranger's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, end: bytes) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.readuntil(end)

    async def status(self) -> int:
        """Read an answer up to its body; return its status."""
        return int((await self.read(b"\r\n\r\n")).split()[1])

    async def answer(self) -> bytes:
        """Read an answer of our application; return its body."""
        return (await self.read(b"!")).split(b"\r\n\r\n")[-1]

    async def rest(self) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(20):
            return await self.reader.read()


async def size(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())}!")


async def refuse(_request: Request) -> Response:
    return PlainTextResponse("no!", 401)


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


APP = Starlette(
    routes=[
        Route("/size", size, methods=["POST"]),
        Route("/refuse", refuse, methods=["POST"]),
        WebSocketRoute("/echo", echo),
    ]
)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with serve_app(APP) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        yield Line(reader, writer)
        writer.close()


def frame(data: bytes = b"", *, kind: int = 1, last: bool = True) -> bytes:
    """Return a frame of a client, whose mask changes nothing."""
    return bytes([kind | (128 if last else 0), 128 | len(data)]) + b"\0\0\0\0" + data


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /", b"a"),
        (b"GET /size HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a"),
        (b"GET /size HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    ],
    ids=["address", "header", "headers", "extension", "trailers"],
)
async def test_a_head_without_an_end_is_refused(line: Line, begin: bytes, more: bytes) -> None:
    line.send(begin + more * (connections.HEAD_BYTES // len(more) + 1))
    assert await line.status() == 431


async def test_a_head_that_does_not_come_is_not_waited_for(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.send(POST + b"Content-Length: 0\r\n\r\n")
    assert await line.answer() == b"0!"
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    line.send(b"GET /size HTTP/1.1\r\n")
    assert await line.rest() == b""


async def test_a_request_of_two_lengths_is_refused(line: Line) -> None:
    line.send(POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX")
    assert await line.status() == 400
    assert b"HTTP/1.1" not in await line.rest()


async def test_what_follows_the_offer_of_another_protocol_is_a_body(line: Line) -> None:
    body = POST + b"Content-Length: 0\r\n\r\n"
    line.send(POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n")
    line.send(b"Content-Length: %d\r\n\r\n" % len(body))
    line.send(body)
    assert await line.answer() == b"%d!" % len(body)
    line.send(POST + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc")
    assert (await line.rest()).endswith(b"\r\n\r\n3!")


async def test_the_address_may_be_whole(line: Line) -> None:
    whole = POST.replace(b"/size", b"http://x/size")
    line.send(whole + b"Content-Length: 0\r\n\r\n")
    assert await line.answer() == b"0!"


async def test_a_body_in_pieces_of_a_byte_is_read_to_its_end(line: Line) -> None:
    pieces = 3 * connections.EVENTS_A_TURN
    line.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * pieces)
    line.send(b"0\r\n\r\n" + POST + b"Content-Length: 0\r\n\r\n")
    assert await line.answer() == b"%d!" % pieces
    assert await line.answer() == b"0!"


async def test_what_goes_wrong_after_the_answer_ends_quietly(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.send(POST.replace(b"size", b"refuse") + b"Transfer-Encoding: chunked\r\n\r\n")
    assert await line.answer() == b"no!"
    line.send(b"this is no length\r\n")
    assert await line.rest() == b""
    assert [r for r in caplog.records if r.levelno > logging.WARNING] == []


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (b"X-Long: %s\r\n\r\n" % (b"a" * 9000), 431),
        (b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"Content-Length: 1\r\n\r\na", 400),
    ],
)
async def test_a_handshake_that_is_none_is_answered(line: Line, more: bytes, status: int) -> None:
    line.send(HANDSHAKE + more)
    assert await line.status() == status
    await line.rest()


async def test_a_message_in_too_many_pieces_closes_the_socket(line: Line) -> None:
    line.send(HANDSHAKE + b"\r\n")
    assert await line.status() == 101
    line.send(frame(b"a", last=False))
    line.send(frame(kind=0, last=False) * connections.MAX_FRAGMENTS)
    assert await line.rest() == b"\x88\x14\x03\xf1Too many fragments"


async def test_many_messages_at_once_are_read_one_after_the_other(line: Line) -> None:
    line.send(HANDSHAKE + b"\r\n")
    assert await line.status() == 101
    texts = [b"%d" % number for number in range(2000)]
    assert sum(map(len, map(frame, texts))) > 2 * connections.BYTES_A_TURN
    line.send(b"".join(map(frame, texts)))
    for text in texts:
        assert await line.read(text) == bytes([129, len(text)]) + text
    line.send(frame(kind=8))
    assert await line.rest() == b"\x88\0"
