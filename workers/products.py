"""Storing what is made of one document as its pages come; `jobs.production` makes rows of it."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from app.db.work import transaction
from app.documents.content import OUR_LIMIT_BYTES, Stored, at_once, measured
from app.failures import ErrorCode, ProcessingFailed
from app.jobs import attachments, production
from app.jobs.production import Made
from app.jobs.results import DRAFT_TYPE, Page, ProducedFile
from app.jobs.runs import Run, RunDocument
from workers.context import WorkerContext


class Products:
    """The files that are made of one document of a run."""

    def __init__(self, context: WorkerContext, run: Run, document: RunDocument) -> None:
        self._context = context
        self._run = run
        self._document = document

    async def store(self, pages: Sequence[Page]) -> list[Made]:
        """Store the bytes that came with pages; return the files that are whole.

        Raises:
            ProcessingFailed: a piece does not follow those before it.
            RunLost: the job is no longer this run's.
        """
        files = [file for page in pages for file in page.files]
        pieces = [file for file in files if file.offset is not None]
        if pieces:
            await self._append(pieces)
        whole = [file for file in files if file.offset is None]
        if not whole:
            return []
        async with transaction(self._context.database) as work:
            keys = attachments.expect(work, files=len(whole))
        return [await self._whole(file, key) for file, key in zip(whole, keys, strict=True)]

    async def finish(self) -> None:
        """Make the file that is made of the whole document, all of whose pages are recorded, one.

        Raises:
            RunLost: the job is no longer this run's.
        """
        key = self._document.draft_id
        if key is None:
            return
        made = Made(key, DRAFT_TYPE, await self._complete(key))
        async with transaction(self._context.database) as work:
            await production.keep_draft(work, self._run, self._document, made)

    async def _complete(self, key: UUID) -> Stored:
        store = self._context.store
        try:
            return await store.complete(key)
        except FileNotFoundError:
            # Put in its place by a worker that did not live to say so.
            async with store.local(key) as path:
                return await asyncio.to_thread(measured, path)

    async def _whole(self, file: ProducedFile, key: UUID) -> Made:
        store = self._context.store
        await store.append(key, at_once(file.content), offset=0, limit=OUR_LIMIT_BYTES)
        return Made(key, file.media_type, await store.complete(key), file.page)

    async def _append(self, pieces: Sequence[ProducedFile]) -> None:
        store = self._context.store
        key = self._document.draft_id or await self._draft()
        begin = pieces[0].offset or 0
        content = bytearray()
        for piece in pieces:
            if piece.offset != begin + len(content):
                raise _torn()
            content += piece.content
        # A worker that died may have stored more than it has recorded: the same bytes.
        here = await store.received(key)
        if here < begin:
            raise _torn()
        rest = bytes(content[here - begin :])
        if rest or not here:
            await store.append(key, at_once(rest), offset=here, limit=OUR_LIMIT_BYTES)

    async def _draft(self) -> UUID:
        async with transaction(self._context.database) as work:
            return await production.open_draft(work, self._run, self._document)


def _torn() -> ProcessingFailed:
    message = "A part of the file that was being made is missing; run the job again."
    return ProcessingFailed(ErrorCode.GENERIC, message)
