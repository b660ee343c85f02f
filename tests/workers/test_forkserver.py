import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workers.confinement import environment
from workers.forkserver import READY

PATIENCE_SECONDS = 30


@contextmanager
def started(
    *arguments: str, imports: list[Path] | None = None
) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """Start a forkserver the way the worker does, and keep the worker's end of its socket."""
    control, theirs = socket.socketpair()
    path = os.pathsep.join([*map(str, imports or []), environment()["PYTHONPATH"]])
    with control, theirs:
        control.settimeout(PATIENCE_SECONDS)
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "workers.forkserver"),
                *("--control", str(theirs.fileno()), *arguments),
            ],
            pass_fds=[theirs.fileno()],
            env={**environment(), "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        with process:
            yield process, control
            control.close()


def test_it_says_when_it_can_fork_and_ends_with_its_worker() -> None:
    with started("--processors", "hostile:PROCESSORS") as (process, control):
        assert control.recv(1) == READY
        control.close()

        assert process.wait(PATIENCE_SECONDS) == 0


def test_it_loads_the_processors_that_ship() -> None:
    with started() as (_, control):
        assert control.recv(1) == READY


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_keeps_one_thread_and_leaves_out_the_neural_network() -> None:
    with started() as (process, control):
        assert control.recv(1) == READY
        loaded = Path(f"/proc/{process.pid}/maps").read_text()

        assert len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1
        assert "_mupdf" in loaded
        assert "onnxruntime" not in loaded


def test_it_refuses_to_fork_beside_a_thread(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "PROCESSORS = {}\n"
    )
    table = ("--processors", "threaded:PROCESSORS")
    with started(*table, imports=[tmp_path]) as (process, control):
        assert control.recv(1) == b""
        assert process.wait(PATIENCE_SECONDS) == 1
        assert process.stderr is not None
        assert "2 threads run in the forkserver" in process.stderr.read()


def test_it_goes_on_when_a_run_is_given_up_before_it_began() -> None:
    with started("--processors", "hostile:PROCESSORS") as (_, control):
        assert control.recv(1) == READY
        for _ in range(10):
            frames, theirs = socket.socketpair()
            lifeline, held = socket.socketpair()
            with lifeline, frames:
                with theirs, held:
                    socket.send_fds(control, [b"S"], [theirs.fileno(), held.fileno()])
                lifeline.shutdown(socket.SHUT_WR)
                lifeline.settimeout(PATIENCE_SECONDS)
                assert b'"status": 9' in lifeline.recv(4096)

        assert select.select([control], [], [], 0)[0] == []
