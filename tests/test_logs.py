"""Log lines say which request and which job they are about."""

import json
import logging
from collections.abc import Iterator

import pytest
from service import CREATE_JOB, Service

from app import logs

pytestmark = pytest.mark.anyio


class Written(logging.Handler):
    """Keeps the lines as they would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.JsonLines())
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def written() -> Iterator[Written]:
    handler, root = Written(), logging.getLogger("app")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def test_ids_are_on_the_lines_of_their_block_only(written: Written) -> None:
    logger = logging.getLogger("app.here")
    with logs.about(request_id="r"):
        with logs.about(job_id="j"):
            logger.info("inner")
        logger.info("outer")
    logger.info("outside")
    ids = [(line.get("request_id"), line.get("job_id")) for line in written.lines]
    assert ids == [("r", "j"), ("r", None), (None, None)]


async def test_the_life_of_a_job_can_be_followed(service: Service, written: Written) -> None:
    id = await service.create("Some text.")
    input = {"task": {"segment": {}}, "start": False}
    answer = await service.http.post(
        f"{service.url}/graphql",
        json={"query": CREATE_JOB, "variables": {"input": input}},
        headers={"Authorization": f"Bearer {service.token}", "X-Request-Id": "mine-1"},
    )
    draft = answer.json()["data"]["createJob"]["job"]["id"]
    await service.work()
    told = [line["message"] for line in written.lines if line.get("job_id") == id]
    assert told == [f"job {id} is {status}" for status in ("PENDING", "PROCESSING", "COMPLETED")]
    (line,) = (line for line in written.lines if line.get("job_id") == draft)
    assert (line["message"], line["request_id"]) == (f"job {draft} is NEW", "mine-1")
