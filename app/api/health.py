"""Whether the service lives, is ready, and how busy it is; for operators and their programs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from uuid import UUID

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.accounts.caller import authenticate
from app.accounts.models import Scope
from app.api.context import Services
from app.api.requests import bearer_token
from app.clock import now
from app.db.work import reading
from app.errors import StorageFull
from app.jobs.figures import Figures, figures

ANSWER_SECONDS = 2.0
NO_FILE = UUID(int=0)
Ask = Callable[[Services], Awaitable[None]]
NEEDED = ("database", "store")
"""What the API cannot do without. Without Redis it answers, only later: a sweep finds the work."""


async def livez(_request: Request) -> Response:
    """Say that this process lives."""
    return JSONResponse({"alive": True})


async def readyz(services: Services) -> Response:
    """Say which parts answer; 503 where one is down that the API cannot do without."""
    found = await parts(services)
    return JSONResponse(found, status_code=200 if all(found[name] for name in NEEDED) else 503)


async def parts(services: Services) -> dict[str, bool]:
    """Return which parts answer, each within two seconds."""
    database, redis, store = await asyncio.gather(
        _answers(services, _ask_database), services.bell.ping(), _answers(services, _ask_store)
    )
    return {"database": database, "redis": redis, "store": store}


async def metrics(services: Services, request: Request) -> Response:
    """Answer Prometheus. The figures are of all applications: the key must be an admin's.

    Raises:
        Unauthenticated, Forbidden: it is not.
    """
    token = bearer_token(request.headers.get("authorization"))
    caller = await authenticate(services.database, token)
    caller.require(Scope.ADMIN)
    since = now() - services.settings.lease
    async with reading(services.database) as session:
        found = await figures(session, workers_since=since)
    registry = CollectorRegistry()
    registry.register(_Collected(found, await parts(services)))
    body = generate_latest(registry) + generate_latest(REGISTRY)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


class _Collected(Collector):
    """The figures as Prometheus reads them."""

    def __init__(self, found: Figures, parts: dict[str, bool]) -> None:
        self._found = found
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        found, workers = self._found, self._found.workers
        waits = 0.0 if found.oldest is None else (now() - found.oldest).total_seconds()
        jobs = GaugeMetricFamily(
            "docyard_jobs_open", "Jobs that have not ended.", labels=("type", "status")
        )
        for (type, status), count in found.open_jobs.items():
            jobs.add_metric((type, status), count)
        up = GaugeMetricFamily("docyard_part_up", "1 where a part answers.", labels=("part",))
        for name, answers in self._parts.items():
            up.add_metric((name,), answers)
        ended = GaugeMetricFamily(
            "docyard_jobs_just_ended",
            "Jobs that have ended within the last five minutes.",
            labels=("outcome",),
        )
        for outcome, count in found.just_ended.items():
            ended.add_metric((outcome,), count)
        yield from (jobs, up, ended)
        yield CounterMetricFamily("docyard_jobs_created", "Jobs ever made.", found.created_jobs)
        yield CounterMetricFamily("docyard_jobs_ended", "Jobs that have ended.", found.ended_jobs)
        for name, meaning, value in (
            ("queue_length", "Jobs that a worker could take up now.", found.queue_length),
            ("queue_oldest_seconds", "How long the oldest of the queue has waited.", waits),
            ("workers", "Worker processes that are alive.", len(workers)),
            ("worker_slots", "Jobs they can do at once.", sum(each.capacity for each in workers)),
            ("worker_slots_busy", "Jobs in their hands.", sum(each.running for each in workers)),
        ):
            yield GaugeMetricFamily(f"docyard_{name}", meaning, value)


async def _answers(services: Services, ask: Ask) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await ask(services)
    except Exception:  # noqa: BLE001 - whatever it is, this part does not answer
        return False
    return True


async def _ask_database(services: Services) -> None:
    async with reading(services.database) as session:
        await session.connection()
        await session.exec(text("SELECT 1"))  # type: ignore[call-overload]


async def _ask_store(services: Services) -> None:
    await services.store.received(NO_FILE)
    try:
        services.store.check_free_space()
    except StorageFull:
        return  # it answers, and refuses by itself what it has no room for
