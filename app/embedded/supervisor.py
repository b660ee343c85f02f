"""Keeping child processes alive: started in order, started again when they die, stopped in turn."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from app import lifeline
from app.terminal import CommandFailed

logger = logging.getLogger(__name__)

STDERR = 2
ROOT = Path(__file__).parents[2]
DEATHS = 5
DEATHS_WITHIN = timedelta(seconds=30)
FIRST_DELAY = timedelta(milliseconds=100)


class Running(Protocol):
    """A process that runs: one that we started, or one that we found."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """Return its exit status once it has ended; minus the signal that ended it."""

    def send_signal(self, signal: int, /) -> None: ...


class DiesTooOften(CommandFailed):
    """A child died so often in so short a time that starting it again makes no sense."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"{name} died {DEATHS} times within {DEATHS_WITHIN.seconds} seconds"
            f" (the last time: {why}), so the service stops."
        )


async def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    fds: Sequence[int] = (),
) -> Process:
    """Start a program that gets SIGTERM when this process dies.

    It is in a session of its own: Ctrl-C in a terminal reaches us only, and we stop it in its turn.
    What it writes goes to standard error; standard output is for what was asked for.
    """
    return await asyncio.create_subprocess_exec(
        *lifeline.bound(list(command)),
        env=dict(environment),
        pass_fds=fds,
        stdin=DEVNULL,
        stdout=STDERR,
        start_new_session=True,
    )


def module(name: str) -> list[str]:
    """Return the command that runs one of our modules."""
    # -P: an `app` folder where the person happens to stand is not ours. From a checkout it is.
    flags = [] if Path.cwd() == ROOT else ["-P"]
    return [sys.executable, *flags, "-m", name]


def inherited() -> dict[str, str]:
    """Return the environment of this process, for its children."""
    return dict(os.environ)


class Child:
    """One process that is to run until it is told to stop."""

    def __init__(
        self, name: str, start: Callable[[], Awaitable[Running]], *, grace: timedelta
    ) -> None:
        """Start nothing yet. grace: from SIGTERM to SIGKILL."""
        self.name = name
        self.grace = grace
        self.up = asyncio.Event()
        self._start = start
        self._stop = asyncio.Event()

    async def keep(self, hurry: asyncio.Event) -> None:
        """Run the program, again and again, until `stop`; where `hurry` is set, stop without grace.

        Raises:
            DiesTooOften: it does not live.
        """
        deaths: deque[float] = deque(maxlen=DEATHS)
        while not self._stop.is_set():
            why = await self._live(hurry)
            if self._stop.is_set():
                return
            deaths.append(time.monotonic())
            recent = [at for at in deaths if deaths[-1] - at <= DEATHS_WITHIN.total_seconds()]
            if len(recent) == DEATHS:
                raise DiesTooOften(self.name, why)
            logger.warning("%s died (%s); starting it again", self.name, why)
            await _first_of(self._stop.wait(), limit=FIRST_DELAY * 2 ** (len(recent) - 1))

    def stop(self) -> None:
        """Ask it to end; `keep` returns once it has."""
        self._stop.set()

    async def _live(self, hurry: asyncio.Event) -> str:
        """Start the program and wait for its end; return how it ended."""
        try:
            running = await self._start()
        except (OSError, CommandFailed) as error:
            return str(error)
        logger.info("%s runs as process %d", self.name, running.pid)
        self.up.set()
        await _first_of(running.wait(), self._stop.wait())
        if self._stop.is_set():
            _send(running, signal.SIGTERM)
            await _first_of(running.wait(), hurry.wait(), limit=self.grace)
            _send(running, signal.SIGKILL)
        return _ending(await running.wait())


class Supervisor:
    """Keeps groups of children; `stop` ends the group that was added last first."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        """Why a child could not be kept."""
        self.hurry = asyncio.Event()
        """Set it to stop without grace."""
        self._on_failure: Callable[[], object] = lambda: None
        self._groups: list[dict[Child, asyncio.Task[None]]] = []

    def on_failure(self, call: Callable[[], object]) -> None:
        """Call this, once, when a child cannot be kept."""
        self._on_failure = call

    def add(self, *children: Child) -> None:
        """Start a group of children and keep them."""
        group = {child: asyncio.create_task(child.keep(self.hurry)) for child in children}
        for task in group.values():
            task.add_done_callback(self._kept)
        self._groups.append(group)

    async def stop(self) -> None:
        """End every child: a group at a time, its children at once."""
        while self._groups:
            group = self._groups.pop()
            for child in group:
                child.stop()
            await asyncio.gather(*group.values(), return_exceptions=True)
            logger.info("stopped: %s", ", ".join(child.name for child in group))

    def _kept(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self.failure is None:
            self.failure = error
            self._on_failure()


async def _first_of(*waits: Awaitable[object], limit: timedelta | None = None) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        seconds = None if limit is None else limit.total_seconds()
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _send(running: Running, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        running.send_signal(number)


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    return signal.strsignal(-status) or f"signal {-status}"
