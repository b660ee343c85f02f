"""Clients of others, as their users have them: cut off, they go on from their cursor.

CLIENT_CUTS says how often each is cut off.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cutting import Cutter, cutting
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport
from service import EVENTS, Service
from sqlmodel import col, select

from app.db.work import reading
from app.jobs.models import JobEvent

pytestmark = pytest.mark.anyio

CUTS = int(os.environ.get("CLIENT_CUTS", "20"))
PATIENCE_SECONDS = 60
DOCUMENTS = ["pages 2"] * 20
WEB = Path(__file__).parents[2] / "app" / "web"
WS_VERSION = "8.23.0"
GRAPHQL_WS = """
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
const { url, token, query, id } = JSON.parse(process.env.TASK);
const events = [];
let after = null;
for (;;) {
  const client = createClient({
    url,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: { authorization: `Bearer ${token}` },
  });
  try {
    for await (const { data } of client.iterate({ query, variables: { id, after } })) {
      events.push(data.jobEvents);
      after = data.jobEvents.cursor;
    }
    break;
  } catch (error) {
    if (Array.isArray(error) || error.code >= 4000) throw error; // refused, not cut off
  }
}
console.log(JSON.stringify(events));
"""

Event = dict[str, Any]
Follow = Callable[[str, str, str], Coroutine[None, None, list[Event]]]


async def follow_with_gql(url: str, token: str, id: str) -> list[Event]:
    """Return all events of a job, by gql for Python."""
    events: list[Event] = []
    after, ended = None, False
    while not ended:
        transport = WebsocketsTransport(
            url=url,
            init_payload={"authorization": f"Bearer {token}"},
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        )
        request = GraphQLRequest(EVENTS, variable_values={"id": id, "after": after})
        with suppress(TransportConnectionFailed, OSError):
            async with Client(transport=transport) as session:
                async for answer in session.subscribe(request):
                    events.append(answer["jobEvents"])
                    after = events[-1]["cursor"]
            ended = True
    return events


@pytest.fixture(scope="session")
def graphql_ws(tmp_path_factory: pytest.TempPathFactory) -> Follow:
    """Return all events of a job, by graphql-ws in Node.js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is not here, in which graphql-ws runs")
    folder = tmp_path_factory.mktemp("graphql-ws")
    wanted = json.loads((WEB / "package.json").read_text())["dependencies"]
    packages = [f"{name}@{wanted[name]}" for name in ("graphql", "graphql-ws")]
    command = [npm, "install", "--no-audit", "--no-fund", *packages, f"ws@{WS_VERSION}"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        pytest.skip(f"the npm registry is not reached: {installed.stderr.strip()[-200:]}")
    (folder / "follow.mjs").write_text(GRAPHQL_WS)

    async def follow(url: str, token: str, id: str) -> list[Event]:
        task = json.dumps({"url": url, "token": token, "query": EVENTS, "id": id})
        process = await asyncio.create_subprocess_exec(
            node, "follow.mjs", cwd=folder, env=os.environ | {"TASK": task}, stdout=-1
        )
        written, _ = await process.communicate()
        assert process.returncode == 0
        events: list[Event] = json.loads(written)
        return events

    return follow


async def follow_jobs(paced: Service, cutter: Cutter, follow: Follow) -> None:
    """Follow jobs while they are done until there were cuts enough."""
    while cutter.cuts < CUTS:
        id = await paced.create(*DOCUMENTS)
        following = asyncio.create_task(follow(cutter.url, paced.token, id))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await paced.work()
            events = await following
        assert [told(event) for event in events] == await logged(paced, id)
        assert len(events) > len(DOCUMENTS)
        assert events[-1]["status"] == "COMPLETED"


def told(event: Event) -> tuple[object, ...]:
    return tuple(event[name] for name in ("seq", "kind", "status", "progress", "message"))


async def logged(paced: Service, id: str) -> list[tuple[object, ...]]:
    """Return the table's own words."""
    statement = select(JobEvent).where(JobEvent.job_id == UUID(id)).order_by(col(JobEvent.seq))
    async with reading(paced.database) as session:
        rows = (await session.exec(statement)).all()
    return [(row.seq, row.kind, row.status, row.progress, row.message) for row in rows]


async def test_gql_misses_and_repeats_nothing_over_broken_connections(paced: Service) -> None:
    async with cutting(paced.url, seed=1) as cutter:
        await follow_jobs(paced, cutter, follow_with_gql)
    assert cutter.cuts >= CUTS


@pytest.mark.parametrize("kind_of_database", ["postgresql"], indirect=True)
async def test_graphql_ws_misses_and_repeats_nothing_over_broken_connections(
    paced: Service, graphql_ws: Follow
) -> None:
    async with cutting(paced.url, seed=2) as cutter:
        await follow_jobs(paced, cutter, graphql_ws)
    assert cutter.cuts >= CUTS
