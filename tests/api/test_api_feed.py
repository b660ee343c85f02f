"""events over a real websocket: all jobs of an application, live, filtered, from a cursor."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from service import CANCEL, CREATE_JOB, DELETE, Refused, Service

pytestmark = pytest.mark.anyio

FEED = """
subscription($filter: JobFilter, $kinds: [EventKind!], $after: String) {
  events(filter: $filter, kinds: $kinds, after: $after) {
    cursor seq kind status jobId message job { id }
  }
}
"""
CURSORS = "query($id: ID!) { job(id: $id) { events { edges { cursor } } } }"
DRAFT = {"task": {"segment": {}}, "start": False}


async def first_cursor(service: Service, id: str) -> str:
    """Return the cursor of the first event of a job."""
    edges = (await service.ask(CURSORS, id=id))["events"]["edges"]
    cursor: str = edges[0]["cursor"]
    return cursor


async def take(events: AsyncIterator[Any], count: int) -> list[Any]:
    """Receive so many events."""
    return [await anext(events) for _ in range(count)]


def steps(events: list[Any]) -> list[tuple[str, int, str]]:
    """Return job, number and kind of each event."""
    return [(event["jobId"], event["seq"], event["kind"]) for event in events]


async def test_every_job_of_the_application_is_told_from_a_cursor_on(paced: Service) -> None:
    ids = [await paced.create("page One") for _ in range(3)]
    await paced.work()
    start = await first_cursor(paced, ids[0])
    async with paced.subscribe(FEED, after=start) as events:
        found = await take(events, 2 + 3 * 5)
    assert steps(found)[:2] == [(ids[1], 1, "STATUS"), (ids[2], 1, "STATUS")]
    for id in ids:
        numbers = [event["seq"] for event in found if event["jobId"] == id]
        assert numbers == list(range(2 if id == ids[0] else 1, 7))
    for place in (0, 4, 9):
        async with paced.subscribe(FEED, after=found[place]["cursor"]) as events:
            assert await take(events, len(found) - place - 1) == found[place + 1 :]


async def begun(service: Service, *feeds: AsyncIterator[Any], token: str | None = None) -> None:
    """Return when each feed tells what happens: before that, now is not yet now."""
    for feed in feeds:
        first = asyncio.ensure_future(anext(feed))
        while not first.done():
            await service.ask(CREATE_JOB, token=token, input=DRAFT)


async def until(feed: AsyncIterator[Any], last: tuple[str, int]) -> list[Any]:
    """Receive events until this one."""
    found: list[Any] = []
    async for event in feed:
        found.append(event)
        if (event["jobId"], event["seq"]) == last:
            break
    return found


async def test_without_a_cursor_it_begins_now_and_goes_on_live(paced: Service) -> None:
    before = await paced.create("page One")
    async with paced.subscribe(FEED) as events, paced.subscribe(FEED) as others:
        await begun(paced, events, others)
        await paced.ask(CANCEL, id=before)
        id = await paced.create("page Two")
        await paced.work()
        found = [await until(each, (id, 6)) for each in (events, others)]
    for each in found:
        assert steps([event for event in each if event["jobId"] in {before, id}]) == [
            (before, 2, "STATUS"), (id, 1, "STATUS"), (id, 2, "STATUS"), (id, 3, "PROGRESS"),
            (id, 4, "DOCUMENT"), (id, 5, "RESULT"), (id, 6, "STATUS"),
        ]  # fmt: skip


async def test_only_what_is_asked_for_is_told(paced: Service) -> None:
    start = await first_cursor(paced, await paced.create("page Other"))
    id = await paced.create("page One", groupId="ours")
    await paced.work()
    where = {"groupId": "ours"}
    async with paced.subscribe(FEED, after=start, filter=where, kinds=["STATUS"]) as events:
        assert steps(await take(events, 3)) == [
            (id, 1, "STATUS"),
            (id, 2, "STATUS"),
            (id, 6, "STATUS"),
        ]
    async with paced.subscribe(
        FEED, after=start, filter={**where, "statuses": ["COMPLETED"]}
    ) as events:
        assert steps(await take(events, 1)) == [(id, 6, "STATUS")]


async def test_a_deletion_is_told_whatever_else_is_asked_for(paced: Service) -> None:
    other = await paced.create("page Other")
    start = await first_cursor(paced, other)
    id = await paced.create("page One", groupId="ours")
    async with paced.subscribe(FEED, after=start, filter={"groupId": "ours"}) as events:
        assert steps(await take(events, 1)) == [(id, 1, "STATUS")]
        for each in (other, id):
            await paced.ask(DELETE, id=each)
        canceled_and_gone = await take(events, 2)
    assert steps(canceled_and_gone) == [(other, 3, "DELETED"), (id, 3, "DELETED")]
    assert [event["job"] for event in canceled_and_gone] == [None, None]
    async with paced.subscribe(FEED, after=start, filter={"ids": [id]}) as events:
        assert steps(await take(events, 1)) == [(id, 3, "DELETED")]


async def test_the_deletion_of_the_newest_job_is_told(paced: Service) -> None:
    id = await paced.create("page One")
    start = await first_cursor(paced, id)
    async with paced.subscribe(FEED, after=start) as events:
        await paced.ask(DELETE, id=id)
        deleted = await take(events, 1)
    assert steps(deleted) == [(id, 3, "DELETED")]
    async with paced.subscribe(FEED, after=start) as events:
        assert await take(events, 1) == deleted


async def test_events_of_another_application_are_not_told(paced: Service) -> None:
    async with paced.subscribe(FEED, token=paced.other_token) as events:
        await begun(paced, events, token=paced.other_token)
        ours = await paced.create("page Ours")
        theirs = await paced.ask(CREATE_JOB, token=paced.other_token, input=DRAFT)
        found = await until(events, (theirs["job"]["id"], 1))
    assert ours not in {event["jobId"] for event in found}


async def test_a_bad_cursor_is_refused(paced: Service) -> None:
    async with paced.subscribe(FEED, after="x") as events:
        with pytest.raises(Refused) as refused:
            await anext(events)
    assert refused.value.code == "INVALID_CURSOR"
