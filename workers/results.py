"""Files with what came of the documents of a job: written when a document ends, kept with its end.

The bytes come first, the rows after them in the commit that ends the document. `expected` stands
around both: where they do not come so far, it has the bytes removed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from app.db.work import transaction, unbroken
from app.jobs import attachments, result_files
from app.jobs.attachments import Written
from app.jobs.runs import Run, RunDocument
from app.jobs.types import AttachmentType
from workers.context import WorkerContext

LARGEST_BYTES = 64 * 2**30
"""Far more than comes out of the sandbox."""
FILES = len(result_files.SHAPES)


async def write(
    context: WorkerContext, run: Run, document: RunDocument, keys: Sequence[UUID]
) -> list[Written]:
    """Write the files with what came of a document; its pages are all recorded.

    keys: FILES of them.
    """
    return [
        await _written(context, run, document, type=type, key=key)
        for type, key in zip(result_files.SHAPES, keys, strict=True)
    ]


@asynccontextmanager
async def expected(context: WorkerContext, keys: Sequence[UUID]) -> AsyncIterator[None]:
    """Have the bytes of these keys removed where the block does not come to keep them."""
    try:
        yield
    except BaseException:
        if keys:
            await unbroken(_give_up(context, keys))
        raise


async def _written(
    context: WorkerContext, run: Run, document: RunDocument, *, type: AttachmentType, key: UUID
) -> Written:
    content = result_files.content(
        context.database, type, job_id=run.job_id, document_id=document.id
    )
    await context.store.append(key, content, offset=0, limit=LARGEST_BYTES)
    stored = await context.store.complete(key)
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
