"""What a service says of itself once all is quiet: every job with events, segments, result."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from history import Event, JobFacts, Part, Reference, Segment
from machine import Machine, utc
from recorder import JOBS, Recorder
from sample_files import Sample

from app.jobs.states import JobStatus
from app.jobs.types import EventKind, JobType

AT_ONCE = 4
JOB = """query ($id: ID!) { job(id: $id) {
  id name type status outcome attempt chargedAttempts durationMs resultJson
  error { code message } executeAfter { id } parent { id }
  documents(first: 100) { nodes { status failure { code } document { id filename sha256 } } }
  events(first: 500) { nodes { seq kind status at progress message }
    pageInfo { hasNextPage endCursor } }
  result { ... on SegmentResult { segments(first: 500) { ...page } } }
} }
fragment page on SegmentConnection { nodes { ordinal key body createdAt document { id } }
  pageInfo { hasNextPage endCursor } }"""
MORE_EVENTS = """query ($id: ID!, $after: String) { job(id: $id) {
  events(first: 500, after: $after) { nodes { seq kind status at progress message }
    pageInfo { hasNextPage endCursor } } } }"""
MORE_SEGMENTS = """query ($id: ID!, $after: String) { job(id: $id) {
  result { ... on SegmentResult { segments(first: 500, after: $after) {
    nodes { ordinal key body createdAt document { id } }
    pageInfo { hasNextPage endCursor } } } } } }"""
LEASES = "SELECT id, lease_until, timeout_seconds FROM job"
GHOSTS = """SELECT job_id, seq, kind, status, at, progress, message FROM job_event
  WHERE job_id NOT IN (SELECT id FROM job) ORDER BY job_id, seq"""


async def jobs(recorder: Recorder) -> list[JobFacts]:
    """Return every job of the service."""
    ids: list[str] = []
    after, more = None, True
    while more:
        page = (await recorder.ask(JOBS, {"after": after}))["jobs"]
        ids += [job["id"] for job in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    rows = {str(UUID(id)): (lease, limit) for id, lease, limit in recorder.machine.rows(LEASES)}
    turn = asyncio.Semaphore(AT_ONCE)

    async def read(id: str) -> JobFacts:
        async with turn:
            return _facts(await _whole_job(recorder, id), *rows[id])

    return await asyncio.gather(*(read(id) for id in ids))


def ghosts(machine: Machine) -> dict[str, tuple[Event, ...]]:
    """Return the events that are left of jobs that are not there."""
    found: dict[str, tuple[Event, ...]] = {}
    for job_id, seq, kind, status, at, progress, message in machine.rows(GHOSTS):
        event = Event(
            seq=seq,
            kind=EventKind(kind),
            status=JobStatus(status),
            at=utc(at),
            progress=progress,
            message=message,
        )
        key = str(UUID(job_id))
        found[key] = (*found.get(key, ()), event)
    return found


def references(found: list[JobFacts], samples: Mapping[str, Sample]) -> dict[str, Reference]:
    """Return what undisturbed jobs, each on one file, made of it."""
    made = {}
    for job in found:
        (part,) = job.parts
        counts = job.result["documents"][0] if job.result else {"pageCount": 0}
        made[part.file] = Reference(
            sha256=samples[part.file].sha256,
            real_pages=samples[part.file].pages,
            status=part.status,
            failure=part.failure,
            pages=counts["pageCount"],
            segments=tuple(segment.content for segment in part.segments),
        )
    return made


async def _whole_job(recorder: Recorder, id: str) -> dict[str, Any]:
    job: dict[str, Any] = (await recorder.ask(JOB, {"id": id}))["job"]
    page = job["events"]["pageInfo"]
    while page["hasNextPage"]:
        variables = {"id": id, "after": page["endCursor"]}
        more = (await recorder.ask(MORE_EVENTS, variables))["job"]["events"]
        job["events"]["nodes"] += more["nodes"]
        page = more["pageInfo"]
    page = job["result"]["segments"]["pageInfo"] if job["result"] else {"hasNextPage": False}
    while page["hasNextPage"]:
        variables = {"id": id, "after": page["endCursor"]}
        more = (await recorder.ask(MORE_SEGMENTS, variables))["job"]["result"]["segments"]
        job["result"]["segments"]["nodes"] += more["nodes"]
        page = more["pageInfo"]
    return job


def _facts(job: dict[str, Any], lease_until: str | None, timeout_seconds: int) -> JobFacts:
    segments = job["result"]["segments"]["nodes"] if job["result"] else []
    return JobFacts(
        id=job["id"],
        name=job["name"],
        status=JobStatus(job["status"]),
        outcome=job["outcome"],
        attempt=job["attempt"],
        charged_attempts=job["chargedAttempts"],
        timeout=timedelta(seconds=timeout_seconds),
        duration=timedelta(milliseconds=job["durationMs"] or 0),
        result=job["resultJson"],
        lease_until=None if lease_until is None else utc(lease_until),
        type=JobType(job["type"]),
        error=job["error"] and job["error"]["code"],
        error_message=job["error"] and job["error"]["message"],
        execute_after_id=job["executeAfter"] and job["executeAfter"]["id"],
        parent_id=job["parent"] and job["parent"]["id"],
        parts=tuple(_part(node, segments) for node in job["documents"]["nodes"]),
        events=tuple(_event(node) for node in job["events"]["nodes"]),
    )


def _part(node: dict[str, Any], segments: list[dict[str, Any]]) -> Part:
    document = node["document"]
    return Part(
        document_id=document["id"],
        file=document["filename"],
        sha256=document["sha256"],
        status=JobStatus(node["status"]),
        failure=node["failure"] and node["failure"]["code"],
        segments=tuple(
            Segment(
                ordinal=each["ordinal"],
                key=each["key"],
                body=each["body"],
                created_at=datetime.fromisoformat(each["createdAt"]),
            )
            for each in segments
            if each["document"]["id"] == document["id"]
        ),
    )


def _event(node: dict[str, Any]) -> Event:
    return Event(
        seq=node["seq"],
        kind=EventKind(node["kind"]),
        status=JobStatus(node["status"]),
        at=datetime.fromisoformat(node["at"]),
        progress=node["progress"],
        message=node["message"],
    )
