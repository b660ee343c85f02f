"""A document's way through the whole product."""

from pathlib import Path

import pytest
from service import Service

pytestmark = pytest.mark.anyio

PAPER = Path(__file__).parents[2].parent / "shared" / "corpus" / "pdf" / "pdflatex-4-pages.pdf"
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


@pytest.mark.skipif(not PAPER.exists(), reason="the corpus is not here")
async def test_a_real_paper_becomes_segments_with_places(service: Service) -> None:
    document = await service.upload(PAPER.read_bytes(), "paper.pdf")
    id = await service.create_on(document)
    await service.work()
    job = await service.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "SUCCESS")
    assert job["documents"]["nodes"][0]["mediaLength"] == 4
    segments = job["result"]["segments"]["nodes"]
    assert [each["ordinal"] for each in segments] == list(range(1, len(segments) + 1))
    pages = [each["page"] for each in segments]
    assert pages == sorted(pages)
    assert all(each["boxes"] for each in segments)
    assert len({each["key"] for each in segments}) == len(segments)


async def test_one_file_that_cannot_be_read_does_not_stop_the_others(service: Service) -> None:
    id = await service.create(TEXT, b"%PDF-1.7 and then nothing", bytes(100))
    await service.work()
    job = await service.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "WARNING")
    codes = [each["failure"] and each["failure"]["code"] for each in job["documents"]["nodes"]]
    assert codes == [None, "CORRUPT", "UNSUPPORTED_FORMAT"]
