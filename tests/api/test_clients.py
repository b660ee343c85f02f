"""Clients of others, as their users have them: cut off, they go on from their cursor.

CLIENT_CUTS says how often each is cut off.
"""

import asyncio
import json
import os
import re
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
ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
WEB = ROOT / "app" / "web"
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
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which programs for Node.js find graphql-ws."""
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
    return folder


@pytest.fixture(scope="session")
def graphql_ws(javascript: Path) -> Follow:
    """Return all events of a job, by graphql-ws in Node.js."""
    (javascript / "follow.mjs").write_text(GRAPHQL_WS)

    async def follow(url: str, token: str, id: str) -> list[Event]:
        task = json.dumps({"url": url, "token": token, "query": EVENTS, "id": id})
        process = await asyncio.create_subprocess_exec(
            "node", "follow.mjs", cwd=javascript, env=os.environ | {"TASK": task}, stdout=-1
        )
        written, _ = await process.communicate()
        assert process.returncode == 0
        events: list[Event] = json.loads(written)
        return events

    return follow


def from_readme(url: str, *, token: str) -> str:
    """Return the program in the README, for this service and a file of ours."""
    text = README.read_text()
    program = "".join(re.findall(r"^```js\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    program = program.replace("http://127.0.0.1:8000/graphql", url)
    patience = "retryAttempts: Infinity,"
    program = program.replace(patience, f"{patience} retryWait: async () => {{}},")
    create, watch = re.findall(r"^```graphql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[:2]
    given = json.dumps({"KEY": token, "CREATE": create, "WATCH": watch})
    return (
        "import WebSocket from 'ws';\nglobalThis.WebSocket = WebSocket;\n"
        f"const {{ KEY, CREATE, WATCH }} = {given};\n"
        f"const file = new File(['pages 5'], 'a.txt');\n{program}"
    )


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


@pytest.mark.parametrize("kind_of_database", ["sqlite"], indirect=True)
async def test_the_program_in_the_readme_misses_and_repeats_nothing(
    paced: Service, javascript: Path
) -> None:
    async with cutting(paced.url, seed=3) as cutter:
        url = cutter.url.replace("ws:", "http:")
        (javascript / "readme.mjs").write_text(from_readme(url, token=paced.token))
        process = await asyncio.create_subprocess_exec(
            "node", "readme.mjs", cwd=javascript, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            first = await process.stdout.readline()
            await paced.work()
            lines = [first, *(await process.stdout.read()).splitlines()]
            assert await process.wait() == 0
    (job,) = (await paced.ask("{ jobs { nodes { id } } }"))["nodes"]
    events = [line.decode().split() for line in lines[:-1]]
    assert [(int(seq), status) for seq, status, _ in events] == [
        (seq, status) for seq, _, status, *_ in await logged(paced, job["id"])
    ]
    assert events[-1][1:] == ["COMPLETED", "100"]
    assert lines[-1] == b"complete"
    assert cutter.cuts > 0
