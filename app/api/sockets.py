"""GraphQL over websockets: what the graphql-transport-ws protocol asks beyond Strawberry.

Strawberry has the states of the protocol right. Here it learns to check messages before it reads
them, to answer each failed operation with `error` and keep the socket, to give each operation a
context of its own, and to let go of a socket whose key has ended or whose client does not read.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Generic, cast

from graphql import GraphQLFormattedError
from starlette.websockets import WebSocket, WebSocketState
from starlette.websockets import WebSocketDisconnected as SendAfterClose
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.async_base_view import AsyncBaseHTTPView
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)
from strawberry.types import ExecutionResult

from app import logs
from app.api.answers import Code, error_entry, internal_error, is_request_error, log_bug, payload
from app.api.sessions import CallerT
from app.db.columns import new_id

CLOSE_REASON_BYTES = 123


KEY_ENDED = 4498
"""Closes a socket whose key has ended; what 498 means in HTTP where it is used. A client that comes
back with the same key meets 4403."""


@dataclass
class Session(Generic[CallerT]):
    """One websocket: what it was opened with, and whose it is once the token was checked."""

    request_id: str
    new_context: Callable[[CallerT, str], object]
    """Makes the context of one operation, with its request id."""
    connection_params: dict[str, object] = field(default_factory=dict)
    caller: CallerT | None = None


class SocketAdapter(ASGIWebSocketAdapter):
    """A websocket that does not wait for ever on a client that has stopped reading."""

    def __init__(
        self,
        view: AsyncBaseHTTPView[Any, Any, Any, Any, Any, Any, Any],
        request: WebSocket,
        response: WebSocket,
        *,
        send_timeout: timedelta,
    ) -> None:
        super().__init__(view, request, response)
        self.send_timeout = send_timeout
        self.on_stall: Callable[[], None] = lambda: None

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message.

        Raises:
            WebSocketDisconnected: the socket is closed, or the client did not read in time.
        """
        try:
            async with asyncio.timeout(self.send_timeout.total_seconds()):
                await super().send_json(message)
        except SendAfterClose as error:
            raise WebSocketDisconnected from error
        except TimeoutError as error:
            self.on_stall()
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, unless it is closed; a reason that is too long for a frame is cut."""
        if self.ws.application_state is WebSocketState.DISCONNECTED:
            return
        cut = reason.encode(errors="replace")[:CLOSE_REASON_BYTES].decode(errors="ignore")
        with suppress(TimeoutError):
            async with asyncio.timeout(self.send_timeout.total_seconds()):
                await super().close(code, cut)


class SocketOperation(Operation[Session[Any], None]):
    """One operation on a socket; its errors leave with a code, and bugs masked."""

    __slots__ = ["request_id"]

    request_id: str

    async def send_result(self, result: ExecutionResult) -> None:
        """Send what an operation produced; one that failed as a whole ends with `error`."""
        body = payload(result, request_id=self.request_id)
        if is_request_error(result):
            await self.send_errors(cast("list[GraphQLFormattedError]", body["errors"]))
            return
        await self.handler.websocket.send_json({"id": self.id, "type": "next", "payload": body})

    async def send_errors(self, errors: list[GraphQLFormattedError]) -> None:
        """End the operation with `error`."""
        await self.send_operation_message({"id": self.id, "type": "error", "payload": errors})


class SocketHandler(BaseGraphQLTransportWSHandler[Session[Any], None]):
    """The conversation on one websocket."""

    websocket: SocketAdapter
    _end: asyncio.Timeout
    _end_reason: tuple[int, str] | None = None
    _at_end: ExitStack

    async def handle(self) -> None:
        """Talk until the client goes, its key ends, or it no longer reads."""
        try:
            async with asyncio.timeout(None) as self._end:
                with ExitStack() as self._at_end:
                    self.websocket.on_stall = self._stalled
                    await super().handle()
        except Exception as error:  # noqa: BLE001 - the last place that can log it and close properly
            if self._end_reason is not None and self._end.expired():
                await self.websocket.close(*self._end_reason)
                return
            log_bug(error, request_id=self.context.request_id)
            message = internal_error(self.context.request_id)["message"]
            await self.websocket.close(1011, message)

    def _stalled(self) -> None:
        self._end_now(1008, "The client does not read")

    def _end_now(self, code: int, reason: str) -> None:
        if self._end_reason is None:  # else it ends already, which may take a while
            self._end_reason = (code, reason)
            self._end.reschedule(asyncio.get_running_loop().time())

    async def handle_message(self, message: Message) -> None:
        """Answer a message, or close the socket for one the protocol does not know."""
        fault = message_fault(message)
        if fault is not None:
            await self.handle_invalid_message(fault)
            return
        if message.get("payload", ...) is None:  # clients send null for nothing
            message = {key: value for key, value in message.items() if key != "payload"}  # type: ignore[assignment]
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Check the key, and end the socket when the key ends."""
        was_admitted = self.connection_acknowledged
        await super().handle_connection_init(message)
        caller = self.context.caller
        if self.connection_acknowledged and not was_admitted and caller is not None:
            end = partial(self._end_now, KEY_ENDED)
            self._at_end.enter_context(self.view.sessions.admitted(caller, end))  # type: ignore[attr-defined] # the view is a GraphQLApp

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation."""
        key, payload = message["id"], message["payload"]
        if not self.connection_acknowledged:
            await self.websocket.close(4401, "Unauthorized")
            return
        if key in self.operations:
            await self.websocket.close(4409, f"Subscriber for {key} already exists")
            return
        limit = self.max_subscriptions_per_connection
        if limit is not None and len(self.operations) >= limit:
            text = f"A connection may run {limit} operations at a time."
            refusal = error_entry(Code.TOO_MANY_SUBSCRIPTIONS, text)
            await self.send_message({"id": key, "type": "error", "payload": [refusal]})
            return
        operation = SocketOperation(
            self,
            key,
            payload["query"],
            payload.get("variables"),
            payload.get("operationName") or None,
        )
        operation.request_id = str(new_id())
        self.operations[key] = operation
        with logs.about(request_id=operation.request_id):  # the task takes it along
            operation.task = asyncio.create_task(self.run_operation(operation))
        operation.task.add_done_callback(self._task_done)

    async def run_operation(self, operation: Operation[Session[Any], None]) -> None:
        """Run one operation to its end, with a context of its own."""
        assert isinstance(operation, SocketOperation)  # noqa: S101 - handle_subscribe makes no other
        try:
            context = self.context.new_context(self.context.caller, operation.request_id)
            results = await self.schema.stream(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.operation_name,
            )
            async with aclosing(results):
                async for result in results:
                    # The other kinds are those of @defer, which our schema does not switch on.
                    await operation.send_result(cast("ExecutionResult", result))
                    if operation.completed:
                        return
                    # Where the client reads and the next result is at hand, nothing else waits.
                    await asyncio.sleep(0)
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except WebSocketDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - a result that is no JSON, or a bug of Strawberry's
            log_bug(error, request_id=operation.request_id)
            with suppress(WebSocketDisconnected):
                await operation.send_errors([internal_error(operation.request_id)])


def message_fault(message: object) -> str | None:
    """Say what is wrong with a message from the client, None if nothing is.

    Strawberry looks into messages before it looks at them: an array, or a text for a payload, ends
    in an exception and a socket closed without a word.
    """
    if not isinstance(message, dict):
        return "A message must be an object"
    kind, payload = message.get("type"), message.get("payload")
    if not isinstance(kind, str):
        return "A message must have a type"
    if not isinstance(payload, dict | None):
        return "The payload of a message must be an object"
    has_id = isinstance(message.get("id"), str) and message["id"]
    if kind in ("subscribe", "complete") and not has_id:
        return f"A {kind} message must have an id"
    return subscribe_fault(payload or {}) if kind == "subscribe" else None


def subscribe_fault(payload: dict[str, object]) -> str | None:
    """Say what is wrong with the payload of a subscribe message."""
    if not isinstance(payload.get("query"), str):
        return "The query of a subscribe message must be a string"
    if not isinstance(payload.get("operationName"), str | None):
        return "The operationName of a subscribe message must be a string"
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            return f"The {name} of a subscribe message must be an object"
    return None
