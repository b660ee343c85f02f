"""Bytes on their way in. Each step is a transaction of its own: no row waits while bytes travel."""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.accounts.caller import Caller
from app.clock import now
from app.db.engine import Database
from app.db.work import reading, transaction, unbroken
from app.documents import commands
from app.documents.models import Document, DocumentStatus
from app.documents.store import Store, Stored
from app.errors import InvalidLink, UploadComplete

REQUEST_LIFETIME = timedelta(hours=1)
"""Longer than any request: what a crash leaves of one is swept away then."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came with a request: its bytes are stored, its row still says NEW."""

    document_id: UUID
    stored: Stored


async def receive(
    database: Database,
    store: Store,
    *,
    caller: Caller,
    filename: str,
    tags: list[str],
    chunks: AsyncIterable[bytes],
    limit: int,
    ttl: timedelta | None = None,
) -> Received:
    """Store a file that came with a request; `commands.complete` makes it a document.

    Raises:
        InvalidInput: a bad name or tag.
        FileTooLarge, StorageFull: nothing of the file is kept.
    """
    store.check_free_space()
    async with transaction(database) as work:
        document = await commands.announce(
            work,
            application_id=caller.application_id,
            filename=filename,
            tags=tags,
            upload_expires_at=now() + REQUEST_LIFETIME,
            ttl=ttl,
        )
    try:
        await store.append(document.id, chunks, offset=0, limit=limit)
        return Received(document.id, await store.complete(document.id))
    except BaseException:
        await discard(database, store, document.id)
        raise


async def discard(database: Database, store: Store, *document_ids: UUID) -> None:
    """Undo `receive`: the request that the files came with was refused."""
    async with transaction(database) as work:
        await commands.delete(work, document_ids, store=store)


async def put(
    database: Database,
    store: Store,
    *,
    document_id: UUID,
    chunks: AsyncIterable[bytes],
    offset: int,
) -> int:
    """Append bytes to an upload that was announced; return how many are here then.

    What arrived before the sender went away stays, and an upload can go on from there.

    Raises:
        InvalidLink: the upload was given up.
        UploadComplete: all bytes are here already.
        UploadRange, UploadBusy, FileTooLarge, StorageFull: as `append` of the store.
    """
    async with reading(database) as session:
        document = await session.get(Document, document_id)
        if document is None or document.status is DocumentStatus.CANCELED:
            raise InvalidLink
        if document.status is DocumentStatus.PROCESSED or document.announced_size is None:
            raise UploadComplete
    try:
        return await store.append(document_id, chunks, offset=offset, limit=document.announced_size)
    finally:
        await unbroken(_forget_deleted(database, store, document_id))


async def _forget_deleted(database: Database, store: Store, document_id: UUID) -> None:
    """Remove bytes that came while their document was being deleted: they belong to nobody."""
    async with reading(database) as session:
        there = await session.get(Document, document_id)
    if there is None or there.status is DocumentStatus.CANCELED:
        await store.delete(document_id)
