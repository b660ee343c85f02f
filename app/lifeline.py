"""Children go when the process that started them goes, even if that one was killed.

Two means, because neither is enough alone. On Linux the kernel sends SIGTERM to a child whose
parent died: that reaches programs that are not ours (Valkey), but no other system has it. And every
child of ours holds the reading end of a pipe whose writing end only the parent has: it reads the
end of the file once the parent is gone.

Run as a program (`python lifeline.py PARENT COMMAND...`) this file binds itself to the parent, then
becomes the command. `subprocess` warns of doing so between fork and exec. It takes 20 ms, since
nothing but the standard library is imported here.
"""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from typing import NoReturn

logger = logging.getLogger(__name__)

VARIABLE = "DOCYARD_LIFELINE_FD"
GRACE_SECONDS = 20
PR_SET_PDEATHSIG = 1


class Lifeline:
    """The parent's end: give `fd` and `environment` to each child, and keep the object."""

    def __init__(self) -> None:
        self.fd, self._held = os.pipe()
        self.environment = {VARIABLE: str(self.fd)}

    def close(self) -> None:
        """Let go; whoever still watches stops."""
        os.close(self._held)
        os.close(self.fd)


def watch() -> None:
    """Stop this process with SIGTERM once the one that started it is gone.

    SIGTERM may come twice. A process that has not ended 20 seconds later is ended. Nothing happens
    in a process that was started by hand.
    """
    # Taken out of the environment: children of this process do not inherit the pipe.
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return
    try:
        os.set_inheritable(int(number), False)
    except (ValueError, OSError):
        logger.warning("%s is not an open pipe; this process watches no parent", VARIABLE)
        return
    threading.Thread(target=_stop_at_end, args=(int(number),), name="lifeline", daemon=True).start()


def bound(command: list[str]) -> list[str]:
    """Return the command line that becomes `command`, bound to the calling process.

    Start it from the main thread: to the kernel the parent is the thread that forks.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _stop_at_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _become(parent: int, command: list[str]) -> NoReturn:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it went before we were bound to it
        sys.exit(1)
    with contextlib.suppress(OSError):
        os.execvp(command[0], command)  # noqa: S606 - the caller's command, and no shell is wanted
    sys.exit(127)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
