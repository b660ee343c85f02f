"""What callers do to make jobs, in the schema: create, add data, start."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import strawberry

from app.api.context import Context
from app.api.documents import Document
from app.api.durations import seconds, ttl
from app.api.inputs import CreateJobInput, DataInput, plain, text
from app.api.intake import Intake, intake
from app.api.jobs import Job
from app.api.pages import existing_id
from app.api.problems import (
    Conflict,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Problem,
    problem_of,
)
from app.api.vocabulary import JobPriority, JobStatus, Scope
from app.api.workflows import given_options
from app.db.work import Work
from app.documents.commands import MAX_TAG_CHARS, clean_tags
from app.errors import AppError, FieldError, JobStarted
from app.errors import InvalidInput as BadInput
from app.errors import NotFound as NoJob
from app.jobs import creation, given, idempotency, workflows
from app.jobs.creation import GivenDocument, JobRequest
from app.jobs.given import Kept
from app.jobs.idempotency import Fingerprint, Keyed, Made
from app.jobs.options import type_of
from app.jobs.page_slices import PageSlice
from app.jobs.supply import produces_documents
from app.jobs.workflows import Resolved, resolved_of

MAX_JOBS_AT_ONCE = 500
MAX_QUEUE_SECONDS = 365 * 24 * 3600


@strawberry.type(description="The job was accepted.")
class CreateJobSuccess:
    job: Job = strawberry.field(description="The new job.")
    replayed: bool = strawberry.field(
        description="True where an idempotency key brought back a job that was there."
    )

    @classmethod
    def from_made(cls, made: Made) -> Self:
        return cls(job=Job.from_row(made.job), replayed=made.replayed)


@strawberry.type(description="The data was added.")
class AddJobDataSuccess:
    job: Job = strawberry.field(description="The job as it is now.")
    documents: list[Document] = strawberry.field(
        description="The documents that were added, in the order of `data`."
    )


@strawberry.type(description="The job is in the queue.")
class StartJobSuccess:
    job: Job = strawberry.field(description="The job as it is now.")


CreateJobResult = Annotated[
    CreateJobSuccess | InvalidInput | NotFound | Conflict | LimitExceeded | Forbidden,
    strawberry.union("CreateJobResult", description="What came of creating a job."),
]


@strawberry.type(description="The jobs that could be created were.")
class CreateJobsSuccess:
    results: list[CreateJobResult | None] = strawberry.field(
        description="One answer for each input, in the same order."
    )


CreateJobsResult = Annotated[
    CreateJobsSuccess | InvalidInput | LimitExceeded | Forbidden,
    strawberry.union("CreateJobsResult", description="What came of creating many jobs."),
]
AddJobDataResult = Annotated[
    AddJobDataSuccess | InvalidInput | NotFound | Conflict | LimitExceeded | Forbidden,
    strawberry.union("AddJobDataResult", description="What came of adding data to a job."),
]
StartJobResult = Annotated[
    StartJobSuccess | InvalidInput | NotFound | Conflict | LimitExceeded | Forbidden,
    strawberry.union("StartJobResult", description="What came of starting a job."),
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One input of createJob, checked, with its files taken in. keyed: None without a key."""

    request: JobRequest
    taken: Intake
    keyed: Keyed | None


async def create_job(context: Context, input: CreateJobInput) -> CreateJobSuccess:
    """Take in the files of the request, then make the job; a refusal keeps neither."""
    context.caller.require(Scope.WRITE)
    async with intake(context) as taken:
        asked = await _asked(context, input, taken)
        async with context.writing() as work:
            (made,) = await _make(work, context, [asked])
            if isinstance(made, AppError):
                raise made
        if not made.replayed:
            taken.keep()
    return CreateJobSuccess.from_made(made)


async def create_jobs(context: Context, inputs: list[CreateJobInput]) -> CreateJobsSuccess:
    """Make many jobs in one transaction; those that are refused do not stop the others."""
    context.caller.require(Scope.WRITE)
    if len(inputs) > MAX_JOBS_AT_ONCE:
        message = f"At most {MAX_JOBS_AT_ONCE} jobs can be created at once."
        raise BadInput(FieldError(("inputs",), message, "too_long"))
    async with AsyncExitStack() as stack:
        answers: list[_Asked | CreateJobSuccess | Problem] = []
        for input in inputs:
            taken = await stack.enter_async_context(intake(context))
            answers.append(await _asked_or_problem(context, input, taken))
            await asyncio.sleep(0)  # others get a turn between many
        asked = {place: each for place, each in enumerate(answers) if isinstance(each, _Asked)}
        async with context.writing() as work:
            outcomes = await _make(work, context, list(asked.values()))
        for each, made in zip(asked.values(), outcomes, strict=True):
            if isinstance(made, Made) and not made.replayed:
                each.taken.keep()
        for place, made in zip(asked, outcomes, strict=True):
            answers[place] = _answer(made)
    return CreateJobsSuccess(results=answers)  # type: ignore[arg-type]


async def add_job_data(context: Context, id: str, data: list[DataInput]) -> AddJobDataSuccess:
    """Take in files and add them to a draft; a refusal keeps none."""
    context.caller.require(Scope.WRITE)
    job_id = existing_id("job", id)
    creation.check_some(len(data), "data")
    job = await context.loaders.jobs.load(job_id)
    if job is None:
        raise NoJob("job", id)
    if job.status is not JobStatus.NEW:  # asked again once it is held
        raise JobStarted(job_id)
    options = _document_options(context, data, resolved_of(job), job.options)
    async with intake(context) as taken:
        documents = await taken.take(data, options)
        async with context.writing() as work:
            row = await creation.add_data(
                work,
                context.services.bell,
                caller=context.caller,
                job_id=job_id,
                documents=documents,
            )
        taken.keep()
    rows = await context.loaders.documents.load_many([each.id for each in documents])
    added = [Document.from_row(each) for each in rows if each is not None]
    return AddJobDataSuccess(job=Job.from_row(row), documents=added)


async def start_job(context: Context, id: str) -> StartJobSuccess:
    """Put a draft into the queue."""
    async with context.writing() as work:
        row = await creation.start(
            work, context.services.bell, caller=context.caller, job_id=existing_id("job", id)
        )
    return StartJobSuccess(job=Job.from_row(row))


async def _asked(context: Context, input: CreateJobInput, taken: Intake) -> _Asked:
    """Check all that can be checked before a byte is stored, then take the files in."""
    resolved = resolved_input(input)
    request = request_of(context, input, resolved)
    key = text(input.idempotency_key, "idempotencyKey")
    data = input.data or []
    options = _document_options(context, data, resolved, request.options)
    documents = await taken.take(data, options)
    documents += [GivenDocument(existing_id("document", id)) for id in input.document_ids or []]
    keyed = None if key is None else Keyed(key, _fingerprint(context, input, taken))
    return _Asked(replace(request, documents=documents), taken, keyed)


def _fingerprint(context: Context, input: CreateJobInput, taken: Intake) -> Fingerprint:
    asked = plain(input, file=taken.sha256, without=("idempotency_key",))
    names = [_sent_name(each) for each in input.data or []]
    return Fingerprint.of((asked, names), keys=context.services.settings.link_keys)


def _sent_name(data: DataInput) -> str | None:
    """Return the name that a file was sent with, where it gets no other one."""
    file = data.source.file
    if data.filename or file is None or file.value is None:
        return None
    return file.value.filename


async def _make(work: Work, context: Context, asked: Sequence[_Asked]) -> list[Made | AppError]:
    """Return what came of each request, in their order."""
    requests = [(each.request, each.keyed) for each in asked]
    bell, caller = context.services.bell, context.caller
    return await idempotency.create_all(work, bell, caller=caller, requests=requests)


async def _asked_or_problem(
    context: Context, input: CreateJobInput, taken: Intake
) -> _Asked | Problem:
    try:
        return await _asked(context, input, taken)
    except AppError as error:
        return problem_of(error)


def _answer(made: Made | AppError) -> CreateJobSuccess | Problem:
    return problem_of(made) if isinstance(made, AppError) else CreateJobSuccess.from_made(made)


def resolved_input(input: CreateJobInput) -> Resolved:
    """Return the task that is asked for, by itself or by the name of a workflow."""
    return workflows.resolve(
        task=None if input.task is None else input.task.task(),
        workflow=input.workflow,
        profile=input.profile,
        given=given_options(input.options),
    )


def _document_options(
    context: Context, data: list[DataInput], resolved: Resolved, job: Sequence[Kept]
) -> list[list[dict[str, Any]]]:
    """Return the options of each document as its row keeps them."""
    passwords = given.count_passwords(job)
    kept = []
    for place, each in enumerate(data):
        _check_use(each, place)
        own = given_options(each.options)
        loc = ("data", str(place), "options")
        workflows.check_document(resolved, own, job_passwords=passwords, loc=loc)
        kept.append(given.kept(own, seals=context.services.seals))
    return kept


def _check_use(data: DataInput, place: int) -> None:
    """Do nothing where all that is said of a document has a use."""
    if data.source.document_id is None:
        return
    given = {"filename": data.filename, "tags": data.tags}
    errors = [
        FieldError(
            ("data", str(place), name),
            f"{name}: only for files that come with the request; this document is here already.",
            "unused",
        )
        for name, value in given.items()
        if value
    ]
    if errors:
        raise BadInput(*errors)


def request_of(
    context: Context, input: CreateJobInput, resolved: Resolved, *, supplied: bool = False
) -> JobRequest:
    """Return what is asked for, checked, but for the documents.

    supplied: the job may get its documents from another one, also where none is named.
    """
    settings = context.services.settings
    count = len(input.data or ()) + len(input.document_ids or ())
    start = input.start is not False
    supplied = supplied or input.execute_after_id is not None
    (creation.check_some if start and not supplied else creation.check_count)(count)
    tag = text((input.input_tag or "").strip(), "inputTag", limit=MAX_TAG_CHARS)
    if tag is not None and (count or not supplied):
        message = "inputTag goes with executeAfterId, and without documents."
        raise BadInput(FieldError(("inputTag",), message, "mixed"))
    if input.page_slice is not None:
        PageSlice.parse(input.page_slice)
    longest_run = round(settings.max_job_timeout.total_seconds())
    timeout = seconds(input.timeout_seconds, "timeoutSeconds", least=1, most=longest_run)
    wait = seconds(
        input.queue_timeout_seconds, "queueTimeoutSeconds", least=1, most=MAX_QUEUE_SECONDS
    )
    return JobRequest(
        task=resolved.task,
        workflow=resolved.workflow,
        profile=resolved.profile,
        options=given.kept(given_options(input.options), seals=context.services.seals),
        documents=(),
        timeout=timeout or settings.job_timeout,
        max_attempts=settings.max_attempts,
        ttl=ttl(input.ttl_seconds) or settings.job_ttl,
        start=start,
        draft_lifetime=settings.draft_lifetime,
        queue_timeout=wait,
        name=text(input.name, "name"),
        group_id=text(input.group_id, "groupId"),
        priority=JobPriority.NORMAL if input.priority is None else input.priority,
        execute_after_id=None
        if input.execute_after_id is None
        else existing_id("job", input.execute_after_id),
        input_tag=tag,
        output_tags=_output_tags(input, resolved),
        page_slice=input.page_slice,
        submitter_ip=context.ip,
    )


def _output_tags(input: CreateJobInput, resolved: Resolved) -> list[str]:
    tags = clean_tags(input.output_tags or [], loc="outputTags")
    type = type_of(resolved.task)
    if tags and not produces_documents(type):
        message = f"outputTags: a {type} job produces no documents that could carry them."
        raise BadInput(FieldError(("outputTags",), message, "unused"))
    return tags
