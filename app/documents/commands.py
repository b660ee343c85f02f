"""Taking files in, and letting them go."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import insert
from sqlmodel import col, select, update
from sqlmodel import delete as delete_rows

from app.accounts.caller import Caller
from app.characters import UNREADABLE
from app.clock import now
from app.db.batches import batches
from app.db.work import ReadSession, Work
from app.documents.media import extension, has_length, media_type
from app.documents.models import Document, DocumentStatus, FileRemoval
from app.documents.store import Store, Stored
from app.errors import (
    FieldError,
    InvalidInput,
    InvalidLink,
    NotFound,
    UploadComplete,
    UploadMismatch,
)

MAX_TAGS = 100
MAX_TAG_CHARS = 100
MAX_FILENAME_CHARS = 255


async def announce(
    work: Work,
    *,
    application_id: UUID,
    filename: str,
    tags: Sequence[str],
    upload_expires_at: datetime,
    ttl: timedelta | None = None,
    size: int | None = None,
    sha256: str | None = None,
) -> Document:
    """Make the row of a document whose bytes are still to come.

    The row comes first: bytes without a row would stay for ever after a crash, and a row without
    bytes is swept away at `upload_expires_at`.

    ttl: how long the document is kept; None for ever.

    Raises:
        InvalidInput: a bad name, tag or hash.
    """
    document = Document(
        application_id=application_id,
        filename=clean_filename(filename),
        tags=clean_tags(tags),
        announced_size=size,
        announced_sha256=None if sha256 is None else _clean_hash(sha256),
        upload_expires_at=upload_expires_at,
        expires_at=None if ttl is None else now() + ttl,
    )
    work.session.add(document)
    await work.session.flush()
    return document


async def complete(work: Work, document_id: UUID, stored: Stored) -> Document:
    """Note that all bytes are here.

    Raises:
        UploadMismatch: they are not the bytes that were announced.
        UploadComplete: that was noted before.
        InvalidLink: the upload was given up.
    """
    document = await work.session.get(Document, document_id, with_for_update=True)
    if document is None or document.status is DocumentStatus.CANCELED:
        raise InvalidLink
    if document.status is DocumentStatus.PROCESSED:
        raise UploadComplete
    if document.announced_size is not None and document.announced_size != stored.size:
        raise UploadMismatch("size")
    if document.announced_sha256 is not None and document.announced_sha256 != stored.sha256:
        raise UploadMismatch("SHA-256")
    document.size = stored.size
    document.sha256 = stored.sha256
    document.mime_type = media_type(stored.head)
    document.extension = extension(document.mime_type, document.filename)
    document.status = DocumentStatus.PROCESSED
    document.upload_expires_at = None
    if document.expires_at is not None:  # its time begins now, however long its bytes took
        document.expires_at += now() - document.created_at
    document.examine_at = now() if has_length(document.mime_type) else None
    await work.session.flush()
    return document


async def give_up(work: Work, document_id: UUID, *, store: Store) -> None:
    """Give an unfinished upload up: no more bytes are taken, those that came are removed."""
    statement = (
        update(Document)
        .where(col(Document.id) == document_id, col(Document.status) == DocumentStatus.NEW)
        .values(status=DocumentStatus.CANCELED, upload_expires_at=None)
    )
    if (await work.session.exec(statement)).rowcount:
        await remove_files(work, [document_id], store=store)


async def find(work: Work, *, caller: Caller, document_id: UUID) -> Document:
    """Return a document of the caller's application, locked: nobody else changes it now.

    Raises:
        NotFound: there is none.
    """
    document = await work.session.get(Document, document_id, with_for_update=True)
    if document is None or document.application_id != caller.application_id:
        raise NotFound("document", str(document_id))
    return document


async def hold(work: Work, ids: Collection[UUID], *, application_id: UUID) -> dict[UUID, Document]:
    """Return those of the documents that are there, held: none is deleted before the commit."""
    found: dict[UUID, Document] = {}
    for batch in batches(sorted(ids)):
        statement = select(Document).where(
            col(Document.id).in_(batch),
            Document.application_id == application_id,
            col(Document.status) != DocumentStatus.CANCELED,
        )
        held = statement.order_by(col(Document.id)).with_for_update(read=True)
        found |= {document.id: document for document in await work.session.exec(held)}
    return found


async def tag(
    work: Work, *, caller: Caller, document_id: UUID, add: Sequence[str], remove: Sequence[str]
) -> Document:
    """Put tags on a document behind those it has, and take others off it.

    Raises:
        InvalidInput: too many, one that is empty or too long, or one that is in both lists.
        NotFound: there is no such document.
    """
    added, removed = clean_tags(add, loc="add"), clean_tags(remove, loc="remove")
    if set(added) & set(removed):
        message = "A tag cannot be added and removed at once."
        raise InvalidInput(FieldError(("remove",), message, "repeated"))
    document = await find(work, caller=caller, document_id=document_id)
    kept = [each for each in document.tags if each not in removed]
    document.tags = clean_tags([*kept, *added], loc="add")
    await work.session.flush()
    return document


async def delete(work: Work, ids: Sequence[UUID], *, store: Store) -> None:
    """Delete documents and their bytes, however many. No job may use them any more."""
    await remove_files(work, ids, store=store)
    for batch in batches(ids):
        await work.session.exec(delete_rows(Document).where(col(Document.id).in_(batch)))


async def remove_files(work: Work, keys: Sequence[UUID], *, store: Store) -> None:
    """Have bytes removed once this transaction is committed, even where the process dies before."""
    due_at = now()
    for batch in batches(keys):
        expected = update(FileRemoval).where(col(FileRemoval.key).in_(batch)).values(due_at=due_at)
        there = set((await work.session.exec(expected.returning(col(FileRemoval.key)))).scalars())
        rows = [{"key": key, "due_at": due_at} for key in batch if key not in there]
        if rows:
            await work.session.exec(insert(FileRemoval), params=rows)
    for key in keys:
        work.after_commit(partial(store.delete, key))


async def expired_uploads(session: ReadSession) -> Sequence[UUID]:
    """Return the ids of uploads whose time to take bytes is over, some hundred at most."""
    statement = select(Document.id).where(
        col(Document.status) == DocumentStatus.NEW, col(Document.upload_expires_at) < now()
    )
    return (await session.exec(statement.limit(500))).all()


def clean_filename(filename: str, *, loc: str = "filename") -> str:
    """Return the last part of a path without control characters; the name a user will see.

    Raises:
        InvalidInput: nothing is left of it.
    """
    name = UNREADABLE.sub("", filename.replace("\\", "/")).replace("\x7f", "").strip()
    name = name.rpartition("/")[2].strip()
    if not name or name in {".", ".."}:
        raise InvalidInput(FieldError((loc,), "A file needs a name.", "missing"))
    if len(name) > MAX_FILENAME_CHARS:
        stem, dot, last = name.rpartition(".")
        keep = MAX_FILENAME_CHARS - len(dot + last)
        name = stem[:keep] + dot + last if dot and keep > 0 else name[:MAX_FILENAME_CHARS]
    return name


def clean_tags(tags: Sequence[str], *, loc: str = "tags") -> list[str]:
    """Return the tags trimmed, each once.

    Raises:
        InvalidInput: too many, or one that is empty or too long.
    """
    trimmed = list(dict.fromkeys(tag.strip() for tag in tags))
    if len(trimmed) > MAX_TAGS:
        raise InvalidInput(FieldError((loc,), f"At most {MAX_TAGS} tags.", "too_long"))
    if any(not tag or len(tag) > MAX_TAG_CHARS or UNREADABLE.search(tag) for tag in trimmed):
        message = f"A tag has 1 to {MAX_TAG_CHARS} characters, and no control characters."
        raise InvalidInput(FieldError((loc,), message, "string_length"))
    return trimmed


def _clean_hash(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        message = "A SHA-256 is written as 64 hexadecimal digits."
        raise InvalidInput(FieldError(("sha256",), message, "string_pattern"))
    return value.lower()
