"""What is noted of every request: its id in the log lines it causes, its number and its time."""

import time

from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.api.requests import STREAM_MEDIA_TYPE, request_id_of

ROUTES = frozenset(
    ("graphql", "graphiql", "uploads", "files", "livez", "readyz", "metrics", "source")
)
"""The first words of our addresses; a label for each address would be one for each file."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))
"""Those that anything here takes; any other word may be a method, too."""

REQUESTS = Counter("docyard_http_requests", "HTTP requests.", ("route", "method", "status"))
SECONDS = Histogram(
    "docyard_http_request_seconds",
    "From the request to the end of its answer, event streams not among them.",
    ("route",),
)
SOCKETS = Gauge("docyard_websockets", "Websockets that are open.")
STREAMS = Gauge("docyard_event_streams", "Event streams that are open.")


class Observation:
    """Middleware that notes every request, and names its id in the answer."""

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
        status, is_stream, begun = 500, False, time.perf_counter()
        request_id = request_id_of(HTTPConnection(scope))

        async def noting(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-request-id", request_id)
                if headers.get("content-type", "").startswith(STREAM_MEDIA_TYPE):
                    is_stream = True
                    STREAMS.inc()
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            if is_stream:  # it lasts as long as somebody watches, however fast we are
                STREAMS.dec()
            else:
                SECONDS.labels(route).observe(time.perf_counter() - begun)
            method = scope["method"] if scope["method"] in METHODS else "other"
            REQUESTS.labels(route, method, status).inc()
