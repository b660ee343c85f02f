"""Looking at new documents for their length, in the sandbox, while no job is to be done."""

import logging
from datetime import timedelta
from functools import partial

from app.db.work import transaction, unbroken
from app.documents import examination
from app.documents.examination import Examination
from app.errors import StoreUnavailable
from app.failures import ProcessingFailed
from workers.context import WorkerContext
from workers.sandbox import Limits, SandboxUnavailable

logger = logging.getLogger(__name__)

PROCESSOR = "LENGTH"
LONGEST = timedelta(seconds=10)
"""A job may come meanwhile, and would wait for so long."""


async def examine_next(context: WorkerContext) -> bool:
    """Look at the document that has waited longest; return whether there may be more to do."""
    taken = await unbroken(_claim(context), undo=partial(_put_back, context))
    if taken is None:
        return False
    try:
        media_length = await _length(context, taken)
    except (SandboxUnavailable, StoreUnavailable) as error:
        # No fault of the document: it is taken up once more when its time is over.
        logger.warning("a document was not examined: %s", type(error).__name__)
        return False
    except BaseException:
        await unbroken(_put_back(context, taken))
        raise
    await unbroken(_finish(context, taken, media_length))
    return True


async def _length(context: WorkerContext, taken: Examination) -> int | None:
    limits = context.limits
    length = None
    try:
        async with (
            context.store.local(taken.document_id) as source,
            context.sandbox.run(
                processor=PROCESSOR,
                source=source,
                options={},
                media_type=taken.mime_type,
                checkpoint=None,
                limits=Limits(
                    memory_bytes=limits.memory_bytes, page_time=min(limits.page_time, LONGEST)
                ),
            ) as pages,
        ):
            async for page in pages:
                length = page.total
    except ProcessingFailed as error:
        logger.info("a document has no length: %s", error.failure.code)
    except FileNotFoundError:
        return None  # deleted meanwhile
    return length


async def _claim(context: WorkerContext) -> Examination | None:
    async with transaction(context.database) as work:
        return await examination.claim(work)


async def _finish(context: WorkerContext, taken: Examination, media_length: int | None) -> None:
    async with transaction(context.database) as work:
        await examination.finish(work, taken, media_length=media_length)


async def _put_back(context: WorkerContext, taken: Examination | None) -> None:
    if taken is None:
        return
    async with transaction(context.database) as work:
        await examination.put_back(work, taken)
