"""A job from its draft to the queue: create, add data, start; each one transaction with its events.

Documents are held before the job: an upload that completes holds its document and then looks for
the jobs that wait for it. The application is held after them, or, with an idempotency key, before:
nobody who holds documents for himself alone asks for the application.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlmodel import func, select

from app.accounts.caller import Caller
from app.clock import now
from app.db.columns import new_id
from app.db.work import Work
from app.documents import commands as files
from app.documents.content import Stored
from app.documents.models import Document, DocumentStatus
from app.errors import AppError, FieldError, InvalidInput, JobStarted, NotFound
from app.jobs import dependents, events, limits, patience, supply
from app.jobs.commands import find
from app.jobs.events import Note
from app.jobs.models import MAX_DOCUMENTS, Job, JobDocument
from app.jobs.options import Task, resolved, to_json, type_of
from app.jobs.queue import Doorbell
from app.jobs.states import FINISHED, OPEN, JobStatus
from app.jobs.types import EventKind, JobPriority

AT_ONCE = 100
"""Jobs that are stored together: whoever else the process serves waits so long."""


@dataclass(frozen=True, slots=True)
class GivenDocument:
    """A document for a job. `owned`: it came with the job, and goes with it.

    options: its own, as they are kept in the row. stored: its bytes, where they came with the job:
    they make it a document where the job is made.
    """

    id: UUID
    owned: bool = False
    options: Sequence[Mapping[str, Any]] = ()
    stored: Stored | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job that is asked for.

    start: False for a draft, which takes data until it is started or `draft_lifetime` is over.
    queue_timeout: the longest wait for a worker; None for as long as it takes.
    execute_after_id: the job that has to be COMPLETED first; without documents the new one works on
    what that one produced, or, with `input_tag`, on what was made of its documents and has the tag.
    page_slice: the pages to work on, None for all.
    """

    task: Task
    documents: Sequence[GivenDocument]
    timeout: timedelta
    max_attempts: int
    ttl: timedelta
    start: bool = True
    draft_lifetime: timedelta = timedelta(days=1)
    queue_timeout: timedelta | None = None
    name: str | None = None
    group_id: str | None = None
    priority: JobPriority = JobPriority.NORMAL
    workflow: str | None = None
    profile: str | None = None
    options: Sequence[Mapping[str, Any]] = field(default=())
    execute_after_id: UUID | None = None
    input_tag: str | None = None
    output_tags: Sequence[str] = ()
    page_slice: str | None = None
    submitter_ip: str | None = None


Unstored = tuple[Job, JobRequest, str]
"""A job that is to be stored, and what its first event says."""


async def create(work: Work, bell: Doorbell, *, caller: Caller, request: JobRequest) -> Job:
    """Make a job that waits for a worker, or a draft that takes more data.

    Raises:
        InvalidInput: no document, too many, or one of them twice.
        NotFound: a document is not there.
        TooManyJobs: the application has no room for another open job.
    """
    (made,) = await create_all(work, bell, caller=caller, requests=[request])
    if isinstance(made, AppError):
        raise made
    return made


async def create_all(
    work: Work, bell: Doorbell, *, caller: Caller, requests: Sequence[JobRequest]
) -> list[Job | AppError]:
    """Make jobs as `create` does, each by itself: of each request the job, or why it is refused.

    In their order; but what they need is read, and what they are is stored, for many at once.
    """
    if not requests:
        return []
    ids = {document.id for request in requests for document in request.documents}
    found = await files.hold(work, ids, application_id=caller.application_id)
    made: list[Job | AppError] = []
    unstored: list[Unstored] = []
    async with limits.admission(work, caller.application_id, jobs=len(requests)) as room:
        after = {each.execute_after_id for each in requests if each.execute_after_id is not None}
        befores = await dependents.prerequisites(work, caller=caller, job_ids=after)
        for request in requests:
            try:
                job, before = _new(request, found, befores, room, caller)
            except AppError as refusal:
                made.append(refusal)
                continue
            made.append(job)
            message = "The job was accepted." if request.start else "The draft was made."
            unstored.append((job, request, message))
            at_end = before is not None and not job.waits_for_job
            if at_end or len(unstored) == AT_ONCE:
                await _store(work, bell, unstored, found)
                unstored.clear()
            if at_end:
                await dependents.attach(work, bell, job, before)
                room.left += job.status in FINISHED  # it has failed already
    await _store(work, bell, unstored, found)
    # Also where a job itself is not due: new documents are looked at.
    jobs = [job.id for job in made if isinstance(job, Job)]
    work.after_commit(partial(bell.ring_for, jobs))
    return made


async def create_child(
    work: Work, bell: Doorbell, *, parent: Job, request: JobRequest
) -> tuple[Job, UUID | None]:
    """Make a job of a rule of a conditional job; it counts against no limit, as its parent did.

    A child that comes after another one waits for it; the first one may have to be given documents
    yet. Returned with it is the id of a document that is gone, None where all are there.
    """
    ids = {each.id for each in request.documents}
    found = await files.hold(work, ids, application_id=parent.application_id)
    gone = next((each.id for each in request.documents if each.id not in found), None)
    request = replace(request, documents=[each for each in request.documents if each.id in found])
    number = await limits.next_number(work, parent.application_id)
    job = _row(
        request, number, application_id=parent.application_id, submitter_id=parent.submitter_id
    )
    job.parent_id = parent.id
    job.waits_for_job = request.execute_after_id is not None
    message = f"The job was made by {parent.name!r} ({parent.id})."
    await _store(work, bell, [(job, request, message)], found)
    _ring_if_due(work, bell, job)
    return job, gone


async def add_data(
    work: Work,
    bell: Doorbell,
    *,
    caller: Caller,
    job_id: UUID,
    documents: Sequence[GivenDocument],
) -> Job:
    """Add documents to a draft, after those it has.

    Raises:
        NotFound: there is no such job, or no such document.
        JobStarted: it is a draft no more.
        InvalidInput: no document, too many, or one that the job has already; or it finds them by a
            tag.
    """
    check_some(len(documents), "data")
    ids = {each.id for each in documents}
    held = await files.hold(work, ids, application_id=caller.application_id)
    _check_documents(documents, held)
    job = await find(work, caller=caller, job_id=job_id)
    if job.status is not JobStatus.NEW:
        raise JobStarted(job.id)
    if job.input_tag is not None:
        message = "The job finds its documents by its inputTag; it takes no others."
        raise InvalidInput(FieldError(("data",), message, "mixed"))
    statement = select(JobDocument.document_id).where(JobDocument.job_id == job_id)
    had = (await work.session.exec(statement)).all()
    check_count(len(had) + len(documents), "data")
    if set(had) & {document.id for document in documents}:
        raise _twice("data")
    await _complete(work, documents)
    await supply.add(work, _job_documents(job_id, documents, position=len(had)))
    found = [held[each.id] for each in documents]
    names = ", ".join(repr(document.filename) for document in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > len(found[:3]) else ""
    changed = await events.change(
        work,
        bell,
        job_id,
        status=JobStatus.NEW,
        note=Note(EventKind.LOG, f"Data was added: {names}{more}."),
        total_size=Job.total_size + sum(document.size or 0 for document in found),
        waits_for_data=job.waits_for_data
        or any(document.status is DocumentStatus.NEW for document in found),
    )
    work.after_commit(lambda: bell.ring(job_id))  # new documents are looked at
    return changed or job


async def start(work: Work, bell: Doorbell, *, caller: Caller, job_id: UUID) -> Job:
    """Put a draft into the queue.

    Raises:
        NotFound: there is no such job.
        JobStarted: it is a draft no more.
        InvalidInput: it has no data.
    """
    seen = await work.session.get(Job, job_id)
    before_id = None if seen is None else seen.execute_after_id
    # First the other job, then this one: so goes the order of locks.
    before = None if before_id is None else await dependents.found(work, before_id)
    job = await find(work, caller=caller, job_id=job_id)
    if job.status is not JobStatus.NEW:
        raise JobStarted(job.id)
    count = select(func.count()).where(JobDocument.job_id == job_id)
    given = (await work.session.exec(count)).one()
    if before_id is None:
        check_some(given, "id")
    elif before is not None and not given:
        dependents.check_supply(before, tag=job.input_tag, loc="id")
    moment = now()
    started = await events.move(
        work,
        bell,
        job_id,
        to=JobStatus.PENDING,
        note=Note(EventKind.STATUS, "The job was started."),
        queued_at=moment,
        due_at=moment,
        give_up_at=patience.until(moment, job.queue_timeout_seconds),
    )
    if started is None:
        raise JobStarted(job.id)
    if before_id is not None and (started.waits_for_job or not given):
        await dependents.attach(work, bell, started, before)
    _ring_if_due(work, bell, started)
    return started


def check_some(documents: int, loc: str = "documentIds") -> None:
    """Do nothing where a job that starts has documents, and not too many.

    Raises:
        InvalidInput: it has none, or too many.
    """
    if not documents:
        raise InvalidInput(FieldError((loc,), "A job needs at least one document.", "missing"))
    check_count(documents, loc)


def check_count(documents: int, loc: str = "documentIds") -> None:
    """Do nothing where a job may have so many documents.

    Raises:
        InvalidInput: they are too many.
    """
    if documents > MAX_DOCUMENTS:
        message = f"A job may have at most {MAX_DOCUMENTS} documents."
        raise InvalidInput(FieldError((loc,), message, "too_long"))


def _new(
    request: JobRequest,
    found: Mapping[UUID, Document],
    befores: Mapping[UUID, Job],
    room: limits.Room,
    caller: Caller,
) -> tuple[Job, Job | None]:
    """Return a job that may be made, and the one that it comes after."""
    if request.start and request.execute_after_id is None:
        check_some(len(request.documents))
    _check_documents(request.documents, found)
    with room.number() as number:
        before = _before(request, befores)
    job = _row(
        request, number, application_id=caller.application_id, submitter_id=caller.api_key_id
    )
    job.waits_for_job = before is not None and before.status in OPEN
    return job, before


def _before(request: JobRequest, befores: Mapping[UUID, Job]) -> Job | None:
    """Return the job that a new one is to come after."""
    if request.execute_after_id is None:
        return None
    before = befores.get(request.execute_after_id)
    if before is None:
        raise NotFound("job", str(request.execute_after_id))
    if request.start and not request.documents:
        dependents.check_supply(before, tag=request.input_tag)
    return before


async def _store(
    work: Work, bell: Doorbell, jobs: Sequence[Unstored], found: Mapping[UUID, Document]
) -> None:
    rows: list[dict[str, Any]] = []
    for job, request, _ in jobs:
        given = request.documents
        await _complete(work, given)
        own = [found[each.id] for each in given]
        job.total_size = sum(document.size or 0 for document in own)
        job.waits_for_data = any(document.status is DocumentStatus.NEW for document in own)
        rows += _job_documents(job.id, given, position=0)
    await events.first(work, bell, [(job, message) for job, _, message in jobs])
    await supply.add(work, rows)


async def _complete(work: Work, documents: Sequence[GivenDocument]) -> None:
    """Make those documents whose bytes came with the request; they are held."""
    for each in documents:
        if each.stored is not None:
            await files.complete(work, each.id, each.stored)


def _ring_if_due(work: Work, bell: Doorbell, job: Job) -> None:
    job_id = job.id
    if job.status is JobStatus.PENDING and not (job.waits_for_data or job.waits_for_job):
        work.after_commit(lambda: bell.ring(job_id))


def _row(
    request: JobRequest, number: int, *, application_id: UUID, submitter_id: UUID | None
) -> Job:
    moment = now()
    type = type_of(request.task)
    wait = request.queue_timeout
    waits = None if wait is None else round(wait.total_seconds())
    until = patience.until(moment, waits) if request.start else moment + request.draft_lifetime
    return Job(
        id=new_id(),
        application_id=application_id,
        number=number,
        name=request.name or f"{type} {number}",
        group_id=request.group_id,
        type=type,
        status=JobStatus.PENDING if request.start else JobStatus.NEW,
        settings=to_json(resolved(request.task)),
        workflow=request.workflow,
        profile=request.profile,
        options=[dict(option) for option in request.options],
        priority=request.priority,
        max_attempts=request.max_attempts,
        queued_at=moment if request.start else None,
        due_at=moment,
        give_up_at=until,
        queue_timeout_seconds=waits,
        timeout_seconds=round(request.timeout.total_seconds()),
        ttl_seconds=round(request.ttl.total_seconds()),
        execute_after_id=request.execute_after_id,
        input_tag=request.input_tag,
        output_tags=list(request.output_tags),
        page_slice=request.page_slice,
        submitter_id=submitter_id,
        submitter_ip=request.submitter_ip,
        created_at=moment,
        updated_at=moment,
    )


def _job_documents(
    job_id: UUID, documents: Iterable[GivenDocument], *, position: int
) -> list[dict[str, Any]]:
    return [
        supply.new_row(job_id, each.id, position=place, owned=each.owned, options=each.options)
        for place, each in enumerate(documents, position)
    ]


def _check_documents(given: Sequence[GivenDocument], found: Mapping[UUID, Document]) -> None:
    check_count(len(given))
    ids = [each.id for each in given]
    if len(set(ids)) < len(ids):
        raise _twice("documentIds")
    for id in ids:
        if id not in found:
            raise NotFound("document", str(id))


def _twice(loc: str) -> InvalidInput:
    return InvalidInput(FieldError((loc,), "A document stands in the list twice.", "repeated"))
