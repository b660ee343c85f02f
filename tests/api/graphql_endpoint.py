"""A small schema behind the real endpoint, on a real server, for the tests of the transport."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Route, WebSocketRoute
from strawberry.dataloader import DataLoader
from strawberry.file_uploads import Upload
from strawberry.schema.config import StrawberryConfig
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.api.extensions import SCHEMA_EXTENSIONS, UPLOAD, QueryRules, Schema
from app.api.transport import GraphQLApp
from app.clock import now
from app.errors import Forbidden, NotFound, Unauthenticated
from app.server import Server, configuration

GOOD = "dy_good"
SOON = "dy_soon"
ODD = "dy_odd"
"""A caller for whom no context can be made."""
BROKEN = "dy_broken"
"""A token that cannot even be checked."""
BEARER = {"Authorization": f"Bearer {GOOD}"}


@dataclass(frozen=True)
class Caller:
    name: str
    expires_at: datetime | None = None


@dataclass
class World:
    """What the tests see of the inside."""

    freed: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """Rises each time that the keys of open sessions were looked at."""
    loads: list[str] = field(default_factory=list)
    ips: list[str | None] = field(default_factory=list)
    files: list[Any] = field(default_factory=list)
    revoked: set["Caller"] = field(default_factory=set)

    def renew(self) -> None:
        """Forget what the last test did."""
        self.freed, self.released = asyncio.Event(), asyncio.Event()
        self.looked = asyncio.Semaphore(0)
        for seen in (self.loads, self.ips, self.files, self.revoked):
            seen.clear()


@dataclass
class Context:
    caller: Caller
    request_id: str
    world: World
    loader: DataLoader[str, str]


Info = strawberry.Info[Context, None]


@strawberry.input
class Attached:
    note: str
    file: Upload


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "hi"

    @strawberry.field
    def query(self) -> "Query":
        return Query()

    @strawberry.field
    def whoami(self, info: Info) -> str:
        return info.context.caller.name

    @strawberry.field
    def request_id(self, info: Info) -> str:
        return info.context.request_id

    @strawberry.field
    def double(self, number: int = 1) -> int:
        return 2 * number

    @strawberry.field
    async def loaded(self, info: Info) -> str:
        return await info.context.loader.load("key")

    @strawberry.field
    def boom(self) -> str | None:
        raise RuntimeError("secret dsn")

    @strawberry.field
    def must_boom(self) -> str:
        raise RuntimeError("secret dsn")

    @strawberry.field
    def nothing(self) -> strawberry.scalars.JSON:
        return strawberry.scalars.JSON({"score": float("nan")})

    @strawberry.field
    def forbidden(self) -> str | None:
        raise Forbidden(needs="admin")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def rename(self, name: str) -> str:
        return name

    @strawberry.mutation
    async def upload(self, info: Info, file: Upload) -> str:
        info.context.world.files.append(file)
        content: bytes = await file.read()  # type: ignore[attr-defined]
        return content.decode()

    @strawberry.mutation
    async def upload_all(self, info: Info, attached: list[Attached]) -> list[str]:
        return [f"{a.note}: {(await a.file.read()).decode()}" for a in attached]  # type: ignore[attr-defined]


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def forever(self, info: Info) -> AsyncGenerator[str, None]:
        freed = info.context.world.freed  # of this test, not of the one that runs when we end
        try:
            yield info.context.request_id
            await asyncio.Event().wait()
        finally:
            freed.set()

    @strawberry.subscription
    async def clings(self, info: Info) -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await info.context.world.released.wait()

    @strawberry.subscription
    async def flood(self, info: Info) -> AsyncGenerator[str, None]:
        freed = info.context.world.freed
        try:
            while True:
                yield "m" * 100_000
                await asyncio.sleep(0)
        finally:
            freed.set()

    @strawberry.subscription
    async def missing(self) -> AsyncGenerator[int, None]:
        raise NotFound("job", "1")
        yield 1

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError("secret in generator")

    @strawberry.subscription
    async def echo(self, file: Upload) -> AsyncGenerator[int, None]:
        yield 1


schema = Schema(
    Query,
    Mutation,
    Subscription,
    extensions=SCHEMA_EXTENSIONS,
    config=StrawberryConfig(scalar_map={Upload: UPLOAD}),
)


async def authenticate(token: str | None) -> Caller:
    if token == GOOD:
        return Caller("good")
    if token == SOON:
        return Caller("soon", expires_at=now() + timedelta(seconds=1))
    if token == ODD:
        return Caller("odd")
    if token == BROKEN:
        raise RuntimeError("secret dsn")
    raise Unauthenticated


@asynccontextmanager
async def endpoint(
    world: World,
    *,
    rules: QueryRules | None = None,
    **options: Any,  # noqa: ANN401 - handed to GraphQLApp
) -> AsyncIterator[str]:
    """Serve the schema; yield host and port."""

    def make_context(
        *, caller: Caller, request_id: str, ip: str | None, connection: HTTPConnection
    ) -> Context:
        async def load(keys: list[str]) -> list[str]:
            world.loads.extend(keys)
            return keys

        assert connection.scope["path"] == "/graphql"
        if caller.name == "odd":
            raise RuntimeError("secret dsn")
        world.ips.append(ip)
        return Context(caller, request_id, world, DataLoader(load))

    async def revoked(callers: Collection[Caller]) -> Collection[Caller]:
        world.looked.release()
        return world.revoked.intersection(callers)

    graphql = GraphQLApp(
        schema.ruled(rules or QueryRules()),
        authenticate=authenticate,
        revoked=revoked,
        make_context=make_context,
        recheck=timedelta(seconds=0.05),
        **options,
    )
    app = Starlette(routes=[Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)])
    app.state.stopping = graphql.stopping
    async with served(app) as address:
        yield address


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The system holds little for a client that does not read.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        config = configuration(app)
        config.timeout_graceful_shutdown = 1
        server = Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


class Client:
    """A client of graphql-transport-ws that says exactly what it is told."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def start(self, token: str = GOOD) -> None:
        payload = {"Authorization": f"Bearer {token}"}
        await self.send({"type": "connection_init", "payload": payload})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, query: str, *, id: str = "1", **payload: object) -> None:
        await self.send({"id": id, "type": "subscribe", "payload": {"query": query, **payload}})

    async def drained(self) -> tuple[int | None, str | None]:
        """Read all there is, then see how the server closed the socket."""
        async with asyncio.timeout(10):
            with suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        return await self.closed()

    async def closed(self) -> tuple[int | None, str | None]:
        async with asyncio.timeout(10):
            await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def websocket(
    address: str,
    **options: Any,  # noqa: ANN401 - handed to connect
) -> AsyncIterator[Client]:
    protocols = [Subprotocol("graphql-transport-ws")]
    async with connect(
        f"ws://{address}/graphql", **{"subprotocols": protocols, **options}
    ) as connection:
        yield Client(connection)


@asynccontextmanager
async def turns() -> AsyncIterator[list[None]]:
    """Count the turns that others have while the block lasts."""
    had: list[None] = []

    async def wait() -> None:
        while True:
            await asyncio.sleep(0)
            had.append(None)

    waiting = asyncio.create_task(wait())
    try:
        yield had
    finally:
        waiting.cancel()
