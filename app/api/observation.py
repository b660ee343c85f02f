"""What is noted of every request: its id in the log lines it causes, its number and its time."""

import time

from prometheus_client import Counter, Gauge, Histogram
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.api.requests import request_id_of

ROUTES = frozenset(
    ("graphql", "graphiql", "uploads", "files", "livez", "readyz", "metrics", "source")
)
"""The first words of our addresses; a label for each address would be one for each file."""

REQUESTS = Counter("docyard_http_requests", "HTTP requests.", ("route", "method", "status"))
SECONDS = Histogram(
    "docyard_http_request_seconds", "From the request to the end of its answer.", ("route",)
)
SOCKETS = Gauge("docyard_websockets", "Websockets that are open.")


class Observation:
    """Middleware that notes every request and changes none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        with logs.about(request_id=request_id_of(HTTPConnection(scope))):
            if scope["type"] == "websocket":
                with SOCKETS.track_inprogress():
                    await self._app(scope, receive, send)
            else:
                await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        word = scope["path"].removeprefix(scope.get("root_path", "")).split("/")[1:2]
        route = word[0] if word and word[0] in ROUTES else "other"
        status, begun = 500, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            SECONDS.labels(route).observe(time.perf_counter() - begun)
            REQUESTS.labels(route, scope["method"], status).inc()
