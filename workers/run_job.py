"""The one data path: a ring, the claim, documents through the sandbox, pages into rows."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app import logs
from app.clock import now
from app.db.work import Work, reading, transaction, unbroken
from app.errors import StorageFull, StoreUnavailable
from app.failures import ErrorCode, Failure, ProcessingFailed
from app.jobs import attachments, conditionals, recording, retries, runs
from app.jobs.attachments import Written
from app.jobs.conditionals import Judgement
from app.jobs.results import Page
from app.jobs.runs import Run, RunDocument, RunLost
from app.jobs.states import OPEN
from app.jobs.types import JobType
from workers import given, results
from workers.context import WorkerContext
from workers.examination import examine_next
from workers.products import Products
from workers.sandbox import SandboxUnavailable

logger = logging.getLogger(__name__)

WRITE_SECONDS = 0.25
"""Pages are gathered for so long before they are written: at most four events a second."""
MOST_HELD_BYTES = 32 * 2**20
"""Nor are they gathered beyond so many bytes of the files that come with them."""
LOOK_SECONDS = 1.0
"""How often a run looks whether it is still wanted: a cancel works without Redis, too."""
DRAIN_SECONDS = 60.0
"""For so long one ring takes up job after job, so that lost rings cost nothing."""


async def run_job(arq_context: dict[Any, Any], rang: str) -> None:
    """Answer a ring: take up the best job that is due, whichever rang, and those after it.

    New documents are looked at while no job is due.
    """
    context: WorkerContext = arq_context["worker"]
    until = time.monotonic() + DRAIN_SECONDS
    while await _next_job(context) or await examine_next(context):
        if time.monotonic() > until:
            # Back to the queue between jobs: arq ends what takes too long, and must not end this.
            await context.bell.ring(UUID(rang))
            return


async def _next_job(context: WorkerContext) -> bool:
    run = await claim(context)
    if run is None:
        return False
    with logs.about(job_id=str(run.job_id)):
        await work_on(context, run)
    return True


async def claim(context: WorkerContext) -> Run | None:
    """Take up the best job that is due, None where there is none."""
    # A job that nobody works on must not wait for the end of its lease.
    return await unbroken(_claim(context), undo=partial(_give_back, context))


async def _claim(context: WorkerContext) -> Run | None:
    settings = context.settings
    async with transaction(context.database) as work:
        return await runs.claim(
            work,
            context.bell,
            worker_id=context.worker_id,
            lease=settings.lease,
            ageing=settings.ageing,
        )


async def work_on(context: WorkerContext, run: Run) -> None:
    """Do one job, from its claim to its end; whatever happens, it is not left in our hands."""
    context.nudges[run.job_id] = asyncio.Event()
    try:
        await _attend(context, run)
    except RunLost:
        logger.info("job %s is no longer ours", run.job_id)
    except asyncio.CancelledError:
        # A deploy: the next worker goes on after the last finished page.
        await unbroken(_give_back(context, run))
        raise
    except Exception as error:
        logger.exception("job %s went wrong", run.job_id)
        await unbroken(_try_again(context, run, _failure(error)))
    finally:
        del context.nudges[run.job_id]


async def _attend(context: WorkerContext, run: Run) -> None:
    """Work, with the heartbeat beside it, no longer than the job may take."""
    work = asyncio.create_task(_do(context, run))
    pulse = asyncio.create_task(keep_alive(context, run))
    seconds = max(0.0, run.time_left.total_seconds())
    try:
        done, _ = await asyncio.wait(
            {work, pulse}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        for task in (work, pulse):
            task.cancel()
        await asyncio.gather(work, pulse, return_exceptions=True)
    if not done:
        await unbroken(_time_out(context, run))


async def _time_out(context: WorkerContext, run: Run) -> None:
    failure = Failure(ErrorCode.TIMEOUT, "The job took longer than its timeoutSeconds.")
    async with transaction(context.database) as work:
        await recording.fail(work, context.bell, run, failure)


async def keep_alive(context: WorkerContext, run: Run) -> None:
    """Extend the lease for ever.

    Raises:
        RunLost: the job was canceled, deleted or taken back.
    """
    nudge = context.nudges[run.job_id]
    heartbeat = context.settings.heartbeat.total_seconds()
    beat_at = time.monotonic() + heartbeat
    while True:
        # Not `wait_for`, which keeps a cancellation to itself that comes with a nudge.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(LOOK_SECONDS, heartbeat)):
                await nudge.wait()
        nudge.clear()
        beating = time.monotonic() >= beat_at
        try:
            ours = await unbroken(_beat(context, run) if beating else _look(context, run))
        except (SQLAlchemyError, OSError) as error:
            # The database may be back before the lease is over, and every write is fenced.
            logger.warning("job %s: no heartbeat, %s", run.job_id, type(error).__name__)
            continue
        if not ours:
            raise RunLost
        if beating:
            beat_at = time.monotonic() + heartbeat


async def _beat(context: WorkerContext, run: Run) -> bool:
    """Extend the lease; return whether the job is still ours.

    Nothing is raised where it is not: the job may have ended, with its heartbeat canceled since.
    """
    async with transaction(context.database) as work:
        try:
            await runs.extend(work, run, lease=context.settings.lease)
        except RunLost:
            return False
    return True


async def _look(context: WorkerContext, run: Run) -> bool:
    async with reading(context.database) as session:
        return await runs.still_ours(session, run)


async def _do(context: WorkerContext, run: Run) -> None:
    if run.type is JobType.CONDITIONAL:
        await _rules(context, run)
    else:
        await _documents(context, run)


async def _rules(context: WorkerContext, run: Run) -> None:
    """Judge the rules of a conditional job; from then on its children have it in their hands."""
    async with reading(context.database) as session:
        judge = await conditionals.judging(session, run)
    judgement = await asyncio.to_thread(judge)
    await unbroken(_carry_out(context, run, judgement))


async def _carry_out(context: WorkerContext, run: Run, judgement: Judgement) -> None:
    async with transaction(context.database) as work:
        await conditionals.carry_out(work, context.bell, run, judgement)


async def _documents(context: WorkerContext, run: Run) -> None:
    for document in [each for each in run.documents if each.status in OPEN]:
        recorder = Recorder(context, run, document)
        failure = None
        if not await _taken_over(context, run, document):
            failure = await _document(context, run, document, recorder)
        if failure is not None:
            await unbroken(recorder.end(failure))
            continue
        keys = await unbroken(recorder.pages_done())
        async with results.expected(context, keys):
            files = await results.write(context, run, document, keys)
            await unbroken(recorder.end(None, files))


async def _taken_over(context: WorkerContext, run: Run, document: RunDocument) -> bool:
    """Copy what another job has made of a document; False where it is to be done."""
    more = document.taken_from_id is not None
    while more:
        more = await unbroken(_take_over(context, run, document))
    return document.taken_from_id is not None


async def _take_over(context: WorkerContext, run: Run, document: RunDocument) -> bool:
    async with transaction(context.database) as work:
        return await retries.take_over(work, context.bell, run, document)


async def _document(
    context: WorkerContext, run: Run, document: RunDocument, recorder: "Recorder"
) -> Failure | None:
    """Put one document through the sandbox; return why it failed, None where it did not."""
    if document.sha256 is None:
        return Failure(ErrorCode.EXPIRED, "The upload was given up before all bytes were here.")
    try:
        async with (
            context.store.local(document.id) as source,
            context.sandbox.run(
                processor=run.type,
                source=source,
                options=given.settings(run, document),
                media_type=document.mime_type or "",
                checkpoint=document.checkpoint,
                limits=context.limits,
                given=given.for_document(run, document, seals=context.seals),
            ) as pages,
        ):
            await recorder.follow(aiter(pages))
    except ProcessingFailed as error:
        return error.failure
    except FileNotFoundError:
        return Failure(ErrorCode.INTERNAL, "The bytes of this document are gone.")
    return None


class Recorder:
    """Writes the pages of one document as they come, gathered so that the database keeps up."""

    def __init__(self, context: WorkerContext, run: Run, document: RunDocument) -> None:
        self._context = context
        self._run = run
        self._document = document
        self._products = Products(context, run, document)
        self._pages: list[Page] = []
        self._write_at = time.monotonic() + WRITE_SECONDS
        self._shown = False

    async def follow(self, pages: AsyncIterator[Page]) -> None:
        """Write the pages until they end, each at most WRITE_SECONDS after it came."""
        gathering = asyncio.create_task(self._gather(pages))
        try:
            while True:
                left = max(0.0, self._write_at - time.monotonic())
                # None: the next page ends the gathering.
                await asyncio.wait({gathering}, timeout=left if left or self._pages else None)
                if gathering.done():
                    if gathering.result():
                        return
                    gathering = asyncio.create_task(self._gather(pages))
                if self._pages and self._is_due:
                    await unbroken(self._write())
        finally:
            gathering.cancel()
            await asyncio.gather(gathering, return_exceptions=True)

    async def pages_done(self) -> list[UUID]:
        """Write what is left; return the keys for the files with what came of the document."""
        async with self._recording() as work:
            keys = attachments.expect(work, files=results.FILES)
        await self._products.finish()
        return keys

    async def end(self, failure: Failure | None, files: Sequence[Written] = ()) -> None:
        """Write what is left, the fate of the document and, after the last one, of the job."""
        run, bell = self._run, self._context.bell
        async with self._recording() as work:
            await recording.end_document(work, bell, run, self._document, failure, results=files)
            if not any(each.status in OPEN for each in run.documents):
                await recording.finish(work, bell, run)

    async def _gather(self, pages: AsyncIterator[Page]) -> bool:
        """Gather pages until they are to be written; return whether that was the last one.

        To wait for each page by itself would take as long as everything else that is done with it.
        """
        async for page in pages:
            self._pages.append(page)
            if self._is_due:
                return False
        return True

    @property
    def _is_due(self) -> bool:
        return time.monotonic() >= self._write_at or self._is_full

    @property
    def _is_full(self) -> bool:
        """The first segments are not made to wait: somebody looks at an empty list."""
        first = not self._shown and any(page.segments for page in self._pages)
        held = sum(len(file.content) for page in self._pages for file in page.files)
        return first or held >= MOST_HELD_BYTES

    async def _write(self) -> None:
        self._shown = self._shown or any(page.segments for page in self._pages)
        async with self._recording():
            pass
        self._write_at = time.monotonic() + WRITE_SECONDS

    @asynccontextmanager
    async def _recording(self) -> AsyncIterator[Work]:
        """Record the pages that were gathered, and what the block adds to that, in one commit."""
        pages, self._pages = self._pages, []
        context = self._context
        made = await self._products.store(pages)
        async with (
            results.expected(context, [each.key for each in made]),
            transaction(context.database) as work,
        ):
            if pages:
                await recording.record_pages(
                    work, context.bell, self._run, self._document, pages, made=made
                )
            yield work


async def _give_back(context: WorkerContext, run: Run | None) -> None:
    if run is None:
        return
    with contextlib.suppress(RunLost):
        async with transaction(context.database) as work:
            reason = "The worker is stopping; another one goes on."
            await runs.give_back(work, context.bell, run, reason=reason, due_at=now())


def _failure(error: Exception) -> Failure:
    """Say what went wrong by no fault of a document."""
    match error:
        case StoreUnavailable() | StorageFull():
            return Failure(ErrorCode.EXTERNAL, str(error))
        case SandboxUnavailable():
            return Failure(ErrorCode.INTERNAL, "The sandbox was lost.")
        case _:
            return Failure(ErrorCode.INTERNAL, "A bug was met; the log says more.")


async def _try_again(context: WorkerContext, run: Run, failure: Failure) -> None:
    delay: timedelta = context.settings.retry_delay
    try:
        async with transaction(context.database) as work:
            await recording.try_again(work, context.bell, run, failure, delay=delay)
    except RunLost:
        return
    except Exception:
        # The lease runs out, and the sweep takes the job back.
        logger.exception("job %s could not be given back", run.job_id)
