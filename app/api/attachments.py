"""Files that belong to jobs, in the schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from app.api.context import Context, Info
from app.api.documents import Document, document_of, download_link
from app.api.pages import Connection, InnerList, Node
from app.api.vocabulary import AttachmentType, BigInt
from app.db.pages import PageRequest, cursor_of
from app.errors import NotFound
from app.jobs import attachments, models

if TYPE_CHECKING:
    from app.api.jobs import Job

JobLater = Annotated["Job", strawberry.lazy("app.api.jobs")]


@strawberry.type(description="A file that belongs to a job: what came of a document, or its log.")
class Attachment(Node):
    row: strawberry.Private[models.Attachment]

    id: strawberry.ID = strawberry.field(description="Its id.")
    type: AttachmentType = strawberry.field(description="What it holds.")
    filename: str = strawberry.field(description="Its name, without any path.")
    mime_type: str = strawberry.field(description="The media type of its bytes.")
    size: BigInt = strawberry.field(description="Bytes.")
    sha256: str = strawberry.field(description="SHA-256 of its bytes in hexadecimal.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def from_row(cls, row: models.Attachment) -> Self:
        """Translate a row."""
        return cls(
            row=row,
            id=strawberry.ID(str(row.id)),
            type=row.type,
            filename=row.filename,
            mime_type=row.mime_type,
            size=BigInt(row.size),
            sha256=row.sha256,
            created_at=row.created_at,
        )

    @strawberry.field(description="The job it belongs to.")
    async def job(self, info: Info) -> JobLater:
        from app.api.jobs import Job  # noqa: PLC0415 - jobs and their files name each other

        row = await info.context.loaders.jobs.load(self.row.job_id)
        if row is None:
            raise NotFound("job", str(self.row.job_id))
        return Job.from_row(row)

    @strawberry.field(description="The document it is about; null where it is about the whole job.")
    async def document(self, info: Info) -> Document | None:
        return await document_of(info.context, self.row.document_id)

    @strawberry.field(
        description="A signed link to its bytes. Who has it needs no key. It expires after so many "
        "seconds, 604,800 (7 days) at most, and answers ranges."
    )
    async def url(self, info: Info, expires_in_seconds: int | None = 3600) -> str:
        return download_link(info.context, self.row.id, expires_in_seconds)


async def attachment_of(context: Context, id: UUID | None) -> Attachment | None:
    """Return an attachment by its id; None where there is none."""
    if id is None:
        return None
    row = await context.loaders.gather(attachments.by_ids, id, caller=context.caller)
    return None if row is None else Attachment.from_row(row)


async def result_of(
    context: Context, document: models.JobDocument, type: AttachmentType
) -> Attachment | None:
    """Return a file with what came of a document in its job; None where there is none."""
    key = (document.job_id, document.document_id)
    row = await context.loaders.gather(attachments.of_documents, key, type=type)
    return None if row is None else Attachment.from_row(row)


async def attachment_connection(
    context: Context, job_id: UUID, request: PageRequest, types: frozenset[AttachmentType] | None
) -> Connection[Attachment]:
    """Return a page of the attachments of a job."""
    load = context.loaders.gather

    async def count() -> int:
        return await load(attachments.count, job_id, types=types)

    own = InnerList("attachments", job_id)
    page = await load(attachments.of_jobs, job_id, types=types, request=own.request(request))
    context.spend(len(page.rows))
    return own.connection(
        page,
        node=Attachment.from_row,
        place=lambda row: cursor_of(row.id),
        count=count,
    )
