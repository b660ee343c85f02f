"""What callers do to jobs that are there, in the schema: cancel, delete."""

from typing import Annotated

import strawberry

from app.api.context import Context
from app.api.jobs import Job
from app.api.pages import existing_id
from app.api.problems import Conflict, Forbidden, LimitExceeded, NotFound
from app.api.vocabulary import BigInt, JobStatus
from app.jobs import commands, deletions, retries


@strawberry.type(description="The job is canceled, or had ended before.")
class CancelJobSuccess:
    job: Job = strawberry.field(description="The job as it is now.")
    changed: bool = strawberry.field(description="False where the job had already ended.")
    reason: str | None = strawberry.field(description="Why nothing changed; null where it did.")


@strawberry.type(description="A new job repeats the old one.")
class RetryJobSuccess:
    job: Job = strawberry.field(description="The new job.")


@strawberry.type(description="The job is gone, with all that belonged to it.")
class DeleteJobSuccess:
    deleted_id: strawberry.ID = strawberry.field(description="The id it had.")
    last_status: JobStatus = strawberry.field(description="The status it had.")
    canceled_first: bool = strawberry.field(description="Whether it had to be canceled first.")
    deleted_job_ids: list[strawberry.ID] = strawberry.field(
        description="The jobs that went: the job, then the children of a conditional one."
    )
    deleted_document_ids: list[strawberry.ID] = strawberry.field(
        description="The documents that went: those that came with these jobs or from them, and "
        "that no other job uses."
    )
    freed_bytes: BigInt = strawberry.field(description="Bytes of files that went.")


CancelJobResult = Annotated[
    CancelJobSuccess | NotFound | LimitExceeded | Forbidden,
    strawberry.union("CancelJobResult", description="What came of canceling a job."),
]
RetryJobResult = Annotated[
    RetryJobSuccess | NotFound | Conflict | LimitExceeded | Forbidden,
    strawberry.union("RetryJobResult", description="What came of retrying a job."),
]
DeleteJobResult = Annotated[
    DeleteJobSuccess | NotFound | LimitExceeded | Forbidden,
    strawberry.union("DeleteJobResult", description="What came of deleting a job."),
]


async def cancel_job(context: Context, id: str) -> CancelJobSuccess:
    """Stop a job."""
    async with context.writing() as work:
        row, changed = await commands.cancel(
            work, context.services.bell, caller=context.caller, job_id=existing_id("job", id)
        )
    reason = None if changed else f"The job had already ended: {row.status}."
    return CancelJobSuccess(job=Job.from_row(row), changed=changed, reason=reason)


async def retry_job(context: Context, id: str) -> RetryJobSuccess:
    """Repeat a job."""
    async with context.writing() as work:
        row = await retries.retry(
            work,
            context.services.bell,
            caller=context.caller,
            job_id=existing_id("job", id),
            submitter_ip=context.ip,
        )
    return RetryJobSuccess(job=Job.from_row(row))


async def delete_job(context: Context, id: str) -> DeleteJobSuccess:
    """Delete a job with all that belongs to it."""
    async with context.writing() as work:
        gone = await deletions.delete(
            work,
            context.services.bell,
            caller=context.caller,
            job_id=existing_id("job", id),
            store=context.services.store,
        )
    return DeleteJobSuccess(
        deleted_id=strawberry.ID(str(gone.job_ids[0])),
        last_status=gone.status,
        canceled_first=gone.canceled_first,
        deleted_job_ids=[strawberry.ID(str(each)) for each in gone.job_ids],
        deleted_document_ids=[strawberry.ID(str(each)) for each in gone.document_ids],
        freed_bytes=BigInt(gone.freed_bytes),
    )
