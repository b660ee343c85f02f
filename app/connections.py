"""HTTP connections and websockets: uvicorn's, repaired where a stranger could lean on them.

h11 reads HTTP, not httptools: that one puts together heads of any length, for longer the longer
they are, and takes the body of a request that offers another protocol (`Upgrade: h2c`) for the next
request.
"""

import asyncio
import re
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame

HEAD_BYTES = 64 * 1024
"""Longest head of a request. Of a websocket's no line may have more than 8 KiB."""
HEAD_SECONDS = 30.0
EVENTS_A_TURN = 200
"""A body may come in pieces of a byte; after so many of them others have their turn."""
BYTES_A_TURN = 8 * 1024
"""The same for a websocket, where they may be frames of six bytes."""
MAX_FRAGMENTS = 1000
"""Frames of one message: each is kept, and costs more than the few bytes it may have."""

ORIGIN = re.compile(rb"https?://[^/?]+", re.IGNORECASE)


class Reader(h11.Connection):
    """What comes over an HTTP connection, request by request."""

    refusal = HTTPStatus.BAD_REQUEST
    turn = EVENTS_A_TURN
    """How many events are given out until it is set again; then it is as if no more had come."""

    def next_event(self) -> Any:  # noqa: ANN401 - as in h11
        """Return what comes next.

        Raises:
            RemoteProtocolError: it is no HTTP; `refusal` is the status to answer with.
        """
        if not self.turn:
            return h11.NEED_DATA
        self.turn -= 1
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                self.refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise
        if not isinstance(event, h11.Request):
            return event
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
            # h11 goes by the second. A proxy that goes by the first sees other requests than we do.
            raise h11.RemoteProtocolError("two lengths")
        # Proxies are asked for http://host/path; a server has to understand that, too.
        origin = ORIGIN.match(event.target)
        return replace(event, target=event.target[origin.end() :] or b"/") if origin else event


class Http(H11Protocol):
    """An HTTP connection, on which the head of a request may take only so long."""

    conn: Reader

    def __init__(self, config: Config, server_state: ServerState, **options: Any) -> None:  # noqa: ANN401 - as in uvicorn
        super().__init__(config, server_state, **options)
        self.conn = Reader(h11.SERVER, HEAD_BYTES)
        self._head_due: asyncio.TimerHandle | None = None
        self._next_turn: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._time_head()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        super().connection_lost(exc)
        self._forget_head()

    def handle_events(self) -> None:
        """Take what was read; much of it in turns."""
        self.conn.turn = EVENTS_A_TURN
        super().handle_events()
        if not self.conn.turn and self._next_turn is None and self._reads:
            self.transport.pause_reading()
            self._next_turn = self.loop.call_soon(self._go_on)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, unless a request before it is being answered."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = self.conn.refusal
            headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
            head = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
            for event in (head, h11.Data(data=msg.encode()), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _reads(self) -> bool:
        """Whether what comes is still for us, and not for a websocket."""
        return not self.transport.is_closing() and self.transport.get_protocol() is self

    def _go_on(self) -> None:
        self._next_turn = None
        if self._reads:
            self.handle_events()
            if self._next_turn is None and self._reads and not self.flow.read_paused:
                self.transport.resume_reading()

    def _time_head(self) -> None:
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._forget_head()
        elif self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None


class Socket(WebSocketsSansIOProtocol):
    """A websocket that answers whatever begins it, and reads no faster than it is listened to."""

    def __init__(self, config: Config, server_state: ServerState, **options: Any) -> None:  # noqa: ANN401 - as in uvicorn
        super().__init__(config, server_state, **options)
        self._unread = bytearray()
        self._next_turn: asyncio.Handle | None = None

    def data_received(self, data: bytes) -> None:
        """Take what was read; much of it in turns."""
        self._unread += data
        if self._next_turn is None:
            self._take()
        else:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._unread.clear()
        super().connection_lost(exc)

    async def receive(self) -> Any:  # noqa: ANN401 - as in uvicorn
        """Return the next message."""
        message = await super().receive()
        if self._unread:
            self._go_on()
        return message

    async def send(self, message: Any) -> None:  # noqa: ANN401 - as in uvicorn
        """Send a message, or close."""
        await super().send(message)
        if self._unread:
            self._go_on()

    def _take(self) -> None:
        self._next_turn = None
        if self.transport.is_closing():
            return
        piece = bytes(self._unread[:BYTES_A_TURN])
        del self._unread[:BYTES_A_TURN]
        super().data_received(piece)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            refusal = self.conn.reject(HTTPStatus.BAD_REQUEST, "This begins no websocket.\n")
            self.transport.write(b"".join(self.conn.data_to_send()) or refusal.serialize())
            self.transport.close()
        self._go_on()

    def _go_on(self) -> None:
        """Take the rest in the next turn, once the messages before it are on their way."""
        if self.transport.is_closing():
            return
        if self._unread:
            self.transport.pause_reading()
            if self._next_turn is None and not self.read_paused:
                self._next_turn = self.loop.call_soon(self._take)
        elif not self.read_paused:
            self.transport.resume_reading()

    def handle_ping(self) -> None:
        """Answer a ping of the websocket itself, unless answers would pile up unread."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        """Take another part of a message."""
        if self.close_sent:
            return
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        else:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "Too many fragments")
            self.handle_parser_exception()
