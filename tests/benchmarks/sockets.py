"""What many watchers cost: memory of each, and how long an event is on its way to them.

    python tests/benchmarks/sockets.py [--sockets N] [--deliveries N] [--seconds N] [--rounds N]

Starts the whole service, and a client in a process of its own that opens the sockets, each with one
jobEvents subscription, twenty to a job. Then events are written to the jobs so that there are as
many deliveries a second as asked for, while a query is sent every 100 ms. Last the client comes and
goes for some rounds, and the memory of the API is read after each. Linux only.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from memory import megabytes, processes
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

import app.accounts.models
import app.documents.models  # noqa: F401 - tables that those of jobs refer to
from app.cli.client import Client
from app.cli.reach import Reach
from app.db.engine import Database
from app.db.work import transaction
from app.jobs import events
from app.jobs.events import Note
from app.jobs.queue import Doorbell
from app.jobs.states import JobStatus
from app.jobs.types import EventKind
from app.settings import Settings

WATCHERS_A_JOB = 20
OPENED_AT_ONCE = 50
WATCH = "subscription($id: ID!) { jobEvents(jobId: $id) { cursor seq kind at status progress } }"
DRAFT = (
    "mutation { createJob(input: { task: { segment: {} }, start: false }) {"
    " ... on CreateJobSuccess { job { id } } } }"
)
QUERY = "query($id: ID!) { job(id: $id) { id status progress message updatedAt } }"


async def watch(url: str, key: str, jobs: list[str], sockets: int) -> None:
    """The client: open the sockets, say so, and tell the times of events until it is stopped."""
    gate, late = asyncio.Semaphore(OPENED_AT_ONCE), list[float]()
    async with asyncio.TaskGroup() as group:
        opened = [
            group.create_task(_open(url, key, jobs[place % len(jobs)], gate))
            for place in range(sockets)
        ]
        listening = [group.create_task(_listen(await each, late)) for each in opened]
        print("open", flush=True)  # noqa: T201
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command == "tell":
                print(json.dumps(late), flush=True)  # noqa: T201
            late.clear()
        for each in listening:
            each.cancel()
        await asyncio.gather(*(each.result().close() for each in opened))


async def _open(url: str, key: str, job: str, gate: asyncio.Semaphore) -> ClientConnection:
    async with gate:
        socket = await connect(
            url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None
        )
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}}
        await socket.send(json.dumps(init))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        payload = {"query": WATCH, "variables": {"id": job}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        await socket.recv()  # the first event: it watches
        return socket


async def _listen(socket: ClientConnection, late: list[float]) -> None:
    async for message in socket:
        now = time.time()
        event = json.loads(message)["payload"]["data"]["jobEvents"]
        late.append(now - datetime.fromisoformat(event["at"]).timestamp())


@asynccontextmanager
async def client_process(client: Client, jobs: list[str], sockets: int) -> AsyncIterator[Process]:
    """A client with its sockets open; closed at the end of the block."""
    given = json.dumps([client.endpoint.url.replace("http", "ws") + "/graphql",
                        client.endpoint.api_key, jobs, sockets])  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", given, stdin=PIPE, stdout=PIPE, limit=2**26
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"open"
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def write(settings: Settings, jobs: list[str], *, per_second: float, seconds: int) -> int:
    """Write events to the jobs, one after the other; return how many."""
    database, bell = Database(settings.database_url), Doorbell(settings.redis_url)
    begun, count = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        if count > passed * per_second:
            await asyncio.sleep(count / per_second - passed)
        async with transaction(database) as work:
            note = Note(EventKind.LOG, f"Line {count}.")
            job = UUID(jobs[count % len(jobs)])
            await events.change(work, bell, job, note=note, status=JobStatus.NEW)
        count += 1
    await bell.close()
    await database.close()
    return count


async def ask(client: Client, job: str, took: list[float]) -> None:
    """Send a query every 100 ms, for ever."""
    while True:
        begun = time.monotonic()
        await client.ask(QUERY, id=job)
        took.append(time.monotonic() - begun)
        await asyncio.sleep(0.1)


def spread(seconds: list[float]) -> str:
    """Return median, 95 % and the longest in milliseconds."""
    cuts = statistics.quantiles(seconds, n=20)
    return (
        f"median {1000 * cuts[9]:.0f} ms, p95 {1000 * cuts[18]:.0f}, max {1000 * max(seconds):.0f}"
    )


async def measure(given: argparse.Namespace, settings: Settings) -> None:
    async with Reach(settings, None) as reach:
        endpoint = await reach.endpoint()
        (api,) = (pid for pid, name in processes(endpoint.pid).items() if name == "api")
        async with Client(endpoint) as client:
            jobs = [
                str((await client.ask(DRAFT))["createJob"]["job"]["id"])
                for _ in range(max(1, given.sockets // WATCHERS_A_JOB))
            ]
            async with client_process(client, jobs[:1], 10):
                rest = megabytes(api, "VmRSS")  # warm
            async with client_process(client, jobs, given.sockets) as process:
                held = megabytes(api, "VmRSS")
                each = 1024 * (held - rest) / given.sockets
                show(f"{given.sockets} sockets: {rest:.0f} MB -> {held:.0f} MB, {each:.0f} kB each")
                await _deliver(given, settings, client, jobs, process)
            for number in range(given.rounds):
                async with client_process(client, jobs, given.sockets):
                    held = megabytes(api, "VmRSS")
                show(f"round {number + 1}: {held:.0f} MB, then {megabytes(api, 'VmRSS'):.0f} MB")


async def _deliver(
    given: argparse.Namespace,
    settings: Settings,
    client: Client,
    jobs: list[str],
    process: Process,
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    took: list[float] = []
    asking = asyncio.create_task(ask(client, jobs[0], took))
    process.stdin.write(b"clear\n")
    rate = given.deliveries / WATCHERS_A_JOB
    written = await write(settings, jobs, per_second=rate, seconds=given.seconds)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    late: list[float] = []
    expected = written * given.sockets // len(jobs)
    for _ in range(30):  # what is still on its way
        process.stdin.write(b"tell\n")
        late += json.loads(await process.stdout.readline())
        if len(late) >= expected:
            break
        await asyncio.sleep(0.5)
    a_second = expected / given.seconds
    show(f"{len(late)} of {expected} deliveries, {a_second:.0f} a second: {spread(late)}")
    show(f"queries beside it: {spread(took)}")


def show(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--deliveries", type=int, default=500, help="a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    if given.client:
        arguments: tuple[Any, ...] = tuple(json.loads(given.client))
        asyncio.run(watch(*arguments))
        return
    with tempfile.TemporaryDirectory(prefix="dy", dir="/tmp") as folder:
        asyncio.run(measure(given, Settings(data_dir=Path(folder) / "data")))


if __name__ == "__main__":
    main()
