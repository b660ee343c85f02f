"""Queries a second of `job(id)` with ten fields: our schema against a bare Strawberry resolver.

    python tests/benchmarks/graph.py [--seconds N] [--rounds N] [--together N]

Ours: the schema of the service with its limits, caches, loaders and database. Bare: a Strawberry
schema with the same ten fields and none of that, whose resolver returns an object that is ready;
and another whose resolver reads the same row from the same database. The rounds alternate, so that
a busy machine slows all alike. The schema is called directly: HTTP costs all of them the same.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import strawberry
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from app.accounts import commands as accounts
from app.accounts.caller import Caller
from app.accounts.models import Scope
from app.api.context import Context, MakeContext
from app.api.schema import schema
from app.asgi import _services
from app.db.engine import Database
from app.db.migration import migrate
from app.db.work import reading, transaction
from app.jobs import models
from app.jobs.options import SegmentOptions, to_json
from app.jobs.states import JobStatus
from app.jobs.types import JobType
from app.settings import Settings

QUERY = """query ($id: ID!) { job(id: $id) {
  id number name type status progress message attempt maxAttempts createdAt
} }"""

Run = Callable[[], Awaitable[object]]


@strawberry.type
class Job:
    id: strawberry.ID
    number: int
    name: str
    type: str
    status: str
    progress: int
    message: str | None
    attempt: int
    max_attempts: int
    created_at: datetime


def job_of(row: models.Job) -> Job:
    return Job(
        id=strawberry.ID(str(row.id)),
        number=row.number,
        name=row.name,
        type=row.type,
        status=row.status,
        progress=row.progress,
        message=row.message,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        created_at=row.created_at,
    )


def bare(find: Callable[[UUID], Awaitable[Job]]) -> strawberry.Schema:
    """Make a schema that has nothing but the resolver."""

    @strawberry.type
    class Query:
        @strawberry.field
        async def job(self, id: strawberry.ID) -> Job | None:
            return await find(UUID(id))

    return strawberry.Schema(Query)


async def rate(run: Run, *, seconds: float, together: int) -> float:
    """Return how many times a second it runs, so many at once."""
    ended = time.perf_counter() + seconds
    runs = 0

    async def again() -> None:
        nonlocal runs
        while time.perf_counter() < ended:
            await run()
            runs += 1

    begun = time.perf_counter()
    await asyncio.gather(*(again() for _ in range(together)))
    return runs / (time.perf_counter() - begun)


async def contenders(settings: Settings, database: Database) -> dict[str, Run]:
    """Return what is compared, each as a function that runs the query once."""
    caller, row = await one_job(database)
    services = _services(settings)
    make = MakeContext(services)
    scope = {"type": "http", "headers": [], "path": "/", "server": ("127.0.0.1", 80)}
    connection = HTTPConnection({**scope, "scheme": "http", "query_string": b""})
    ready = job_of(row)

    async def at_hand(_id: UUID) -> Job:
        return ready

    async def from_database(id: UUID) -> Job:
        async with reading(services.database) as session:
            return job_of(await session.get_one(models.Job, id))

    plain, plain_with_row = bare(at_hand), bare(from_database)
    variables = {"id": str(row.id)}

    def context() -> Context:
        return make(caller=caller, request_id="1", ip=None, connection=connection)

    runs: dict[str, Run] = {
        "ours": lambda: schema.execute(QUERY, variables, context()),
        "bare, object at hand": lambda: plain.execute(QUERY, variables),
        "bare, row from the database": lambda: plain_with_row.execute(QUERY, variables),
    }
    for run in runs.values():
        result = await run()
        assert result.errors is None, result.errors  # type: ignore[attr-defined]
    return runs


async def one_job(database: Database) -> tuple[Caller, models.Job]:
    async with transaction(database) as work:
        application = await accounts.create_application(work, name="bench", max_open_jobs=10)
        key, _ = await accounts.create_key(
            work, application_id=application.id, name="bench", scope=Scope.READ
        )
        row = models.Job(
            application_id=application.id,
            number=1,
            name="bench",
            type=JobType.SEGMENT,
            status=JobStatus.PENDING,
            settings=to_json(SegmentOptions()),
            max_attempts=3,
            timeout_seconds=60,
        )
        work.session.add(row)
    return Caller(application.id, key.id, key.scope, None), row


async def compare(folder: Path, *, seconds: float, rounds: int, together: int) -> None:
    settings = Settings(data_dir=folder, secret_keys=(SecretStr("k" * 32),))
    database = Database(settings.database_url)
    await migrate(database)
    runs = await contenders(settings, database)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            rates[name].append(await rate(run, seconds=seconds, together=together))
    ours = statistics.median(rates["ours"])
    for name, found in rates.items():
        each = statistics.median(found)
        print(  # noqa: T201
            f"{name:30} {each:8.0f} a second   ours is {ours / each:.2f} of it"
        )
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--together", type=int, default=16)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(
            compare(
                Path(folder),
                seconds=given.seconds,
                rounds=given.rounds,
                together=given.together,
            )
        )


if __name__ == "__main__":
    main()
