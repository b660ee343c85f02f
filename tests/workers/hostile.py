# ruff: noqa: ARG001 - every processor has the same signature
"""Processors that do what a hostile document could make one do; `test_sandbox.py` runs them."""

import ctypes
import importlib
import os
import re
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.failures import ErrorCode, ProcessingFailed
from app.jobs.results import Box, Emit, Issue, Page, Segment

Options = dict[str, Any]
CHILD_FRAMES = 3


def stop() -> None:
    """Wait for ever in C code."""
    ctypes.CDLL(None).pause()


def say(emit: Emit, *lines: str, number: int = 1, total: int = 1) -> None:
    emit(Page(number, total, tuple(Segment(body=line, page=number) for line in lines)))


def read(
    source: Path, options: Options, emit: Emit, checkpoint: dict[str, Any] | None, **given: object
) -> None:
    """Give each line of the file as a page, with everything a page can have."""
    lines = source.read_text().splitlines()
    first = checkpoint["next"] if checkpoint else 1
    for number in range(first, len(lines) + 1):
        box = Box(number, 0.5, 1, 2, 3)
        part = Segment(lines[number - 1], number, ("A", "B"), (box,), "en", f"p{number}")
        issue = Issue("ODD", str(given["media_type"]), number)
        emit(Page(number, len(lines), (part,), (issue,), {"next": number + 1, **options}))


def wait(source: Path, options: Options, emit: Emit, **_: object) -> None:
    """Give a page, then wait for ever in C code."""
    say(emit, str(os.getpid()), str(os.getppid()), total=2)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    stop()


def spin(source: Path, options: Options, emit: Emit, **_: object) -> None:
    """Compute for ever inside one C call that never lets go of the interpreter."""
    say(emit, str(os.getpid()), str(os.getppid()), total=2)
    re.fullmatch("(a|a)*b", "a" * 64)


def die(source: Path, options: Options, emit: Emit, **_: object) -> None:
    say(emit, "begun", total=2)
    os.kill(os.getpid(), options["signal"])


def leave(source: Path, options: Options, emit: Emit, **_: object) -> None:
    os._exit(options["status"])


def refuse(source: Path, options: Options, emit: Emit, **_: object) -> None:
    raise ProcessingFailed(ErrorCode.PASSWORD, "The document is encrypted.")


def stumble(source: Path, options: Options, emit: Emit, **_: object) -> None:
    raise LookupError(source.read_text())


def eat(source: Path, options: Options, emit: Emit, **_: object) -> None:
    eaten = []
    while True:
        eaten.append(bytearray(16 * 2**20))


def wrap(source: Path, options: Options, emit: Emit, **_: object) -> None:
    """Run out of memory, and call it something else."""
    try:
        bytearray(2**45)
    except MemoryError:
        raise ProcessingFailed(ErrorCode.CORRUPT, "The page is broken.") from None


def flood(source: Path, options: Options, emit: Emit, **_: object) -> None:
    for number in range(1, 1001):
        say(emit, "x" * options["page_bytes"], number=number, total=1000)


def garble(source: Path, options: Options, emit: Emit, **_: object) -> None:
    """Write to the worker past `emit`."""
    os.write(CHILD_FRAMES, bytes.fromhex(options["hex"]))
    stop()


def hang_up(source: Path, options: Options, emit: Emit, **_: object) -> None:
    os.close(CHILD_FRAMES)
    stop()


def look(source: Path, options: Options, emit: Emit, **_: object) -> None:
    """Tell what the child can see of the service."""
    say(
        emit,
        *(f"{name}={value}" for name, value in sorted(os.environ.items())),
        f"cwd={Path.cwd()}",
        f"open={_open_files()}",
        f"threads={threading.active_count()}",
        f"layout={'pymupdf.layout' in sys.modules}",
    )


def reach(source: Path, options: Options, emit: Emit, **_: object) -> None:
    """Try what nobody may, and tell what came of it: the name of the error, or done."""
    outside, port = Path(options["outside"]), options["port"]
    tries: dict[str, Callable[[], object]] = {
        "read": outside.read_bytes,
        "passwd": Path("/etc/passwd").read_bytes,
        "list": lambda: list(outside.parent.iterdir()),
        "write": lambda: outside.write_bytes(b"x"),
        "create": lambda: outside.with_name("made").write_bytes(b"x"),
        "remove": outside.unlink,
        "mode": lambda: outside.chmod(0o777),
        "overwrite source": lambda: source.write_bytes(b"x"),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
        "resolve": lambda: socket.getaddrinfo("example.org", 80),
        "signal parent": lambda: os.kill(os.getppid(), signal.SIGCONT),
        "fork": os.fork,
        "execute": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it must be refused
        "raise memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
        "limit parent": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0)),
        "be nice": lambda: os.nice(-5),
        "many files": lambda: [os.dup(CHILD_FRAMES) for _ in range(1000)],
    }
    say(emit, *(f"{name}: {_outcome(step)}" for name, step in tries.items()))


def paint(source: Path, options: Options, emit: Emit, **_: object) -> None:
    """Run out of memory inside MuPDF."""
    pymupdf: Any = importlib.import_module("pymupdf")  # no other of these needs it
    kept = []
    while True:
        kept.append(pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 4000, 4000)))


def nothing(source: Path, options: Options, emit: Emit, **_: object) -> None:
    say(emit, "done")


def _outcome(step: Callable[[], object]) -> str:
    try:
        step()
    except OSError as error:
        return type(error).__name__
    except ValueError:
        return "ValueError"
    return "done"


def _open_files() -> str:
    found = []
    for number in range(1024):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(str(number))
    return ",".join(found)


PROCESSORS = {
    step.__name__.upper(): (f"{__name__}:{step.__name__}", dict)
    for step in (
        *(read, wait, spin, die, leave, refuse, stumble, eat, wrap, flood),
        *(garble, hang_up, look, reach, paint, nothing),
    )
}
