"""The service itself in the schema."""

import importlib.metadata
from datetime import datetime

import strawberry

from app.api.context import Context, Info
from app.api.health import NEEDED, parts
from app.api.vocabulary import JobStatus, Scope, ServiceStatus
from app.clock import now
from app.jobs import extras, queries

VERSION = importlib.metadata.version("docyard")
LICENSE = "AGPL-3.0-or-later"


@strawberry.type(description="Work that needs something that may not be here.")
class Capability:
    name: str = strawberry.field(description="A stable word.")
    available: bool = strawberry.field(description="Whether it is here.")
    detail: str = strawberry.field(description="What it is for, or how to get it.")


@strawberry.type(description="How many jobs are in a state.")
class StatusCount:
    status: JobStatus = strawberry.field(description="The state.")
    count: int = strawberry.field(description="How many of your jobs are in it.")


@strawberry.type(description="A running worker process.")
class Worker:
    id: strawberry.ID = strawberry.field(description="Its id.")
    started_at: datetime = strawberry.field(description="When it started.")
    last_seen_at: datetime = strawberry.field(description="When it last said that it is alive.")
    running: int = strawberry.field(description="Jobs in its hands.")
    capacity: int = strawberry.field(description="Jobs it can do at once.")


@strawberry.type(description="The service itself.")
class Service:
    version: str = strawberry.field(description="Its version.")
    license: str = strawberry.field(description="Its licence, as an SPDX expression.")
    source_url: str = strawberry.field(description="Where its source code is to be had.")
    capabilities: list[Capability] = strawberry.field(
        description="What it can do beyond the ordinary, and what it cannot."
    )
    started_at: datetime = strawberry.field(description="When the process that answers started.")
    now: datetime = strawberry.field(description="The server's clock at this answer.")

    @strawberry.field(description="How the service is.")
    async def status(self, info: Info) -> ServiceStatus:
        found = await parts(info.context.services)
        if not all(found[name] for name in NEEDED):
            return ServiceStatus.ERROR
        well = found["redis"] and await _workers(info.context)
        return ServiceStatus.RUNNING if well else ServiceStatus.WARNING

    @strawberry.field(description="How many of your jobs are in each state.")
    async def job_counts(self, info: Info) -> list[StatusCount]:
        async with info.context.reading() as session:
            counts = await queries.status_counts(session, caller=info.context.caller)
        return [StatusCount(status=status, count=count) for status, count in counts.items()]

    @strawberry.field(
        description="How many jobs wait for a worker: your own; for admins those of all "
        "applications."
    )
    async def queue_length(self, info: Info) -> int:
        owner = None if _is_admin(info.context) else info.context.caller.application_id
        async with info.context.reading() as session:
            return await queries.queue_length(session, application_id=owner)

    @strawberry.field(description="The workers that are alive; for admins, others see none.")
    async def workers(self, info: Info) -> list[Worker]:
        return await _workers(info.context) if _is_admin(info.context) else []


def service(context: Context) -> Service:
    """Return the service."""
    missing = "Not part of this version."
    extra = [
        Capability(
            name=extra.name, available=extra.installed, detail=f"{extra.purpose}; {extra.how}"
        )
        for extra in extras.EXTRAS
    ]
    return Service(
        version=VERSION,
        license=LICENSE,
        source_url=f"{context.base_url}/source",
        capabilities=[
            *extra,
            *(
                Capability(name=name, available=False, detail=missing)
                for name in ("ocr", "layout", "tagging")
            ),
        ],
        started_at=context.services.started_at,
        now=now(),
    )


def _is_admin(context: Context) -> bool:
    return context.caller.scope.includes(Scope.ADMIN)


async def _workers(context: Context) -> list[Worker]:
    since = now() - context.services.settings.lease
    async with context.reading() as session:
        rows = await queries.live_workers(session, since=since)
    return [
        Worker(
            id=strawberry.ID(str(row.id)),
            started_at=row.started_at,
            last_seen_at=row.last_seen_at,
            running=row.running,
            capacity=row.capacity,
        )
        for row in rows
    ]
