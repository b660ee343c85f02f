"""The service about itself: how it is, who works, and what every code means."""

import pytest
from service import Service

from app.api.answers import Code
from app.db.work import transaction
from app.errors import refusals
from app.failures import ErrorCode
from app.jobs.models import Worker

pytestmark = pytest.mark.anyio

SERVICE = """
{ service {
  version license sourceUrl status startedAt now queueLength
  jobCounts { status count }
  workers { running capacity startedAt lastSeenAt }
  capabilities { name available detail }
} }
"""
CATALOG = "{ errorCatalog { code type title status meaning retryable whatToDo } }"


async def test_figures_of_others_are_for_admins_only(service: Service) -> None:
    await service.create("Some text.")
    await service.ask(
        "mutation($i: CreateJobInput!) { createJob(input: $i) { __typename } }",
        token=service.other_token,
        i={"task": {"segment": {}}, "start": False},
    )
    async with transaction(service.database) as work:
        work.session.add(Worker(running=1, capacity=2))
    admin = await service.ask(SERVICE)
    reader = await service.ask(SERVICE, token=service.read_token)
    assert (admin["queueLength"], reader["queueLength"]) == (1, 1)
    assert [(each["running"], each["capacity"]) for each in admin["workers"]] == [(1, 2)]
    assert reader["workers"] == []
    assert (admin["status"], reader["status"]) == ("RUNNING", "RUNNING")
    counts = {each["status"]: each["count"] for each in reader["jobCounts"]}
    assert counts == {
        "NEW": 0, "PENDING": 1, "PROCESSING": 0, "COMPLETED": 0, "FAILED": 0, "CANCELED": 0,
    }  # fmt: skip


async def test_a_service_without_workers_says_so(service: Service) -> None:
    assert (await service.ask(SERVICE))["status"] == "WARNING"


async def test_the_catalogue_explains_every_code_once(service: Service) -> None:
    entries = await service.ask(CATALOG)
    codes = [each["code"] for each in entries]
    assert len(set(codes)) == len(codes)
    assert set(codes) == {kind.code for kind in refusals()} | {*Code} | {*ErrorCode}
    by_code = {each["code"]: each for each in entries}
    assert by_code["TOO_MANY_JOBS"] == {
        "code": "TOO_MANY_JOBS",
        "type": "urn:docyard:problem:too-many-jobs",
        "title": "Too many jobs",
        "status": 503,
        "meaning": "The application has as many open jobs as it may have.",
        "retryable": True,
        "whatToDo": "Wait until jobs have ended, then send the request again.",
    }
    assert (by_code["PASSWORD"]["status"], by_code["WORKER_LOST"]["retryable"]) == (422, True)
    for entry in entries:
        assert all(entry[name] for name in ("title", "meaning", "whatToDo")), entry
