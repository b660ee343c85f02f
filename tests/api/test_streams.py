"""GraphQL over server-sent events: who gets them, what they are, and how they end."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from graphql_endpoint import BEARER, SOON, Caller, World, endpoint, turns

pytestmark = pytest.mark.anyio

STREAM = "text/event-stream"
JSON = "application/json"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[tuple[str, World]]:
    world = World()
    async with endpoint(world, send_timeout=timedelta(seconds=0.2)) as address:
        yield address, world


@pytest.fixture(autouse=True)  # what one test revokes the next one has again
def world(server: tuple[str, World]) -> World:
    server[1].renew()
    return server[1]


@pytest.fixture
async def client(server: tuple[str, World]) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {**BEARER, "Accept": STREAM}
    async with httpx2.AsyncClient(base_url=f"http://{server[0]}", headers=headers) as client:
        yield client


@asynccontextmanager
async def streamed(
    client: httpx2.AsyncClient, query: str, **headers: str
) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """Send an operation; give its events as pairs of name and data."""
    async with (
        asyncio.timeout(10),
        client.stream("POST", "/graphql", json={"query": query}, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"

        async def events() -> AsyncIterator[tuple[str, Any]]:
            name = ""
            async for line in answer.aiter_lines():
                field, _, value = line.partition(":")
                if field == "event":
                    name = value.strip()
                if field == "data":
                    yield name, json.loads(value) if value.strip() else None

        yield events()


async def every(client: httpx2.AsyncClient, query: str, **headers: str) -> list[tuple[str, Any]]:
    async with streamed(client, query, **headers) as events:
        return [event async for event in events]


async def test_a_subscription_is_streamed_and_completes(client: httpx2.AsyncClient) -> None:
    assert await every(client, "subscription { count(to: 2) }") == [
        ("next", {"data": {"count": 0}}),
        ("next", {"data": {"count": 1}}),
        ("complete", None),
    ]


async def test_others_have_their_turn_between_two_results(client: httpx2.AsyncClient) -> None:
    async with turns() as had:
        assert len(await every(client, "subscription { count(to: 500) }")) == 501
    assert len(had) > 500


async def test_a_stream_is_a_subscription_by_get_too(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/graphql", params={"query": "subscription { count(to: 1) }"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text == (
        ':\n\nevent: next\ndata: {"data":{"count":0}}\n\nevent: complete\ndata:\n\n'
    )


async def test_a_query_is_streamed_to_who_asks_for_nothing_else(
    client: httpx2.AsyncClient,
) -> None:
    assert await every(client, "{ hello }") == [
        ("next", {"data": {"hello": "hi"}, "extensions": {"cost": 1}}),
        ("complete", None),
    ]


@pytest.mark.parametrize(
    ("accept", "query", "subscription"),
    [
        (STREAM, STREAM, STREAM),
        (f"{STREAM}, */*;q=0.1", STREAM, STREAM),
        (f"{JSON}, {STREAM}", JSON, STREAM),
        (f"{STREAM}, {JSON}", JSON, STREAM),
        (f"application/graphql-response+json, {JSON}, {STREAM}, multipart/mixed", None, STREAM),
        (f"{STREAM};q=0.9, */*", JSON, STREAM),
        (f"{STREAM};q=0", JSON, JSON),
        (JSON, JSON, JSON),
        ("*/*", JSON, JSON),
    ],
)
async def test_who_merely_lists_streams_gets_them_for_subscriptions_alone(
    client: httpx2.AsyncClient, accept: str, query: str | None, subscription: str
) -> None:
    wanted = {
        "{ hello }": query or "application/graphql-response+json",
        "subscription { count(to: 1) }": subscription,
    }
    for text, media_type in wanted.items():
        headers = {"Accept": accept}
        answer = await client.post("/graphql", json={"query": text}, headers=headers)
        assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { count(to: 1)", "GRAPHQL_PARSE_FAILED"),
        ("subscription { unknown }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("query A { hello } query B { hello }", "BAD_REQUEST"),
        ("subscription { missing }", "NOT_FOUND"),
    ],
)
async def test_an_operation_that_cannot_run_is_told_in_the_stream(
    client: httpx2.AsyncClient, query: str, code: str
) -> None:
    (name, body), complete = await every(client, query)
    assert (name, complete) == ("next", ("complete", None))
    assert "data" not in body
    assert [error["extensions"] for error in body["errors"]] == [{"code": code}]


async def test_a_request_that_cannot_be_read_is_no_stream(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/graphql", content="{", headers={"Content-Type": JSON})
    assert (answer.status_code, answer.headers["content-type"]) == (400, f"{JSON}; charset=utf-8")
    answer = await client.post("/graphql", json={}, headers={"Authorization": ""})
    assert (answer.status_code, answer.headers["content-type"]) == (401, f"{JSON}; charset=utf-8")
    answer = await client.get("/graphql", params={"query": "mutation { upload(file: null) }"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_subscription_that_breaks_is_masked(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    first, broken, complete = await every(client, "subscription { breaks }")
    assert first == ("next", {"data": {"breaks": 1}})
    assert [error["extensions"]["code"] for error in broken[1]["errors"]] == ["INTERNAL"]
    assert complete == ("complete", None)
    assert "RuntimeError: secret in generator" in caplog.text


async def test_a_result_that_is_no_json_is_masked(client: httpx2.AsyncClient) -> None:
    broken, complete = await every(client, "{ nothing }")
    assert [error["extensions"]["code"] for error in broken[1]["errors"]] == ["INTERNAL"]
    assert complete == ("complete", None)


async def test_a_file_that_comes_with_a_streamed_mutation_is_read_and_closed(
    client: httpx2.AsyncClient, world: World
) -> None:
    query = "mutation ($file: Upload!) { upload(file: $file) }"
    answer = await client.post(
        "/graphql",
        data={
            "operations": json.dumps({"query": query, "variables": {"file": None}}),
            "map": '{"0": ["variables.file"]}',
        },
        files={"0": ("a.txt", b"text")},
        headers={"GraphQL-Require-Preflight": "1"},
    )
    assert '"upload":"text"' in answer.text
    assert [file.file.closed for file in world.files] == [True]


async def test_a_client_that_goes_frees_the_generator(
    client: httpx2.AsyncClient, world: World
) -> None:
    async with streamed(client, "subscription { forever }") as events:
        assert (await anext(events))[0] == "next"
    await asyncio.wait_for(world.freed.wait(), 10)


async def test_a_client_that_does_not_read_frees_the_generator(
    client: httpx2.AsyncClient, world: World
) -> None:
    async with streamed(client, "subscription { flood }"):
        await asyncio.wait_for(world.freed.wait(), 10)


async def test_the_stream_of_a_client_that_did_not_read_ends_so_that_it_comes_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        endpoint(world, send_timeout=timedelta(seconds=1)) as address,
        httpx2.AsyncClient(base_url=f"http://{address}", headers=BEARER) as client,
        streamed(client, "subscription { flood }", Accept=STREAM) as events,
    ):
        await asyncio.wait_for(world.freed.wait(), 10)
        assert {name async for name, _ in events} == {"next"}
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_stream_ends_when_its_key_expires(client: httpx2.AsyncClient, world: World) -> None:
    _, last, complete = await every(
        client, "subscription { forever }", Authorization=f"Bearer {SOON}"
    )
    error = {"message": "The key has expired.", "extensions": {"code": "UNAUTHENTICATED"}}
    assert last == ("next", {"errors": [error]})
    assert complete == ("complete", None)
    assert world.freed.is_set()


async def test_a_stream_ends_when_its_key_is_revoked(
    client: httpx2.AsyncClient, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with streamed(client, "subscription { forever }") as events:
        assert (await anext(events))[0] == "next"
        world.revoked.add(Caller("good"))
        (_, last), complete = [event async for event in events]
    assert last["errors"][0]["message"] == "The key was revoked."
    assert complete == ("complete", None)
    assert world.freed.is_set()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_server_that_stops_ends_streams_so_that_their_clients_come_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = endpoint(world)
    address = await server.__aenter__()
    async with httpx2.AsyncClient(base_url=f"http://{address}", headers=BEARER) as client:
        async with streamed(client, "subscription { forever }", Accept=STREAM) as events:
            assert (await anext(events))[0] == "next"
            stopping = asyncio.create_task(server.__aexit__(None, None, None))
            assert [event async for event in events] == []  # and not `complete`
        await stopping
    assert world.freed.is_set()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
