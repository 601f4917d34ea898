"""One request and its answer on a connection: the ASGI face of ``frontdoor``.

``run`` calls the application, ``receive`` and ``send`` are handed to it. What uvicorn's own cycle does not do and
this one does: an answer that comes before the request's body was read closes the connection in an orderly way;
a lost connection is told to the application at once through the ``Disconnect`` hook; whatever the application
fails to answer itself is JSON; framing and connection headers are decided here and never taken from a vendor.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import unquote

Message = MutableMapping[str, Any]
Application = Callable[
    [dict[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

HIGH_WATER_BYTES: Final = 65_536  # a request's body waiting for the application; beyond it reading pauses
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive"})
_logger = logging.getLogger("dragoman.server")


_PHRASES: Final = {status.value: status.phrase for status in http.HTTPStatus}
STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode("ascii") for status in range(200, 1000)
}


class Disconnect:
    """``scope["extensions"]["dragoman.disconnect"]``: whom to call when the client is gone.

    ``callback`` is called once, in the event loop's thread, when the connection is lost (or its request turns out
    to be unreadable) before the answer is complete. The application usually sets it to its task's ``cancel``.
    """

    __slots__ = ("callback", "gone", "task")

    def __init__(self) -> None:
        self.gone = False  # it happened, whether or not there was somebody to call
        self.callback: Callable[[], object] | None = None
        self.task: asyncio.Task[None] | None = None  # the request's own


class Door(Protocol):
    """What an exchange needs of its connection."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every answer (the date)."""

    def is_writable(self) -> bool:
        """False while the client reads too slowly."""

    async def drain(self) -> None:
        """Wait until it reads again, or is gone."""

    def hold_input(self) -> None:
        """The application does not keep up: stop reading."""

    def want_input(self) -> None:
        """The application waits for input: read on."""

    def answered(self, exchange: Exchange) -> None:
        """The answer is complete."""

    def failed(self, exchange: Exchange, status: int, code: str, message: str) -> None:
        """The application ended without a whole answer: say so if nothing was sent yet, else cut it off."""

    def finished(self, exchange: Exchange) -> None:
        """The application's task ends."""


class Exchange:
    """One request/answer pair. ``more_body`` is True until the request's last byte has arrived."""

    __slots__ = (
        "_arrived",
        "_bodyless",
        "_chunked",
        "_chunks",
        "_door",
        "_expects_continue",
        "_head",
        "_left",
        "_scope",
        "_size",
        "_waiter",
        "disconnected",
        "hook",
        "input_lost",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
        "task",
    )

    def __init__(
        self, door: Door, scope: dict[str, Any], hook: Disconnect, *, keep_alive: bool, expects_continue: bool
    ) -> None:
        self._door = door
        self._scope = scope
        self.hook = hook
        self._expects_continue = expects_continue
        self._chunks: list[bytes] = []
        self._size = 0
        self._arrived = False  # there is something that receive() has not told yet
        self._waiter: asyncio.Future[None] | None = None
        self._bodyless = False
        self._chunked = False
        self._head = (
            b""  # of an answer with a content-length: it leaves with the first of its body, in one write
        )
        self._left = 0  # bytes of the announced content-length still to come; -1: until the connection ends
        self.keep_alive = keep_alive
        self.more_body = True
        self.disconnected = False
        self.input_lost = False
        self.response_started = False
        self.response_complete = False
        self.task: asyncio.Task[None] | None = None

    # -- from the connection ----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """A piece of the request's body arrived."""
        if self.response_complete:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._arrived = True
        if self._size > HIGH_WATER_BYTES:
            self._door.hold_input()
        self._wake()

    def feed_end(self) -> None:
        """The request's body is complete."""
        self.more_body = False
        self._arrived = True
        self._wake()

    def lose_input(self) -> None:
        """The rest of the request cannot be read; an answer already begun may go on."""
        self.input_lost = True
        self._chunks.clear()
        self._wake()

    def lose(self) -> None:
        """The connection is gone (or given up) before the answer was complete: tell the application."""
        self.disconnected = True
        self._chunks.clear()
        self._wake()
        self.hook.gone = True
        callback, self.hook.callback = self.hook.callback, None
        if callback is not None:
            callback()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the application ---------------------------------------------------------------------------------------

    async def run(self, application: Application) -> None:
        """Call the application; the body of the request's task. Raises nothing."""
        status, code, message = 500, "internal_error", "Internal error"
        try:
            await application(self._scope, self.receive, self.send)
            if self.input_lost:
                status, code, message = 400, "malformed_http", "Malformed HTTP request body"
            elif not self.response_started and not self.disconnected:
                _logger.error("the application returned without an answer")
        except asyncio.CancelledError:
            # The client went away (its connection cancels), or the server stops and its patience has ended.
            status, code, message = 503, "shutting_down", "The gateway is shutting down, please try again"
        except Exception:
            _logger.exception("the application failed")
        finally:
            if not self.response_complete and not self.disconnected:
                self._door.failed(self, status, code, message)
            # Scope, hook and task refer to each other; undone here, they need no garbage collector.
            self.disconnected = True  # for stragglers that still hold `send`
            self.hook.callback = self.hook.task = None
            self._scope = {}
            self._door.finished(self)
            self.task = None

    def has_arrived(self) -> bool:
        """``scope["extensions"]["dragoman.arrived"]``: whether ``receive`` would answer without waiting."""
        return self._arrived

    async def receive(self) -> Message:
        """ASGI receive. After the body's end it waits until the answer is complete or the client is gone."""
        if self._expects_continue:
            self._expects_continue = False
            if not self._arrived and not self.response_started and not self.disconnected:
                self._door.transport.write(CONTINUE)
        if not (self._arrived or self.disconnected or self.input_lost or self.response_complete):
            self._door.want_input()
            self._waiter = self._door.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.disconnected or self.input_lost or self.response_complete:
            return {"type": "http.disconnect"}
        chunks, self._chunks = self._chunks, []
        self._arrived = False
        if self._size > HIGH_WATER_BYTES:
            self._door.want_input()
        self._size = 0
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """ASGI send. Waits while the client reads too slowly; does nothing once it is gone.

        Raises RuntimeError when the application breaks the protocol or its own content-length.
        """
        if not self._door.is_writable() and not self.disconnected:
            await self._door.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started:
            if kind != "http.response.start":
                raise RuntimeError(f"expected http.response.start, got {kind}")
            self._send_head(message["status"], message.get("headers", ()))
        elif self.response_complete or kind != "http.response.body":
            raise RuntimeError(f"unexpected {kind}")
        else:
            self._send_body(message.get("body", b""), message.get("more_body", False))

    def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        keep_alive = self.keep_alive and not self.more_body
        length = -1
        lines = [STATUS_LINES[status]]
        for name, value in (*self._door.default_headers(), *headers):
            low = name.lower()
            if low in _FRAMING:
                if low == b"content-length":
                    length = int(value)
                elif low == b"connection" and b"close" in value.lower():
                    keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (low, value))
        head_only = self._scope["method"] == "HEAD"
        self._bodyless = head_only or status in (204, 304)
        if length >= 0 and status != 204:
            lines.append(b"content-length: %d\r\n" % length)
        elif not self._bodyless:
            if self._scope["http_version"] == "1.1":
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                keep_alive = False  # HTTP/1.0: the connection's end is the body's end
        self._left = length
        if not keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        # One check for the whole head: a line break inside a name or value would be one too many.
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise RuntimeError("a header holds a control character")
        self.keep_alive = keep_alive
        self.response_started = True
        self._expects_continue = False
        if length > 0 and not self._bodyless:
            self._head = head
        else:
            self._door.transport.write(head)

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._bodyless:
            pass
        elif self._chunked:
            if more:
                if body:
                    self._door.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
            elif body:
                self._door.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            else:
                self._door.transport.write(b"0\r\n\r\n")
        else:
            if self._left >= 0:
                if len(body) > self._left:
                    raise RuntimeError("the body is longer than its content-length")
                self._left -= len(body)
                if self._left and not more:
                    raise RuntimeError("the body is shorter than its content-length")
            if body:
                head, self._head = self._head, b""
                self._door.transport.write(head + body if head else body)
        if not more:
            self.response_complete = True
            self._wake()
            self._door.answered(self)


def split_target(url: bytes) -> tuple[str, bytes, bytes]:
    """``(path, raw_path, query)`` of a request target; the path is percent-decoded, a fragment is dropped."""
    raw_path, _, query = url.partition(b"#")[0].partition(b"?")
    if url[:1] != b"/" and url != b"*":
        _, _, rest = raw_path.partition(b"://")
        raw_path = b"/" + rest.partition(b"/")[2]
    path = raw_path.decode("ascii")
    return (unquote(path) if "%" in path else path), raw_path, query


def target_is_readable(url: bytes) -> bool:
    """Whether a request target that is no path can be split: ``*`` or ``http(s)://host…``."""
    scheme, _, rest = url.partition(b"://")
    return url == b"*" or (scheme.lower() in (b"http", b"https") and rest[:1] not in (b"", b"/", b"?", b"#"))
