"""One machine with one service: `docyard up` on a folder of its own, and every process of it."""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from history import Remains, StoreFacts

ROOT = Path(__file__).parents[2]
PATIENCE = timedelta(seconds=120)
WORKERS = 2
LOOK_SECONDS = 0.05
"""Of processes, files and rows, which tell nobody when they change."""
KEPT = re.compile(
    r"docyard\.db(-wal|-shm)?|secret\.key|up\.lock|files(/partial|/[0-9a-f]{2}(/[0-9a-f]{32})?)?"
    r"|valkey(/valkey\.(conf|log|lock)|/appendonlydir(/appendonly\.aof\.[a-z0-9.]+)?)?"
)
"""What a stopped service may leave in its folder."""
BEGUN = re.compile(r'"process": (\d+), "message": "worker \S+ begins"')
KEY = re.compile(r"^\s+(dy_\S+)$", re.MULTILINE)
QUICK = {
    "DOCYARD_HEARTBEAT": "0.5",
    "DOCYARD_LEASE": "2",
    "DOCYARD_SWEEP": "0.5",
    "DOCYARD_RETRY_DELAY": "0.1",
    # Our kills are charged; a job is not to fail by them.
    "DOCYARD_MAX_ATTEMPTS": "50",
}
"""Recovery in seconds rather than in a quarter of a minute."""


class NotInTime(AssertionError):
    """A condition was not met in its time."""


async def until(
    what: str, met: Callable[[], Any] | Callable[[], Awaitable[Any]], *, limit: timedelta = PATIENCE
) -> Any:  # noqa: ANN401 - whatever the condition answers
    """Return what `met` answers once that is true.

    Raises:
        NotInTime: it is not within `limit`.
    """
    deadline = time.monotonic() + limit.total_seconds()
    while True:
        answer = met()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {limit.total_seconds():g} s: {what}")
        await asyncio.sleep(LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `started` makes it another one than the next that gets its number."""

    pid: int
    parent: int
    started: int

    @property
    def role(self) -> str:
        """What it is to the service; a child of a sandbox passes for a sandbox."""
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ")
            for mark, role in ROLES.items():
                if mark in command.decode("utf-8", "replace"):
                    return role
        return "other"

    @property
    def lives(self) -> bool:
        """Whether it still runs; one that nobody has waited for yet does not."""
        found = _look(self.pid)
        return found is not None and found.started == self.started

    def kill(self) -> None:
        """Send SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait_stopped(self) -> None:
        """Return when it is stopped, which takes a moment after SIGSTOP, or dead."""
        while _stat(self.pid)[0] not in "TtZX":
            time.sleep(0.001)

    def opens(self) -> set[Path]:
        """Return the files it has open."""
        found = set()
        with contextlib.suppress(OSError):
            for handle in Path(f"/proc/{self.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    found.add(handle.readlink())
        return found


ROLES = {
    "app up": "up",
    "app serve": "api",
    "workers.forkserver": "sandbox",
    "-m workers": "worker",
    "valkey-server": "valkey",
}


class Machine:
    """A folder, the service on it, and who knows which processes it ever had."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "up.log"
        self.key = ""
        self.url = ""
        self._ready = folder / "ready.json"
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True)
        # Not those of whoever runs the tests.
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith("DOCYARD_")
        }
        self._environment = ours | QUICK | settings | {"TMPDIR": str(self._temporary)}
        self._up: subprocess.Popen[bytes] | None = None
        self._seen: set[Process] = set()
        self.opened = False
        """Whether a child of a sandbox was ever seen with its document open: we can see that."""

    async def start(self) -> Self:
        """Start the service, at the port where it was before; return when it answers."""
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "app", "up", "--data-dir", str(self.data)]
        command += ["--port", port, "--workers", str(WORKERS), "--ready-file", str(self._ready)]
        self._ready.unlink(missing_ok=True)  # of a service that was killed
        with self.log.open("ab") as log:
            # Not asyncio's: it is killed and waited for by code that waits for nothing else.
            self._up = subprocess.Popen(  # noqa: ASYNC220 - takes milliseconds
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        await until("the service answers", self._is_ready)
        self.url = json.loads(self._ready.read_text())["url"]
        self.key = self.key or KEY.findall(self.log.read_text())[0]
        return self

    def kill(self) -> None:
        """Kill `docyard up` itself, without a word."""
        assert self._up is not None
        self._up.kill()
        self._up.wait()

    async def stop(self) -> Remains:
        """Tell the service to stop, as an operator does; return what is left."""
        assert self._up is not None
        self.look()
        self._up.terminate()
        await until("the service ends", lambda: self._up is None or self._up.poll() is not None)
        return Remains(
            exit_status=self._up.returncode,
            processes=tuple(sorted(f"{each.role} {each.pid}" for each in self._left())),
            files=tuple(self._stray_files()),
            locks=tuple(self._held_locks()),
        )

    def clear(self) -> None:
        """End whatever is left, however."""
        if self._up is not None and self._up.poll() is None:
            self._up.kill()
            self._up.wait()
        for process in self._left():
            process.kill()

    def look(self) -> list[Process]:
        """Return the living processes of the service, and remember them."""
        living = {process.pid: process for process in _processes()}
        ours = {process for process in living.values() if process in self._seen}
        if self._up is not None and self._up.pid in living:
            ours.add(living[self._up.pid])
        while more := {
            each
            for each in living.values()
            if each not in ours and any(each.parent == other.pid for other in ours)
        }:
            ours |= more
        self._seen |= ours
        if not self.opened:
            self.opened = any(self._stored(each.opens()) for each in children(ours))
        return sorted(ours, key=lambda each: each.pid)

    def of_role(self, role: str) -> list[Process]:
        """Return the living processes of a role."""
        return [process for process in self.look() if process.role == role]

    def children(self) -> list[Process]:
        """Return the living children of the sandboxes."""
        return children(set(self.look()))

    def busy_workers(self) -> list[Process]:
        """Return the workers in whose sandboxes a document is open right now."""
        ours = {process.pid: process for process in self.look()}
        busy = {
            ours[child.parent].parent
            for child in children(set(ours.values()))
            if self._stored(child.opens())
        }
        return [ours[pid] for pid in busy if pid in ours]

    def sources_of(self, worker: Process) -> list[Path]:
        """Return the documents that are open in the sandbox of a worker."""
        ours = {process.pid: process for process in self.look()}
        found = (
            path
            for child in children(set(ours.values()))
            if ours[child.parent].parent == worker.pid
            for path in child.opens()
        )
        return sorted(path for path in found if path.is_relative_to(self.data / "files"))

    def has_workers(self, count: int) -> bool:
        """Return whether so many workers live that have begun to work, which takes them a while."""
        begun = {int(pid) for line in self.lines() for pid in BEGUN.findall(line)}
        return len({each.pid for each in self.of_role("worker")} & begun) == count

    def has_open(self, path: Path) -> bool:
        """Return whether a child of a sandbox has this file open."""
        return any(path in child.opens() for child in self.children())

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what the database says now; a connection each time, so that none is left open."""
        with closing(self._connect("ro")) as connection:
            return connection.execute(query, values).fetchall()

    def expire_uploads(self) -> None:
        """Put the clock of every unfinished upload and file forward, past its end."""
        with closing(self._connect("rw")) as connection, connection:
            connection.execute(
                "UPDATE document SET upload_expires_at = '2000-01-01 00:00:00.000000'"
                " WHERE upload_expires_at IS NOT NULL"
            )
            connection.execute("UPDATE file_removal SET due_at = '2000-01-01 00:00:00.000000'")

    def source(self, document_id: str) -> Path:
        """Return where the bytes of a document are."""
        name = UUID(document_id).hex
        return self.data / "files" / name[-2:] / name

    def store(self) -> StoreFacts:
        """Return what the store holds, and the rows that account for it."""
        files = self.data / "files"
        documents = self.rows("SELECT id, status, sha256 FROM document")
        blobs = (path for path in files.glob("??/*"))
        return StoreFacts(
            documents={_id(id): (status, digest) for id, status, digest in documents},
            attachments={_id(id): digest for id, digest in self.rows(ATTACHMENTS)},
            blobs={path.name: sha256(path.read_bytes()).hexdigest() for path in blobs},
            partial=frozenset(path.name for path in (files / "partial").iterdir()),
            removals=frozenset(_id(key) for (key,) in self.rows(REMOVALS)),
            writing=frozenset(_id(key) for (key,) in self.rows(LATER_REMOVALS)),
        )

    @contextlib.contextmanager
    def no_writes(self) -> Iterator[None]:
        """Hold the lock of those who write: as long as it is held, none of them is in a write."""
        with closing(self._connect("rw")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.rollback()

    def has_told(self, words: str) -> bool:
        """Return whether the log says this."""
        return any(words in line for line in self.lines())

    def lines(self) -> list[str]:
        """Return the log of every start."""
        return self.log.read_text("utf-8", "replace").splitlines()

    def _is_ready(self) -> bool:
        assert self._up is not None
        if self._up.poll() is not None:
            raise NotInTime(f"the service ended: {self.lines()[-3:]}")
        return self._ready.exists()

    def _connect(self, mode: str) -> sqlite3.Connection:
        address = f"file:{self.data / 'docyard.db'}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=30)

    def _stored(self, paths: set[Path]) -> bool:
        return any(path.is_relative_to(self.data / "files") for path in paths)

    def _left(self) -> list[Process]:
        """Return what lives of all that was ever ours, or has a file of the folder open."""
        strangers = [
            each
            for each in _processes()
            if each.pid != os.getpid()
            and any(path.is_relative_to(self.folder) for path in each.opens())
        ]
        return list({*strangers, *(each for each in self._seen if each.lives)})

    def _stray_files(self) -> Iterator[str]:
        for path in sorted(self.data.rglob("*")):
            name = path.relative_to(self.data).as_posix()
            # Unfinished uploads are the business of another rule.
            if not KEPT.fullmatch(name) and path.parent.name != "partial":
                yield name
        yield from (f"TMPDIR/{path.name}" for path in sorted(self._temporary.iterdir()))
        if self._ready.exists():
            yield self._ready.name

    def _held_locks(self) -> Iterator[str]:
        for name in ("up.lock", "valkey/valkey.lock"):
            with (self.data / name).open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield name


ATTACHMENTS = "SELECT id, sha256 FROM attachment WHERE type <> 'LOG'"  # which has no bytes
REMOVALS = "SELECT key FROM file_removal WHERE due_at <= strftime('%Y-%m-%d %H:%M:%f', 'now')"
LATER_REMOVALS = REMOVALS.replace("<=", ">")


def utc(value: str) -> datetime:
    """Read a time as SQLite holds it."""
    return datetime.fromisoformat(f"{value}+00:00")


def children(processes: set[Process]) -> list[Process]:
    """Return those of the processes that were forked by a sandbox."""
    sandboxes = {each.pid for each in processes if each.role == "sandbox"}
    return [each for each in processes if each.parent in sandboxes]


def _processes() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (found := _look(int(entry.name))) is not None:
            yield found


def _look(pid: int) -> Process | None:
    """Return the process of this number, None where there is none or it has ended."""
    stat = _stat(pid)
    return None if stat[0] in "ZX" else Process(pid, int(stat[1]), int(stat[19]))


def _stat(pid: int) -> list[str]:
    """Return what the kernel says of a process from its state on; of one that is gone, "X"."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ["X"]


def _id(value: str) -> str:
    return UUID(value).hex
