"""jobEvents and segments over a real websocket: from the first, from a cursor, live, to the end."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from service import CANCEL, CREATE_JOB, DELETE, EVENTS, SEGMENTS, Refused, Service, reach, serve

from app.db import pages
from app.jobs.states import MOVES, JobStatus
from workers.sandbox import Sandbox

pytestmark = pytest.mark.anyio

FINAL = ("COMPLETED", "FAILED", "CANCELED")


def path(events: list[dict[str, Any]]) -> list[str]:
    """Return the states that the events tell of, in their order."""
    return [event["status"] for event in events if event["kind"] == "STATUS"]


async def test_the_events_of_a_finished_job_are_told_and_end_at_once(paced: Service) -> None:
    id = await paced.create("page One", "fail CORRUPT")
    await paced.work()
    events = await paced.events(id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [(event["kind"], event["status"], event["message"]) for event in events] == [
        ("STATUS", "PENDING", "The job was accepted."),
        ("STATUS", "PROCESSING", "A worker took the job up."),
        ("PROGRESS", "PROCESSING", None),
        ("DOCUMENT", "PROCESSING", "'0.txt' is done."),
        ("RESULT", "PROCESSING", "The result of '0.txt' is there."),
        ("DOCUMENT", "PROCESSING", "It cannot be read."),
        ("STATUS", "COMPLETED", "The job is done."),
    ]
    assert await paced.events(id, after=events[-1]["cursor"]) == []


async def test_a_watcher_that_comes_back_misses_and_repeats_nothing(paced: Service) -> None:
    id = await paced.create("pages 3", "pages 2")
    await paced.work()
    events = await paced.events(id)
    for place, event in enumerate(events):
        assert await paced.events(id, after=event["cursor"]) == events[place + 1 :]


async def test_watchers_are_told_while_the_job_runs(paced: Service) -> None:
    id = await paced.create("page One\nhang")
    async with paced.working(), paced.subscribe(EVENTS, id=id) as events:
        live = [await anext(events) for _ in range(3)]
        assert [event["kind"] for event in live] == ["STATUS", "STATUS", "PROGRESS"]
        await paced.ask(CANCEL, id=id)
        rest = [event async for event in events]
    assert path(live + rest) == ["PENDING", "PROCESSING", "CANCELED"]
    assert [event["seq"] for event in live + rest] == [1, 2, 3, 4]


async def test_a_cursor_of_another_job_is_refused(paced: Service) -> None:
    first, second = await paced.create("page One"), await paced.create("page Two")
    cursor = (await paced.event(second, lambda _: True))["cursor"]
    for bad in (cursor, "", "x", "MQ"):
        async with paced.subscribe(EVENTS, id=first, after=bad) as events:
            with pytest.raises(Refused) as refused:
                await anext(events)
        assert refused.value.code == "INVALID_CURSOR"


async def test_every_path_is_a_path_of_the_table_of_moves(paced: Service) -> None:
    done = await paced.create("page One")
    failed = await paced.create("fail CORRUPT")
    canceled = await paced.create("page One")
    await paced.ask(CANCEL, id=canceled)
    await paced.work()
    for id in (done, failed, canceled):
        states = [JobStatus(state) for state in path(await paced.events(id))]
        assert states[0] is JobStatus.PENDING
        for before, after in pairwise(states):
            assert after in MOVES[before]
        assert states[-1] in FINAL


async def test_a_watcher_of_a_deleted_job_is_told_and_the_stream_ends(paced: Service) -> None:
    id = await paced.create("page One")
    async with paced.subscribe(EVENTS, id=id) as events:
        first = await anext(events)
        await paced.ask(DELETE, id=id)
        rest = [event async for event in events]
    assert first["seq"] == 1
    assert [(event["kind"], event["status"]) for event in rest] == [("DELETED", "CANCELED")]
    assert await paced.events(id) == rest
    assert await paced.events(id, after=rest[0]["cursor"]) == []


async def test_segments_come_while_the_job_runs(paced: Service) -> None:
    id = await paced.create("page One\npage Two\nhang")
    async with paced.working(), paced.subscribe(SEGMENTS, id=id) as segments:
        found = [await anext(segments) for _ in range(2)]
        assert [each["node"]["body"] for each in found] == ["One", "Two"]
        job = await paced.job(id)
        assert job["status"] == "PROCESSING"
        assert [each["body"] for each in job["result"]["segments"]["nodes"]] == ["One", "Two"]
        await paced.ask(CANCEL, id=id)
        assert [each async for each in segments] == []


async def test_segments_go_on_after_a_cursor(paced: Service) -> None:
    id = await paced.create("pages 2", "pages 1")
    await paced.work()
    async with paced.subscribe(SEGMENTS, id=id) as stream:
        segments = [each async for each in stream]
    assert [each["node"]["body"] for each in segments] == ["1 of 2", "2 of 2", "1 of 1"]
    for place, segment in enumerate(segments):
        async with paced.subscribe(SEGMENTS, id=id, after=segment["cursor"]) as stream:
            assert [each async for each in stream] == segments[place + 1 :]
    of_the_first_version = pages.cursor(0, 1)
    async with paced.subscribe(SEGMENTS, id=id, after=of_the_first_version) as stream:
        assert [each async for each in stream] == segments[1:]


async def test_a_cursor_of_the_segments_of_another_job_is_refused(paced: Service) -> None:
    first, second = await paced.create("pages 2"), await paced.create("pages 2")
    await paced.work()
    async with paced.subscribe(SEGMENTS, id=second) as stream:
        cursor = (await anext(stream))["cursor"]
    async with paced.subscribe(SEGMENTS, id=first, after=cursor) as stream:
        with pytest.raises(Refused) as refused:
            await anext(stream)
    assert refused.value.code == "INVALID_CURSOR"
    listed = "query($id: ID!, $after: String) { job(id: $id) { result { ... on SegmentResult { "
    listed += "segments(after: $after) { nodes { body } } } } } }"
    rest = await paced.ask(listed, id=second, after=cursor)
    assert [each["body"] for each in rest["result"]["segments"]["nodes"]] == ["2 of 2"]


@pytest.mark.parametrize("id", ["malformed", "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("query", [EVENTS, SEGMENTS], ids=["jobEvents", "segments"])
async def test_a_job_that_is_not_there_is_not_found(paced: Service, query: str, id: str) -> None:
    async with paced.subscribe(query, id=id) as values:
        with pytest.raises(Refused) as refused:
            await anext(values)
    assert refused.value.code == "NOT_FOUND"


@pytest.fixture
async def deaf(paced: Service, paced_sandbox: Sandbox) -> AsyncIterator[Service]:
    """The service with an API that does not reach Redis."""
    settings = paced.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with serve(settings) as url, reach(url, settings, paced_sandbox) as service:
        yield service


async def test_without_redis_jobs_are_taken_and_watchers_are_told(
    deaf: Service, paced: Service
) -> None:
    answer = await deaf.send_files(
        CREATE_JOB,
        {"input": {"task": {"segment": {}}, "data": [{"source": {"file": None}}]}},
        {"variables.input.data.0.source.file": ("a.txt", b"page One")},
    )
    assert answer["__typename"] == "CreateJobSuccess"
    id = answer["job"]["id"]
    async with deaf.subscribe(EVENTS, id=id) as events:
        await anext(events)
        await paced.bell.ring(UUID(id))
        await paced.work()
        rest = [event async for event in events]
    assert rest[-1]["status"] == "COMPLETED"
    assert (await deaf.http.get(f"{deaf.url}/readyz")).json()["redis"] is False


async def test_each_event_shows_the_job_as_it_is_by_then(paced: Service) -> None:
    query = "subscription ($id: ID!) { jobEvents(jobId: $id) { status job { status } } }"
    id = await paced.create("page One")
    async with paced.subscribe(query, id=id) as events:
        assert await anext(events) == {"status": "PENDING", "job": {"status": "PENDING"}}
        await paced.ask(CANCEL, id=id)
        assert await anext(events) == {"status": "CANCELED", "job": {"status": "CANCELED"}}
