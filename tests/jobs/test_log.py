"""The log of a job: which lines, in which form, and that it is the same whenever it is read."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import pytest
from sqlmodel import col, select, update
from world import World

from app.db.work import reading, transaction
from app.documents.models import Document
from app.errors import InvalidInput
from app.failures import ErrorCode, Failure
from app.jobs import commands, events, log, recording
from app.jobs.events import Note
from app.jobs.models import Attachment, JobEvent
from app.jobs.results import Issue, Page
from app.jobs.states import JobStatus
from app.jobs.types import AttachmentType, EventKind, Severity

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 1, 12, 30, 45, 678901, tzinfo=UTC)


async def fail(world: World, _id: UUID) -> None:
    run = await world.claimed()
    await world.record(run, 1)
    async with transaction(world.database) as work:
        await recording.fail(work, world.bell, run, Failure(ErrorCode.CORRUPT, "It is broken."))


async def complete(world: World, _id: UUID) -> None:
    run = await world.claimed()
    async with transaction(world.database) as work:
        await recording.end_document(work, world.bell, run, run.documents[0], None)
        await recording.finish(work, world.bell, run)


async def cancel(world: World, id: UUID) -> None:
    async with transaction(world.database) as work:
        await commands.cancel(work, world.bell, caller=world.caller, job_id=id)


async def expire(world: World, id: UUID) -> None:
    """Fail a job that no worker ever had."""
    note = Note(EventKind.STATUS, "It waited too long.", Severity.ERROR)
    async with transaction(world.database) as work:
        await events.move(work, world.bell, id, to=JobStatus.FAILED, note=note, outcome="ERROR")


@pytest.mark.parametrize("end", [complete, fail, cancel, expire])
async def test_every_job_that_ends_has_its_log_attached(
    world: World, end: Callable[[World, UUID], Awaitable[None]]
) -> None:
    id = await world.create()
    await end(world, id)
    async with reading(world.database) as session:
        text = await log.whole(session, id)
        (row,) = (await session.exec(select(Attachment))).all()
        last = select(JobEvent).where(JobEvent.job_id == id).order_by(col(JobEvent.seq).desc())
        event = (await session.exec(last.limit(1))).one()
    assert (row.job_id, row.document_id, row.type) == (id, None, AttachmentType.LOG)
    assert (row.filename, row.mime_type) == ("job-1.log", "text/plain; charset=utf-8")
    assert (row.size, row.sha256) == (len(text), sha256(text).hexdigest())
    assert text.decode().splitlines()[-1].endswith(f" {event.message}")


async def test_a_log_has_a_line_for_each_event_but_those_of_progress(world: World) -> None:
    document = await world.document()
    id = await world.create(document)
    async with transaction(world.database) as work:
        await work.session.exec(update(Document).values(filename="naïve\n☃.txt"))
    await fail(world, id)
    async with transaction(world.database) as work:
        await work.session.exec(update(JobEvent).values(at=AT))
    async with reading(world.database) as session:
        text = await log.whole(session, id)
    assert text.decode() == (
        "2026-03-01T12:30:45.678Z INFO The job was accepted.\n"
        "2026-03-01T12:30:45.678Z INFO A worker took the job up.\n"
        "2026-03-01T12:30:45.678Z ERROR It is broken. [naïve ☃.txt]\n"
        "2026-03-01T12:30:45.678Z ERROR It is broken.\n"
    )


async def test_issues_are_logged_once_a_code_and_counted_at_the_end(world: World) -> None:
    await world.create()
    run = await world.claimed()
    found = [Issue("NOTE", "Noted.", None, Severity.INFO)]
    found += [Issue("ODD", "Odd.", number) for number in (1, 2)]
    found += [Issue(f"MORE_{number}", "More.", 3) for number in range(20)]
    async with transaction(world.database) as work:
        for number, issues in ((1, found[:2]), (2, found[:3]), (3, found[3:])):
            page = Page(number, 3, (), tuple(issues), {})
            await recording.record_pages(work, world.bell, run, run.documents[0], [page])
        await recording.end_document(work, world.bell, run, run.documents[0], None)
    statement = select(JobEvent.message, JobEvent.severity).where(JobEvent.kind == EventKind.LOG)
    async with reading(world.database) as session:
        told = (await session.exec(statement.order_by(col(JobEvent.seq)))).all()
    more = [(f"Page 3: More. (MORE_{number})", Severity.WARNING) for number in range(8)]
    counted = ", ".join(f"MORE_{number} 1" for number in range(8))
    assert told == [
        ("Noted. (NOTE)", Severity.INFO),
        ("Page 1: Odd. (ODD)", Severity.WARNING),
        *more,
        (f"25 issues: ODD 3, NOTE 2, {counted}, and 12 more.", Severity.WARNING),
    ]


async def test_the_end_of_a_log_is_whole_lines_of_at_most_so_many_bytes(world: World) -> None:
    id, other, silent = await world.create(), await world.create(), await world.job(JobStatus.NEW)
    for number in range(5):
        async with transaction(world.database) as work:
            note = Note(EventKind.LOG, f"Nümber {number}.", Severity.WARNING)
            await events.change(work, world.bell, id, note=note, status=JobStatus.PENDING)
    async with reading(world.database) as session:
        text = await log.whole(session, id)
        ends = {
            most: (await log.tails(session, [id], tail_bytes=most))[id]
            for most in (len(text), len(text) - 1, 120, 44, 43, 1)
        }
        together = await log.tails(session, [id, silent, other], tail_bytes=10_000)
    lines = text.decode().splitlines(keepends=True)
    assert [len(line.encode()) for line in lines] == [52, *[44] * 5]
    assert ends == {
        len(text): "".join(lines),
        len(text) - 1: "".join(lines[1:]),
        120: "".join(lines[-2:]),
        44: lines[-1],
        43: "",
        1: "",
    }
    assert together[id] == text.decode()
    assert together[silent] is None
    assert (together[other] or "").endswith(" INFO The job was accepted.\n")


@pytest.mark.parametrize("most", [0, -1, 1024 * 1024 + 1])
def test_more_than_a_mebibyte_of_a_log_is_not_given_at_once(most: int) -> None:
    log.check_tail(1024 * 1024)
    with pytest.raises(InvalidInput) as refused:
        log.check_tail(most)
    assert [(error.loc, error.type) for error in refused.value.errors] == [
        (("tailBytes",), "out_of_range")
    ]
