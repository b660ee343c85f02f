"""Where a service is reached: the socket it listens on, and the file that tells others about it."""

import contextlib
import errno
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from app.terminal import CommandFailed

BACKLOG = 2048
UNREAD_MS = 60_000
"""A client that takes nothing for so long loses its connection: it would hold what waits for it for
as long as it likes. Slow ones do not lose it, nor do those that are sent nothing."""
SILENT_SECONDS = 60
"""After so long without a byte the other machine is asked whether it is still there: one that went
without a word would hold an upload that nobody else may go on with."""
PAUSE_SECONDS = 0.05
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what was given, not a default


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service and a key to it."""

    url: str
    graphql: str
    api_key: str
    pid: int

    @classmethod
    def at(cls, url: str, *, api_key: str, pid: int) -> "Endpoint":
        """Return the endpoint of the service at this address; it may end in `/graphql`."""
        root = url.rstrip("/").removesuffix("/graphql")
        return cls(url=root, graphql=f"{root}/graphql", api_key=api_key, pid=pid)

    @classmethod
    def read(cls, path: Path) -> "Endpoint | None":
        """Return what the file tells, None where there is none that can be read."""
        try:
            found = json.loads(path.read_text("utf-8"))
            return cls(**{name: found[name] for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def websocket(self) -> str:
        """The address of the GraphQL websocket."""
        return f"ws{self.graphql.removeprefix('http')}"

    def explorer(self, code: str | None) -> str:
        """Return the address of the explorer; with a code it is a link that signs in, once.

        The code stands behind a `#`: browsers keep that part, no server and no log sees it.
        """
        page = f"{self.url}/graphiql"
        return page if code is None else f"{page}#code={code}"

    def write(self, path: Path) -> None:
        """Put it into a file that only its owner reads; whoever reads sees all of it or nothing."""
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        draft.replace(path)


def listen(host: str, port: int, *, patience: timedelta = timedelta(0)) -> socket.socket:
    """Return a socket that listens there. port: 0 takes a free one.

    patience: how long a port that is taken may take to become free.

    Raises:
        CommandFailed: the port is taken, or the address is not one of this machine.
    """
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return _impatient(socket.create_server((host, port), family=family, backlog=BACKLOG))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CommandFailed(f"Cannot listen on {host}: {error.strerror}.") from None
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"Port {port} of {host} is taken; choose another with --port (0: a free one)."
                ) from None
        time.sleep(PAUSE_SECONDS)


def _impatient(listener: socket.socket) -> socket.socket:
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_SECONDS)
    return listener


def address(listener: socket.socket, host: str) -> str:
    """Return the address of a socket as a person on this machine types it."""
    name = local_name(host)
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{listener.getsockname()[1]}"


def local_name(host: str) -> str:
    """Return the host under which this machine reaches a socket that listens on `host`."""
    return ANYWHERE.get(host, host)


def is_loopback(host: str) -> bool:
    """Return whether this machine reaches a socket that listens on `host` without the network."""
    name = local_name(host)
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def remove(path: Path | None) -> None:
    """Remove such a file where there is one."""
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()
