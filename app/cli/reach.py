"""How a command reaches a service: one that is named, that of the data folder, or its own."""

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from types import TracebackType
from typing import Self

from app import lifeline
from app.cli.client import Client, ServiceGone
from app.embedded import supervisor
from app.embedded.endpoint import Endpoint
from app.embedded.folder import Folder
from app.lifeline import Lifeline
from app.settings import Settings
from app.terminal import CommandFailed

START_SECONDS = 120.0
STOP_SECONDS = 60.0
PAUSE_SECONDS = 0.05
LOG_BYTES = 1024 * 1024


class Reach:
    """Finds the service, again after it went; stops what it started."""

    def __init__(self, settings: Settings, named: Endpoint | None) -> None:
        """Start nothing yet. named: the service to use, whatever runs here."""
        self._settings = settings
        self._named = named
        self._folder = Folder(settings.data_dir)
        self._log = settings.data_dir / "run.log"
        self._own: Process | None = None
        self._answered = False
        self._lifeline: Lifeline | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own is not None and self._own.returncode is None:
            self._own.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._own.wait(), STOP_SECONDS)
            except TimeoutError:
                self._own.kill()
                await self._own.wait()
        if self._lifeline is not None:
            self._lifeline.close()

    async def endpoint(self) -> Endpoint:
        """Return where a service answers now; start one where none runs.

        Raises:
            CommandFailed: none can be reached or started.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = self._named or Endpoint.read(self._folder.service_file)
            if found is not None and await _alive(found):
                self._answered = True
                return found
            if self._named is not None:
                raise ServiceGone(f"Nothing answers at {self._named.url}.")
            if not await self._starts() and not self._folder.is_locked():
                await self._start()
            await asyncio.sleep(PAUSE_SECONDS)
        raise CommandFailed(f"The service did not come up; {self._log} says more.")

    async def _starts(self) -> bool:
        """Return whether the service that we started is on its way.

        Raises:
            CommandFailed: it ended before it ever answered, with its last words.
        """
        if self._own is None:
            return False
        if self._own.returncode is None:
            return True
        self._own = None
        if not self._answered and not self._folder.is_locked():
            raise CommandFailed(self._last_words())
        return False

    async def _start(self) -> None:
        self._folder.open()
        self._lifeline = self._lifeline or Lifeline()
        command = [*supervisor.module("app"), "up", "--data-dir", str(self._settings.data_dir)]
        log = os.open(self._log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        if os.fstat(log).st_size > LOG_BYTES:
            os.ftruncate(log, 0)
        try:
            self._own = await asyncio.create_subprocess_exec(
                *lifeline.bound([*command, "--port", "0", "--unattended"]),
                env=supervisor.inherited() | self._lifeline.environment,
                pass_fds=(self._lifeline.fd,),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _last_words(self) -> str:
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = self._log.read_text("utf-8", "replace").splitlines()
        sentences = [line for line in lines if line.startswith("docyard: ")]
        if sentences:
            return sentences[-1].removeprefix("docyard: ")
        return f"The service did not come up; {self._log} says more."


async def _alive(endpoint: Endpoint) -> bool:
    async with Client(endpoint) as client:
        return await client.alive()
