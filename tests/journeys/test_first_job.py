"""A document's way through the whole product."""

import pytest
from service import Service

pytestmark = pytest.mark.anyio

TEXT = "# Title\n\nHello there, this is a paragraph.\n\n## Part\n\n- one\n- two\n"


async def test_a_job_becomes_segments(service: Service) -> None:
    id = await service.create(TEXT)
    await service.work()
    job = await service.job(id)
    assert job["status"] == "COMPLETED"
    assert job["outcome"] == "SUCCESS"
    assert job["progress"] == 100
    assert [segment["title"] for segment in job["result"]["segments"]["nodes"]] == ["Title", "Part"]
    assert job["resultJson"]["segmentCount"] == 2
