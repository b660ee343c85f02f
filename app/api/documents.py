"""Documents in the schema, and taking them in."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry
from starlette.datastructures import UploadFile

from app import errors
from app.api.context import Context, Info
from app.api.durations import ttl
from app.api.pages import (
    Connection,
    InnerList,
    Node,
    existing_id,
    placed_connection,
)
from app.api.problems import Conflict, Forbidden, InvalidInput, LimitExceeded, NotFound
from app.api.vocabulary import BigInt, DocumentStatus, Scope
from app.clock import now
from app.db.pages import PageRequest, cursor_of, page_request
from app.documents import commands, models, queries, uploads
from app.documents.filters import DocumentFilter
from app.documents.links import Action
from app.documents.uploads import Received
from app.errors import FieldError, FileTooLarge
from app.jobs import deletions
from app.jobs import queries as job_queries
from app.settings import MIB

if TYPE_CHECKING:
    from app.api.jobs import Job

JobLater = Annotated["Job", strawberry.lazy("app.api.jobs")]


@strawberry.type(description="A file, given or produced.")
class Document(Node):
    row: strawberry.Private[models.Document]

    id: strawberry.ID = strawberry.field(description="Its id.")
    filename: str = strawberry.field(description="Its name, without any path.")
    mime_type: str | None = strawberry.field(
        description="What it is, told from its first bytes; null until they are here."
    )
    extension: str | None = strawberry.field(
        description="The usual extension for that, without the dot; null where there is none."
    )
    size: BigInt | None = strawberry.field(description="Bytes; null until all are here.")
    sha256: str | None = strawberry.field(
        description="SHA-256 of its bytes in hexadecimal; null until all are here."
    )
    media_length: int | None = strawberry.field(
        description="Pages of a PDF, chapters of an EPUB, frames of a TIFF, 1 for other pictures; "
        "pieces of 64 KiB for text, which is one page to `pageSlice`. null until it was counted, "
        "soon after the upload, and where it cannot be."
    )
    status: DocumentStatus = strawberry.field(description="Whether its bytes are here.")
    tags: list[str] = strawberry.field(description="Words of your own.")
    page: int | None = strawberry.field(
        description="Page of `original` this was made from; 1 is the first page, null: no single "
        "one."
    )
    created_at: datetime = strawberry.field(description="When it came.")
    expires_at: datetime | None = strawberry.field(
        description="When it goes by itself, null for never. It stays as long as a job uses it."
    )

    @classmethod
    def from_row(cls, row: models.Document) -> Self:
        """Translate a row."""
        return cls(
            row=row,
            id=strawberry.ID(str(row.id)),
            filename=row.filename,
            mime_type=row.mime_type,
            extension=row.extension,
            size=None if row.size is None else BigInt(row.size),
            sha256=row.sha256,
            media_length=row.media_length,
            status=row.status,
            tags=row.tags,
            page=row.page,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )

    @strawberry.field(
        description="Bytes that are here by now; an upload that broke off goes on from there."
    )
    async def received_bytes(self, info: Info) -> BigInt:
        if self.row.size is not None:
            return BigInt(self.row.size)
        return BigInt(await info.context.services.store.received(self.row.id))

    @strawberry.field(
        description="The document this one was made from; null for an upload, and where it is gone."
    )
    async def original(self, info: Info) -> "Document | None":
        return await document_of(info.context, self.row.original_id)

    @strawberry.field(description="The job that made it; null for an upload, and where it is gone.")
    async def produced_by(self, info: Info) -> JobLater | None:
        from app.api.jobs import Job  # noqa: PLC0415 - documents and jobs name each other

        if self.row.produced_by_id is None:
            return None
        row = await info.context.loaders.jobs.load(self.row.produced_by_id)
        return None if row is None else Job.from_row(row)

    @strawberry.field(
        description="A signed link to its bytes, null until all are here. Who has it needs no key. "
        "It expires after so many seconds, 604,800 (7 days) at most, and answers ranges."
    )
    async def url(self, info: Info, expires_in_seconds: int | None = 3600) -> str | None:
        if self.row.status is not DocumentStatus.PROCESSED:
            return None
        return download_link(info.context, self.row.id, expires_in_seconds)

    @strawberry.field(description="The jobs that use it, newest first.")
    async def jobs(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[JobLater]:
        from app.api.jobs import Job  # noqa: PLC0415 - documents and jobs name each other

        context, id = info.context, self.row.id
        own = InnerList("jobs", id)
        request = own.request(page_request(first, after))
        page = await context.loaders.gather(
            job_queries.using, id, caller=context.caller, request=request
        )
        context.spend(len(page.rows))
        return own.connection(
            page,
            node=Job.from_row,
            place=lambda row: cursor_of(row.id),
            count=lambda: context.loaders.gather(job_queries.count_using, id),
        )


@strawberry.type(description="The document is here.")
class UploadDocumentSuccess:
    document: Document = strawberry.field(description="The new document.")


@strawberry.type(description="The upload may begin.")
class CreateUploadSuccess:
    document: Document = strawberry.field(description="The new document; its bytes are to come.")
    upload_url: str = strawberry.field(
        description="Send the bytes here by PUT, whole, or in parts with Content-Range. No key."
    )
    expires_at: datetime = strawberry.field(description="Until when the link takes bytes.")


@strawberry.type(description="The document carries these tags now.")
class TagDocumentSuccess:
    document: Document = strawberry.field(description="The document as it is now.")


@strawberry.type(description="The document is gone.")
class DeleteDocumentSuccess:
    deleted_id: strawberry.ID = strawberry.field(description="The id it had.")


UploadDocumentResult = Annotated[
    UploadDocumentSuccess | InvalidInput | LimitExceeded | Forbidden,
    strawberry.union("UploadDocumentResult", description="What came of an upload."),
]
CreateUploadResult = Annotated[
    CreateUploadSuccess | InvalidInput | LimitExceeded | Forbidden,
    strawberry.union("CreateUploadResult", description="What came of announcing an upload."),
]
TagDocumentResult = Annotated[
    TagDocumentSuccess | InvalidInput | NotFound | Forbidden,
    strawberry.union("TagDocumentResult", description="What came of tagging a document."),
]
DeleteDocumentResult = Annotated[
    DeleteDocumentSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("DeleteDocumentResult", description="What came of deleting a document."),
]


async def upload_document(
    context: Context, file: UploadFile, *, tags: list[str], ttl_seconds: int | None
) -> UploadDocumentSuccess:
    """Take in a file that came with the request."""
    context.caller.require(Scope.WRITE)
    filename = commands.clean_filename(file.filename or "", loc="file")
    received = await receive(context, file, filename=filename, tags=tags, lifetime=ttl(ttl_seconds))
    async with context.writing() as work:
        document = await commands.complete(work, received.document_id, received.stored)
        work.after_commit(partial(context.services.bell.ring, document.id))
    return UploadDocumentSuccess(document=Document.from_row(document))


async def create_upload(
    context: Context,
    *,
    filename: str,
    size: int,
    sha256: str | None,
    tags: list[str],
    ttl_seconds: int | None,
) -> CreateUploadSuccess:
    """Make a document whose bytes come by PUT."""
    settings = context.services.settings
    context.caller.require(Scope.WRITE)
    if size < 0:
        raise errors.InvalidInput(
            FieldError(("size",), "A size is 0 bytes or more.", "out_of_range")
        )
    if size > settings.upload_limit_bytes:
        raise FileTooLarge(limit=settings.upload_limit_bytes)
    lifetime = ttl(ttl_seconds) or settings.document_ttl
    context.services.store.check_free_space()
    expires_at = now() + settings.upload_lifetime
    async with context.writing() as work:
        document = await commands.announce(
            work,
            application_id=context.caller.application_id,
            filename=filename,
            tags=tags,
            upload_expires_at=expires_at,
            ttl=lifetime,
            size=size,
            sha256=sha256,
        )
    link = context.link(Action.UPLOAD, document.id, lifetime=settings.upload_lifetime)
    return CreateUploadSuccess(
        document=Document.from_row(document), upload_url=link, expires_at=expires_at
    )


async def tag_document(
    context: Context, id: str, *, add: list[str], remove: list[str]
) -> TagDocumentSuccess:
    """Put tags on a document, and take others off it."""
    async with context.writing() as work:
        document = await commands.tag(
            work,
            caller=context.caller,
            document_id=existing_id("document", id),
            add=add,
            remove=remove,
        )
    return TagDocumentSuccess(document=Document.from_row(document))


async def delete_document(context: Context, id: str) -> DeleteDocumentSuccess:
    """Delete a document that no job needs any more."""
    document_id = existing_id("document", id)
    async with context.writing() as work:
        await deletions.delete_document(
            work, caller=context.caller, document_id=document_id, store=context.services.store
        )
    return DeleteDocumentSuccess(deleted_id=strawberry.ID(str(document_id)))


async def receive(
    context: Context,
    file: UploadFile,
    *,
    filename: str | None,
    tags: list[str],
    lifetime: timedelta | None = None,
) -> Received:
    """Store the bytes of a file that came with the request. lifetime: None is the default."""
    services = context.services
    return await uploads.receive(
        services.database,
        services.store,
        caller=context.caller,
        filename=filename or file.filename or "",
        tags=tags,
        chunks=_chunks(file),
        limit=services.settings.upload_limit_bytes,
        ttl=lifetime or services.settings.document_ttl,
    )


async def document_of(context: Context, id: UUID | None) -> Document | None:
    """Return a document by its id; None where there is none."""
    row = None if id is None else await context.loaders.documents.load(id)
    return None if row is None else Document.from_row(row)


def download_link(context: Context, id: UUID, seconds: int | None) -> str:
    """Return a signed link to the bytes of a file; None: it is good for an hour."""
    lifetime = timedelta(seconds=3600 if seconds is None else seconds)
    return context.link(Action.DOWNLOAD, id, lifetime=lifetime)


async def document_connection(
    context: Context, where: DocumentFilter, request: PageRequest
) -> Connection[Document]:
    """Return a page of the caller's documents, newest first."""
    caller = context.caller

    async def count() -> int:
        async with context.reading() as session:
            return await queries.count(session, caller=caller, where=where)

    async with context.reading() as session:
        page = await queries.listing(session, caller=caller, where=where, request=request)
    context.spend(len(page.rows))
    return placed_connection(page, node=Document.from_row, count=count)


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    await file.seek(0)  # one file of a request may stand in several places of its variables
    while chunk := await file.read(MIB):
        yield chunk
