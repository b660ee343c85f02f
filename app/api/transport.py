"""GraphQL over HTTP: what the GraphQL-over-HTTP specification asks beyond Strawberry.

Requests are read and answered by our own code, here and in app.api.requests; Strawberry parses,
checks and runs the operation. Its own way from request to answer knows one media type, answers some
malformed requests with a 500, and leaves uploaded files open. Websockets are Strawberry's, with the
repairs of app.api.sockets.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from functools import partial
from typing import Generic, Protocol, TypeVar, cast

from graphql import GraphQLFormattedError, OperationType
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError, MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.unset import UNSET, UnsetType

from app.api.answers import (
    HTTP_STATUS,
    Code,
    error_entry,
    internal_error,
    is_request_error,
    log_bug,
    operation_refused,
    payload,
)
from app.api.extensions import Schema
from app.api.requests import (
    GRAPHQL_MEDIA_TYPE,
    OperationRequest,
    RequestRefused,
    answer_media_type,
    bad_request,
    bearer_token,
    has_files,
    ip_of,
    limited_receive,
    prefers_stream,
    read_json,
    read_operation,
    refuse_other_methods,
    request_id_of,
    takes_stream,
)
from app.api.sessions import CallerT, Sessions
from app.api.sockets import Session, SocketAdapter, SocketHandler
from app.api.streams import EventStream
from app.errors import AppError, Unauthenticated
from app.settings import MIB

CallerT_contra = TypeVar("CallerT_contra", contravariant=True)


class MakeContext(Protocol[CallerT_contra]):
    """Makes the context of one operation; called for each, so that loaders begin empty."""

    def __call__(
        self,
        *,
        caller: CallerT_contra,
        request_id: str,
        ip: str | None,
        connection: HTTPConnection,
    ) -> object:
        """Return what resolvers find as info.context."""


class GraphQLApp(GraphQL[Session[CallerT], None], Generic[CallerT]):
    """The GraphQL endpoint, for a `Route` and a `WebSocketRoute` at the same path.

    authenticate: gets the bearer token, None if there is none; raises Unauthenticated.
    revoked: see Sessions. allowed_origins: other origins whose pages may open a websocket; pages
    of our host always may. request_limit_bytes: for a request with files; json_limit_bytes: for any
    other. send_timeout: a client that does not read for so long is given up. recheck: how often
    keys of open sessions are looked at. Set `stopping`, and event streams end at once.
    """

    graphql_transport_ws_handler_class = SocketHandler

    def __init__(
        self,
        schema: Schema,
        *,
        authenticate: Callable[[str | None], Awaitable[CallerT]],
        revoked: Callable[[Collection[CallerT]], Awaitable[Collection[CallerT]]],
        make_context: MakeContext[CallerT],
        allowed_origins: Sequence[str] = (),
        request_limit_bytes: int = 100 * MIB,
        json_limit_bytes: int = 16 * MIB,
        send_timeout: timedelta = timedelta(seconds=30),
        init_timeout: timedelta = timedelta(seconds=10),
        recheck: timedelta = timedelta(seconds=5),
        max_subscriptions_per_connection: int = 100,
    ) -> None:
        if "*" in allowed_origins:
            raise ValueError("allowed_origins must name each origin; * is not taken.")
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=init_timeout,
            max_subscriptions_per_connection=max_subscriptions_per_connection,
            allowed_origins=allowed_origins,
        )
        self.ruled_schema = schema
        self.authenticate = authenticate
        self.make_context = make_context
        self.request_limit_bytes = request_limit_bytes
        self.sessions = Sessions(revoked, every=recheck)
        self.send_timeout = send_timeout
        self.stopping = asyncio.Event()
        self.json_limit_bytes = min(json_limit_bytes, request_limit_bytes)
        self.websocket_adapter_class = partial(SocketAdapter, send_timeout=send_timeout)  # type: ignore[assignment] # any callable will do

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.run(WebSocket(scope, receive, send))
            return
        response = await self.respond(Request(scope, receive))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """Answer a request, whatever it is and whatever happens."""
        request_id = request_id_of(request)
        headers = {"X-Request-Id": request_id, "Cache-Control": "no-store", "Vary": "Accept"}
        try:
            return await self._answer(request, headers)
        except RequestRefused as refusal:
            status = refusal.status
            headers |= refusal.headers
            content = self.encode_json({"errors": [error_entry(refusal.code, str(refusal))]})
        except Exception as bug:  # noqa: BLE001 - the last place that can log it with its request id
            log_bug(bug, request_id=request_id)
            status = HTTP_STATUS[Code.INTERNAL]
            content = self.encode_json({"errors": [internal_error(request_id)]})
        return Response(content, status, headers, _media_type(request))

    async def _answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        refuse_other_methods(request)
        # Before the body: a caller we do not know does not get to fill our disk.
        caller = await self._caller(request)
        limit = self.request_limit_bytes if has_files(request) else self.json_limit_bytes
        limited = Request(request.scope, limited_receive(request, limit))
        async with AsyncExitStack() as at_end:
            at_end.push_async_callback(limited.close)
            operation = await read_operation(limited, json_limit_bytes=self.json_limit_bytes)
            streams = self._streams(request, operation)
            request_id = request_id_of(request)
            context = self.make_context(
                caller=caller, request_id=request_id, ip=ip_of(request), connection=request
            )
            if streams:
                return EventStream(
                    self._results(operation, context, request_id),
                    headers=headers,
                    admitted=partial(self.sessions.admitted, caller),
                    at_end=at_end.pop_all(),
                    stopping=self.stopping,
                    send_timeout=self.send_timeout,
                )
            result = await self._execute(operation, context)
        status, content = self._result(result, request)
        return Response(content, status, headers, _media_type(request))

    def _streams(self, request: Request, operation: OperationRequest) -> bool:
        """Return whether to answer with an event stream.

        Raises:
            RequestRefused: this kind of operation cannot be sent this way.
        """
        kind = self.ruled_schema.operation_type(operation.query, operation.operation_name)
        if kind is OperationType.MUTATION and request.method == "GET":
            raise RequestRefused(
                Code.METHOD_NOT_ALLOWED, "A mutation needs POST.", headers={"Allow": "POST"}
            )
        if kind is OperationType.SUBSCRIPTION and not takes_stream(request):
            raise RequestRefused(
                Code.SUBSCRIPTION_NEEDS_STREAM,
                "Subscriptions need a websocket with the protocol graphql-transport-ws, or a "
                "request with Accept: text/event-stream.",
            )
        return kind is OperationType.SUBSCRIPTION or prefers_stream(request)

    async def _caller(self, request: Request) -> CallerT:
        try:
            return await self.authenticate(bearer_token(request.headers.get("authorization")))
        except AppError as error:
            headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
            raise RequestRefused(
                error.code, str(error), status=error.status, headers=headers
            ) from None

    async def _execute(self, operation: OperationRequest, context: object) -> ExecutionResult:
        try:
            return await self.schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.operation_name,
                operation_extensions=operation.extensions,
            )
        except (CannotGetOperationTypeError, MissingQueryError) as error:
            raise bad_request(operation_refused(error)["message"]) from None

    def _result(self, result: ExecutionResult, request: Request) -> tuple[int, str]:
        body = payload(result, request_id=request_id_of(request))
        status = 200
        if is_request_error(result):
            errors = cast("list[GraphQLFormattedError]", body["errors"])
            if any(error["extensions"]["code"] == Code.INTERNAL for error in errors):
                status = HTTP_STATUS[Code.INTERNAL]
            elif answer_media_type(request) == GRAPHQL_MEDIA_TYPE:
                status = HTTP_STATUS[Code.BAD_REQUEST]
        return status, self.encode_json(body)

    async def _results(
        self, operation: OperationRequest, context: object, request_id: str
    ) -> AsyncGenerator[str, None]:
        """Give the results of an operation as they are to be sent."""
        try:
            results = await self.schema.stream(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.operation_name,
                operation_extensions=operation.extensions,
            )
            async with aclosing(results):
                async for result in results:
                    # The other kinds are those of @defer, which our schema does not switch on.
                    body = payload(cast("ExecutionResult", result), request_id=request_id)
                    yield self.encode_json(body)
        except Exception as bug:  # noqa: BLE001 - a result that is no JSON, or a bug of Strawberry's
            log_bug(bug, request_id=request_id)
            yield self.encode_json({"errors": [internal_error(request_id)]})

    def decode_json(self, data: str | bytes) -> object:
        """Read a message of a websocket."""
        return read_json(data)

    def encode_json(self, data: object) -> str:
        """Write JSON. NaN and infinity are refused: browsers cannot read them."""
        return json.dumps(data, separators=(",", ":"), allow_nan=False)

    async def create_websocket_response(
        self, request: WebSocket, subprotocol: str | None
    ) -> WebSocket:
        """Accept a websocket."""
        await request.accept(subprotocol, [(b"x-request-id", request_id_of(request).encode())])
        return request

    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket
    ) -> Session[CallerT]:
        """Return what lasts as long as a websocket; each operation has a context of its own."""

        def new_context(caller: CallerT, request_id: str) -> object:
            return self.make_context(
                caller=caller, request_id=request_id, ip=ip_of(request), connection=request
            )

        return Session(request_id=request_id_of(request), new_context=new_context)

    async def on_ws_connect(self, context: Session[CallerT]) -> UnsetType:
        """Check the token of a websocket."""
        given = {name.lower(): value for name, value in context.connection_params.items()}
        try:
            context.caller = await self.authenticate(bearer_token(given.get("authorization")))
        except AppError as error:
            raise ConnectionRejectionError from error
        return cast("UnsetType", UNSET)


def _media_type(request: Request) -> str:
    return f"{answer_media_type(request)}; charset=utf-8"
