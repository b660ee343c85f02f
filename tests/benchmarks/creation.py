"""What a job costs that is created with many others, against one that is created by itself.

    python tests/benchmarks/creation.py [--jobs N] [--rounds N]

The CPU of the process counts, not the clock, so that a busy machine changes little. Then how long
others wait beside a request of so many jobs: for the version, which takes the event loop only, and
for a job of their own, which takes the lock of SQLite, too. The schema is called directly: HTTP
costs all of them the same.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from app.accounts import commands as accounts
from app.accounts.caller import Caller
from app.accounts.models import Scope
from app.api.context import MakeContext
from app.api.schema import schema
from app.asgi import _services
from app.db.engine import Database
from app.db.migration import migrate
from app.db.work import transaction
from app.documents.models import Document, DocumentStatus
from app.embedded.valkey import Valkey
from app.settings import Settings

ANSWER = "__typename ... on CreateJobSuccess { job { id number status } }"
ONE = f"mutation ($input: CreateJobInput!) {{ createJob(input: $input) {{ {ANSWER} }} }}"
MANY = f"""mutation ($inputs: [CreateJobInput!]!) {{ createJobs(inputs: $inputs) {{
  ... on CreateJobsSuccess {{ results {{ {ANSWER} }} }}
}} }}"""
VERSION = "{ service { version } }"
PAUSE_SECONDS = 0.01

Ask = Callable[..., Awaitable[float]]


async def asking(settings: Settings, database: Database) -> tuple[Ask, dict[str, Any]]:
    """Return what sends an operation and tells how long it took, and the input of a job."""
    async with transaction(database) as work:
        application = await accounts.create_application(work, name="bench", max_open_jobs=10**6)
        key, _ = await accounts.create_key(
            work, application_id=application.id, name="bench", scope=Scope.WRITE
        )
        document = Document(
            application_id=application.id,
            filename="a.txt",
            status=DocumentStatus.PROCESSED,
            size=7,
            sha256="0" * 64,
        )
        work.session.add(document)
    make = MakeContext(_services(settings))
    caller = Caller(application.id, key.id, key.scope, None)
    scope = {"type": "http", "headers": [], "path": "/", "server": ("127.0.0.1", 80)}
    connection = HTTPConnection({**scope, "scheme": "http", "query_string": b""})

    async def ask(query: str, **variables: Any) -> float:  # noqa: ANN401 - variables
        begun = time.perf_counter()
        context = make(caller=caller, request_id="1", ip=None, connection=connection)
        result = await schema.execute(query, variables, context)
        assert result.errors is None, result.errors
        return time.perf_counter() - begun

    return ask, {"task": {"segment": {}}, "documentIds": [str(document.id)]}


async def cpu(sending: Awaitable[object]) -> float:
    """Return the seconds of CPU that the process takes meanwhile."""
    begun = time.process_time()
    await sending
    return time.process_time() - begun


async def one_by_one(ask: Ask, input: dict[str, Any], jobs: int) -> None:
    for _ in range(jobs):
        await ask(ONE, input=input)


async def beside(ask: Ask, input: dict[str, Any], jobs: int) -> dict[str, list[float]]:
    """Return how long others take while many jobs are created."""
    waits: dict[str, list[float]] = {"the version": [], "a job": []}

    async def again(name: str, query: str, **variables: Any) -> None:  # noqa: ANN401 - variables
        while not many.done():
            begun = time.perf_counter()
            await asyncio.sleep(0)  # a turn of the loop is what it takes at least
            await ask(query, **variables)
            waits[name].append(time.perf_counter() - begun)
            await asyncio.sleep(PAUSE_SECONDS)

    many = asyncio.ensure_future(ask(MANY, inputs=[input] * jobs))
    await asyncio.gather(again("the version", VERSION), again("a job", ONE, input=input))
    return {f"{jobs} jobs": [await many], **waits}


async def compare(folder: Path, *, jobs: int, rounds: int) -> None:
    valkey = Valkey(folder)
    running = await valkey.start()
    settings = Settings(data_dir=folder, redis_url=valkey.url, secret_keys=(SecretStr("k" * 32),))
    database = Database(settings.database_url)
    await migrate(database)
    ask, input = await asking(settings, database)
    await ask(MANY, inputs=[input])
    alone, together = [], []
    for _ in range(rounds):
        alone.append(await cpu(one_by_one(ask, input, jobs // 5)) / (jobs // 5))
        together.append(await cpu(ask(MANY, inputs=[input] * jobs)) / jobs)
    one, many = statistics.median(alone), statistics.median(together)
    print(  # noqa: T201
        f"CPU a job: {one * 1000:.2f} ms by itself, {many * 1000:.2f} ms with {jobs - 1} others: "
        f"{many / one:.2f} of it"
    )
    for name, found in (await beside(ask, input, jobs)).items():
        ordered = sorted(found)
        middle, late = ordered[len(found) // 2], ordered[int(len(found) * 0.95)]
        print(  # noqa: T201
            f"{name:12} median {middle * 1000:7.1f}  p95 {late * 1000:7.1f}  "
            f"longest {ordered[-1] * 1000:7.1f} ms of {len(found)}"
        )
    await database.close()
    running.send_signal(15)
    await running.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dy", dir="/tmp") as folder:
        asyncio.run(compare(Path(folder), jobs=given.jobs, rounds=given.rounds))


if __name__ == "__main__":
    main()
