"""The whole service on one machine: Valkey, API and workers, children of one small process."""

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from app import lifeline
from app.db.engine import Database
from app.db.migration import migrate
from app.documents.store import store_for
from app.embedded import endpoint, keys, supervisor
from app.embedded.database import open_database
from app.embedded.endpoint import Endpoint
from app.embedded.folder import Folder, complete, environment, needs_valkey
from app.embedded.supervisor import Child, Supervisor
from app.embedded.valkey import Valkey
from app.jobs.queue import connection_pool
from app.lifeline import Lifeline
from app.settings import SettingError, Settings
from app.terminal import say
from app.web import has_page

logger = logging.getLogger(__name__)

API_GRACE = timedelta(seconds=13)  # it gives its callers 10
WORKER_GRACE = timedelta(seconds=20)
VALKEY_GRACE = timedelta(seconds=10)
PORT_PATIENCE = timedelta(seconds=12)
READY_PAUSE_SECONDS = 0.05
READY_ANSWER_SECONDS = 5.0


def up(settings: Settings, *, ready_file: Path | None, attended: bool = True) -> None:
    """Run the service until SIGTERM, SIGINT or SIGHUP.

    ready_file: gets where the service is reached, with a key, once it answers; removed at the end.
    attended: somebody reads what is printed. Show a key that lasts, where there was none, and a
    link that signs a browser in.

    Raises:
        SettingError: a setting does not fit.
        CommandFailed: the folder or the port is taken, or a child does not live.
    """
    lifeline.watch()
    os.umask(0o077)
    if ready_file is not None and not ready_file.absolute().parent.is_dir():
        raise SettingError(f"--ready-file: {ready_file.absolute().parent} is not a folder.")
    folder = Folder(settings.data_dir)
    folder.open()
    folder.lock()
    store_for(settings)  # raise now what would stop every child
    connection_pool(settings.redis_url, patient=False)
    service = Service(complete(settings), folder, ready_file, attended=attended)
    asyncio.run(service.run())


class Service:
    """One run of the service on a data folder that this process has locked."""

    def __init__(
        self, settings: Settings, folder: Folder, ready_file: Path | None, *, attended: bool
    ) -> None:
        crashed = folder.service_file.exists()
        self._files = [file for file in (folder.service_file, ready_file) if file is not None]
        self._withdraw()
        # After a crash the last children may hold the port for as long as they take to stop.
        patience = PORT_PATIENCE if crashed else timedelta(0)
        self._listener = endpoint.listen(settings.host, settings.port, patience=patience)
        self._url = endpoint.address(self._listener, settings.host)
        port = self._listener.getsockname()[1]
        self._settings = settings.model_copy(update={"port": port})
        self._lifeline = Lifeline()
        self._environment = (
            supervisor.inherited() | environment(self._settings) | self._lifeline.environment
        )
        self._children = Supervisor()
        self._attended = attended
        self._start_key: UUID | None = None

    async def run(self) -> None:
        """Start everything, keep it, and stop it in turn at a signal.

        Raises:
            CommandFailed: a child does not live.
        """
        serving = asyncio.create_task(self._serve())
        self._children.on_failure(serving.cancel)

        def stop() -> None:
            if not serving.cancel():  # the second time: it stops already
                self._children.hurry.set()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        try:
            with suppress(asyncio.CancelledError):
                await serving
        finally:
            await self._stop()
        if self._children.failure is not None:
            raise self._children.failure

    async def _serve(self) -> None:
        """Bring the service up, and go on until cancelled."""
        if needs_valkey(self._settings):
            valkey = Child("Valkey", Valkey(self._settings.data_dir).start, grace=VALKEY_GRACE)
            self._children.add(valkey)
            await valkey.up.wait()
        made = await self._prepare_database()
        self._children.add(*(self._worker(number) for number in range(1, self._worker_count() + 1)))
        self._children.add(self._api())
        await self._ready()
        self._announce(made)
        await asyncio.Event().wait()

    async def _prepare_database(self) -> keys.StartKeys:
        async with open_database(self._settings) as database:
            await migrate(database)
            made = await keys.make_for_start(database, self._settings, attended=self._attended)
        self._start_key = made.start_id
        if made.first is not None:
            say("Your first API key, with every right. It is shown only now, so keep it:")
            say(f"\n    {made.first}\n")
        return made

    def _api(self) -> Child:
        fd = self._listener.fileno()
        command = [*supervisor.module("app"), "serve", "--fd", str(fd)]

        async def start() -> supervisor.Running:
            return await self._start(command, fd)

        return Child("the API", start, grace=API_GRACE)

    def _worker(self, number: int) -> Child:
        async def start() -> supervisor.Running:
            return await self._start(supervisor.module("workers"))

        return Child(f"worker {number}", start, grace=WORKER_GRACE)

    async def _start(self, command: list[str], *fds: int) -> supervisor.Running:
        return await supervisor.start(
            command, environment=self._environment, fds=(self._lifeline.fd, *fds)
        )

    def _worker_count(self) -> int:
        return self._settings.workers or os.cpu_count() or 1

    async def _ready(self) -> None:
        """Return once the API says that it can do its work."""
        while not await _says_ok(self._listener, path="/readyz"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(READY_PAUSE_SECONDS)

    def _announce(self, made: keys.StartKeys) -> None:
        reached = Endpoint.at(self._url, api_key=made.start, pid=os.getpid())
        for file in self._files:
            reached.write(file)
        say("Docyard is running.")
        say(f"  GraphQL      {reached.graphql}")
        say(f"  Websocket    {reached.websocket}")
        # Not to an address that others may listen to: the code would cross the network in clear.
        code = made.code if endpoint.is_loopback(self._settings.host) else None
        missing = "" if has_page() else " (not built; the page says how)"
        say(f"  Explorer     {reached.explorer(code)}{missing}")
        say(f"  Data folder  {self._settings.data_dir}")
        say("Ctrl-C stops it.")

    def _withdraw(self) -> None:
        for file in self._files:
            endpoint.remove(file)

    async def _stop(self) -> None:
        self._withdraw()
        await self._children.stop()
        self._listener.close()
        self._lifeline.close()
        if self._start_key is not None:
            try:
                database = Database(self._settings.database_url)
                await keys.revoke(database, self._start_key)
                await database.close()
            except Exception:
                logger.exception("the key of this start is not revoked; the next start will do it")


async def _says_ok(listener: socket.socket, *, path: str) -> bool:
    """Return whether the API answers this path with 200."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(READY_ANSWER_SECONDS):
            host, port = listener.getsockname()[:2]
            reader, writer = await asyncio.open_connection(endpoint.local_name(host), port)
            try:
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
                )
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False
