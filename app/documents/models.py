"""Tables of documents, and of bytes that are to be removed."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel

from app.clock import now
from app.db.columns import JsonValue, Word, folded, index_of_known, new_id, words


class DocumentStatus(StrEnum):
    """Whether the bytes of a document are here."""

    NEW = "NEW"
    PROCESSED = "PROCESSED"
    CANCELED = "CANCELED"


class Document(SQLModel, table=True):
    """A file. Its bytes are stored under its id."""

    __table_args__ = (
        CheckConstraint(f"status IN ({words(DocumentStatus)})", name="status_known"),
        CheckConstraint(
            "status <> 'PROCESSED' OR (size IS NOT NULL AND sha256 IS NOT NULL)",
            name="processed_is_hashed",
        ),
        # Lists, newest first; with the name, which is searched in every row.
        Index("ix_document_application_filename", "application_id", "id", "filename_folded"),
        index_of_known("ix_document_original", "original_id", "application_id", "id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    application_id: UUID = Field(foreign_key="application.id", ondelete="CASCADE")
    filename: str = Field(max_length=255)
    # For searches in any case, as `Job.name_folded`.
    filename_folded: str = Field(default=None, sa_column=folded("filename"))
    mime_type: str | None = Field(default=None, max_length=255)
    extension: str | None = Field(default=None, max_length=32)
    size: int | None = Field(default=None, sa_type=BigInteger)
    sha256: str | None = Field(default=None, max_length=64)
    media_length: int | None = None
    status: DocumentStatus = Field(
        default=DocumentStatus.NEW,
        sa_type=Word(DocumentStatus),
    )
    tags: list[str] = Field(default_factory=list, sa_type=JsonValue)
    # Announced by createUpload and checked when all bytes are here.
    announced_size: int | None = Field(default=None, sa_type=BigInteger)
    announced_sha256: str | None = Field(default=None, max_length=64)
    upload_expires_at: datetime | None = Field(default=None, index=True)
    original_id: UUID | None = Field(default=None, foreign_key="document.id", ondelete="SET NULL")
    # No foreign key: a document may outlive the job that made it.
    produced_by_id: UUID | None = Field(default=None, index=True)
    page: int | None = None
    # When something last set out to count its pages; None: nothing has. And from when on something
    # may; None: nothing is to.
    examined_at: datetime | None = None
    examine_at: datetime | None = Field(default=None, index=True)
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime | None = Field(default=None, index=True)


def is_page(page: int | None, original_id: UUID | None) -> bool:
    """Return whether a document is one page of another one, as a picture of it is."""
    return page is not None and original_id is not None


class FileRemoval(SQLModel, table=True):
    """Bytes that no row needs any more; written with the deletion, done after its commit.

    One that is due later stands for bytes that are being written: whoever commits the row that
    needs them takes it away in the same transaction, and a crash before that leaves nothing.
    """

    __tablename__ = "file_removal"

    key: UUID = Field(primary_key=True)
    due_at: datetime = Field(default_factory=now, index=True)
