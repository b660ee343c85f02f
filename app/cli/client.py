"""A client of a running service, over its public API."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from app.embedded.endpoint import Endpoint
from app.settings import MIB
from app.terminal import CommandFailed

LARGE_BYTES = 50 * MIB
"""A multipart request is parsed whole by the server; above this a link that streams is better."""
PIECE_BYTES = MIB
TIMEOUT = httpx2.Timeout(60, connect=10, read=300)
ALIVE_SECONDS = 5.0
MESSAGE_BYTES = 4 * MIB
UNAUTHORIZED = 401
WRONG_KEY = frozenset({4401, 4403, 4498})
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

PROBLEM = "... on Problem { code title detail }"
UPLOAD = f"""mutation ($file: Upload!) {{ uploadDocument(file: $file) {{
  __typename ... on UploadDocumentSuccess {{ document {{ id }} }} {PROBLEM} }} }}"""
CREATE_UPLOAD = f"""mutation ($filename: String!, $size: BigInt!) {{
  createUpload(filename: $filename, size: $size) {{
    __typename ... on CreateUploadSuccess {{ document {{ id }} uploadUrl }} {PROBLEM} }} }}"""
CREATE_JOB = f"""mutation ($input: CreateJobInput!) {{ createJob(input: $input) {{
  __typename ... on CreateJobSuccess {{ job {{ id }} }} {PROBLEM} }} }}"""
CANCEL_JOB = f"""mutation ($id: ID!) {{ cancelJob(id: $id) {{
  __typename ... on CancelJobSuccess {{ changed }} {PROBLEM} }} }}"""
JOB = """query ($id: ID!, $after: String) { job(id: $id) {
  id number name type status outcome error { code message }
  issues { code severity message page } progress attempt
  createdAt startedAt finishedAt durationMs resultJson
  documents(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes {
    document { id filename mimeType size sha256 mediaLength } status failure { code message } } }
} }"""
SEGMENTS = """query ($id: ID!, $after: String, $documentId: ID) { job(id: $id) { result {
  ... on SegmentResult { segments(first: 500, after: $after, documentId: $documentId) {
    pageInfo { hasNextPage endCursor }
    edges { node {
      id key document { id filename } status ordinal body page group title headings tags lang
      boxes { page x0 y0 x1 y1 } createdAt } } } } } } }"""
EVENTS = """subscription ($id: ID!, $after: String) { jobEvents(jobId: $id, after: $after) {
  cursor seq kind status progress message
  job { progressDetail { unit done total ratePerSecond etaSeconds } } } }"""


class ServiceGone(CommandFailed):
    """Nothing answers there, or no longer; it may come back."""


class Refused(CommandFailed):
    """The service answers, and its answer is no."""


class Client:
    """Speaks to one service. Every method raises ServiceGone or Refused where it fails."""

    def __init__(self, endpoint: Endpoint, *, large_bytes: int = LARGE_BYTES) -> None:
        """Connect to nothing yet. large_bytes: files above this go by a link."""
        self.endpoint = endpoint
        self._large_bytes = large_bytes
        self._authorization = f"Bearer {endpoint.api_key}"
        # A proxy of the environment is for the world outside.
        self._outside = urlsplit(endpoint.url).hostname not in LOOPBACK
        self._http = httpx2.AsyncClient(timeout=TIMEOUT, trust_env=self._outside)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def alive(self) -> bool:
        """Return whether a service answers."""
        try:
            url = f"{self.endpoint.url}/livez"
            return (await self._http.get(url, timeout=ALIVE_SECONDS)).is_success
        except httpx2.HTTPError:
            return False

    async def upload(self, path: Path) -> str:
        """Hand over a file; return the id of its document."""
        size = path.stat().st_size  # noqa: ASYNC240 - a local file, and quick
        if size > self._large_bytes:
            return await self._upload_by_link(path, size=size)
        operations = {"query": UPLOAD, "variables": {"file": None}}
        with path.open("rb") as file:
            answer = await self._post(
                data={"operations": json.dumps(operations), "map": '{"0": ["variables.file"]}'},
                files={"0": (path.name, file, "application/octet-stream")},
            )
        return str(_granted(answer, "uploadDocument")["document"]["id"])

    async def create_job(self, document_ids: list[str], *, max_size: int) -> str:
        """Start to split documents into segments; return the id. max_size: characters of each."""
        task = {"segment": {"maxSize": max_size}}
        answer = await self.ask(CREATE_JOB, input={"task": task, "documentIds": document_ids})
        return str(_granted(answer, "createJob")["job"]["id"])

    async def cancel(self, job_id: str) -> None:
        """Stop a job; nothing happens where it has ended."""
        _granted(await self.ask(CANCEL_JOB, id=job_id), "cancelJob")

    async def events(
        self, job_id: str, *, after: str | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a job, past ones first, up to its last one.

        after: the cursor of the last event that is known. On ServiceGone call again with it.
        """
        try:
            async with self._websocket() as socket:
                async for event in self._subscribed(socket, EVENTS, id=job_id, after=after):
                    yield event["jobEvents"]
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in WRONG_KEY:
                raise Refused("The service does not accept this key.") from None
            raise ServiceGone(f"The connection to {self.endpoint.url} broke.") from None
        except InvalidStatus as error:
            status = error.response.status_code
            raise Refused(f"The service refused a websocket with HTTP {status}.") from None
        except (OSError, TimeoutError, WebSocketException) as error:
            raise ServiceGone(f"Nothing answers at {self.endpoint.url}: {error}.") from None

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return a job with all its documents, in the names of the schema."""
        job: dict[str, Any] = (await self.ask(JOB, id=job_id))["job"]
        if job is None:
            raise Refused(f"There is no job {job_id}.")
        documents = job["documents"]["nodes"]
        page = job["documents"]["pageInfo"]
        while page["hasNextPage"]:
            more = (await self.ask(JOB, id=job_id, after=page["endCursor"]))["job"]["documents"]
            documents += more["nodes"]
            page = more["pageInfo"]
        return job | {"documents": documents}

    async def segments(
        self, job_id: str, *, document_id: str | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the segments of a job, or of one of its documents, in reading order."""
        after = None
        while True:
            answer = await self.ask(SEGMENTS, id=job_id, after=after, documentId=document_id)
            result = (answer["job"] or {}).get("result")
            if result is None:  # a job that failed has none
                return
            for edge in result["segments"]["edges"]:
                yield edge["node"]
            page = result["segments"]["pageInfo"]
            if not page["hasNextPage"]:
                return
            after = page["endCursor"]

    async def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Send one operation; return its data."""
        given = {name: value for name, value in variables.items() if value is not None}
        return await self._post(json={"query": query, "variables": given})

    async def _post(self, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - the body, as httpx2 takes it
        # The second header is asked for where files come along.
        headers = {"authorization": self._authorization, "graphql-require-preflight": "1"}
        try:
            answer = await self._http.post(self.endpoint.graphql, headers=headers, **body)
        except httpx2.HTTPError as error:
            raise ServiceGone(f"Nothing answers at {self.endpoint.url}: {error}.") from None
        return _data(answer)

    async def _upload_by_link(self, path: Path, *, size: int) -> str:
        made = _granted(
            await self.ask(CREATE_UPLOAD, filename=path.name, size=size), "createUpload"
        )
        try:
            # The link carries its own signature: the key is not for whoever keeps the files.
            answer = await self._http.put(
                urljoin(f"{self.endpoint.url}/", made["uploadUrl"]),
                content=_pieces(path),
                headers={"content-length": str(size)},
            )
        except httpx2.HTTPError as error:
            raise ServiceGone(f"The upload of {path.name} broke off: {error}.") from None
        if not answer.is_success:
            raise Refused(f"The upload of {path.name} was refused: {_reason(answer)}")
        return str(made["document"]["id"])

    def _websocket(self) -> connect:
        return connect(
            self.endpoint.websocket,
            subprotocols=[Subprotocol("graphql-transport-ws")],
            compression=None,
            max_size=MESSAGE_BYTES,
            proxy=True if self._outside else None,
        )

    async def _subscribed(
        self, socket: ClientConnection, query: str, **variables: object
    ) -> AsyncGenerator[dict[str, Any], None]:
        await _send(socket, type="connection_init", payload={"authorization": self._authorization})
        async with aclosing(_received(socket)) as messages:
            async for message in messages:
                match message["type"]:
                    case "connection_ack":
                        payload = {"query": query, "variables": variables}
                        await _send(socket, id="1", type="subscribe", payload=payload)
                    case "ping":
                        await _send(socket, type="pong")
                    case "next":
                        yield _checked(message["payload"])
                    case "error":
                        _checked({"errors": message["payload"]})
                    case "complete":
                        return


async def _send(socket: ClientConnection, **message: object) -> None:
    await socket.send(json.dumps(message))


async def _received(socket: ClientConnection) -> AsyncGenerator[dict[str, Any], None]:
    while True:  # not `async for`: an orderly close in the middle is a broken connection, too
        yield json.loads(await socket.recv())


async def _pieces(path: Path) -> AsyncGenerator[bytes, None]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece


def _data(answer: httpx2.Response) -> dict[str, Any]:
    if answer.status_code == UNAUTHORIZED:
        raise Refused("The service does not accept this key.")
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not ("data" in body or "errors" in body):
        raise Refused(_reason(answer))
    return _checked(body)


def _checked(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a GraphQL answer without errors."""
    if errors := body.get("errors"):
        raise Refused(" ".join(str(error.get("message", error)) for error in errors))
    return dict(body["data"])


def _granted(data: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the answer of a mutation that was not refused."""
    answer: dict[str, Any] = data[field]
    if "detail" in answer:
        raise Refused(f"{answer['title']} ({answer['code']}): {answer['detail']}")
    return answer


def _reason(answer: httpx2.Response) -> str:
    """Return why an answer that is no GraphQL says no: the detail of a problem, else its status."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answered with HTTP {answer.status_code}."
