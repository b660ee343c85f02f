"""Where documents are opened: in a fresh, confined child for each run, never in the worker.

    async with Sandbox() as sandbox:
        async with sandbox.run(processor="SEGMENT", source=path, ...) as pages:
            async for page in pages:
                ...

The child is forked by `workers.forkserver`; what it may do is in `workers.confinement`, what it may
say in `workers.frames`. To leave the inner block, however, is to kill the child.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.db.work import unbroken
from app.failures import ErrorCode, Failure, ProcessingFailed
from app.jobs.options import NOTHING_GIVEN, DocumentOptions
from app.jobs.results import Page
from workers import frames
from workers.children import Child, Parent, Report, SandboxUnavailable
from workers.confinement import nearly_full
from workers.frames import Done

__all__ = ["Limits", "Pages", "Sandbox", "SandboxUnavailable"]

MIB = 2**20
GIB = 2**30

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use.

    memory_bytes: address space of the child, about 350 MiB of which it has from the start.
    page_time: for one page, of the clock and of the processor; each page begins it anew. The clock
    runs only while the worker waits for the page, not while the page waits for the worker.
    page_output_bytes: what one page may hand on; of that a quarter for all but bodies and files.
    output_bytes: what the whole run may hand on.
    pages: what the document may have.
    """

    memory_bytes: int
    page_time: timedelta = timedelta(seconds=30)
    page_output_bytes: int = 32 * MIB
    output_bytes: int = GIB
    pages: int = 10_000
    open_files: int = 64


class Sandbox:
    """The children of one worker process; several may run at once, each by itself.

    processors: "module:attribute" of another table than `workers.forkserver.PROCESSORS`.
    """

    def __init__(self, *, processors: str | None = None) -> None:
        self._processors = processors
        self._parent: Parent | None = None
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start the forkserver.

        Raises:
            SandboxUnavailable: it does not start.
        """
        await self._living_parent()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._parent is not None:
            await self._parent.close()
            self._parent = None

    @asynccontextmanager
    async def run(
        self,
        *,
        processor: str,
        source: Path,
        options: dict[str, Any],
        media_type: str,
        checkpoint: dict[str, Any] | None,
        limits: Limits,
        given: DocumentOptions = NOTHING_GIVEN,
    ) -> AsyncIterator["Pages"]:
        """Open `source` in a child of its own and give its pages, one by one, as they are done.

        source: absolute. options: as `app.jobs.options.to_json` writes them. checkpoint: of the
        last page that is known already; the run goes on after it. given: what goes with the
        document; no frame and no failure repeats a password. Leaving the block kills the
        child and waits for its end.

        Raises:
            SandboxUnavailable: there is no child; nothing is wrong with the document.
            ProcessingFailed: while iterating, when the document cannot be worked on.
        """
        request = {
            "processor": processor,
            "source": str(source),
            "options": options,
            "media_type": media_type,
            "checkpoint": checkpoint,
            "given": asdict(given),
            "memory_bytes": limits.memory_bytes,
            "page_seconds": limits.page_time.total_seconds(),
            "open_files": limits.open_files,
        }
        child = await self._begin(request)
        try:
            yield Pages(child, limits, resumed=checkpoint is not None)
        finally:
            await child.end()

    async def _begin(self, request: dict[str, Any]) -> Child:
        # Twice: the forkserver may die between the look at it and the child's first word. The
        # document is not open before that, so it cannot be the reason.
        for last in (False, True):
            parent = await self._living_parent()
            try:
                child = parent.fork()
            except OSError as error:
                log.warning("the forkserver takes no work: %s", error)
                continue
            try:
                await child.begin(request)
            except BaseException as error:
                await child.end()
                if last or parent.alive or not isinstance(error, SandboxUnavailable):
                    raise
            else:
                return child
        raise SandboxUnavailable("The forkserver takes no work.")

    async def _living_parent(self) -> Parent:
        async with self._starting:
            if self._parent is not None and not self._parent.alive:
                log.warning("the forkserver is gone; starting another")
                dead, self._parent = self._parent, None
                await unbroken(dead.close())  # whoever met it may be canceled meanwhile
            if self._parent is None:
                parent = Parent(self._processors)
                await parent.begin()
                self._parent = parent
            return self._parent


class Pages:
    """The pages of one run, in order; the end of the iteration is the end of the document."""

    def __init__(self, child: Child, limits: Limits, *, resumed: bool) -> None:
        self._child = child
        self._limits = limits
        self._last: int | None = None if resumed else 0
        self._offset: int | None = None if resumed else 0
        self._left_bytes = limits.output_bytes
        self._over = False

    @property
    def peak_bytes(self) -> int | None:
        """The most memory the child had resident, shared parts included; known after its end."""
        return None if self._child.report is None else self._child.report.peak_bytes

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self._over:
            raise StopAsyncIteration
        frame = await self._next_frame()
        match frame:
            case Page() if self._follows(frame):
                if frame.total > self._limits.pages:
                    raise self._too_long(frame.total)
                self._last = frame.number
                return frame
            case Done():
                self._over = True
                self._child.kill()
                raise StopAsyncIteration
            case Failure(code=code, message=message):
                raise self._failed(code, message)
            case _:
                raise self._broken()

    def _follows(self, page: Page) -> bool:
        for piece in (file for file in page.files if file.offset is not None):
            if self._offset not in (None, piece.offset):
                return False
            self._offset = (piece.offset or 0) + len(piece.content)
        return self._last is None or page.number == self._last + 1

    async def _next_frame(self) -> frames.Frame:
        try:
            async with asyncio.timeout(self._limits.page_time.total_seconds()):
                return await self._child.receive(self._allow)
        except TimeoutError:
            seconds = self._limits.page_time.total_seconds()
            message = f"A page took longer than {seconds:g} s."
            raise self._failed(ErrorCode.TIMEOUT, message) from None
        except frames.ProtocolBroken:
            raise self._broken() from None
        except (EOFError, ConnectionError):
            verdict = _verdict(await self._child.last_words(), self._limits)
        raise self._failed(verdict.code, verdict.message)

    def _allow(self, head_bytes: int, content_bytes: int) -> None:
        """Refuse a frame that is too large, before any of it is read."""
        size_bytes = head_bytes + content_bytes
        most = self._limits.page_output_bytes
        if size_bytes > most or head_bytes > max(most // 4, 64 * 1024):
            raise self._failed(ErrorCode.TOO_LARGE, f"A page gave more than {most:,} bytes.")
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            most = self._limits.output_bytes
            raise self._failed(ErrorCode.TOO_LARGE, f"The document gave more than {most:,} bytes.")

    def _too_long(self, pages: int) -> ProcessingFailed:
        message = f"The document has {pages:,} pages; at most {self._limits.pages:,} are taken."
        return self._failed(ErrorCode.TOO_LARGE, message)

    def _broken(self) -> ProcessingFailed:
        return self._failed(ErrorCode.CRASHED, "The processor broke the protocol.")

    def _failed(self, code: ErrorCode, message: str) -> ProcessingFailed:
        self._over = True
        self._child.kill()
        return ProcessingFailed(code, message)


def _verdict(report: Report | None, limits: Limits) -> Failure:
    """Say why a child ended that did not say it itself."""
    if report is None:
        return Failure(ErrorCode.CRASHED, "The processor closed its pipe and went on.")
    code = os.waitstatus_to_exitcode(report.status)
    if code == -signal.SIGXCPU:
        seconds = limits.page_time.total_seconds()
        return Failure(ErrorCode.TIMEOUT, f"A page took more than {seconds:g} s of the processor.")
    if _ran_out_of_memory(code, report.peak_bytes, limits):
        most = limits.memory_bytes // MIB
        return Failure(ErrorCode.MEMORY, f"The document needs more than {most:,} MiB of memory.")
    if code < 0:
        return Failure(ErrorCode.CRASHED, f"The processor died by signal {-code}.")
    return Failure(ErrorCode.CRASHED, f"The processor exited with status {code}, unfinished.")


def _ran_out_of_memory(code: int, peak_bytes: int, limits: Limits) -> bool:
    # SIGKILL, and not from us: the kernel takes the largest when the machine is out of memory.
    if code in (frames.OUT_OF_MEMORY_STATUS, -signal.SIGKILL):
        return True
    crashed = code in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)
    return crashed and nearly_full(peak_bytes, limits.memory_bytes)
