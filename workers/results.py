"""Files with what came of the documents of a job: written when a document ends, kept with its end.

The bytes come first, the rows after them in the commit that ends the document. `expected` stands
around both: where they do not come so far, it has the bytes removed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from app.db.work import transaction, unbroken
from app.documents.content import OUR_LIMIT_BYTES, Stored, at_once
from app.documents.store import Store
from app.jobs import attachments, result_files
from app.jobs.attachments import Written
from app.jobs.runs import Run, RunDocument
from app.jobs.types import AttachmentType
from app.settings import MIB
from workers.context import WorkerContext

FILES = len(result_files.SHAPES)


async def write(
    context: WorkerContext, run: Run, document: RunDocument, keys: Sequence[UUID]
) -> list[Written]:
    """Write the files with what came of a document; its pages are all recorded.

    keys: FILES of them.
    """
    files = [_File(context.store, key) for key in keys]
    async for blocks in result_files.contents(
        context.database, job_id=run.job_id, document_id=document.id
    ):
        for file, block in zip(files, blocks, strict=True):
            await file.add(block)
    return [
        _written(await file.end(), type, file.key, document)
        for type, file in zip(result_files.SHAPES, files, strict=True)
    ]


class _File:
    """A file that grows; memory does not grow with it."""

    def __init__(self, store: Store, key: UUID) -> None:
        self.key = key
        self._store = store
        self._stored_bytes = 0
        self._waiting = bytearray()

    async def add(self, content: bytes) -> None:
        self._waiting += content
        if len(self._waiting) >= MIB:
            await self._write()

    async def end(self) -> Stored:
        await self._write()
        return await self._store.complete(self.key)

    async def _write(self) -> None:
        block = bytes(self._waiting)
        self._waiting.clear()
        self._stored_bytes = await self._store.append(
            self.key, at_once(block), offset=self._stored_bytes, limit=OUR_LIMIT_BYTES
        )


@asynccontextmanager
async def expected(context: WorkerContext, keys: Sequence[UUID]) -> AsyncIterator[None]:
    """Have the bytes of these keys removed where the block does not come to keep them."""
    try:
        yield
    except BaseException:
        if keys:
            await unbroken(_give_up(context, keys))
        raise


def _written(stored: Stored, type: AttachmentType, key: UUID, document: RunDocument) -> Written:
    return Written(
        key=key,
        type=type,
        filename=result_files.filename(type, document.filename),
        mime_type=result_files.MEDIA_TYPE,
        size=stored.size,
        sha256=stored.sha256,
    )


async def _give_up(context: WorkerContext, keys: Sequence[UUID]) -> None:
    async with transaction(context.database) as work:
        await attachments.give_up(work, keys, store=context.store)
