import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app import lifeline
from app.embedded import supervisor
from app.embedded.supervisor import Child, DiesTooOften, Running, Supervisor
from app.lifeline import Lifeline
from app.terminal import CommandFailed

LIMIT = 20
GRACE = timedelta(seconds=LIMIT)
ROOT = Path(lifeline.__file__).parents[1]


class Log:
    """Programs that write a word to a pipe when they start, so that a test can wait for it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    async def line(self) -> str:
        return await asyncio.wait_for(asyncio.to_thread(self._line), LIMIT)

    def _line(self) -> str:
        ready, _, _ = select.select([self.reading], [], [], LIMIT)
        assert ready
        return os.read(self.reading, 100).decode()

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)

    def child(self, name: str, program: str, *, grace: timedelta = GRACE) -> Child:
        """Return a child that runs Python; `say` in it is this log."""
        text = (
            f"import os, signal, sys\nsay = lambda text: os.write({self.writing}, text)\n{program}"
        )

        async def start() -> Running:
            return await supervisor.start(
                [sys.executable, "-c", text], environment=os.environ, fds=(self.writing,)
            )

        return Child(name, start, grace=grace)


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.close()


WAITS = "say(b'up'); signal.pause()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say(b'up')\nwhile True: signal.pause()"


@pytest.mark.anyio
async def test_a_child_that_dies_is_started_again(log: Log) -> None:
    kept = Supervisor()
    kept.add(log.child("one", "say(str(os.getpid()).encode()); signal.pause()"))
    first = int(await log.line())
    os.kill(first, signal.SIGKILL)
    second = int(await log.line())
    assert second != first
    await kept.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


@pytest.mark.anyio
async def test_a_child_that_never_lives_ends_the_service_with_a_sentence(log: Log) -> None:
    kept = Supervisor()
    failed = asyncio.Event()
    kept.on_failure(failed.set)
    kept.add(log.child("the API", "sys.exit(7)"), log.child("worker 1", WAITS))
    await asyncio.wait_for(failed.wait(), LIMIT)
    assert isinstance(kept.failure, DiesTooOften)
    assert str(kept.failure) == (
        "the API died 5 times within 30 seconds (the last time: exit status 7),"
        " so the service stops."
    )
    await kept.stop()


@pytest.mark.anyio
async def test_a_child_that_cannot_be_started_counts_as_dead() -> None:
    async def start() -> Running:
        raise CommandFailed("There is no such program.")

    kept = Supervisor()
    failed = asyncio.Event()
    kept.on_failure(failed.set)
    kept.add(Child("Valkey", start, grace=GRACE))
    await asyncio.wait_for(failed.wait(), LIMIT)
    assert "the last time: There is no such program." in str(kept.failure)


@pytest.mark.anyio
async def test_the_group_added_last_is_stopped_first(log: Log) -> None:
    says_its_end = """
def end(*_): say(b'{0} ends.'); sys.exit()
signal.signal(signal.SIGTERM, end)
say(b'{0} up.')
while True: signal.pause()"""
    kept = Supervisor()
    kept.add(log.child("first", says_its_end.format("first")))
    assert await log.line() == "first up."
    kept.add(log.child("second", says_its_end.format("second")))
    assert await log.line() == "second up."
    await asyncio.wait_for(kept.stop(), LIMIT)
    assert await log.line() == "second ends.first ends."


@pytest.mark.anyio
async def test_a_child_that_ignores_the_request_to_stop_is_killed(log: Log) -> None:
    kept = Supervisor()
    kept.add(log.child("stubborn", STUBBORN, grace=timedelta(milliseconds=100)))
    assert await log.line() == "up"
    await asyncio.wait_for(kept.stop(), LIMIT)


@pytest.mark.anyio
async def test_in_a_hurry_nothing_is_waited_for(log: Log) -> None:
    kept = Supervisor()
    kept.add(log.child("stubborn", STUBBORN, grace=timedelta(hours=1)))
    assert await log.line() == "up"
    stopping = asyncio.create_task(kept.stop())
    kept.hurry.set()
    await asyncio.wait_for(stopping, LIMIT)


@pytest.mark.anyio
async def test_a_child_is_out_of_reach_of_the_terminals_signals(log: Log) -> None:
    kept = Supervisor()
    kept.add(log.child("one", "say(f'{os.getsid(0)} {os.getpid()}'.encode()); signal.pause()"))
    session, pid = (await log.line()).split()
    assert session == pid
    await kept.stop()


PARENT = """
import asyncio, os, sys
from app.embedded import supervisor
from app.lifeline import Lifeline
async def main():
    line = Lifeline()
    child = await supervisor.start(
        [sys.executable, "-c", sys.argv[1], sys.argv[2]],
        environment=dict(os.environ) | line.environment,
        fds=(line.fd, int(sys.argv[2])),
    )
    await child.wait()
asyncio.run(main())
"""


def gone(fd: int) -> bool:
    """Wait until nobody holds the other end of the pipe."""
    ready, _, _ = select.select([fd], [], [], LIMIT)
    return bool(ready) and os.read(fd, 100) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_any_program_goes_when_its_parent_is_killed(log: Log) -> None:
    program = "import os, sys, signal; os.write(int(sys.argv[1]), b'up'); signal.pause()"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, program, str(log.writing)],
        pass_fds=(log.writing,),
        cwd=ROOT,
    )
    os.close(log.writing)
    assert log._line() == "up"
    parent.kill()
    parent.wait()
    assert gone(log.reading)
    log.writing = os.open(os.devnull, os.O_WRONLY)


def test_a_program_that_watches_its_lifeline_stops_when_the_parent_lets_go(log: Log) -> None:
    program = (
        "import os, sys, signal; from app import lifeline; lifeline.watch();"
        "os.write(int(sys.argv[1]), os.environ.get('DOCYARD_LIFELINE_FD', 'taken').encode());"
        "signal.pause()"
    )
    line = Lifeline()
    watching = subprocess.Popen(
        [sys.executable, "-c", program, str(log.writing)],
        pass_fds=(log.writing, line.fd),
        env=os.environ | line.environment,
        cwd=ROOT,
    )
    assert log._line() == "taken"  # its own children do not see it
    line.close()
    assert watching.wait(LIMIT) == -signal.SIGTERM


def test_a_program_started_by_hand_watches_nobody() -> None:
    program = (
        "from app import lifeline; lifeline.watch(); import threading;"
        "print(threading.active_count())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert told.stdout == "1\n"
