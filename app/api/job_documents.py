"""The documents of a job in the schema, each with its own fate and issues."""

from typing import Self
from uuid import UUID

import strawberry

from app.api.attachments import Attachment, result_of
from app.api.context import Context, Info
from app.api.documents import Document, document_of
from app.api.pages import Connection, InnerList
from app.api.vocabulary import AttachmentType, ErrorCode, JobStatus, Severity
from app.api.workflows import Option, options_of
from app.db.pages import PageRequest
from app.errors import NotFound
from app.failures import RETRYABLE
from app.jobs import models, queries
from app.jobs.results import severity_of
from app.jobs.states import FINISHED


@strawberry.type(description="Why a job or a document failed.")
class JobError:
    code: ErrorCode = strawberry.field(description="A stable word.")
    message: str = strawberry.field(description="One sentence for a person.")
    retryable: bool = strawberry.field(description="Whether the same may succeed later.")
    document_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The document it is about; null where it is about the whole job.")
    async def document(self, info: Info) -> Document | None:
        return await document_of(info.context, self.document_id)


@strawberry.type(description="Something worth telling that did not stop the job.")
class JobIssue:
    code: str = strawberry.field(description="A stable word; the README explains each.")
    severity: Severity = strawberry.field(description="How much it matters.")
    message: str = strawberry.field(description="One sentence for a person.")
    page: int | None = strawberry.field(
        description="The page it is about; 1 is the first page, null: no single one."
    )
    document_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The document it is about.")
    async def document(self, info: Info) -> Document | None:
        return await document_of(info.context, self.document_id)


@strawberry.type(description="One document inside one job, with its own fate.")
class JobDocument:
    row: strawberry.Private[models.JobDocument]

    status: JobStatus = strawberry.field(description="Where this document is in the job.")
    progress: int = strawberry.field(description="Percent, 0 to 100.")
    failure: JobError | None = strawberry.field(
        description="Why this document failed; null when it did not."
    )
    options: list[Option] = strawberry.field(
        description="Its own options as given, in their order; the values of secret ones are null."
    )

    @classmethod
    def from_row(cls, row: models.JobDocument) -> Self:
        """Translate a row."""
        return cls(
            row=row,
            status=row.status,
            progress=_percent(row),
            failure=error_of(row.failure_code, row.failure_message, row.document_id),
            options=options_of(row.options),
        )

    @strawberry.field(description="The document.")
    async def document(self, info: Info) -> Document:
        document = await document_of(info.context, self.row.document_id)
        if document is None:
            raise NotFound("document", str(self.row.document_id))
        return document

    @strawberry.field(description="As of the document, where it is known; null until then.")
    async def media_length(self, info: Info) -> int | None:
        document = await info.context.loaders.documents.load(self.row.document_id)
        return None if document is None else document.media_length

    @strawberry.field(
        description="All that came of this document, as JSON; null until it is COMPLETED."
    )
    async def full(self, info: Info) -> Attachment | None:
        return await result_of(info.context, self.row, AttachmentType.RESULT)

    @strawberry.field(
        description="What it takes to show and search what came of this document, as JSON; null "
        "until it is COMPLETED."
    )
    async def min(self, info: Info) -> Attachment | None:
        return await result_of(info.context, self.row, AttachmentType.RESULT_MIN)


async def document_connection(
    context: Context, job_id: UUID, request: PageRequest, statuses: tuple[JobStatus, ...] | None
) -> Connection[JobDocument]:
    """Return a page of the documents of a job, in the order they are worked on."""
    load = context.loaders.gather

    async def count() -> int:
        return await load(queries.count_documents, job_id, statuses=statuses)

    own = InnerList("documents", job_id)
    page = await load(queries.documents_of, job_id, request=own.request(request), statuses=statuses)
    context.spend(len(page.rows))
    return own.connection(
        page,
        node=JobDocument.from_row,
        place=queries.document_cursor,
        count=count,
    )


async def issues_of(context: Context, job_id: UUID) -> list[JobIssue]:
    """Return what is worth telling of the documents of a job, in the order they are worked on."""
    found = await context.loaders.gather(queries.issues_of, job_id)
    return [
        JobIssue(
            code=issue["code"],
            severity=severity_of(issue),
            message=issue["message"],
            page=issue["page"],
            document_id=document_id,
        )
        for document_id, issues in found
        for issue in issues
    ]


def error_of(
    code: ErrorCode | None, message: str | None, document_id: UUID | None
) -> JobError | None:
    """Return why something failed; None where it did not."""
    if code is None:
        return None
    return JobError(
        code=code,
        message=message or "",
        retryable=code in RETRYABLE,
        document_id=document_id,
    )


def _percent(row: models.JobDocument) -> int:
    if row.status is JobStatus.COMPLETED:
        return 100
    share = row.pages_done / row.pages_total if row.pages_total else 0
    return int(100 * share) if row.status in FINISHED else min(99, int(100 * share))
