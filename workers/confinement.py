"""What a child may do that opens a hostile document: read that one file, and compute.

Each wall stands by itself, since none holds everywhere: resource limits (any Unix), an empty
network namespace, Landlock and seccomp (Linux, the newer the better). A wall that this system does
not have is left out. None of them needs more rights than any user has.

    python -P -m workers.confinement

tries in a throw-away child, confined like any other, what no child may do, and says what held.
"""

import ctypes
import json
import math
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from workers.seccomp import forbid_system_calls

GIB = 2**30
TRIAL_TIME = timedelta(seconds=5)

WALLS = {
    "memory": ("resource limits",),
    "time": ("resource limits",),
    "files": ("landlock",),
    "network": ("network namespace", "landlock", "seccomp"),
    "signals": ("landlock", "seccomp"),
    "processes": ("resource limits", "seccomp"),
}
"""What a child is kept from, and the walls that do it: one is enough."""

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CAPABILITY_VERSION_3 = 0x20080522

# The same numbers on every architecture that Python runs on
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_ADD_RULE = 445
LANDLOCK_RESTRICT_SELF = 446
LANDLOCK_RULE_PATH_BENEATH = 1
LANDLOCK_VERSION = 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
# What each ABI of Landlock can forbid: 1 the first thirteen; 2 moves between folders;
# 3 truncation; 5 ioctl on devices. TCP bind and connect: ABI 4. Abstract sockets, signals: ABI 6.
FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
NETWORK_RIGHTS_FROM = 4
SCOPES_FROM = 6

SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")

NICE = 5
NEARLY_FULL = 0.75
OUT_OF_MEMORY_SCORE = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one child may use.

    page_time: of the processor, for one page; `allow_a_page` gives it anew.
    """

    memory_bytes: int
    page_time: timedelta
    open_files: int


@dataclass(frozen=True, slots=True)
class Protection:
    """Something a child is kept from, whether that holds on this system, and by what."""

    name: str
    holds: bool
    detail: str


class Confinement:
    """The means of this system, looked up before the fork; `apply` puts a child under them."""

    def __init__(self) -> None:
        self.network_open: str | None = "never left"
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.landlock_abi = _landlock_abi(self._libc)
        self._libraries = libraries()

    def leave_network(self) -> None:
        """Put this process, and all it forks later, into a network where nothing is.

        The process must have one thread. `network_open` says afterwards why it could not be had.
        """
        for flags in (CLONE_NEWNET, CLONE_NEWNET | CLONE_NEWUSER):
            self.network_open = _attempt(lambda: self._call("unshare", flags))  # noqa: B023 - called at once
            if self.network_open is None:
                return

    def die_with(self, parent: int) -> None:
        """Have the kernel end this process when its parent ends. Linux only."""
        _attempt(lambda: self._call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() != parent:
            os._exit(1)

    def apply(self, bounds: Bounds, *, source: Path) -> dict[str, str]:
        """Confine this process for good, and name the walls that could not be had, with the reason.

        Raises:
            OSError: `source` cannot be read.
        """
        # Opened first: afterwards root has no rights left over files that are not its own.
        handle = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        _attempt(lambda: Path("/proc/self/oom_score_adj").write_text(str(OUT_OF_MEMORY_SCORE)))
        _attempt(lambda: os.nice(NICE))
        missing = {
            "resource limits": _limit(bounds),
            "no new privileges": _attempt(self._give_up_privileges),
            "landlock": _attempt(lambda: self._restrict_files(handle)),
            "seccomp": _attempt(lambda: forbid_system_calls(self._libc)),
        }
        os.close(handle)
        with source.open("rb"):
            pass
        return {wall: reason for wall, reason in missing.items() if reason}

    def _give_up_privileges(self) -> None:
        self._call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        self._call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
        header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0))
        self._call("capset", header, ctypes.create_string_buffer(24))

    def _restrict_files(self, source: int) -> None:
        files = sum(right for abi, right in FILE_RIGHTS.items() if abi <= self.landlock_abi)
        network = 0b11 if self.landlock_abi >= NETWORK_RIGHTS_FROM else 0
        scopes = 0b11 if self.landlock_abi >= SCOPES_FROM else 0
        handled = ctypes.create_string_buffer(struct.pack("=QQQ", files, network, scopes), 24)
        rules = self._system_call(LANDLOCK_CREATE_RULESET, handled, 24, 0)
        self._allow(rules, READ_FILE, source)
        for path in self._libraries:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            self._allow(rules, READ_FILE | READ_DIR if path.is_dir() else READ_FILE, handle)
            os.close(handle)
        self._system_call(LANDLOCK_RESTRICT_SELF, rules, 0)
        os.close(rules)

    def _allow(self, rules: int, rights: int, handle: int) -> None:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, handle), 12)
        self._system_call(LANDLOCK_ADD_RULE, rules, LANDLOCK_RULE_PATH_BENEATH, rule, 0)

    def _system_call(self, number: int, *arguments: int | ctypes.Array[ctypes.c_char]) -> int:
        return self._call("syscall", number, *arguments)

    def _call(self, name: str, *arguments: int | ctypes.Array[ctypes.c_char]) -> int:
        try:
            function = getattr(self._libc, name)
        except AttributeError:
            raise OSError(0, f"this system has no {name}") from None
        wide = (ctypes.c_ulong(item) if isinstance(item, int) else item for item in arguments)
        answer: int = function(*wide)
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return answer


def allow_a_page(page_time: timedelta) -> None:
    """Grant this process `page_time` more of the processor, from now on, in whole seconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    # The soft limit ends the process. A child that was taken over can lift it again: then the
    # worker's own clock ends it.
    soft = math.ceil(time.process_time() + page_time.total_seconds())
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(soft, hard), hard))


def environment() -> dict[str, str]:
    """Return all that the forkserver gets to know: no secrets, and one thread for each library."""
    return {
        "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OMP_THREAD_LIMIT": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def nearly_full(peak_bytes: int, limit_bytes: int) -> bool:
    """Tell whether a failure at this peak of resident memory is put down to the limit.

    MuPDF does not look at the result of every allocation, and calls some of them other things.
    """
    return peak_bytes > NEARLY_FULL * limit_bytes


def peak_bytes(usage: resource.struct_rusage) -> int:
    """Return the most memory that was resident at once; the system's unit is kB, macOS's bytes."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def libraries() -> list[Path]:
    """Return where code lies that a processor may import late: the system's, Python's and ours."""
    python = sysconfig.get_paths()
    ours = Path(__file__).parent
    paths = [Path(python[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [ours, ours.parent / "app", *map(Path, SYSTEM_LIBRARIES)]
    return [path for path in dict.fromkeys(path.resolve() for path in paths) if path.exists()]


def main() -> None:
    """Print what a child is kept from here, as JSON. It takes 2 s: time is tried no faster."""
    sys.stdout.write(json.dumps([asdict(protection) for protection in try_all()]))


def try_all() -> list[Protection]:
    """Try what a confined child may do. This process loses its network by it."""
    confinement = Confinement()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        source, outside = Path(folder, "source"), Path(folder, "outside")
        source.touch()
        outside.touch()
        confinement.leave_network()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _trial(confinement, writing, source=source, outside=outside, server=server)
        os.close(writing)
        with open(reading) as stream:  # noqa: PTH123 - a pipe has no path
            held, missing = json.load(stream)
        _, status = os.waitpid(pid, 0)
    held["time"] = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
    if confinement.network_open:
        missing["network namespace"] = confinement.network_open
    return [
        Protection(name, held[name], _detail(walls, missing, confinement.landlock_abi))
        for name, walls in WALLS.items()
    ]


def _trial(
    confinement: Confinement, answer: int, *, source: Path, outside: Path, server: socket.socket
) -> NoReturn:
    try:
        bounds = Bounds(memory_bytes=GIB, page_time=timedelta(seconds=1), open_files=64)
        missing = confinement.apply(bounds, source=source)
        held = {
            "memory": _refused(lambda: mmap.mmap(-1, 2 * GIB)),
            "files": _refused(outside.read_bytes) and _refused(lambda: outside.write_bytes(b"x")),
            "network": _refused(lambda: socket.create_connection(server.getsockname(), timeout=5)),
            "signals": _refused(lambda: os.kill(os.getppid(), signal.SIGURG)),
            "processes": _refused(_fork_and_exit),
        }
        os.write(answer, json.dumps([held, missing]).encode())
        os.close(answer)
        while time.process_time() < TRIAL_TIME.total_seconds():
            pass
    finally:
        os._exit(0)


def _refused(step: Callable[[], object]) -> bool:
    try:
        step()
    except (OSError, MemoryError):
        return True
    return False


def _fork_and_exit() -> None:
    if os.fork() == 0:
        os._exit(0)


def _detail(walls: Iterable[str], missing: dict[str, str], landlock_abi: int) -> str:
    parts = []
    for wall in walls:
        if wall in missing:
            parts.append(f"no {wall} ({missing[wall]})")
        else:
            parts.append(f"landlock ABI {landlock_abi}" if wall == "landlock" else wall)
    return ", ".join(parts)


def _limit(bounds: Bounds) -> str | None:
    limits = {
        "RLIMIT_AS": bounds.memory_bytes,
        "RLIMIT_NOFILE": bounds.open_files,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        # Counted for the whole user, but asked only of a process that wants to fork: this one.
        "RLIMIT_NPROC": 0,
    }
    refused = [name for name, most in limits.items() if _attempt(lambda: _lower(name, most))]  # noqa: B023 - called at once
    if _attempt(lambda: allow_a_page(bounds.page_time)):
        refused.append("RLIMIT_CPU")
    return ", ".join(refused) or None


def _lower(name: str, most: int) -> None:
    limit = getattr(resource, name)
    _, hard = resource.getrlimit(limit)
    value = _at_most(most, hard)
    resource.setrlimit(limit, (value, value))


def _at_most(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _attempt(step: Callable[[], object]) -> str | None:
    """Take a step that this system may not know; say why not."""
    try:
        step()
    except (OSError, ValueError, AttributeError) as error:
        return str(error)
    return None


def _landlock_abi(libc: ctypes.CDLL) -> int:
    if sys.platform != "linux":
        return 0
    number, version = ctypes.c_long(LANDLOCK_CREATE_RULESET), ctypes.c_ulong(LANDLOCK_VERSION)
    return max(0, int(libc.syscall(number, None, ctypes.c_ulong(0), version)))


if __name__ == "__main__":
    main()
