"""The process that has PyMuPDF loaded and forks a fresh, confined child for each document.

    python -P -m workers.forkserver --control FD

It does nothing else, and never opens a document itself. Over the control socket the worker hands it
one byte and two sockets for each run: the *frames*, which become the child's, and the *lifeline*,
which stays here. The end of the lifeline kills the child; the report of the child's end goes back
over it. The end of the control socket, which is the end of the worker, kills all of them.

Why not `multiprocessing.forkserver`: its children answer by pickle, keep its environment and its
open files, import the worker's `__main__` again, and hand back no peak of memory.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from app.failures import ErrorCode, Failure, ProcessingFailed
from app.jobs.options import DocumentOptions, task_of
from app.jobs.results import Emit, Page
from app.jobs.types import JobType
from workers import frames
from workers.confinement import Bounds, Confinement, allow_a_page, nearly_full, peak_bytes

Options = Callable[[dict[str, Any]], Any]
Processor = Callable[..., None]

PROCESSORS: dict[str, tuple[str, Options]] = {
    "SEGMENT": ("workers.processors.segment:segment", partial(task_of, JobType.SEGMENT)),
    "PREDICT": ("workers.processors.predict:predict", partial(task_of, JobType.PREDICT)),
    "PDF_IMAGES": ("workers.processors.pictures:pdf_images", partial(task_of, JobType.PDF_IMAGES)),
    "TRANSFORM": ("workers.processors.transform:transform", partial(task_of, JobType.TRANSFORM)),
    "LENGTH": ("workers.processors.length:length", dict),
}
"""For each type of job the function that does it, and what reads its options from JSON; and LENGTH,
which is no job.

The functions are named, not imported: `keep_out` has to come first.
"""

# PyMuPDF imports these with itself, for layout by neural network: 1 s, 90 MB and four threads.
# A processor that needs them takes them off this list.
NOT_NEEDED = ("pymupdf.layout", "pymupdf4llm", "onnxruntime")

OBJECTS_OF_A_PAGE = 50_000
"""A page comes as that many dicts and less, which go with it by themselves: to look for cycles
among them while they are made takes a twentieth of all time, and finds next to none."""

START = b"S"
READY = b"R"
CHILD_FRAMES = 3


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m workers.forkserver")
    arguments.add_argument("--control", type=int, required=True)
    arguments.add_argument("--processors", default=None, metavar="MODULE:ATTRIBUTE")
    given = arguments.parse_args()
    # The end of the worker ends this process and its children. A signal to a whole group or service
    # must not: the document would be blamed for it.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    keep_out(NOT_NEEDED)
    table = PROCESSORS if given.processors is None else _load(given.processors)
    processors = {name: (_load(path), options) for name, (path, options) in table.items()}
    confinement = Confinement()
    confinement.leave_network()
    if confinement.network_open:
        _complain(f"no network namespace: {confinement.network_open}")
    _check_one_thread()
    gc.collect()
    gc.freeze()  # what is here already stays shared: a collection in a child does not touch it
    gc.set_threshold(OBJECTS_OF_A_PAGE)
    with socket.socket(fileno=given.control) as control:
        ForkServer(control, processors, confinement).serve()


def keep_out(names: Sequence[str]) -> None:
    """Make imports of these modules, and of what is inside them, fail from here on."""

    class Absent:
        @staticmethod
        def find_spec(
            name: str,
            path: Sequence[str] | None = None,  # noqa: ARG004 - asked for by the import system
            target: ModuleType | None = None,  # noqa: ARG004
        ) -> ModuleSpec | None:
            if any(name == absent or name.startswith(f"{absent}.") for absent in names):
                raise ModuleNotFoundError(f"{name} is kept out", name=name)
            return None

    sys.meta_path.insert(0, Absent)


class ForkServer:
    """One loop without threads: starts children, kills them, reports their ends."""

    def __init__(
        self,
        control: socket.socket,
        processors: dict[str, tuple[Processor, Options]],
        confinement: Confinement,
    ) -> None:
        self._control = control
        self._processors = processors
        self._confinement = confinement
        self._lifelines: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._over = False

    def serve(self) -> None:
        """Serve until the worker closes the control socket or is gone."""
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(woken, selectors.EVENT_READ, partial(self._reap, woken))
        self._selector.register(self._control, selectors.EVENT_READ, self._start)
        self._control.setblocking(True)
        self._control.sendall(READY)
        while not self._over:
            for key, _ in self._selector.select():
                key.data()
        for pid in self._lifelines:
            os.kill(pid, signal.SIGKILL)

    def _start(self) -> None:
        try:
            message, handles, _, _ = socket.recv_fds(self._control, len(START), 2)
        except ConnectionError:
            message, handles = b"", []
        if not message:
            self._over = True
            return
        frames_handle, lifeline_handle = handles
        lifeline = socket.socket(fileno=lifeline_handle)
        try:
            pid = os.fork()
        except OSError as error:
            _complain(f"cannot fork: {error}")
            lifeline.close()
            os.close(frames_handle)
            return
        if pid == 0:
            _child(frames_handle, self._processors, self._confinement, parent=os.getppid())
        os.close(frames_handle)
        self._lifelines[pid] = lifeline
        self._selector.register(lifeline, selectors.EVENT_READ, partial(self._kill, pid, lifeline))

    def _kill(self, pid: int, lifeline: socket.socket) -> None:
        # The child may have been reaped in this very round; then its number is free for others.
        if self._lifelines.get(pid) is lifeline:
            self._selector.unregister(lifeline)
            os.kill(pid, signal.SIGKILL)

    def _reap(self, woken: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            woken.recv(4096)
        while self._lifelines:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            report = {"status": status, "peak_bytes": peak_bytes(usage)}
            with self._lifelines.pop(pid) as lifeline:
                with contextlib.suppress(KeyError):  # a killed one was taken out before
                    self._selector.unregister(lifeline)
                with contextlib.suppress(OSError):
                    lifeline.sendall(json.dumps(report).encode())


def _child(
    handle: int,
    processors: dict[str, tuple[Processor, Options]],
    confinement: Confinement,
    *,
    parent: int,
) -> NoReturn:
    """Be the child: everything from here to its exit happens in the forked process."""
    status = 1
    try:
        confinement.die_with(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with _only_frames(handle) as worker:
            _serve_one(worker, processors, confinement)
        status = 0
    except MemoryError:
        status = frames.OUT_OF_MEMORY_STATUS
    finally:
        # No clean-up, no exit handlers: they belong to the forkserver.
        os._exit(status)


def _only_frames(handle: int) -> socket.socket:
    """Close everything that came along, and give the standard streams to nobody."""
    os.dup2(handle, CHILD_FRAMES)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(CHILD_FRAMES):
        os.dup2(nowhere, stream)
    os.closerange(CHILD_FRAMES + 1, os.sysconf("SC_OPEN_MAX"))
    worker = socket.socket(fileno=CHILD_FRAMES)
    worker.setblocking(True)
    return worker


def _serve_one(
    worker: socket.socket,
    processors: dict[str, tuple[Processor, Options]],
    confinement: Confinement,
) -> None:
    try:
        request = _request(worker)
        processor, options = processors[request["processor"]]
        source = Path(request["source"])
        bounds = Bounds(
            memory_bytes=request["memory_bytes"],
            page_time=timedelta(seconds=request["page_seconds"]),
            open_files=request["open_files"],
        )
        work = partial(
            processor,
            source,
            options(request["options"]),
            media_type=request["media_type"],
            checkpoint=request["checkpoint"],
            given=_given(request["given"]),
        )
        confinement.apply(bounds, source=source)
    except Exception as error:  # noqa: BLE001 - whatever it is, no document is to blame
        worker.sendall(frames.encode(frames.Unready(f"{type(error).__name__}: {error}"[:500])))
        return
    worker.sendall(frames.encode(frames.Ready()))
    worker.sendall(frames.encode(_outcome(work, _emit_to(worker, bounds.page_time), bounds)))


def _request(worker: socket.socket) -> dict[str, Any]:
    with worker.makefile("rb") as stream:
        size, _ = frames.LENGTHS.unpack(stream.read(frames.LENGTHS.size))
        request: dict[str, Any] = json.loads(stream.read(size))
    return request


def _given(value: dict[str, Any]) -> DocumentOptions:
    return DocumentOptions(tuple(value["passwords"]), value["metadata"], value["page_slice"])


def _emit_to(worker: socket.socket, page_time: timedelta) -> Emit:
    def emit(page: Page) -> None:
        worker.sendall(frames.encode(page))
        allow_a_page(page_time)

    return emit


def _outcome(work: Callable[[Emit], None], emit: Emit, bounds: Bounds) -> frames.Done | Failure:
    try:
        work(emit)
    except ProcessingFailed as error:
        failure = error.failure
        causes = _causes(error)[1:]
    except BaseException as error:  # noqa: BLE001 - hostile input raises anything
        # The class only: messages quote the document.
        failure = Failure(ErrorCode.CRASHED, f"The processor raised {type(error).__name__}.")
        causes = _causes(error)
    else:
        return frames.Done()
    if causes and nearly_full(
        peak_bytes(resource.getrusage(resource.RUSAGE_SELF)), bounds.memory_bytes
    ):
        raise MemoryError
    if any(_is_out_of_memory(cause) for cause in causes):
        raise MemoryError
    return failure


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return the error, and those that led to it."""
    causes: list[BaseException] = []
    while error is not None:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether this is how Python, C++ or MuPDF says that there is no memory left."""
    words = str(error)
    return (
        isinstance(error, MemoryError)
        or "bad_alloc" in words
        or ("alloc" in words and "failed" in words)
    )


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _load(path: str) -> Any:  # noqa: ANN401 - whatever stands there
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _check_one_thread() -> None:
    """Refuse to fork beside a thread: what it holds locked stays locked in the child for ever."""
    tasks = Path("/proc/self/task")
    threads = len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()
    if threads != 1:
        sys.exit(f"{threads} threads run in the forkserver; it must have one")


if __name__ == "__main__":
    main()
