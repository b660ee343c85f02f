"""The forkserver and its children, seen from the worker: starting, killing, reading.

For each run two socket pairs are made here. Of one, the *frames*, the far end becomes the child's;
of the other, the *lifeline*, it stays with the forkserver, which kills the child when this end is
shut and says over it how the child ended. So no process is ever named by a number that may by now
be another's.
"""

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workers import frames
from workers.confinement import environment
from workers.frames import Ready, Unready

START_TIME = timedelta(seconds=60)
END_TIME = timedelta(seconds=10)
# How long a child may take to die after it closed its end, before it is killed for that.
LAST_WORDS_TIME = timedelta(seconds=2)
LOG_LINE_CHARS = 500
# How much is read of the frames that follow, and how much at once.
AHEAD_BYTES = 64 * 1024
MOST_BYTES = 2**20

log = logging.getLogger(__name__)


class SandboxUnavailable(Exception):
    """No child could be had, or it was lost by no fault of the document: try again later."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a child ended: its wait status, and its peak of resident memory."""

    status: int
    peak_bytes: int


class Child:
    """One child: the socket of its frames, and the lifeline whose other end the forkserver has."""

    def __init__(
        self, parent: "Parent", frame_socket: socket.socket, lifeline: socket.socket
    ) -> None:
        self.report: Report | None = None
        self._parent = parent
        self._frames = frame_socket
        self._lifeline = lifeline
        self._reported = False
        self._ahead = bytearray()

    async def begin(self, request: dict[str, Any]) -> None:
        """Hand over the request and wait until the child is confined.

        Raises:
            SandboxUnavailable: it did not come so far.
        """
        body = json.dumps(request).encode()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(START_TIME.total_seconds()):
                with contextlib.suppress(ConnectionError):
                    await loop.sock_sendall(self._frames, frames.LENGTHS.pack(len(body), 0) + body)
                frame = await self.receive(lambda *_: None)
        except TimeoutError:
            raise SandboxUnavailable("The child did not begin in time.") from None
        except (EOFError, ConnectionError):
            raise SandboxUnavailable("The child ended before it began.") from None
        match frame:
            case Ready():
                return
            case Unready(reason=reason):
                raise SandboxUnavailable(f"The child could not begin: {reason}")
        raise SandboxUnavailable("The child began with something else.")

    async def receive(self, allow: Callable[[int, int], None]) -> frames.Frame:
        """Read one frame.

        allow: called with the sizes of both parts before more than AHEAD_BYTES of them are read;
        may refuse by raising.

        Raises:
            ProtocolBroken: it is not one.
            EOFError: the child closed its end, mostly by ending.
        """
        lengths = await self._exactly(frames.LENGTHS.size)
        head_bytes, content_bytes = frames.LENGTHS.unpack(lengths)
        allow(head_bytes, content_bytes)
        head = await self._exactly(head_bytes)
        return frames.decode(head, await self._exactly(content_bytes))

    def kill(self) -> None:
        """Have the child killed; it is dead soon after, whatever it is doing."""
        with contextlib.suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)

    async def last_words(self) -> Report | None:
        """Wait for the child to end by itself; None when it lives on.

        Raises:
            SandboxUnavailable: the forkserver is gone, and the child with it.
        """
        try:
            async with asyncio.timeout(LAST_WORDS_TIME.total_seconds()):
                await self._wait()
        except TimeoutError:
            return None
        if self.report is None:
            raise SandboxUnavailable("The forkserver died.")
        return self.report

    async def end(self) -> None:
        """Kill the child, wait until it is gone, and close everything."""
        self.kill()
        try:
            async with asyncio.timeout(END_TIME.total_seconds()):
                await self._wait()
        except TimeoutError:
            log.warning("the forkserver did not kill a child in time; killing the forkserver")
            self._parent.kill()
        finally:
            self._frames.close()
            self._lifeline.close()

    async def _wait(self) -> None:
        if self._reported:
            return
        loop = asyncio.get_running_loop()
        try:
            report = await loop.sock_recv(self._lifeline, 4096)
        except ConnectionError:
            report = b""
        self._reported = True
        if report:
            self.report = Report(**json.loads(report))

    async def _exactly(self, size_bytes: int) -> bytearray:
        body, self._ahead = self._ahead[:size_bytes], self._ahead[size_bytes:]
        loop = asyncio.get_running_loop()
        while (missing := size_bytes - len(body)) > 0:
            # Most frames come whole this way: to wait costs more than to read.
            part = await loop.sock_recv(self._frames, max(min(missing, MOST_BYTES), AHEAD_BYTES))
            if not part:
                raise EOFError
            body += part[:missing]
            self._ahead += part[missing:]
        return body


class Parent:
    """The process that forks the children, seen from here."""

    def __init__(self, processors: str | None) -> None:
        """Start it.

        Raises:
            SandboxUnavailable: the system cannot.
        """
        # Not asyncio's subprocesses: one that is canceled while it starts may wait for ever.
        self._control, theirs = socket.socketpair()
        stderr, said = socket.socketpair()
        table = [] if processors is None else ["--processors", processors]
        command = [sys.executable, "-P", "-m", "workers.forkserver"]
        with theirs, said:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [*command, "--control", str(theirs.fileno()), *table],
                    pass_fds=[theirs.fileno()],
                    env=environment(),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said.fileno(),
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                stderr.close()
                raise SandboxUnavailable(f"The forkserver cannot be started: {error}") from error
        self._control.setblocking(False)
        stderr.setblocking(False)
        self._stderr = _Lines(stderr)

    async def begin(self) -> None:
        """Wait until it can fork; close it when that does not come about.

        Raises:
            SandboxUnavailable: it ended instead, or took too long.
        """
        begun = False
        try:
            begun = await self._begun()
        finally:
            if not begun:
                self.kill()
                await self.close()
        if not begun:
            raise SandboxUnavailable(f"The forkserver did not start: {self._stderr.last}")

    @property
    def alive(self) -> bool:
        """False once the process has ended; nothing else closes its end of the socket."""
        try:
            return bool(self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def fork(self) -> Child:
        """Ask for a child.

        Raises:
            OSError: the forkserver is gone.
        """
        ours, theirs = socket.socketpair()
        lifeline, held = socket.socketpair()
        with theirs, held:
            try:
                socket.send_fds(self._control, [b"S"], [theirs.fileno(), held.fileno()])
            except OSError:
                ours.close()
                lifeline.close()
                raise
        ours.setblocking(False)
        lifeline.setblocking(False)
        return Child(self, ours, lifeline)

    def kill(self) -> None:
        """End it and, through the kernel, its children."""
        self._process.kill()

    async def close(self) -> None:
        """End it and its children, and wait until it is gone."""
        self._control.close()
        try:
            async with asyncio.timeout(END_TIME.total_seconds()):
                await self._stderr.end()
        except TimeoutError:
            self.kill()
            await self._stderr.end()
        finally:
            self._stderr.close()
        await asyncio.to_thread(self._process.wait)

    async def _begun(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(START_TIME.total_seconds()):
                return bool(await loop.sock_recv(self._control, 1))
        except (TimeoutError, ConnectionError):
            return False


class _Lines:
    """Passes on what the forkserver writes to stderr; the children write nowhere."""

    def __init__(self, stream: socket.socket) -> None:
        self.last = ""
        self._stream = stream
        self._task = asyncio.create_task(self._pass_on())

    async def end(self) -> None:
        """Wait for the end, which is the end of the forkserver."""
        await asyncio.shield(self._task)

    def close(self) -> None:
        self._task.cancel()
        self._stream.close()

    async def _pass_on(self) -> None:
        loop = asyncio.get_running_loop()
        rest = b""
        while part := await loop.sock_recv(self._stream, 4096):
            *lines, rest = (rest + part).split(b"\n")
            rest = rest[:LOG_LINE_CHARS]
            for line in lines:
                self.last = line.decode(errors="replace").strip()[:LOG_LINE_CHARS]
                log.warning("forkserver: %s", self.last)
