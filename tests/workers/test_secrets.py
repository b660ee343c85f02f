"""Passwords from the request to the sandbox: which opens what, and that nobody ever sees one."""

import asyncio
import contextlib
import json
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import pymupdf
import pytest
from pydantic import SecretStr
from service import CANCEL, CREATE_JOB, PATIENCE_SECONDS, Service
from sqlmodel import SQLModel, select, update

from app.db.work import reading, transaction
from app.jobs.models import Job, JobDocument

pytestmark = pytest.mark.anyio

SECRET = "Open-Sesame-42"  # noqa: S105 - the test's own
AES_256 = 5  # of pymupdf's encryption methods


def locked(password: str) -> bytes:
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), "Behind a lock.")
    pdf: bytes = document.tobytes(user_pw=password, owner_pw=password, encryption=AES_256)
    return pdf


def passwords(*values: str) -> list[dict[str, str]]:
    return [{"name": "DOC.PASSWORD", "value": value} for value in values]


async def create(
    service: Service,
    file: bytes,
    *,
    own: list[Any] | None = None,
    **more: Any,  # noqa: ANN401 - fields of the input
) -> str:
    """Create a job on one file with options of its own; return its id."""
    data = [{"source": {"file": None}, "filename": "a.pdf", "options": own or []}]
    answer = await service.send_files(
        CREATE_JOB,
        {"input": {"data": data, **more}},
        {"variables.input.data.0.source.file": ("a.pdf", file)},
    )
    assert answer["__typename"] == "CreateJobSuccess", answer
    id: str = answer["job"]["id"]
    return id


async def options_of(service: Service, id: str) -> list[list[dict[str, Any]]]:
    """Read the options of a job and of its documents as the rows keep them."""
    async with reading(service.database) as session:
        job = await session.get_one(Job, UUID(id))
        own = select(JobDocument.options).where(JobDocument.job_id == job.id)
        return [job.options, *await session.exec(own)]


async def everything(service: Service) -> str:
    """Read every row of every table, the file of the database, and all that Redis has."""
    found = []
    async with service.database.engine.connect() as connection:
        for table in SQLModel.metadata.sorted_tables:
            found += [repr(row) for row in await connection.execute(table.select())]
    if service.database.is_sqlite:
        path = Path(service.database.url.database or "")
        found += [each.read_bytes().decode("latin-1") for each in path.parent.glob(f"{path.name}*")]
    found += [repr(await service.bell.redis.dump(key)) for key in await service.bell.redis.keys()]
    return "\n".join(found)


def process_list() -> bytes:
    """Return the command lines and environments of all processes that may be looked at."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another's
            found += [(process / name).read_bytes() for name in ("cmdline", "environ")]
    return b"".join(found)


async def test_the_passwords_of_the_document_come_before_those_of_the_job(service: Service) -> None:
    id = await create(service, locked(SECRET), own=passwords("wrong"), options=passwords(SECRET))
    await service.work()
    job = await service.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "SUCCESS")
    assert [each["body"] for each in job["result"]["segments"]["nodes"]] == ["Behind a lock."]
    told = [(each["code"], each["severity"], each["message"]) for each in job["issues"]]
    assert told == [("PASSWORD_USED", "INFO", "Password 2 opened this file.")]


async def test_where_none_fits_the_document_fails_and_no_password_is_told(service: Service) -> None:
    id = await create(service, locked(SECRET), options=passwords("wrong", "bad"))
    await service.work()
    job = await service.job(id)
    assert (job["error"]["code"], job["error"]["message"]) == (
        "PASSWORD",
        "The PDF needs a password, and none of the 2 passwords fits.",
    )


async def test_a_password_is_seen_nowhere_and_forgotten_at_the_end(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    id = await create(
        service, locked(SECRET), own=passwords(SECRET), task=None, options=passwords(SECRET, "x")
    )
    rows = await options_of(service, id)
    assert [[sorted(each) for each in row] for row in rows] == [
        [["name", "sealed"], ["name", "sealed"]],
        [["name", "sealed"]],
    ]
    await service.work()
    answer = json.dumps(await service.job(id))
    assert "Behind a lock." in answer
    gone = {"name": "DOC.PASSWORD", "wiped": True}
    assert await options_of(service, id) == [[gone, gone], [gone]]
    for place in (answer, await everything(service), caplog.text):
        assert SECRET not in place
    shown = await service.ask("query($id: ID!) { job(id: $id) { options { value } } }", id=id)
    assert shown["options"] == [{"value": None}, {"value": None}]


async def test_a_password_is_in_no_process_list_while_it_is_used(paced: Service) -> None:
    script = f"page One\nlocked {SECRET}\nhang"
    id = await create(paced, script.encode(), options=passwords(SECRET))
    context = paced.worker()
    async with paced.working(context):
        await paced.progress(id, 1)
        assert SECRET.encode() not in process_list()
        await paced.ask(CANCEL, id=id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while context.nudges:  # nothing tells of the end of a run that is not wanted
                await paced.job(id)
    assert await options_of(paced, id) == [[{"name": "DOC.PASSWORD", "wiped": True}], []]


@pytest.mark.parametrize("keys", [(), (SecretStr("z" * 32),)], ids=["none", "others"])
async def test_a_worker_without_the_keys_says_so(
    paced: Service, keys: tuple[SecretStr, ...], caplog: pytest.LogCaptureFixture
) -> None:
    id = await create(paced, b"page One", options=passwords(SECRET))
    await paced.work(paced.worker(secret_keys=keys))
    job = await paced.job(id)
    assert (job["status"], job["error"]["code"], job["error"]["retryable"]) == (
        "FAILED",
        "CONFIGURATION",
        False,
    )
    assert "DOCYARD_SECRET_KEYS does not hold the key that sealed it" in job["error"]["message"]
    assert "its passwords cannot be opened" in caplog.text


async def test_an_option_that_is_none_any_more_fails_its_document(paced: Service) -> None:
    id = await create(paced, b"page One", task=None)
    async with transaction(paced.database) as work:
        gone = [{"name": "SEGMENT.GONE", "value": 1}]
        await work.session.exec(update(JobDocument).values(options=gone))
    await paced.work()
    error = (await paced.job(id))["error"]
    assert error["code"] == "OPTION"
    assert "there are: SEGMENT.MAX_SIZE" in error["message"]


async def test_redis_carries_no_more_than_ids(paced: Service) -> None:
    await create(paced, b"page One", options=passwords(SECRET))
    async with paced.bell.redis.monitor() as monitor:
        await paced.work()
        await paced.bell.redis.set("the end", 1)
        async for command in monitor.listen():
            assert SECRET not in repr(command)
            if "the end" in command["command"]:
                return


async def test_a_rolled_back_answer_leaves_no_secret_behind(paced: Service) -> None:
    document = await paced.upload("page One")
    answer = await paced.ask(
        CREATE_JOB,
        input={"documentIds": [document], "options": passwords(SECRET), "name": "x" * 300},
    )
    assert answer["code"] == "INVALID_INPUT"
    assert SECRET not in json.dumps(answer) + await everything(paced)


@pytest.mark.parametrize("workflow", ["Page images", "Convert to text"])
async def test_every_kind_of_work_opens_what_is_locked(service: Service, workflow: str) -> None:
    id = await create(
        service, locked(SECRET), task=None, workflow=workflow, options=passwords("no", SECRET)
    )
    await service.work()
    job = await service.job(id)
    assert (job["status"], job["outcome"]) == ("COMPLETED", "SUCCESS")
    assert [each["message"] for each in job["issues"]] == ["Password 2 opened this file."]
