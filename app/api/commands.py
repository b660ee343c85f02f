"""What callers do to jobs, in the schema: create, cancel, delete."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import strawberry

from app.api.context import Context
from app.api.documents import receive
from app.api.inputs import CreateJobInput, DataInput, text
from app.api.jobs import Job
from app.api.pages import existing_id
from app.api.problems import Conflict, Forbidden, InvalidInput, LimitExceeded, NotFound
from app.api.vocabulary import BigInt, JobPriority, JobStatus, Scope
from app.documents import commands as documents
from app.documents import uploads
from app.documents.uploads import Received
from app.errors import FieldError, UnsupportedFeature
from app.errors import InvalidInput as BadInput
from app.jobs import commands, options
from app.jobs.commands import JobRequest


@strawberry.type(description="The job was accepted.")
class CreateJobSuccess:
    job: Job = strawberry.field(description="The new job.")
    replayed: bool = strawberry.field(
        description="True where an idempotency key brought back a job that was there."
    )


@strawberry.type(description="The job is canceled, or had ended before.")
class CancelJobSuccess:
    job: Job = strawberry.field(description="The job as it is now.")
    changed: bool = strawberry.field(description="False where the job had already ended.")
    reason: str | None = strawberry.field(description="Why nothing changed.")


@strawberry.type(description="The job is gone, with all that belonged to it.")
class DeleteJobSuccess:
    deleted_id: strawberry.ID = strawberry.field(description="The id it had.")
    status: JobStatus = strawberry.field(description="Its last status.")
    canceled_first: bool = strawberry.field(description="Whether it had to be canceled first.")
    deleted_job_ids: list[strawberry.ID] = strawberry.field(description="The jobs that went.")
    deleted_document_ids: list[strawberry.ID] = strawberry.field(
        description="The documents that went: those that came with the job and no other job uses."
    )
    freed_bytes: BigInt = strawberry.field(description="Bytes of files that went.")


CreateJobResult = Annotated[
    CreateJobSuccess | InvalidInput | NotFound | Conflict | LimitExceeded | Forbidden,
    strawberry.union("CreateJobResult", description="What came of creating a job."),
]
CancelJobResult = Annotated[
    CancelJobSuccess | NotFound | LimitExceeded | Forbidden,
    strawberry.union("CancelJobResult", description="What came of canceling a job."),
]
DeleteJobResult = Annotated[
    DeleteJobSuccess | NotFound | LimitExceeded | Forbidden,
    strawberry.union("DeleteJobResult", description="What came of deleting a job."),
]


async def create_job(context: Context, input: CreateJobInput) -> CreateJobSuccess:
    """Take in the files of the request, then make the job; a refusal keeps neither."""
    context.caller.require(Scope.WRITE)
    request = _request(context, input)
    received: list[Received] = []
    try:
        ids: list[UUID] = []
        for place, data in enumerate(input.data or []):
            ids.append(await _document_id(context, data, place, received))
        ids += [existing_id("document", id) for id in input.document_ids or []]
        owned = frozenset(each.document_id for each in received)
        async with context.writing() as work:
            for each in received:
                await documents.complete(work, each.document_id, each.stored)
            row = await commands.create(
                work,
                context.services.bell,
                caller=context.caller,
                request=replace(request, document_ids=ids, owned_ids=owned),
            )
    except BaseException:
        services = context.services
        ids = [each.document_id for each in received]
        await uploads.discard(services.database, services.store, *ids)
        raise
    return CreateJobSuccess(job=Job.from_row(row), replayed=False)


async def cancel_job(context: Context, id: str) -> CancelJobSuccess:
    """Stop a job."""
    async with context.writing() as work:
        row, changed = await commands.cancel(
            work, context.services.bell, caller=context.caller, job_id=existing_id("job", id)
        )
    reason = None if changed else f"The job had already ended: {row.status}."
    return CancelJobSuccess(job=Job.from_row(row), changed=changed, reason=reason)


async def delete_job(context: Context, id: str) -> DeleteJobSuccess:
    """Delete a job with all that belongs to it."""
    async with context.writing() as work:
        gone = await commands.delete(
            work,
            context.services.bell,
            caller=context.caller,
            job_id=existing_id("job", id),
            store=context.services.store,
        )
    return DeleteJobSuccess(
        deleted_id=strawberry.ID(str(gone.job_ids[0])),
        status=gone.status,
        canceled_first=gone.canceled_first,
        deleted_job_ids=[strawberry.ID(str(each)) for each in gone.job_ids],
        deleted_document_ids=[strawberry.ID(str(each)) for each in gone.document_ids],
        freed_bytes=BigInt(gone.freed_bytes),
    )


def _request(context: Context, input: CreateJobInput) -> JobRequest:
    """Check all that can be checked before a byte is stored."""
    commands.check_count(len(input.data or ()) + len(input.document_ids or ()))
    asked = None if input.task is None else input.task.segment
    if asked is None or asked.value is None:
        raise BadInput(FieldError(("task",), "A task names one kind of work.", "missing"))
    segment = asked.value.options()
    options.check(segment)
    settings = context.services.settings
    priority = JobPriority.NORMAL if input.priority is None else input.priority
    return JobRequest(
        task=segment,
        document_ids=(),
        timeout=_timeout(context, input.timeout_seconds),
        max_attempts=settings.max_attempts,
        name=text(input.name, "name"),
        group_id=text(input.group_id, "groupId"),
        priority=priority,
        submitter_ip=context.ip,
    )


def _timeout(context: Context, seconds: int | None) -> timedelta:
    settings = context.services.settings
    if seconds is None:
        return settings.job_timeout
    longest = round(settings.max_job_timeout.total_seconds())
    if not 1 <= seconds <= longest:
        message = f"timeoutSeconds must be 1 to {longest}."
        raise BadInput(FieldError(("timeoutSeconds",), message, "out_of_range"))
    return timedelta(seconds=seconds)


async def _document_id(
    context: Context, data: DataInput, place: int, received: list[Received]
) -> UUID:
    """Return the document that `data` means; a file is stored and noted in `received`."""
    source = data.source
    loc = ("data", str(place), "source")
    if source.file is not None and source.file.value is not None:
        tags = data.tags or []
        file = await receive(context, source.file.value, filename=data.filename, tags=tags)
        received.append(file)
        return file.document_id
    if source.document_id is not None and source.document_id.value is not None:
        return existing_id("document", source.document_id.value)
    if source.url is not None and source.url.value is not None:
        message = "This service does not fetch addresses; upload the file."
        raise UnsupportedFeature(FieldError((*loc, "url"), message, "unsupported"))
    raise BadInput(FieldError(loc, "A source names a file, a document or an address.", "missing"))
