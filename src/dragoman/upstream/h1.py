"""One HTTP/1.1 connection (RFC 9112) on httptools: one exchange at a time, then the next.

The parser's verdict on keep-alive counts only inside `on_message_complete`; asked later it says no, and
every request silently reconnects.  llhttp does not know that a HEAD was asked, cannot be told of the end
of the stream, and takes a second, unasked answer for the next message: those three are handled here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, cast

import httptools
from msgspec import Struct

from dragoman.upstream.errors import ErrorKind, StaleConnection, UpstreamError
from dragoman.upstream.limits import PoolLimits, Timeouts
from dragoman.upstream.response import Response

# Up to here head and body are joined into one write; above, copying costs more than the second write.
_ONE_WRITE_BYTES = 65536
# Clocks of event loops tick in milliseconds: a timer that fires a little early is on time.
_SLACK_S = 0.002

_SAID = {
    "first_byte_timeout": "no answer in time",
    "idle_timeout": "the exchange came to a halt",
    "total_timeout": "the exchange took too long",
}


class Request(Struct, frozen=True):
    """What goes on the wire.

    head: request line and headers with the empty line.  body: bytes, or an iterator of pieces.
    length: what the head promises for an iterated body; None: it is sent chunked.
    started: loop time at which the call began (the total timeout counts from there).
    """

    head: bytes
    body: bytes | AsyncIterator[bytes]
    timeouts: Timeouts
    started: float
    is_head: bool = False
    length: int | None = None


class Owner(Protocol):
    """The pool, as the connection sees it."""

    def release(self, connection: Connection) -> None:
        """The connection is free for the next exchange."""

    def lost(self, connection: Connection) -> None:
        """The connection is of no more use."""


class Connection(asyncio.Protocol):
    """States: unused or idle (`_response` is None), in exchange, gone (`_gone`, for good)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: PoolLimits, owner: Owner) -> None:
        self._loop = loop
        self._limits = limits
        self._owner = owner
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._gone = False
        self._reading = True
        self.served = 0  # exchanges completed; above 0 the connection is a reused one
        self.idle_since = loop.time()
        # The exchange.
        self._response: Response | None = None
        self._request: Request | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._awaiting_head = False
        self._keep = False
        self._received = 0  # bytes since the request
        self._quiet = 0  # bytes since the last piece of body
        self._body = 0
        self._since = 0.0  # start of the wait that first_byte_s or idle_s bounds
        self._fault: UpstreamError | None = None  # raised inside a parser callback
        # The upload of an iterated body.
        self._upload: asyncio.Task[None] | None = None
        self._written = True  # the request was handed to the socket to its last byte
        self._writable: asyncio.Future[None] | None = None  # set while the socket does not take more
        # One timer for every deadline and for idle expiry, moved only when it would ring too late.
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0

    @property
    def usable(self) -> bool:
        """Idle, open as far as known, and not overdue."""
        return (
            not self._gone
            and self._response is None
            and not self._transport.is_closing()
            and self._loop.time() - self.idle_since < self._limits.idle_expiry_s
        )

    # ---- the exchange, as the client drives it

    async def exchange(self, request: Request) -> Response:
        """Send `request`; the answer as soon as its head (a final status) is there.

        UpstreamError with sent=True; `StaleConnection` if this was a reused connection that the peer
        closed without a byte of answer; whatever the body iterator raises, as it is.
        """
        if self._gone or self._response is not None:
            raise StaleConnection("closed", "the connection was closed")
        response = Response(self)
        now = self._loop.time()
        self._response, self._request = response, request
        self._headers = []
        self._received = self._quiet = self._body = 0
        self._since = now
        self._keep = False
        body = request.body
        if isinstance(body, bytes):
            # What was sent is not kept while the answer comes, which may take an hour.
            self._request = Request(b"", b"", request.timeouts, request.started, request.is_head)
        self._written = isinstance(body, bytes)
        timeouts = request.timeouts
        total = request.started + timeouts.total_s
        if isinstance(body, bytes):
            if len(body) <= _ONE_WRITE_BYTES:
                self._transport.write(request.head + body)
            else:
                self._transport.write(request.head)
                self._transport.write(body)
            self._arm(min(now + timeouts.first_byte_s, total))
        else:
            self._transport.write(request.head)
            self._upload = self._loop.create_task(self._send(body, request.length))
            self._upload.add_done_callback(self._uploaded)
            self._arm(total)
        self._awaiting_head = True
        response._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            response.close()
            raise
        finally:
            response._waiter = None
            self._awaiting_head = False
        if not response.status and response._error is not None:
            raise response._error
        return response

    def expect_body(self) -> asyncio.Future[None]:
        assert self._request is not None
        self._since = self._loop.time()
        self._arm(self._since + self._request.timeouts.idle_s)
        return self._loop.create_future()

    def drained(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def abandon(self) -> None:
        self.shut()

    def shut(self, error: BaseException | None = None) -> None:
        """Close at once.  An exchange under way fails with `error`, or as closed by this side."""
        if self._gone:
            return
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_upload()
        self._transport.abort()
        response, self._response = self._response, None
        self._request = None
        if response is not None:
            response._source = None
            response._error = error or UpstreamError("closed", "closed by this side", sent=True)
            _wake(response)
        self._owner.lost(self)

    # ---- the request's body

    async def _send(self, body: AsyncIterator[bytes], length: int | None) -> None:
        sent = 0
        try:
            async for piece in body:
                if not piece:
                    continue
                sent += len(piece)
                if length is None:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                elif sent > length:
                    raise ValueError(f"the request body is longer than the {length} bytes announced")
                else:
                    self._transport.write(piece)
                    # Known before the iterator says so: the answer may be faster than its end.
                    self._written = sent == length
                self._since = self._loop.time()
                if self._writable is not None:
                    await self._writable
            if length is None:
                self._transport.write(b"0\r\n\r\n")
                self._written = True
            elif sent < length:
                raise ValueError(f"the request body ended at {sent} of the {length} bytes announced")
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    def _uploaded(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if task is not self._upload:
            return  # stopped by us
        self._upload = None
        if task.cancelled():
            self.shut(UpstreamError("closed", "the request body was cancelled", sent=True))
        elif error is not None:
            self.shut(error)
        elif self._request is not None and self._awaiting_head:
            self._since = self._loop.time()
            self._arm(self._since + self._request.timeouts.first_byte_s)

    def _stop_upload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.cancel()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        if self._upload is not None and self._request is not None:
            self._since = self._loop.time()
            self._arm(self._since + self._request.timeouts.idle_s)

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # ---- deadlines

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            if self._rings <= when:
                return  # it rings earlier, finds nothing due, and is set again
            self._timer.cancel()
        self._rings = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        due, kind = self._deadline()
        if due > self._loop.time() + _SLACK_S:
            self._arm(due)
        elif kind is None:
            self.shut()
        else:
            self.shut(UpstreamError(kind, _SAID[kind], sent=True))

    def _deadline(self) -> tuple[float, ErrorKind | None]:
        """When the present state is over, and what that is called (None: idle expiry)."""
        kind: ErrorKind
        if self._response is None or self._request is None:
            return self.idle_since + self._limits.idle_expiry_s, None
        timeouts = self._request.timeouts
        due = self._request.started + timeouts.total_s
        kind = "total_timeout"
        wait: float | None = None
        name: ErrorKind = "idle_timeout"
        if self._upload is not None:
            # The pace of the body's source is not the upstream's doing; a socket that stays full is.
            if self._writable is not None:
                wait = timeouts.idle_s
        elif self._awaiting_head:
            wait, name = timeouts.first_byte_s, "first_byte_timeout"
        if self._response._waiter is not None and not self._awaiting_head:
            wait = timeouts.idle_s
        if wait is not None and self._since + wait < due:
            due, kind = self._since + wait, name
        return due, kind

    # ---- what the transport reports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._arm(self.idle_since + self._limits.idle_expiry_s)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:
            # An answer nobody asked for: whatever it belongs to, it must not meet the next request.
            self.shut()
            return
        self._received += len(data)
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep = False
            if not response.complete:
                self.shut(self._fault or _garbage(error))
                return
        if response.complete:
            self._finish(response)
        elif self._quiet > self._limits.header_bytes:
            self.shut(self._too_long("head" if not response.status else "framing"))
            return
        elif response._buffered > self._limits.buffer_bytes and self._reading:
            self._reading = False
            self._transport.pause_reading()
        if self._upload is not None and response.status >= 300:
            # RFC 9112 section 9.5: who is told of an error should stop sending the body.
            self._stop_upload()
        if response.status and (self._awaiting_head or response._parts or response.complete):
            _wake(response)

    def eof_received(self) -> None:
        self._peer_gone(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._writable is not None:
            self.resume_writing()
        self._peer_gone(exc)

    def _peer_gone(self, exc: Exception | None) -> None:
        if self._gone:
            return
        response = self._response
        if response is None:
            self.shut()
        elif response.status and exc is None and _ends_with_stream(response.headers):
            response.complete = True
            self._finish(response)
            _wake(response)
        else:
            self.shut(self._closed(response, exc))

    def _closed(self, response: Response, exc: Exception | None) -> UpstreamError:
        how = "reset" if exc is not None else "closed"
        if response.status:
            return UpstreamError("closed", f"connection {how} within the answer's body", sent=True)
        if self._received:
            return UpstreamError("closed", f"connection {how} within the answer's head", sent=True)
        kind = StaleConnection if self.served else UpstreamError
        return kind("closed", f"connection {how} without an answer", sent=True)

    def _finish(self, response: Response) -> None:
        """The answer is complete: give the connection back, or close it."""
        request = self._request
        self._response = self._request = None
        response._source = None
        self.served += 1
        self._stop_upload()
        clean = self._keep and self._written
        # A peer that answered early may never read the body that is still in our write buffer.
        if not clean or self._gone or self._transport.get_write_buffer_size():
            self.shut()
            return
        if request is not None and request.is_head:
            self._parser = httptools.HttpResponseParser(self)  # the old one still waits for a body
        self.drained()
        self.idle_since = self._loop.time()
        self._arm(self.idle_since + self._limits.idle_expiry_s)
        self._owner.release(self)

    def _too_long(self, what: str) -> UpstreamError:
        return UpstreamError(
            "limit", f"the answer's {what} is longer than {self._limits.header_bytes} bytes", sent=True
        )

    # ---- what the parser reports

    def on_message_begin(self) -> None:
        if self._response is None or self._response.complete:
            raise ValueError("a second answer")  # caught by the parser, ends the feeding

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        response, request = self._response, self._request
        assert response is not None
        assert request is not None
        headers, self._headers = self._headers, []  # what comes after this are trailers
        limit = self._limits.header_bytes
        if self._received > limit and sum(len(n) + len(v) + 4 for n, v in headers) > limit:
            self._fault = self._too_long("head")
            raise self._fault
        status = self._parser.get_status_code()
        if status < 200:
            return  # 1xx: another head follows (RFC 9110 section 15.2); 101 ends in HttpParserUpgrade
        response.headers = headers
        response.status = status
        if request.is_head:
            response.complete = True
            # Asked here, while the flags stand; no for an answer without a length, which costs a connection.
            self._keep = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        response = self._response
        assert response is not None
        if response.complete:
            self._keep = False  # a body in answer to HEAD
            return
        size = len(body)
        self._quiet = 0
        self._body += size
        if self._body > self._limits.body_bytes:
            limit = self._limits.body_bytes
            self._fault = UpstreamError("limit", f"the answer's body is longer than {limit} bytes", sent=True)
            raise self._fault
        response._parts.append(body)
        response._buffered += size

    def on_message_complete(self) -> None:
        response = self._response
        if response is None or not response.status or response.complete:
            return
        response.complete = True
        self._keep = self._parser.should_keep_alive()


def _wake(response: Response) -> None:
    waiter = response._waiter
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _ends_with_stream(headers: list[tuple[bytes, bytes]]) -> bool:
    """RFC 9112 section 6.3, the last rule: without chunked and without a length, the close is the end."""
    for name, value in headers:
        if name == b"content-length":
            return False
        if name == b"transfer-encoding" and value.lower().replace(b" ", b"").split(b",")[-1] == b"chunked":
            return False
    return True


def _garbage(error: Exception) -> UpstreamError:
    if isinstance(error, httptools.HttpParserUpgrade):
        return UpstreamError("protocol", "the upstream switched protocols unasked", sent=True)
    return UpstreamError("protocol", f"the answer is not HTTP/1.1: {error}", sent=True)
