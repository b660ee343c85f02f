"""Clients that write down every call and what they saw."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
from history import Answer, Call, Event, Kind, Sighting, Watch
from machine import LOOK_SECONDS, Machine, utc
from sample_files import Sample

from app.cli.client import Client, Refused, ServiceGone
from app.clock import now
from app.embedded.endpoint import Endpoint
from app.jobs.states import JobStatus
from app.jobs.types import EventKind

PROBLEM = "... on Problem { code detail }"
CREATE = f"""mutation ($input: CreateJobInput!) {{ createJob(input: $input) {{
  ... on CreateJobSuccess {{ job {{ id }} }} {PROBLEM} }} }}"""
CANCEL = f"""mutation ($id: ID!) {{ cancelJob(id: $id) {{
  ... on CancelJobSuccess {{ changed }} {PROBLEM} }} }}"""
DELETE = f"""mutation ($id: ID!) {{ deleteJob(id: $id) {{
  ... on DeleteJobSuccess {{ deletedId }} {PROBLEM} }} }}"""
UPLOAD = f"""mutation ($file: Upload!) {{ uploadDocument(file: $file) {{
  ... on UploadDocumentSuccess {{ document {{ id }} }} {PROBLEM} }} }}"""
CREATE_UPLOAD = f"""mutation ($filename: String!, $size: BigInt!) {{
  createUpload(filename: $filename, size: $size) {{
  ... on CreateUploadSuccess {{ document {{ id }} uploadUrl }} {PROBLEM} }} }}"""
JOBS = """query ($after: String) { jobs(first: 100, after: $after) {
  nodes { id status } pageInfo { hasNextPage endCursor } } }"""
REFUSALS = 40
TIMEOUT = httpx2.Timeout(30, connect=10)
KEPT = httpx2.Limits(keepalive_expiry=2)
"""Less than the service keeps a connection on which nothing comes: no call meets its end."""


class NoAnswer(Exception):
    """Nothing came back: nobody knows whether it was done."""


class Masked(Exception):
    """The answer is an error of GraphQL; its code."""


@dataclass
class Recorder:
    """The clients of one run, and what they wrote down."""

    machine: Machine
    calls: list[Call] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    http: httpx2.AsyncClient = field(
        default_factory=lambda: httpx2.AsyncClient(timeout=TIMEOUT, limits=KEPT, trust_env=False)
    )
    _statuses: dict[str, JobStatus] = field(default_factory=dict)

    async def create(
        self, name: str, files: Iterable[Sample], *, document_ids: Iterable[str] = ()
    ) -> str | None:
        """Create a job on new files, or on documents made of them; return its id, if told."""
        files = tuple(files)
        ids = list(document_ids)
        given: dict[str, object] = {"task": {"segment": {"maxSize": 1000}}, "name": name}
        given |= (
            {"documentIds": ids} if ids else {"data": [{"source": {"file": None}}] * len(files)}
        )
        sent = () if ids else files
        called, answer = await self._call(CREATE, "createJob", {"input": given}, sent)
        job_id = answer["job"]["id"] if "job" in answer else None
        names = tuple(file.name for file in files)
        self._note(Kind.CREATE, called, answer, name=name, job_id=job_id, files=names)
        return job_id

    async def cancel(self, job_id: str, name: str) -> bool:
        """Cancel a job; return whether the answer says that this ended it."""
        called, answer = await self._call(CANCEL, "cancelJob", {"id": job_id})
        changed = bool(answer.get("changed"))
        self._note(Kind.CANCEL, called, answer, name=name, job_id=job_id, changed=changed)
        return changed

    async def delete(self, job_id: str, name: str) -> None:
        """Delete a job."""
        called, answer = await self._call(DELETE, "deleteJob", {"id": job_id})
        self._note(Kind.DELETE, called, answer, name=name, job_id=job_id)

    async def upload(self, file: Sample) -> str:
        """Make a document; return its id. It is tried until there is an answer."""
        while True:
            called, answer = await self._call(UPLOAD, "uploadDocument", {"file": None}, (file,))
            if called is Answer.OK:
                return str(answer["document"]["id"])

    async def look_over_api(self) -> None:
        """See the status of every job over the API, where it answers."""
        after, more = None, True
        while more:
            asked_at = now()
            try:
                page = (await self.ask(JOBS, {"after": after}))["jobs"]
            except (NoAnswer, Masked):
                return
            for job in page["nodes"]:
                seen = JobStatus(job["status"])
                self.sightings.append(Sighting(job_id=job["id"], at=asked_at, status=seen))
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    def look_at_rows(self) -> None:
        """See every change of a status, and every lease that has run out."""
        for id, word, lease in self.machine.rows("SELECT id, status, lease_until FROM job"):
            seen, leased = JobStatus(word), None if lease is None else utc(lease)
            expired = leased is not None and leased < now()
            if expired or self._statuses.get(id) is not seen:
                self._statuses[id] = seen
                self.sightings.append(
                    Sighting(
                        job_id=str(UUID(id)),
                        at=now(),
                        status=seen,
                        source="sql",
                        lease_until=leased,
                    )
                )

    async def watch(self, job_id: str) -> None:
        """Follow the events of a job to the last one, over as many connections as that takes."""
        watch = Watch(job_id=job_id)
        self.watches.append(watch)
        cursor, refusals = None, 0
        while not watch.complete:
            watch.connections += 1
            try:
                async with Client(self._endpoint()) as client:
                    async for event in client.events(job_id, after=cursor):
                        cursor, refusals = event["cursor"], 0
                        watch.events.append(_event(event))
                watch.complete = True
            except ServiceGone:
                await asyncio.sleep(LOOK_SECONDS)
            except Refused:
                # A service on its way down refuses, too.
                refusals += 1
                if refusals > REFUSALS:
                    raise
                await asyncio.sleep(LOOK_SECONDS)

    async def ask(
        self, query: str, variables: dict[str, Any], files: Iterable[Sample] = ()
    ) -> dict[str, Any]:
        """Send one operation; return its data.

        Raises:
            NoAnswer: the connection broke or nothing came.
            Masked: the answer is an error.
        """
        operations = {"query": query, "variables": variables}
        body: dict[str, Any] = {"json": operations}
        if files := tuple(files):
            places = {str(number): [_place(variables, number)] for number in range(len(files))}
            body = {
                "data": {"operations": json.dumps(operations), "map": json.dumps(places)},
                "files": {
                    str(number): (file.name, file.body, "application/octet-stream")
                    for number, file in enumerate(files)
                },
            }
        headers = {
            "authorization": f"Bearer {self.machine.key}",
            "graphql-require-preflight": "1",
        }
        url = f"{self.machine.url}/graphql"
        try:
            answer = await self.http.post(url, headers=headers, **body)
            told = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise NoAnswer(repr(error)) from error
        if "errors" in told:
            raise Masked(told["errors"][0].get("extensions", {}).get("code", "UNKNOWN"))
        data: dict[str, Any] = told["data"]
        return data

    async def close(self) -> None:
        """Close every connection."""
        await self.http.aclose()

    async def _call(
        self, query: str, name: str, variables: dict[str, Any], files: Iterable[Sample] = ()
    ) -> tuple[Answer, dict[str, Any]]:
        try:
            answer = (await self.ask(query, variables, files))[name]
        except NoAnswer:
            return Answer.UNKNOWN, {}
        except Masked as error:
            return Answer.UNKNOWN, {"code": str(error)}
        return (Answer.REFUSED if "code" in answer else Answer.OK), answer

    def _note(
        self,
        kind: Kind,
        called: Answer,
        answer: dict[str, Any],
        *,
        name: str,
        job_id: str | None,
        files: tuple[str, ...] = (),
        changed: bool = False,
    ) -> None:
        code = answer.get("code")
        self.calls.append(
            Call(
                kind=kind,
                answer=called,
                at=now(),
                name=name,
                job_id=job_id,
                files=files,
                changed=changed,
                code=code,
            )
        )

    def _endpoint(self) -> Endpoint:
        return Endpoint.at(self.machine.url, api_key=self.machine.key, pid=0)


def _place(variables: dict[str, Any], number: int) -> str:
    return "variables.file" if "file" in variables else f"variables.input.data.{number}.source.file"


def _event(event: dict[str, Any]) -> Event:
    return Event(
        seq=event["seq"],
        kind=EventKind(event["kind"]),
        status=JobStatus(event["status"]),
        at=now(),
        progress=event["progress"],
        message=event["message"],
    )
