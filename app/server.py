"""The API process: uvicorn, as this service needs it."""

import gc
import logging
import socket

import uvicorn
from starlette.applications import Starlette

from app import lifeline
from app.asgi import create_app
from app.connections import Http, Socket
from app.embedded import endpoint
from app.seals import forbid_core_dumps
from app.settings import MIB, Settings

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn, which would wait for every event stream before it stops."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams, then the rest; their clients come back as those of websockets do."""
        app = self.config.app
        assert isinstance(app, Starlette)  # noqa: S101 - we made it
        app.state.stopping.set()
        await super().shutdown(sockets)


def serve(settings: Settings, *, fd: int | None) -> None:
    """Answer callers until SIGTERM or SIGINT. fd: a socket that listens; None: open one."""
    lifeline.watch()
    forbid_core_dumps()
    listener = (
        endpoint.listen(settings.host, settings.port) if fd is None else socket.socket(fileno=fd)
    )
    listener.set_inheritable(False)
    logger.info("listening on %s", endpoint.address(listener, settings.host))
    server = Server(configuration(create_app(settings)))
    gc.collect()
    gc.freeze()  # nobody waits for a walk through all that was imported, and the whole schema
    server.run(sockets=[listener])


def configuration(app: Starlette) -> uvicorn.Config:
    """Return uvicorn's configuration; what differs from its defaults was measured."""
    return uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # a caller's word about where it comes from
        http=Http,
        ws=Socket,
        ws_max_size=MIB,
        ws_per_message_deflate=False,  # doubles the memory of a connection
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=10,  # an open event stream would keep it for ever
    )
