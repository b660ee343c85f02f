"""The whole service in one process for tests: the real app on a socket, a real worker."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2
import uvicorn
from sqlmodel import func, select
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.accounts import commands as accounts
from app.accounts.models import Application, Scope
from app.asgi import create_app
from app.db.engine import Database
from app.db.work import reading, transaction
from app.documents.models import Document
from app.documents.store import LocalStore, Store, store_for
from app.jobs.models import Job, JobDocument, JobEvent, Segment
from app.jobs.queue import Doorbell
from app.server import configuration
from app.settings import Settings
from workers.__main__ import arq_worker, close, hear_cancels
from workers.context import WorkerContext
from workers.sandbox import Sandbox

PATIENCE_SECONDS = 60
PREFLIGHT = {"GraphQL-Require-Preflight": "1"}

CREATE_JOB = """
mutation($input: CreateJobInput!) {
  createJob(input: $input) {
    __typename
    ... on CreateJobSuccess { replayed job { id number name status } }
    ... on Problem { code type title status detail }
    ... on InvalidInput { errors { loc msg type } }
    ... on NotFound { id }
    ... on Conflict { conflictingJob { id } }
    ... on LimitExceeded { limit retryAfterSeconds }
  }
}
"""
CREATE_CONDITIONAL = """
mutation($input: CreateConditionalJobInput!) {
  createConditionalJob(input: $input) {
    __typename
    ... on CreateJobSuccess { replayed job { id status type } }
    ... on Problem { code detail }
    ... on InvalidInput { errors { loc type } }
    ... on NotFound { id }
  }
}
"""
ADD_DATA = """
mutation($id: ID!, $data: [DataInput!]!) {
  addJobData(jobId: $id, data: $data) {
    __typename
    ... on AddJobDataSuccess { job { id status totalSize } documents { id filename tags status } }
    ... on Problem { code detail }
    ... on InvalidInput { errors { loc msg type } }
    ... on NotFound { id }
    ... on Conflict { conflictingJob { id } }
  }
}
"""
START = """
mutation($id: ID!) {
  startJob(id: $id) {
    __typename
    ... on StartJobSuccess { job { id status waitingOn { kind } } }
    ... on Problem { code detail }
    ... on InvalidInput { errors { loc msg type } }
    ... on Conflict { conflictingJob { id } }
  }
}
"""
UPLOAD = """
mutation($file: Upload!, $tags: [String!]) {
  uploadDocument(file: $file, tags: $tags) {
    __typename
    ... on UploadDocumentSuccess {
      document { id filename mimeType extension size sha256 status tags receivedBytes url }
    }
    ... on Problem { code detail }
    ... on InvalidInput { errors { loc type } }
  }
}
"""
JOB = """
query($id: ID!) {
  job(id: $id) {
    id number name groupId type status statusMeaning message outcome progress priority settings
    resultJson attempt chargedAttempts maxAttempts totalSize startedAt finishedAt durationMs
    error { code message retryable document { filename } }
    issues { code severity message page document { filename } }
    progressDetail { unit done total }
    waitingOn { kind detail position }
    documents { totalCount nodes { status progress mediaLength document { id filename }
      failure { code message } } }
    result { ... on SegmentResult { segmentCount segments { totalCount nodes {
      ordinal key body page group title headings lang status boxes { page x0 y0 x1 y1 }
      document { filename } } } } }
    events { nodes { seq kind status progress message severity document { filename } } }
  }
}
"""
EVENTS = """
subscription($id: ID!, $after: String) {
  jobEvents(jobId: $id, after: $after) { cursor seq kind status progress message }
}
"""
CREATE_UPLOAD = """
mutation($filename: String!, $size: BigInt!, $sha256: String, $tags: [String!]) {
  createUpload(filename: $filename, size: $size, sha256: $sha256, tags: $tags) {
    __typename
    ... on CreateUploadSuccess { uploadUrl expiresAt document { id filename status size url } }
    ... on Problem { code detail }
    ... on InvalidInput { errors { loc type } }
    ... on LimitExceeded { limit }
  }
}
"""
DOCUMENT = """
query($id: ID!) {
  document(id: $id) {
    id filename mimeType extension size receivedBytes sha256 mediaLength status tags url
  }
}
"""
TAG = """
mutation($id: ID!, $add: [String!], $remove: [String!]) {
  tagDocument(id: $id, add: $add, remove: $remove) {
    __typename
    ... on TagDocumentSuccess { document { id tags } }
    ... on Problem { code detail }
    ... on InvalidInput { errors { loc type } }
    ... on NotFound { id }
  }
}
"""
CANCEL = """
mutation($id: ID!) {
  cancelJob(id: $id) {
    __typename
    ... on CancelJobSuccess { changed reason job { status outcome } }
    ... on Problem { code }
  }
}
"""
RETRY = """
mutation($id: ID!) {
  retryJob(id: $id) {
    __typename
    ... on RetryJobSuccess { job { id name status retryOf { id retriedBy { id } } } }
    ... on Problem { code detail }
    ... on Conflict { conflictingJob { id } }
    ... on LimitExceeded { limit retryAfterSeconds }
  }
}
"""
DELETE = """
mutation($id: ID!) {
  deleteJob(id: $id) {
    __typename
    ... on DeleteJobSuccess {
      deletedId lastStatus canceledFirst deletedJobIds deletedDocumentIds freedBytes
    }
    ... on Problem { code }
  }
}
"""
DELETE_DOCUMENT = """
mutation($id: ID!) {
  deleteDocument(id: $id) {
    __typename
    ... on DeleteDocumentSuccess { deletedId }
    ... on Problem { code detail }
    ... on NotFound { id }
    ... on Conflict { conflictingJob { id } }
  }
}
"""
SEGMENTS = """
subscription($id: ID!, $after: String) {
  segments(jobId: $id, after: $after) { cursor node { ordinal body } }
}
"""


@dataclass
class Service:
    """One running service. `token` is an admin's; `other_token` is another application's."""

    settings: Settings
    database: Database
    bell: Doorbell
    store: Store
    sandbox: Sandbox
    url: str
    http: httpx2.AsyncClient
    token: str
    other_token: str
    read_token: str

    async def post(
        self, query: str, variables: dict[str, Any] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        """Send an operation; return the whole answer."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        body = {"query": query, "variables": variables or {}}
        answer = await self.http.post(
            f"{self.url}/graphql",
            content=json.dumps(body),
            headers={**headers, "Content-Type": "application/json"},
        )
        found: dict[str, Any] = answer.json()
        return found

    async def ask(self, query: str, *, token: str | None = None, **variables: Any) -> Any:  # noqa: ANN401 - JSON
        """Send an operation; return the value of its only field."""
        answer = await self.post(query, variables, token=token)
        assert "errors" not in answer, answer
        (value,) = answer["data"].values()
        return value

    async def send_files(
        self,
        query: str,
        variables: dict[str, Any],
        files: dict[str, tuple[str, bytes]],
        *,
        token: str | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Send an operation with files, by their paths in the variables."""
        names = {path: str(number) for number, path in enumerate(files)}
        answer = await self.http.post(
            f"{self.url}/graphql",
            data={
                "operations": json.dumps({"query": query, "variables": variables}),
                "map": json.dumps({name: [path] for path, name in names.items()}),
            },
            files={names[path]: file for path, file in files.items()},
            headers={"Authorization": f"Bearer {token or self.token}", **PREFLIGHT},
        )
        body = answer.json()
        assert "errors" not in body, body
        (value,) = body["data"].values()
        return value

    async def send_file_to(
        self,
        query: str,
        variables: dict[str, Any],
        paths: list[str],
        file: tuple[str, bytes],
    ) -> Any:  # noqa: ANN401 - JSON
        """Send an operation with one file that stands in several places of its variables."""
        answer = await self.http.post(
            f"{self.url}/graphql",
            data={
                "operations": json.dumps({"query": query, "variables": variables}),
                "map": json.dumps({"0": paths}),
            },
            files={"0": file},
            headers={"Authorization": f"Bearer {self.token}", **PREFLIGHT},
        )
        (value,) = answer.json()["data"].values()
        return value

    async def upload(self, text: str | bytes, filename: str = "a.txt", **more: Any) -> str:  # noqa: ANN401 - variables
        """Upload a document; return its id."""
        content = text.encode() if isinstance(text, str) else text
        variables = {"file": None, **more}
        answer = await self.send_files(UPLOAD, variables, {"variables.file": (filename, content)})
        id: str = answer["document"]["id"]
        return id

    async def create(self, *texts: str | bytes, **more: Any) -> str:  # noqa: ANN401 - fields of the input
        """Create a job with a file for each text; return its id."""
        files = {
            f"variables.input.data.{place}.source.file": (
                f"{place}.txt",
                text.encode() if isinstance(text, str) else text,
            )
            for place, text in enumerate(texts)
        }
        data = [{"source": {"file": None}} for _ in texts]
        input = {"task": {"segment": {}}, "data": data, **more}
        answer = await self.send_files(CREATE_JOB, {"input": input}, files)
        assert answer["__typename"] == "CreateJobSuccess", answer
        id: str = answer["job"]["id"]
        return id

    async def create_upload(self, size: int, **more: Any) -> tuple[str, str]:  # noqa: ANN401 - variables
        """Announce an upload; return the id of its document and the link that takes its bytes."""
        variables = {"filename": "a.txt", "size": size, **more}
        answer = await self.ask(CREATE_UPLOAD, **variables)
        return answer["document"]["id"], answer["uploadUrl"]

    async def create_on(self, *document_ids: str, **more: Any) -> str:  # noqa: ANN401 - fields of the input
        """Create a job on documents that are here; return its id."""
        input = {"task": {"segment": {}}, "documentIds": list(document_ids), **more}
        answer = await self.ask(CREATE_JOB, input=input)
        assert answer["__typename"] == "CreateJobSuccess", answer
        id: str = answer["job"]["id"]
        return id

    async def event(self, id: str, seen: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Watch a job from its first event; return the one that was waited for."""
        async with self.subscribe(EVENTS, id=id) as events:
            async for event in events:
                if seen(event):
                    found: dict[str, Any] = event
                    return found
        raise AssertionError("the job ended without this event")

    async def progress(self, id: str, pages: int) -> None:
        """Return when so many pages of a job are recorded."""
        async with self.subscribe(EVENTS, id=id) as events:
            async for _event in events:
                detail = (await self.job(id))["progressDetail"]
                if detail is not None and detail["done"] >= pages:
                    return
        raise AssertionError("the job ended before")

    def stored(self) -> list[UUID]:
        """Return the keys of all stored files, in the order of their making."""
        return sorted(self.store.keys())

    async def kept(self) -> dict[str, int]:
        """Count all that is kept: rows of each table, numbers used up, stored files."""
        async with reading(self.database) as session:
            counts = {
                model.__name__: (await session.exec(select(func.count()).select_from(model))).one()
                for model in (Document, Job, JobDocument, JobEvent, Segment)
            }
            numbers = select(func.sum(Application.last_job_number))
            counts["numbers"] = (await session.exec(numbers)).one()
        return counts | {"files": len(self.stored())}

    async def job(self, id: str) -> dict[str, Any]:
        """Read a job with everything the tests look at."""
        found: dict[str, Any] = await self.ask(JOB, id=id)
        return found

    @asynccontextmanager
    async def subscribe(
        self,
        query: str,
        *,
        token: str | None = None,
        **variables: Any,  # noqa: ANN401 - variables
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Subscribe over a real websocket; give the values of the only field until it ends."""
        url = f"{self.url.replace('http', 'ws')}/graphql"
        protocol = Subprotocol("graphql-transport-ws")
        async with connect(url, subprotocols=[protocol]) as socket_:
            payload = {"Authorization": f"Bearer {token or self.token}"}
            await socket_.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket_.recv())["type"] == "connection_ack"
            subscribe = {"query": query, "variables": variables}
            await socket_.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))

            async def values() -> AsyncIterator[Any]:
                while True:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        message = json.loads(await socket_.recv())
                    match message["type"]:
                        case "next":
                            (value,) = message["payload"]["data"].values()
                            yield value
                        case "error":
                            raise Refused(message["payload"])
                        case "complete":
                            return

            yield values()

    async def events(self, id: str, after: str | None = None) -> list[dict[str, Any]]:
        """Return the events of a job until it ends."""
        async with self.subscribe(EVENTS, id=id, after=after) as events:
            return [event async for event in events]

    def worker(self, **changes: Any) -> WorkerContext:  # noqa: ANN401 - settings
        """Return a worker of its own that shares our connections."""
        settings = self.settings.model_copy(update=changes)
        return WorkerContext(settings, self.database, self.bell, self.store, self.sandbox)

    async def work(self, context: WorkerContext | None = None) -> None:
        """Work until the queue is empty."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.working(context, burst=True) as task:
            await task

    @asynccontextmanager
    async def working(
        self, context: WorkerContext | None = None, *, burst: bool = False
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """Have a worker run as long as the block lasts; it is told to stop at its end."""
        context = context or self.worker()
        worker = arq_worker(context, burst=burst)
        worker.poll_delay_s = 0.01  # tests ring more often than callers
        listening = asyncio.create_task(hear_cancels(context))
        task = asyncio.create_task(worker.main() if burst else worker.async_run())
        try:
            yield task
        finally:
            for each in (task, listening):
                each.cancel()
            await asyncio.gather(task, listening, return_exceptions=True)
            await close(worker)


class Refused(Exception):
    """A subscription was refused."""

    def __init__(self, errors: Sequence[dict[str, Any]]) -> None:
        super().__init__(errors)
        self.code = errors[0]["extensions"]["code"]


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """Serve the API on a free port; give its address."""
    async with serve_app(create_app(settings)) as url:
        yield url


@asynccontextmanager
async def serve_app(app: Starlette) -> AsyncIterator[str]:
    """Serve an application on a free port; give its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = configuration(app)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def reach(url: str, settings: Settings, sandbox: Sandbox) -> AsyncIterator[Service]:
    """Give what reaches the API at this address, with two new applications and their keys."""
    database, bell = Database(settings.database_url), Doorbell(settings.redis_url)
    try:
        tokens = await _tokens(database)
        async with httpx2.AsyncClient(timeout=PATIENCE_SECONDS) as http:
            yield Service(
                settings, database, bell, store_for(settings), sandbox, url, http, *tokens
            )
    finally:
        await bell.close()
        await database.close()


def local_store(settings: Settings) -> LocalStore:
    """Return the store of files, whose folder tests look into."""
    store = store_for(settings)
    assert isinstance(store, LocalStore)
    return store


async def _tokens(database: Database) -> list[str]:
    tokens = []
    async with transaction(database) as work:
        ours = await accounts.create_application(work, name="ours", max_open_jobs=50)
        others = await accounts.create_application(work, name="others", max_open_jobs=50)
        for application, scope in ((ours, Scope.ADMIN), (others, Scope.ADMIN), (ours, Scope.READ)):
            _, token = await accounts.create_key(
                work, application_id=application.id, name="test", scope=scope
            )
            tokens.append(token)
    return tokens
