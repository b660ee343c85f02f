import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from graphql_endpoint import (
    BROKEN,
    GOOD,
    ODD,
    SOON,
    Caller,
    Client,
    World,
    endpoint,
    turns,
    websocket,
)
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from app.settings import MIB

pytestmark = pytest.mark.anyio

OPTIONS: dict[str, Any] = {
    "allowed_origins": ["https://app.example"],
    "send_timeout": timedelta(seconds=0.2),
    "init_timeout": timedelta(seconds=5),
    "max_subscriptions_per_connection": 2,
}


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[tuple[str, World]]:
    world = World()
    async with endpoint(world, **OPTIONS) as address:
        yield address, world


@pytest.fixture
def address(server: tuple[str, World]) -> str:
    return server[0]


@pytest.fixture(autouse=True)  # what one test revokes the next one has again
def world(server: tuple[str, World]) -> World:
    server[1].renew()
    return server[1]


@pytest.fixture
async def stranger(address: str) -> AsyncIterator[Client]:
    """A client that has not yet said who it is."""
    async with websocket(address) as client:
        yield client


@pytest.fixture
async def client(stranger: Client) -> Client:
    await stranger.start()
    return stranger


async def test_a_subscription_delivers_and_completes(client: Client) -> None:
    await client.subscribe("subscription { count(to: 2) }")
    for number in range(2):
        payload = {"data": {"count": number}}
        assert await client.receive() == {"id": "1", "type": "next", "payload": payload}
    assert await client.receive() == {"id": "1", "type": "complete"}


async def test_others_have_their_turn_between_two_results(client: Client) -> None:
    async with turns() as had:
        await client.subscribe("subscription { count(to: 500) }")
        while (await client.receive())["type"] != "complete":
            pass
    assert len(had) > 500


async def test_queries_run_over_websockets_too(client: Client) -> None:
    query = "query ($n: Int!) { double(number: $n) }"
    await client.subscribe(query, variables={"n": 4}, operationName=None, extensions=None)
    payload = {"data": {"double": 8}, "extensions": {"cost": 1}}
    assert (await client.receive())["payload"] == payload
    assert await client.receive() == {"id": "1", "type": "complete"}


async def test_mutations_run_over_websockets_too(client: Client) -> None:
    await client.subscribe('mutation { rename(name: "b") }')
    assert (await client.receive())["payload"]["data"] == {"rename": "b"}
    assert await client.receive() == {"id": "1", "type": "complete"}


@pytest.mark.parametrize(
    "init",
    [
        {"type": "connection_init"},
        {"type": "connection_init", "payload": None},
        {"type": "connection_init", "payload": {"Authorization": "Bearer dy_bad"}},
        {"type": "connection_init", "payload": {"Authorization": {"Bearer": GOOD}}},
        {"type": "connection_init", "payload": {"token": GOOD}},
    ],
)
async def test_a_socket_without_a_good_token_is_closed(stranger: Client, init: object) -> None:
    await stranger.send(init)
    assert await stranger.closed() == (4403, "Forbidden")


async def test_the_name_of_the_token_may_be_written_small(stranger: Client) -> None:
    payload = {"authorization": f"bearer {GOOD}"}
    await stranger.send({"type": "connection_init", "payload": payload})
    assert await stranger.receive() == {"type": "connection_ack"}


async def test_nothing_runs_before_the_token_was_checked(stranger: Client, world: World) -> None:
    await stranger.subscribe("{ hello }")
    assert await stranger.closed() == (4401, "Unauthorized")
    assert world.ips == []


async def test_a_second_init_closes_the_socket(client: Client) -> None:
    await client.send({"type": "connection_init", "payload": {}})
    assert await client.closed() == (4429, "Too many initialisation requests")


async def test_a_socket_that_never_says_who_it_is_is_closed() -> None:
    async with (
        endpoint(World(), init_timeout=timedelta(seconds=0.05)) as address,
        websocket(address) as stranger,
    ):
        assert await stranger.closed() == (4408, "Connection initialisation timeout")


async def test_a_socket_ends_when_its_token_expires(stranger: Client, world: World) -> None:
    await stranger.start(SOON)
    await stranger.subscribe("subscription { forever }")
    assert (await stranger.receive())["type"] == "next"
    assert await stranger.closed() == (4498, "The key has expired")
    assert world.freed.is_set()


async def test_a_socket_ends_when_its_key_is_revoked(client: Client, world: World) -> None:
    await client.subscribe("subscription { forever }")
    assert (await client.receive())["type"] == "next"
    world.revoked.add(Caller("good"))
    assert await client.closed() == (4498, "The key was revoked")
    assert world.freed.is_set()


async def test_a_socket_that_is_slow_to_end_keeps_no_other_from_it(
    address: str, client: Client, world: World
) -> None:
    await client.subscribe("subscription { clings }")
    assert (await client.receive())["type"] == "next"
    async with websocket(address) as other:
        await other.start(ODD)
        world.revoked.add(Caller("good"))
        world.looked = asyncio.Semaphore(0)
        for _ in range(3):
            await asyncio.wait_for(world.looked.acquire(), 10)
        world.revoked.add(Caller("odd"))
        assert await other.closed() == (4498, "The key was revoked")
    world.released.set()
    assert await client.closed() == (4498, "The key was revoked")


async def test_a_bug_while_the_token_is_checked_is_masked_and_logged(
    stranger: Client, caplog: pytest.LogCaptureFixture
) -> None:
    payload = {"Authorization": f"Bearer {BROKEN}"}
    await stranger.send({"type": "connection_init", "payload": payload})
    assert stranger.connection.response is not None
    request_id = stranger.connection.response.headers["x-request-id"]
    assert await stranger.closed() == (
        1011,
        f"Something went wrong on our side. The request id is {request_id}.",
    )
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == [
        f"Request {request_id} met a bug"
    ]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "A message must be an object"),
        ("x", "A message must be an object"),
        ({}, "A message must have a type"),
        ({"type": 1}, "A message must have a type"),
        ({"type": "ping", "payload": "x"}, "The payload of a message must be an object"),
        ({"type": "start"}, "Unknown message type: start"),
        ({"type": "x" * 200}, f"Unknown message type: {'x' * 101}"),
        ({"type": "complete"}, "A complete message must have an id"),
        ({"type": "subscribe", "id": 1}, "A subscribe message must have an id"),
        ({"type": "subscribe", "id": ""}, "A subscribe message must have an id"),
        ({"type": "subscribe", "id": "1"}, "The query of a subscribe message must be a string"),
        (
            {"type": "subscribe", "id": "1", "payload": {"query": 3}},
            "The query of a subscribe message must be a string",
        ),
        (
            {"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}},
            "The variables of a subscribe message must be an object",
        ),
        (
            {"type": "subscribe", "id": "1", "payload": {"query": "{a}", "operationName": 1}},
            "The operationName of a subscribe message must be a string",
        ),
    ],
)
async def test_a_message_the_protocol_does_not_know_closes_the_socket(
    client: Client, message: object, reason: str
) -> None:
    await client.send(message)
    assert await client.closed() == (4400, reason)


@pytest.mark.parametrize("text", ["{", "[" * 15_000, '{"type": NaN}'])
async def test_a_message_that_is_no_json_closes_the_socket(client: Client, text: str) -> None:
    await client.connection.send(text)
    assert await client.closed() == (4400, "WebSocket message must be valid JSON")


async def test_a_binary_message_closes_the_socket(client: Client) -> None:
    await client.connection.send(b"{}")
    assert await client.closed() == (4400, "WebSocket message type must be text")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x81\0\0\0\0\xff", 1007),  # text that is not UTF-8
        (b"\x83\x80\0\0\0\0", 1002),  # a kind of frame that does not exist
        (b"\x81\x02{}", 1002),  # not masked, as a client's must be
        (b"\xc1\x80\0\0\0\0", 1002),  # compressed, which was not agreed
        (b"\x80\x80\0\0\0\0", 1002),  # the end of a message that never began
        (b"\x89\xfe\0\x7e\0\0\0\0" + b"x" * 126, 1002),  # a ping that is too long
    ],
)
async def test_a_frame_that_is_none_closes_the_socket(
    client: Client, world: World, frame: bytes, code: int
) -> None:
    await client.subscribe("subscription { forever }")
    assert (await client.receive())["type"] == "next"
    client.connection.transport.write(frame)
    assert (await client.closed())[0] == code
    await asyncio.wait_for(world.freed.wait(), 10)


async def test_a_message_of_more_than_a_mebibyte_closes_the_socket(client: Client) -> None:
    await client.subscribe("query ($n: Int) { double }", variables={"n": "x" * (MIB - 200)})
    assert (await client.receive())["type"] == "error"
    await client.subscribe("{ hello }", variables={"n": "x" * MIB})
    assert (await client.closed())[0] == 1009


async def test_the_end_of_an_operation_that_is_not_there_is_ignored(client: Client) -> None:
    await client.send({"type": "complete", "id": "gone"})
    await client.send({"type": "ping"})
    assert await client.receive() == {"type": "pong"}


async def test_a_null_payload_is_no_payload(client: Client) -> None:
    await client.send({"type": "pong", "payload": None})
    await client.send({"type": "ping", "payload": None})
    assert await client.receive() == {"type": "pong"}


async def test_an_id_in_use_closes_the_socket(client: Client, world: World) -> None:
    await client.subscribe("subscription { forever }")
    assert (await client.receive())["type"] == "next"
    await client.subscribe("subscription { forever }")
    assert await client.closed() == (4409, "Subscriber for 1 already exists")
    await asyncio.wait_for(world.freed.wait(), 10)


async def failed(client: Client) -> list[Any]:
    """Return the errors of an operation that fails, and show that the socket is open still."""
    message = await client.receive()
    assert (message["id"], message["type"]) == ("1", "error")
    await client.send({"type": "ping"})
    assert await client.receive() == {"type": "pong"}
    errors: list[Any] = message["payload"]
    return errors


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { count(to: 1)", "GRAPHQL_PARSE_FAILED"),
        ("", "BAD_REQUEST"),
        ("subscription { unknown }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_REQUEST"),
        ("fragment F on Query { hello }", "BAD_REQUEST"),
        ("subscription ($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("query ($n: Int!) { double(number: $n) }", "BAD_USER_INPUT"),
        ("{ " + "query { " * 16 + "hello" + " }" * 17, "QUERY_TOO_COMPLEX"),
        ("{ " + "hello " * 4_000 + "}", "QUERY_TOO_COMPLEX"),
        ("subscription { missing }", "NOT_FOUND"),
    ],
)
async def test_an_operation_that_cannot_run_is_answered_with_error(
    client: Client, query: str, code: str
) -> None:
    await client.subscribe(query)
    assert [error["extensions"] for error in await failed(client)] == [{"code": code}]


async def test_an_unknown_operation_name_is_answered_with_error(client: Client) -> None:
    await client.subscribe("query A { hello }", operationName="B")
    assert await failed(client) == [
        {
            "message": 'The document holds no operation named "B".',
            "extensions": {"code": "BAD_REQUEST"},
        }
    ]


async def test_a_subscription_that_breaks_is_masked_and_ends_with_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await client.subscribe("subscription { breaks }")
    assert (await client.receive())["payload"] == {"data": {"breaks": 1}}
    [error] = await failed(client)
    request_id = error["extensions"]["requestId"]
    assert error == {
        "message": f"Something went wrong on our side. The request id is {request_id}.",
        "extensions": {"code": "INTERNAL", "requestId": request_id},
    }
    [record] = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.getMessage() == f"Request {request_id} met a bug"
    assert "RuntimeError: secret in generator" in caplog.text


async def test_a_field_that_fails_leaves_the_data_of_the_others(client: Client) -> None:
    await client.subscribe("{ hello forbidden }")
    payload = (await client.receive())["payload"]
    assert payload["data"] == {"hello": "hi", "forbidden": None}
    assert payload["errors"][0]["extensions"] == {"code": "FORBIDDEN"}
    assert await client.receive() == {"id": "1", "type": "complete"}


async def test_a_result_that_is_no_json_is_masked_and_ends_with_error(client: Client) -> None:
    await client.subscribe("{ nothing }")
    assert [error["extensions"]["code"] for error in await failed(client)] == ["INTERNAL"]


async def test_a_bug_before_the_operation_is_masked(stranger: Client) -> None:
    await stranger.start(ODD)
    await stranger.subscribe("{ hello }")
    assert [error["extensions"]["code"] for error in await failed(stranger)] == ["INTERNAL"]


async def test_a_file_cannot_come_over_a_websocket(client: Client) -> None:
    query = "subscription ($file: Upload!) { echo(file: $file) }"
    await client.subscribe(query, variables={"file": "text"})
    assert [error["extensions"] for error in await failed(client)] == [{"code": "BAD_USER_INPUT"}]


async def test_a_socket_runs_only_so_many_operations(client: Client) -> None:
    for name in ("a", "b"):
        await client.subscribe("subscription { forever }", id=name)
        assert (await client.receive())["type"] == "next"
    await client.subscribe("subscription { forever }")
    text = "A connection may run 2 operations at a time."
    error = {"message": text, "extensions": {"code": "TOO_MANY_SUBSCRIPTIONS"}}
    assert await failed(client) == [error]
    await client.send({"type": "complete", "id": "a"})
    await client.subscribe("subscription { forever }")
    assert (await client.receive())["id"] == "1"


async def test_complete_frees_the_generator_and_the_id(client: Client, world: World) -> None:
    await client.subscribe("subscription { forever }")
    assert (await client.receive())["type"] == "next"
    await client.send({"type": "complete", "id": "1"})
    await asyncio.wait_for(world.freed.wait(), 10)
    await client.subscribe("{ hello }")
    assert (await client.receive())["payload"]["data"] == {"hello": "hi"}


async def test_a_client_that_goes_frees_the_generator(address: str, world: World) -> None:
    async with websocket(address) as client:
        await client.start()
        await client.subscribe("subscription { forever }")
        assert (await client.receive())["type"] == "next"
        client.connection.transport.abort()
    await asyncio.wait_for(world.freed.wait(), 10)


async def test_a_client_that_does_not_read_frees_the_generator(
    address: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with websocket(address, max_queue=1) as client:
        await client.start()
        await client.subscribe("subscription { flood }")
        await asyncio.wait_for(world.freed.wait(), 10)
        assert await client.drained() == (1008, "The client does not read")
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_pings_of_a_client_that_does_not_read_are_not_answered(address: str) -> None:
    host, port = address.split(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(sock=small, limit=1024)
        writer.write(
            f"GET /graphql HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        ping, text = b"\x89\xfd\0\0\0\0" + b"p" * 125, b'{"type":"ping"}'
        writer.write(ping * 4000 + b"\x81\x8f\0\0\0\0" + text)
        await writer.drain()
        answers = 0
        while b"{" not in (read := await reader.read(65536)):
            answers += len(read)
        writer.close()
    assert answers < 2000 * len(ping)


async def test_a_subscription_that_outlives_its_socket_ends_quietly(
    address: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with websocket(address, max_queue=1) as client:
        await client.start()
        await client.subscribe("subscription { flood }")
        assert (await client.receive())["type"] == "next"
        await client.send([])
        assert await client.drained() == (4400, "A message must be an object")
    await asyncio.wait_for(world.freed.wait(), 10)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_each_operation_has_a_context_of_its_own(client: Client, world: World) -> None:
    ids = set()
    for _ in range(2):
        await client.subscribe("{ loaded requestId whoami }")
        data = (await client.receive())["payload"]["data"]
        assert (data["loaded"], data["whoami"]) == ("key", "good")
        ids.add(data["requestId"])
        assert (await client.receive())["type"] == "complete"
    assert world.loads == ["key", "key"]
    assert world.ips == ["127.0.0.1", "127.0.0.1"]
    assert len(ids) == 2


@pytest.mark.parametrize("origin", [None, "https://app.example"])
async def test_known_origins_may_connect(address: str, origin: str | None) -> None:
    async with websocket(address, origin=origin and Origin(origin)) as client:
        await client.start()


async def test_pages_of_the_server_itself_may_connect(address: str) -> None:
    async with websocket(address, origin=Origin(f"http://{address}")) as client:
        await client.start()


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"],
)
async def test_other_origins_are_refused(address: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with websocket(address, origin=Origin(origin)):
            pass
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("protocols", [["graphql-ws"], None])
async def test_other_protocols_are_refused(
    address: str, protocols: list[Subprotocol] | None
) -> None:
    async with websocket(address, subprotocols=protocols) as client:
        assert await client.closed() == (4406, "Subprotocol not acceptable")


async def test_the_id_of_the_handshake_is_echoed(address: str) -> None:
    headers = {"X-Request-Id": "from-proxy.1"}
    async with websocket(address, additional_headers=headers) as client:
        assert client.connection.response is not None
        assert client.connection.response.headers["x-request-id"] == "from-proxy.1"
