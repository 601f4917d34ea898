"""The front door: uvicorn's httptools protocol with limits, JSON errors and an orderly way out.

One instance per connection, three phases per request: BETWEEN (idle, or just accepted) → HEAD → BODY. What it adds:

- a request's head has a size limit (431) and a time limit (408, counted from its first byte);
- what is not valid HTTP/1.x, or could be read two ways by two servers (request smuggling), is a 400 in JSON;
- a client that is refused while it still sends gets the answer, not a reset: the sending side is closed, its input
  is read and thrown away for a bounded while ("linger"), then the connection ends;
- a client that stops reading, or stays idle, is let go; too many connections are told so (503).

One timer per connection, re-armed lazily: in the common case (a head that arrives in one piece) a request costs
neither a timer nor an ``asyncio.Event``. Only the head's and the writing side's time is watched here; a body that
stalls is the reader's business (``bodies``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import httptools
import msgspec
from msgspec import Struct
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from dragoman.relay.exchange import STATUS_LINES, Disconnect, Exchange, split_target, target_is_readable

BETWEEN, HEAD, BODY = 0, 1, 2

# What the one timer watches. Up to IDLE: ends by itself when a head is complete.
NOTHING, HEADER, IDLE, WRITE, LINGER = 0, 1, 2, 3, 4

MAX_PIPELINED: Final = 64
_WATCHED_HEADERS: Final = frozenset({b"host", b"expect", b"transfer-encoding"})
_FINAL_STATUSES: Final = frozenset({400, 431})


class ServerLimits(Struct, frozen=True, kw_only=True):
    """Every limit of the front door. Sizes in bytes, times in seconds."""

    header_bytes: int = 65_536  # request line and headers together
    header_timeout_s: float = 15.0  # from a head's first byte to its last; from accept to the first byte
    keep_alive_s: float = 75.0  # idle between two requests; longer than the 60 s of a proxy in front
    connections: int = 20_000  # open at once; beyond it 503, far beyond it a plain close
    write_stall_s: float = 120.0  # a client that reads nothing for so long is gone
    linger_s: float = 2.0  # how long a refused client may go on sending
    linger_bytes: int = 16_777_216  # and how much of that is read before it is left standing
    drain_s: float = 30.0  # graceful stop: how long running requests may take
    cancel_s: float = 5.0  # and how long they may take to end after they were cancelled


class FrontDoor(HttpToolsProtocol):
    """One client connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ServerLimits,
        new_id: Callable[[], str],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._new_id = new_id
        self._phase = BETWEEN
        self._chunk_bytes = 0  # size of the piece that is being parsed
        self._unseen_bytes = 0  # fed since the parser last gave a whole head or a piece of a body
        self._hosts = 0
        self._coding = b""
        self._full = False
        self._upgrade = False  # the head just read asks for another protocol
        self._deaf = False  # input is thrown away
        self._deaf_bytes = limits.linger_bytes
        self._stopping = False
        self._read: Exchange | None = None  # the exchange whose request is (or was last) being read
        self._running: Exchange | None = None  # the one being answered
        self._waiting: deque[Exchange] = deque()  # pipelined behind it
        self._watch = NOTHING
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._unsent = 0  # size of the write buffer when WRITE was armed

    # -- the connection ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept, or refuse when there are too many."""
        super().connection_made(transport)
        excess = len(self.connections) - self._limits.connections
        if excess > 0:
            if excess > max(64, self._limits.connections // 8):
                transport.abort()  # even saying no costs too much now
                return
            self._full = True
        self._arm(IDLE, self._limits.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or was let go."""
        self.connections.discard(self)
        self._watch = NOTHING
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        running, self._running, self._read = self._running, None, None
        if running is not None:
            running.lose()
        self.flow.resume_writing()
        self.parser = None  # type: ignore[assignment]  # the parser holds our methods: a cycle

    def shutdown(self) -> None:
        """The server stops: finish what runs, close what does not."""
        self._stopping = True
        for exchange in (self._running, *self._waiting):
            if exchange is not None:
                exchange.keep_alive = False
        if self._running is None and self._phase != HEAD and not self._deaf:
            self._close()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, within the limits."""
        size = len(data)
        if self._deaf:
            self._deaf_bytes -= size
            if self._deaf_bytes < 0:
                self.flow.pause_reading()
            return
        self._chunk_bytes = size
        self._unseen_bytes += size
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data, upgrade.args[0])
        except httptools.HttpParserError as error:
            self._refuse_malformed(error)
        if self._unseen_bytes > self._limits.header_bytes:
            self._refuse_oversize()
        elif (
            self._phase == HEAD
            and self._watch != HEADER
            and self._running is None
            and not self._deaf
            and not self.transport.is_closing()
        ):
            self._arm(HEADER, self._limits.header_timeout_s)

    def _decline_upgrade(self, data: bytes, offset: int) -> None:
        """Read the request as if it had not asked (RFC 9110 §7.8 allows to ignore it).

        The parser believes that another protocol begins where the head ends, and would take a body (Java's client
        asks for h2c with every POST) for it. So the same head, without the wish, goes through a fresh parser.
        """
        while not self._deaf:
            data = self._plain_head() + data[offset:]
            self._upgrade = False
            self.parser = _new_parser(self)
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:  # another one, pipelined
                offset = upgrade.args[0]
            except httptools.HttpParserError as error:
                self._refuse_malformed(error)
                return

    def _plain_head(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode("ascii")
        lines = [b"%b %b HTTP/%b\r\n" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                value = b",".join(t for t in value.split(b",") if t.strip().lower() != b"upgrade")
            if name != b"upgrade":
                lines.append(b"%b: %b\r\n" % (name, value))
        lines.append(b"\r\n")
        return b"".join(lines)

    def _stop_reading(self) -> None:
        """Whole requests that were read are answered, nothing more is read, then the connection ends."""
        self._deaf = True
        last = self._waiting[-1] if self._waiting else self._running
        if last is not None:
            last.keep_alive = False

    # -- the parser's callbacks --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._phase = HEAD
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._hosts = 0
        self._coding = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Trailers are dropped: nothing may be added to a request that was already judged."""
        if self._phase != HEAD:
            return
        name = name.lower()
        if name in _WATCHED_HEADERS:
            if name == b"host":
                self._hosts += 1
            elif name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue"
            else:
                self._coding += b"," + value.lower()
        self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """A whole head: judge it and start (or queue) its exchange."""
        self._phase = BODY
        if self._watch <= IDLE:
            self._watch = NOTHING
        if self._deaf or self.transport.is_closing():
            return
        limit = self._limits.header_bytes
        if (self._unseen_bytes > limit or self._chunk_bytes > limit) and self._head_bytes() > limit:
            self._refuse_oversize()
            return
        version = self.parser.get_http_version()
        if problem := self._problem(version):
            self._refuse(400, "malformed_http", f"Malformed HTTP request: {problem}")
            return
        if self.parser.should_upgrade():
            self._upgrade = True
            return
        self._unseen_bytes = 0
        if self._full:
            self._refuse(503, "overloaded", "Too many open connections, please try again later", 1)
        elif len(self._waiting) >= MAX_PIPELINED:
            self._stop_reading()
        else:
            self._open(version)

    def _open(self, version: str) -> None:
        method = self.parser.get_method().decode("ascii")
        path, raw_path, query = split_target(self.url)
        hook = Disconnect()
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": method,
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "extensions": {"dragoman.disconnect": hook},
        }
        exchange = Exchange(
            self,
            scope,
            hook,
            keep_alive=version == "1.1" and self.parser.should_keep_alive() and not self._stopping,
            expects_continue=self.expect_100_continue and version == "1.1",
        )
        scope["extensions"]["dragoman.arrived"] = exchange.has_arrived
        self._read = exchange
        if self._running is None:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)  # reading goes on, or the client's leaving would not be seen

    def _begin(self, exchange: Exchange) -> None:
        self._running = exchange
        task = self.loop.create_task(exchange.run(self.app))
        exchange.task = exchange.hook.task = task
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unseen_bytes = 0
        if not self._deaf and self._read is not None:
            self._read.feed(body)

    def on_message_complete(self) -> None:
        """The request's last byte."""
        self._phase = BETWEEN
        if self._upgrade:
            return
        self._unseen_bytes = 0
        if not self._deaf and self._read is not None:
            self._read.feed_end()

    def _head_bytes(self) -> int:
        return len(self.url) + 16 + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _problem(self, version: str) -> str:
        """What llhttp lets pass and two servers might read differently (RFC 9112 §3.2, §6.1)."""
        if version == "1.1":
            if self._hosts != 1:
                return "there must be exactly one Host header"
        elif version != "1.0":
            return "only HTTP/1.0 and HTTP/1.1 are spoken here"
        elif self._hosts > 1 or self._coding:
            return "an HTTP/1.0 request has at most one Host header and no Transfer-Encoding"
        if self.parser.get_method() == b"CONNECT":
            return "this is not a proxy"
        if self._coding and self._coding.replace(b" ", b"") != b",chunked":
            return "the only transfer coding understood is chunked"
        if self.url[:1] != b"/" and not target_is_readable(self.url):
            return "the request target is neither a path nor a URL"
        return ""

    # -- for the exchange --------------------------------------------------------------------------------------

    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The date, renewed once a second by the server."""
        return self.server_state.default_headers

    def is_writable(self) -> bool:
        """False while the client reads too slowly."""
        return not self.flow.write_paused

    async def drain(self) -> None:
        """Wait until the client reads again, or is gone."""
        await self.flow.drain()

    def hold_input(self) -> None:
        """The application does not keep up with the body."""
        self.flow.pause_reading()

    def want_input(self) -> None:
        """The application waits for input."""
        self.flow.resume_reading()

    def answered(self, exchange: Exchange) -> None:
        """An answer is complete: next request, idle, or the end."""
        self.server_state.total_requests += 1
        self._running = None
        if self.transport.is_closing():
            return
        if not exchange.keep_alive:
            if self._deaf or exchange.more_body:
                self._linger()
            else:
                self._close()
        elif self._waiting:
            self._begin(self._waiting.popleft())
            self.want_input()
        else:
            self.flow.resume_reading()
            if self._phase == HEAD:
                self._arm(HEADER, self._limits.header_timeout_s)
            else:
                self._arm(IDLE, self._limits.keep_alive_s)

    def failed(self, exchange: Exchange, status: int, code: str, message: str) -> None:
        """The application left without a whole answer."""
        if self._running is not exchange or self.transport.is_closing():
            return
        self._running = None
        if exchange.response_started:
            self._close()  # no last chunk, or bytes missing: the client can tell that the answer was cut
            return
        self._write_error(status, code, message, 1 if status == 503 else None)
        self._linger()

    def finished(self, exchange: Exchange) -> None:
        """The exchange's task ends."""
        if exchange.task is not None:
            self.tasks.discard(exchange.task)

    # -- refusals and the way out ------------------------------------------------------------------------------

    def _refuse_malformed(self, error: httptools.HttpParserError) -> None:
        self._refuse(400, "malformed_http", f"Malformed HTTP request: {error}"[:200])

    def _refuse_oversize(self) -> None:
        limit = self._limits.header_bytes
        if self._phase == BETWEEN:
            self._refuse(400, "malformed_http", "Malformed HTTP request: no request line")
        else:
            message = f"The request line and headers are larger than {limit} bytes"
            self._refuse(431, "headers_too_large", message)

    def _refuse(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        """Answer ourselves, then end the connection. Nothing is put into the middle of a running answer."""
        if self._deaf or self.transport.is_closing():
            return
        running = self._running
        if running is not None:
            if running is not self._read or not running.more_body or running.response_started:
                self._stop_reading()
                if self._read is not None and self._read.more_body:
                    self._read.lose_input()
                return
            # The body of the very request that runs is broken, and nothing was answered yet.
            self._running = None
            running.lose()
        self._write_error(status, code, message, retry_after_s)
        self._linger()

    def _write_error(self, status: int, code: str, message: str, retry_after_s: int | None) -> None:
        request_id = self._new_id().encode("ascii")
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        body = msgspec.json.encode({"error": error})
        lines = [STATUS_LINES[status]]
        lines += [b"%b: %b\r\n" % header for header in self.default_headers()]
        lines.append(b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body))
        lines.append(b"x-request-id: %b\r\nrequest-id: %b\r\n" % (request_id, request_id))
        lines.append(b"x-content-type-options: nosniff\r\naccess-control-allow-origin: *\r\n")
        if status in _FINAL_STATUSES:
            lines.append(b"x-should-retry: false\r\n")
        if retry_after_s is not None:
            lines.append(b"retry-after: %d\r\n" % retry_after_s)
        lines.append(b"connection: close\r\n\r\n")
        lines.append(body)
        self.transport.write(b"".join(lines))

    def _linger(self) -> None:
        """Close our side, let the client finish reading: a close with unread input would reset its connection."""
        self._deaf = True
        self._waiting.clear()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(LINGER, self._limits.linger_s)

    def _close(self) -> None:
        self._waiting.clear()
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._watch_writing()

    # -- the timer ---------------------------------------------------------------------------------------------

    def _arm(self, watch: int, seconds: float) -> None:
        """Watch one thing; replaces what was watched. An earlier timer is kept and looks again when it fires."""
        self._watch = watch
        self._deadline = at = self.loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._watch == NOTHING:
            return
        left = self._deadline - self.loop.time()
        if left > 0.002:
            self._arm(self._watch, left)
            return
        watch, self._watch = self._watch, NOTHING
        if watch == HEADER:
            seconds = self._limits.header_timeout_s
            self._refuse(
                408, "request_timeout", f"The request's headers took longer than {seconds:g} seconds"
            )
        elif watch == WRITE:
            if 0 < self.transport.get_write_buffer_size() < self._unsent:
                self._watch_writing()  # slow, but alive
            else:
                self.transport.abort()
        else:
            self._close()

    def _watch_writing(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._arm(WRITE, self._limits.write_stall_s)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self.flow.pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self.flow.resume_writing()
        if self._watch == WRITE and not self.transport.is_closing():
            if self._running is None:
                self._arm(IDLE, self._limits.keep_alive_s)
            else:
                self._watch = NOTHING


def _new_parser(door: FrontDoor) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(door)
    # as uvicorn sets it: bytes after a request that said "close" are dropped, not an error
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
