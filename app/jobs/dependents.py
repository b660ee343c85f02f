"""Jobs that come after others: they wait, go when those are done, and fail when those do not.

All of it happens in the transaction that ends the job they wait for. Locks are taken along the
arrows: a job before those that come after it, children before the conditional job they belong to.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from sqlalchemy import bindparam, update
from sqlalchemy.orm import aliased
from sqlmodel import col, exists, select

from app.accounts.caller import Caller
from app.clock import now
from app.db.batches import batches
from app.db.work import ReadSession, Work
from app.errors import FieldError, InvalidInput, NotFound
from app.failures import ErrorCode
from app.jobs import events, families
from app.jobs.events import Note
from app.jobs.models import MAX_DOCUMENTS, Job, JobDocument
from app.jobs.queue import Doorbell
from app.jobs.states import OPEN, JobStatus
from app.jobs.supply import Demand, demand_of, give, produces_documents, supply
from app.jobs.types import EventKind, JobOutcome, JobType, Severity

if TYPE_CHECKING:
    from sqlalchemy import Table


async def prerequisite(work: Work, *, caller: Caller, job_id: UUID) -> Job:
    """Return the job that a new one is to come after; it neither ends nor goes before the commit.

    Raises:
        NotFound: there is none.
    """
    job = (await prerequisites(work, caller=caller, job_ids={job_id})).get(job_id)
    if job is None:
        raise NotFound("job", str(job_id))
    return job


async def prerequisites(
    work: Work, *, caller: Caller, job_ids: Collection[UUID]
) -> dict[UUID, Job]:
    """Return those of the jobs that are there, each held like one."""
    there: dict[UUID, Job] = {}
    for batch in batches(sorted(job_ids)):
        statement = (
            select(Job)
            .where(col(Job.id).in_(batch), Job.application_id == caller.application_id)
            .order_by(col(Job.number))
            .with_for_update(read=True)
            .execution_options(populate_existing=True)
        )
        there |= {job.id: job for job in await work.session.exec(statement)}
    return there


async def found(work: Work, job_id: UUID) -> Job | None:
    """Return a job, held like a prerequisite; None where it is gone."""
    return await work.session.get(
        Job, job_id, with_for_update={"read": True}, populate_existing=True
    )


async def supply_first(work: Work, bell: Doorbell, child: Job, *, before_id: UUID) -> None:
    """Give the first job of a rule the documents that carry its tag, or fail it."""
    name = await _name_of(work, before_id)
    await ended(work, bell, *await _hand_on(work, bell, name, [child]))


def check_supply(before: Job, *, tag: str | None, loc: str = "documentIds") -> None:
    """Do nothing where a job without documents may find some when it comes after this one.

    Raises:
        InvalidInput: it never will.
    """
    if tag is None and not produces_documents(before.type):
        message = f"A {before.type} job produces no documents; name those to work on."
        raise InvalidInput(FieldError((loc,), message, "missing"))


async def attach(work: Work, bell: Doorbell, job: Job, before: Job | None) -> None:
    """Have a job that was just made or started wait for another one, or do what its end means.

    before: None where it is gone.
    """
    if before is not None and before.status in OPEN:
        job.waits_for_job = True
        await work.session.flush()
        return
    failed: list[Job] = []
    if before is None:
        failed = await _fail(work, bell, {job.id: _why(str(job.execute_after_id), "was deleted")})
    elif before.status is not JobStatus.COMPLETED:
        failed = await _fail(work, bell, {job.id: _why(_name(before), _end(before))})
    elif job.status is JobStatus.PENDING and await _without_documents(work, [job.id]):
        failed = await _hand_on(work, bell, _name(before), [job])
    await ended(work, bell, *failed)


async def ended(work: Work, bell: Doorbell, *jobs: Job) -> None:
    """Do what the end of these jobs does to others, and what that does to others in turn."""
    pending = list(jobs)
    while pending:
        done = [job for job in pending if job.status is JobStatus.COMPLETED]
        lost = [job for job in pending if job.status is not JobStatus.COMPLETED]
        failed = await _fail_all(work, bell, {job.id: (job, _end(job)) for job in lost})
        following = [each for job in done for each in await _release(work, bell, job)]
        following += await families.settle(work, bell, [*pending, *failed])
        pending = following


async def deleted(
    work: Work, bell: Doorbell, jobs: Sequence[Job], *, stopped: Sequence[Job]
) -> None:
    """Fail what still needs jobs that are being deleted; stopped: those that were open."""
    failed = await _fail_all(work, bell, {job.id: (job, "was deleted") for job in jobs})
    await ended(work, bell, *await families.settle(work, bell, [*stopped, *failed]))


async def newest_retry(session: ReadSession, job_id: UUID) -> UUID:
    """Return the newest job that repeats this one, or repeats one that does; else the job itself.

    What waits for a job that is repeated waits for this one when it is repeated itself.
    """
    retries = select(col(Job.id), col(Job.number)).where(col(Job.id) == job_id)
    tree = retries.cte("retries", recursive=True)
    again = aliased(Job)
    tree = tree.union(
        select(col(again.id), col(again.number)).where(col(again.retry_of_id) == tree.c.id)
    )
    statement = select(tree.c.id).order_by(tree.c.number.desc()).limit(1)
    return (await session.exec(statement)).first() or job_id


async def _release(work: Work, bell: Doorbell, before: Job) -> list[Job]:
    """Let go what waited for a job that is done; return what failed because it got nothing."""
    waiting = await _locked(
        work,
        select(Job).where(
            col(Job.execute_after_id) == before.id,
            col(Job.waits_for_job),
            col(Job.status).in_(OPEN),
        ),
    )
    note = Note(EventKind.LOG, f"{_name(before)} is done.")
    released: dict[JobStatus, list[Job]] = {}
    for status in (JobStatus.NEW, JobStatus.PENDING):
        notes = {job.id: note for job in waiting if job.status is status}
        released[status] = await events.change_together(
            work, bell, notes, status=status, waits_for_job=False, due_at=now()
        )
    pending = released[JobStatus.PENDING]
    for job in pending:
        if not job.waits_for_data:
            work.after_commit(partial(bell.ring, job.id))
    needy = await _without_documents(work, [job.id for job in pending])
    return await _hand_on(work, bell, _name(before), [job for job in pending if job.id in needy])


async def _hand_on(work: Work, bell: Doorbell, name: str, jobs: Sequence[Job]) -> list[Job]:
    """Give jobs the documents that they get from a job that is done; return what got none."""
    by_demand: dict[Demand, list[Job]] = {}
    for job in jobs:
        by_demand.setdefault(await demand_of(work, job), []).append(job)
    failed: list[Job] = []
    for demand, wanting in by_demand.items():
        ids = [job.id for job in wanting]
        documents = await supply(work, demand)
        if not 0 < len(documents) <= MAX_DOCUMENTS:
            source = name if demand.tag is None else await _name_of(work, demand.origin_id)
            reason = _no_supply(source, demand, len(documents))
            failed += await _fail(work, bell, dict.fromkeys(ids, reason))
            continue
        await give(work, ids, documents)
        size = sum(document.size or 0 for document in documents)
        await work.session.exec(
            update(Job)
            .where(col(Job.id).in_(ids))
            .values(total_size=size)
            .execution_options(synchronize_session=False)
        )
    return failed


async def _fail_all(work: Work, bell: Doorbell, roots: Mapping[UUID, tuple[Job, str]]) -> list[Job]:
    """Fail everything that needs these jobs, and what needs that; return what failed.

    roots: each job with what became of it.
    """
    found: dict[UUID, Job] = {}
    seen: set[UUID] = set()
    while grown := [id for id in await _needing(work, list(roots)) if id not in seen]:
        seen |= set(grown)
        # Once they are locked nothing new can come after them; what did before is found next time.
        for batch in batches(grown):
            rows = await _locked(work, select(Job).where(col(Job.id).in_(batch)))
            found |= {job.id: job for job in rows}
    return await _fail(work, bell, _reasons(roots, list(found.values())))


def _reasons(roots: Mapping[UUID, tuple[Job, str]], jobs: Sequence[Job]) -> dict[UUID, str]:
    """Return why each of these jobs fails: what it comes after, and the root of it all."""
    following: dict[UUID | None, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.status in OPEN:
            following[job.execute_after_id].append(job)
    reasons: dict[UUID, str] = {}
    front = [(cause, _why(_name(cause), end), cause, end) for cause, end in roots.values()]
    while front:
        above, reason, cause, end = front.pop()
        for job in following.pop(above.id, ()):
            reasons[job.id] = reason
            further = _why(_name(job), f"failed, because {_name(cause)} {end}")
            front.append((job, further, cause, end))
    return reasons


async def _needing(work: Work, roots: Sequence[UUID]) -> Sequence[UUID]:
    """Return the jobs that cannot go on without these, and those that wait for them, in order."""
    if not roots:
        return ()
    first = (
        select(col(Job.id).label("id"), col(Job.number).label("number"))
        .where(
            col(Job.execute_after_id).in_(roots),
            col(Job.status).in_(OPEN),
            col(Job.waits_for_job)
            | ((col(Job.status) == JobStatus.NEW) & ~_has_documents())
            | ((col(Job.type) == JobType.CONDITIONAL) & (col(Job.status) != JobStatus.PROCESSING)),
        )
        .cte("needing", recursive=True)
    )
    further = (
        select(col(Job.id), col(Job.number))
        .join(first, col(Job.execute_after_id) == first.c.id)
        .where(col(Job.status).in_(OPEN), col(Job.waits_for_job))
    )
    tree = first.union_all(further)
    return (await work.session.exec(select(tree.c.id).order_by(tree.c.number))).all()


async def _locked(work: Work, jobs: Any) -> Sequence[Job]:  # noqa: ANN401 - a select
    """Return jobs as they are now, locked in the order of their making."""
    statement = (
        jobs.order_by(col(Job.number)).with_for_update().execution_options(populate_existing=True)
    )
    rows: Sequence[Job] = (await work.session.exec(statement)).all()
    return rows


async def _fail(work: Work, bell: Doorbell, reasons: Mapping[UUID, str]) -> list[Job]:
    """Fail jobs that have not run for these reasons; return those that had not ended before."""
    notes = {id: Note(EventKind.STATUS, reason, Severity.ERROR) for id, reason in reasons.items()}
    failed = await events.move_together(
        work,
        bell,
        notes,
        to=JobStatus.FAILED,
        outcome=JobOutcome.ERROR,
        error_code=ErrorCode.DEPENDENCY,
        message=None,
        waits_for_job=False,
    )
    for job in failed:
        job.error_message = reasons[job.id]
    await work.session.flush()
    documents = cast("Table", JobDocument.__table__)  # type: ignore[attr-defined]
    statement = (
        documents.update()
        .where(documents.c.job_id == bindparam("job"), documents.c.status == JobStatus.PENDING)
        .values(
            status=JobStatus.FAILED,
            checkpoint=None,
            failure_code=ErrorCode.DEPENDENCY,
            failure_message=bindparam("why"),
        )
    )
    if failed:
        rows = [{"job": job.id, "why": job.error_message} for job in failed]
        await (await work.session.connection()).execute(statement, rows)
    return failed


async def _without_documents(work: Work, ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these jobs are to get their documents from another one."""
    found: set[UUID] = set()
    for batch in batches(ids):
        statement = select(Job.id).where(
            col(Job.id).in_(batch),
            col(Job.type) != JobType.CONDITIONAL,
            ~_has_documents(),
        )
        found |= set(await work.session.exec(statement))
    return found


def _has_documents() -> Any:  # noqa: ANN401 - a condition
    return exists().where(col(JobDocument.job_id) == col(Job.id))


def _no_supply(name: str, demand: Demand, count: int) -> str:
    if count:
        return f"{name} gives {count} documents, and a job takes {MAX_DOCUMENTS} at most."
    if demand.tag is not None:
        return f"No document made of those of {name} has the tag {demand.tag!r}."
    pages = "" if demand.page_slice is None else " that pageSlice means"
    return f"{name} produced no documents{pages}."


def _why(name: str, end: str) -> str:
    return f"{name}, which this job was to come after, {end}."


async def _name_of(work: Work, job_id: UUID) -> str:
    job = await work.session.get(Job, job_id)
    return str(job_id) if job is None else _name(job)


def _name(job: Job) -> str:
    return f"{job.name!r} ({job.id})"


def _end(job: Job) -> str:
    return "was canceled" if job.status is JobStatus.CANCELED else "failed"
