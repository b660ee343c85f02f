"""A conditional job and its children: it ends when the last of them does, and takes them along."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlmodel import col, func, select, update

from app.db.work import Work
from app.failures import ErrorCode
from app.jobs import events, production
from app.jobs.events import Note
from app.jobs.models import Job, JobDocument
from app.jobs.queue import Doorbell
from app.jobs.states import OPEN, JobStatus
from app.jobs.types import EventKind, JobOutcome, Severity


async def children_of(work: Work, job_id: UUID) -> Sequence[Job]:
    """Return the children of a job as they are now, locked, in the order of their making."""
    statement = (
        select(Job)
        .where(col(Job.parent_id) == job_id)
        .order_by(col(Job.number))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await work.session.exec(statement)).all()


def unjudged(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rules as a conditional job keeps them before they are looked at."""
    return [{**rule, "matched": None, "clauses": [], "jobIds": []} for rule in rules]


async def count(work: Work, job_id: UUID) -> int:
    """Return how many children a job has."""
    return (await work.session.exec(select(func.count()).where(col(Job.parent_id) == job_id))).one()


async def cancel(work: Work, bell: Doorbell, children: Iterable[Job]) -> list[Job]:
    """Cancel those that have not ended; return them. What depends on them is up to the caller."""
    text = "The job was canceled with the conditional job it belongs to."
    canceled = await events.move_together(
        work,
        bell,
        {job.id: Note(EventKind.STATUS, text) for job in children},
        to=JobStatus.CANCELED,
        outcome=JobOutcome.ERROR,
        error_code=ErrorCode.CANCELED,
        error_message=text,
        message=None,
        waits_for_job=False,
    )
    if canceled:
        await stop_work(work, bell, [job.id for job in canceled])
    return canceled


async def stop_work(work: Work, bell: Doorbell, job_ids: Sequence[UUID]) -> None:
    """Do what the work on jobs that were just canceled comes to."""
    await work.session.exec(
        update(JobDocument)
        .where(col(JobDocument.job_id).in_(job_ids), col(JobDocument.status).in_(OPEN))
        .values(status=JobStatus.CANCELED, checkpoint=None)
    )
    for id in job_ids:
        await production.drop_drafts(work, id)
        work.after_commit(partial(bell.cancel, id))


async def settle(work: Work, bell: Doorbell, jobs: Iterable[Job]) -> list[Job]:
    """Tell the conditional jobs of children that ended; return those that ended with them."""
    ended = []
    for parent_id in sorted({job.parent_id for job in jobs if job.parent_id is not None}):
        parent = await work.session.get(
            Job, parent_id, with_for_update=True, populate_existing=True
        )
        if parent is None or parent.status is not JobStatus.PROCESSING:
            continue
        counted = select(func.count(), func.count().filter(col(Job.status).in_(OPEN))).where(
            col(Job.parent_id) == parent_id
        )
        total, still_open = (await work.session.exec(counted)).one()
        if still_open:
            await _progress(work, bell, parent, done=total - still_open, total=total)
        elif (settled := await _end(work, bell, parent)) is not None:
            ended.append(settled)
    return ended


async def _progress(work: Work, bell: Doorbell, parent: Job, *, done: int, total: int) -> None:
    await events.change(
        work,
        bell,
        parent.id,
        note=Note(EventKind.PROGRESS),
        progress=max(parent.progress, min(99, 100 * done // total)),
        message=f"Jobs that have ended: {done} of {total}.",
    )


async def _end(work: Work, bell: Doorbell, parent: Job) -> Job | None:
    """End a conditional job whose children have all ended."""
    # Not locked: they have ended; and who cancels the parent holds some and asks for the others.
    statement = select(Job).where(col(Job.parent_id) == parent.id)
    found = await work.session.exec(statement.execution_options(populate_existing=True))
    rows = {job.id: job for job in found}
    chains = {
        rule["name"]: [rows.get(UUID(id)) for id in rule["jobIds"]]
        for rule in parent.rules or ()
        if rule["matched"]
    }
    good = [chain for chain in chains.values() if all(map(_is_done, chain))]
    if good:
        spotless = len(good) == len(chains) and all(
            job is not None and job.outcome is JobOutcome.SUCCESS for chain in good for job in chain
        )
        return await _move(
            work,
            bell,
            parent,
            to=JobStatus.COMPLETED,
            note=Note(EventKind.STATUS, "The job is done.", Severity.INFO),
            outcome=JobOutcome.SUCCESS if spotless else JobOutcome.WARNING,
            progress=100,
            result=_result(chains),
        )
    code, message = _blame(chains)
    return await _move(
        work,
        bell,
        parent,
        to=JobStatus.FAILED,
        note=Note(EventKind.STATUS, message, Severity.ERROR),
        outcome=JobOutcome.ERROR,
        error_code=code,
        error_message=message,
    )


async def _move(
    work: Work,
    bell: Doorbell,
    parent: Job,
    *,
    to: JobStatus,
    note: Note,
    **values: Any,  # noqa: ANN401 - columns of Job
) -> Job | None:
    """Move without what follows from it: the caller is at that already, for many jobs."""
    moved = await events.move_together(work, bell, {parent.id: note}, to=to, message=None, **values)
    return moved[0] if moved else None


def _is_done(job: Job | None) -> bool:
    return job is not None and job.status is JobStatus.COMPLETED


def _result(chains: Mapping[str, Sequence[Job | None]]) -> dict[str, Any]:
    """Return what came of each rule that held: the results of its jobs, in their order."""
    return {
        name: [
            {"result_type": job.type.value, "result": job.result}
            for job in chain
            if job is not None and _is_done(job)
        ]
        for name, chain in chains.items()
    }


def _blame(chains: Mapping[str, Sequence[Job | None]]) -> tuple[ErrorCode, str]:
    """Return why nothing succeeded: the first job that did not."""
    for chain in chains.values():
        for job in chain:
            if job is None or not _is_done(job):
                cause = "one of its jobs was deleted"
                if job is not None:
                    cause = f"{job.name!r} ({job.id}): {job.error_message or 'it was canceled.'}"
                code = (job and job.error_code) or ErrorCode.CANCELED
                return code, f"No rule that held could be carried out: {cause}"
    return ErrorCode.GENERIC, "No rule that held could be carried out."
