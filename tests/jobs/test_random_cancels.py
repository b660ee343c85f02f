"""Cancels, deletions and retries at random moments of jobs with two levels of dependents.

    pytest tests/jobs/test_random_cancels.py                               50 rounds
    CANCEL_ROUNDS=1000 pytest tests/jobs/test_random_cancels.py --timeout 0  a thousand

Several families of jobs live at once, and several workers work on them; all that is done to them
falls between any two of their steps. What is left is judged by tests/history.py.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import history
import pytest
from history import Answer, Call, History, JobFacts, Kind, Part, Reference
from sqlmodel import col, select
from world import World

from app.clock import now
from app.db.work import Work, reading, transaction
from app.documents.models import Document, DocumentStatus
from app.errors import AlreadyRetried, NotFound, NothingToRetry, PrerequisiteFailed
from app.failures import ErrorCode, Failure
from app.jobs import commands, conditionals, deletions, recording, retries
from app.jobs.conditionals import ConditionalRequest, Rule
from app.jobs.creation import GivenDocument, JobRequest
from app.jobs.models import Job, JobDocument, JobEvent, Segment
from app.jobs.options import SegmentOptions
from app.jobs.queries import open_jobs
from app.jobs.runs import Run, RunLost
from app.jobs.states import JobStatus
from app.jobs.types import JobType

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("CANCEL_ROUNDS", "50"))
AT_ONCE, WORKERS = 5, 4
RULES = 4
"""The place of the conditional job in its family."""
STEPS_A_FAMILY = 40
"""Steps that workers make for one family, about."""
BROKEN = Failure(ErrorCode.CORRUPT, "It is broken.")


@dataclass
class Play:
    """Families of jobs, what was done to them, and how many steps the workers have made."""

    world: World
    dice: random.Random
    good: UUID
    bad: UUID
    calls: list[Call] = field(default_factory=list)
    steps: int = 0
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    over: bool = False

    async def step(self) -> None:
        """Let whoever waits for this moment go."""
        async with self.moved:
            self.steps += 1
            self.moved.notify_all()

    async def until(self, steps: int) -> None:
        """Wait for a moment; not longer than there is work."""
        async with self.moved:
            await self.moved.wait_for(lambda: self.over or self.steps >= steps)

    def note(self, kind: Kind, name: str, job_id: UUID, *files: str, changed: bool = False) -> None:
        call = Call(
            kind=kind,
            answer=Answer.OK,
            at=now(),
            name=name,
            job_id=str(job_id),
            files=files,
            changed=changed,
        )
        self.calls.append(call)


@pytest.mark.timeout(300 + 15 * ROUNDS)
async def test_the_history_holds_whatever_is_canceled_whenever(world: World) -> None:
    seed = random.SystemRandom().randrange(2**32)
    play = Play(
        world,
        random.Random(seed),  # noqa: S311 - moments, no secrets
        await document(world, "good", "a" * 64),
        await document(world, "bad", "b" * 64),
    )
    for first in range(0, ROUNDS, AT_ONCE):
        families = [await make_family(play, first + each) for each in range(AT_ONCE)]
        play.over = False
        await asyncio.gather(*(disturb(play, family) for family in families), work(play))
        await work(play)  # some jobs may have been retried when all had ended
    assert (await open_ids(play)) == []
    assert history.check(await told(play)) == [], f"seed {seed}"


async def document(world: World, filename: str, sha256: str) -> UUID:
    async with transaction(world.database) as work:
        row = Document(
            application_id=world.caller.application_id,
            filename=filename,
            status=DocumentStatus.PROCESSED,
            size=1,
            sha256=sha256,
        )
        work.session.add(row)
    return row.id


async def make_family(play: Play, number: int) -> list[UUID]:
    """Make a job, two that come after it, one after those; and a conditional one with another."""
    made: list[UUID] = []
    for name, above in (("root", None), ("b1", 0), ("b2", 0), ("c1", 1)):
        before = None if above is None else made[above]
        made.append(await make(play, f"{number} {name}", before))
    made.append(await make_conditional(play, f"{number} rules", made[0]))
    made.append(await make(play, f"{number} last", made[-1]))
    return made


async def make(play: Play, name: str, before: UUID | None) -> UUID:
    file = play.dice.choices(("good", "bad"), (9, 1))[0]
    id = await play.world.create(
        play.good if file == "good" else play.bad, name=name, execute_after_id=before
    )
    play.note(Kind.CREATE, name, id, file)
    return id


async def make_conditional(play: Play, name: str, before: UUID) -> UUID:
    def job(document_id: UUID) -> JobRequest:
        return JobRequest(
            task=SegmentOptions(),
            documents=[GivenDocument(document_id)],
            timeout=timedelta(minutes=1),
            max_attempts=3,
            ttl=timedelta(days=1),
        )

    chain = [job(play.dice.choice((play.good, play.bad))), job(play.good)]
    request = ConditionalRequest(
        execute_after_id=before,
        rules=[
            Rule("always", {}, chain, [{}]),
            Rule("also", {"segmentCount": {"$gte": 1}}, [job(play.good)], [{}]),
            Rule("never", {"segmentCount": 99}, [job(play.good)], [{}]),
        ],
        timeout=timedelta(minutes=1),
        max_attempts=3,
        ttl=timedelta(days=1),
        name=name,
    )
    world = play.world
    async with transaction(world.database) as work:
        row = await conditionals.create(work, world.bell, caller=world.caller, request=request)
    play.note(Kind.CREATE, name, row.id)
    return row.id


async def disturb(play: Play, family: list[UUID]) -> None:
    """Cancel, delete or retry some jobs of a family, each at a moment of its own."""
    rules = family[RULES]
    for _ in range(play.dice.choice((1, 1, 2, 3))):
        steps = play.dice.randrange(STEPS_A_FAMILY * AT_ONCE)
        await play.until(play.steps + steps)
        victim = play.dice.choice([*family, *await children_of(play, rules)])
        (what,) = play.dice.choices((cancel, delete, retry), (4, 1, 2))
        family += await what(play, victim)


async def cancel(play: Play, id: UUID) -> list[UUID]:
    world = play.world
    try:
        async with transaction(world.database) as work:
            row, changed = await commands.cancel(work, world.bell, caller=world.caller, job_id=id)
            name = row.name
    except NotFound:
        return []
    play.note(Kind.CANCEL, name, id, changed=changed)
    return []


async def delete(play: Play, id: UUID) -> list[UUID]:
    world = play.world
    try:
        async with transaction(world.database) as work:
            gone = await deletions.delete(
                work, world.bell, caller=world.caller, job_id=id, store=world.store
            )
    except NotFound:
        return []
    for each in gone.job_ids:
        play.note(Kind.DELETE, "gone", each)
    return []


async def retry(play: Play, id: UUID) -> list[UUID]:
    """Repeat a job, under a name of its own; return it where that can be."""
    world = play.world
    try:
        async with transaction(world.database) as work:
            row = await retries.retry(work, world.bell, caller=world.caller, job_id=id)
            row.name = name = f"{row.name} as {row.number}"
            statement = select(Document.filename).join(JobDocument)
            files = (await work.session.exec(statement.where(JobDocument.job_id == row.id))).all()
    except (NotFound, NothingToRetry, AlreadyRetried, PrerequisiteFailed):
        return []
    play.note(Kind.CREATE, name, row.id, *files)
    return [row.id]


async def work(play: Play) -> None:
    """Work until every job has ended."""
    while await open_ids(play):
        await asyncio.gather(*(worker(play) for _ in range(WORKERS)))
    play.over = True
    await play.step()


async def worker(play: Play) -> None:
    while (run := await play.world.claim()) is not None:
        await play.step()
        try:
            await do(play, run)
        except RunLost:
            continue


async def do(play: Play, run: Run) -> None:
    world = play.world
    if run.type is JobType.CONDITIONAL:
        async with reading(world.database) as session:
            judge = await conditionals.judging(session, run)
        await play.step()
        async with transaction(world.database) as work:
            await conditionals.carry_out(work, world.bell, run, judge())
        return
    (document,) = run.documents
    if document.filename == "good":
        await world.record(run, 1, total=1)
    await play.step()
    async with transaction(world.database) as work:
        await finish(work, play, run)
    await play.step()


async def finish(work: Work, play: Play, run: Run) -> None:
    (document,) = run.documents
    failure = None if document.filename == "good" else BROKEN
    await recording.end_document(work, play.world.bell, run, document, failure)
    await recording.finish(work, play.world.bell, run)


async def open_ids(play: Play) -> list[UUID]:
    application_id = play.world.caller.application_id
    async with reading(play.world.database) as session:
        count = (await open_jobs(session, [application_id]))[application_id]
        return [application_id] * count


async def children_of(play: Play, id: UUID) -> Sequence[UUID]:
    async with reading(play.world.database) as session:
        statement = select(Job.id).where(Job.parent_id == id).order_by(col(Job.number))
        return (await session.exec(statement)).all()


async def told(play: Play) -> History:
    """Return what the rows hold, and what was done."""
    async with reading(play.world.database) as session:
        jobs = (await session.exec(select(Job).order_by(col(Job.number)))).all()
        events: dict[UUID, list[history.Event]] = {}
        for row in await session.exec(select(JobEvent).order_by(col(JobEvent.seq))):
            events.setdefault(row.job_id, []).append(event(row))
        segments: dict[UUID, list[history.Segment]] = {}
        for segment in await session.exec(select(Segment).order_by(col(Segment.ordinal))):
            segments.setdefault(segment.job_id, []).append(piece(segment))
        parts: dict[UUID, list[Part]] = {}
        statement = select(JobDocument, Document).join(Document)
        for entry, document in await session.exec(statement.order_by(col(JobDocument.position))):
            found = segments.get(entry.job_id, ())
            parts.setdefault(entry.job_id, []).append(part(entry, document, found))
    content = next(found for found in segments.values())[0].content
    references = {
        "good": Reference(
            sha256="a" * 64,
            real_pages=1,
            status=JobStatus.COMPLETED,
            failure=None,
            pages=1,
            segments=(content,),
        ),
        "bad": Reference(
            sha256="b" * 64,
            real_pages=None,
            status=JobStatus.FAILED,
            failure="CORRUPT",
            pages=0,
            segments=(),
        ),
    }
    there = {job.id for job in jobs}
    return History(
        limit=timedelta(hours=1),
        grace=timedelta(seconds=5),
        lifted_at=now(),
        quiet_at=now(),
        calls=play.calls,
        jobs=[facts(job, parts.get(job.id, []), events[job.id]) for job in jobs],
        ghosts={str(id): tuple(found) for id, found in events.items() if id not in there},
        references=references,
    )


def facts(job: Job, parts: Sequence[Part], events: Sequence[history.Event]) -> JobFacts:
    return JobFacts(
        id=str(job.id),
        name=job.name,
        status=job.status,
        outcome=job.outcome,
        attempt=job.attempt,
        charged_attempts=job.charged_attempts,
        timeout=timedelta(seconds=job.timeout_seconds),
        duration=timedelta(milliseconds=job.duration_ms or 0),
        result=job.result if isinstance(job.result, dict) else None,
        parts=tuple(parts),
        events=tuple(events),
        lease_until=job.lease_until,
        type=job.type,
        error=job.error_code,
        error_message=job.error_message,
        execute_after_id=None if job.execute_after_id is None else str(job.execute_after_id),
        parent_id=None if job.parent_id is None else str(job.parent_id),
    )


def event(row: JobEvent) -> history.Event:
    return history.Event(
        seq=row.seq,
        kind=row.kind,
        status=row.status,
        at=row.at,
        progress=row.progress,
        message=row.message,
    )


def piece(row: Segment) -> history.Segment:
    return history.Segment(
        ordinal=row.ordinal, key=row.key, body=row.body, created_at=row.created_at
    )


def part(row: JobDocument, document: Document, segments: Sequence[history.Segment]) -> Part:
    return Part(
        document_id=str(document.id),
        file=document.filename,
        sha256=document.sha256,
        status=row.status,
        failure=row.failure_code,
        segments=tuple(segments),
    )
