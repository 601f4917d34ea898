"""The ASGI shell: reads the request, finds its dialect, sends the answer, and misbehaves as asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from dragoman.simulator.directives import NONE, Directives
from dragoman.simulator.journal import Entry, Journal, kept
from dragoman.simulator.reply import encode
from dragoman.simulator.routes import Route, dialect_of, resolve
from dragoman.simulator.wire import Answer, Call, Dialect, Fault, State

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

TRANSPORT = "simulator.transport"  # scope extension of server.py: the connection, for misbehaviour below HTTP
BAD_KEY = "bad-key"
_LOOK_UP_EVERY = 64  # frames between looks for a client that left
_decode = msgspec.json.Decoder().decode


def create_app() -> ASGIApp:
    """A simulator with a memory of its own."""
    return _App()


class _App:
    def __init__(self) -> None:
        self._state = State()
        self._journal = Journal()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            if scope["path"].startswith("/_sim"):
                await self._introspect(scope, send)
            else:
                await self._serve(scope, receive, send)

    async def _introspect(self, scope: Scope, send: Send) -> None:
        if scope["path"] != "/_sim/requests":
            await _send_whole(send, 200, b'{"status":"ok"}', b"application/json", [])
        elif scope["method"] == "DELETE":
            self._journal.clear()
            self._state.clear()
            await _send_whole(send, 200, b'{"deleted":true}', b"application/json", [])
        else:
            await _send_whole(send, 200, encode(self._journal.listing()), b"application/json", [])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        if body is None:
            return
        state = self._state
        state.serial += 1
        entry = Entry(
            serial=state.serial, method=scope["method"], path=scope["path"], query=scope["query_string"],
            headers=scope["headers"], body=kept(body), body_bytes=len(body),
        )  # fmt: skip
        self._journal.add(entry)
        headers = dict(scope["headers"])
        query = dict(parse_qsl(entry.query.decode("latin-1"))) if entry.query else {}
        style = _style(headers, query)
        call: Call | None = None
        dialect = dialect_of(entry.path, style)
        try:
            route = resolve(entry.method, entry.path, style)
            dialect = route.dialect
            call = _call(route, headers, query, state)
            _admit(call)
            call.body = _parse(body)
            answer = _handle(route, call)
        except Fault as fault:
            entry.status = fault.status
            await _Sender(scope, receive, send, entry, dialect, call).fault(fault)
            return
        entry.status = 200
        await _Sender(scope, receive, send, entry, dialect, call).answer(call, answer)


def _handle(route: Route, call: Call) -> Answer:
    """The answer. Raises Fault, also for bodies and queries whose shape the dialect's code stumbles over."""
    try:
        return route.handler(call)
    except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
        raise Fault(400, f"Invalid request: {error!r}", code="invalid_type") from error


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, or None where the client left before its end."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body"):
        return body
    pieces = [body]
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        pieces.append(message.get("body", b""))
    return b"".join(pieces) if message["type"] == "http.request" else None


def _style(headers: dict[bytes, bytes], query: dict[str, str]) -> str:
    if b"anthropic-version" in headers:
        return "anthropic"
    return "gemini" if b"x-goog-api-key" in headers or "key" in query else "openai"


def _call(route: Route, headers: dict[bytes, bytes], query: dict[str, str], state: State) -> Call:
    if "$alt" in query:  # a client with `$alt=json;enum-encoding=int` may still ask for alt=sse
        query.setdefault("alt", query["$alt"].partition(";")[0])
    return Call(
        operation=route.operation, model=route.model, resource=route.resource, query=query, headers=headers,
        body={}, wish=NONE, credential=_credential(headers, query), serial=state.serial, state=state,
    )  # fmt: skip


def _credential(headers: dict[bytes, bytes], query: dict[str, str]) -> str:
    bearer = headers.get(b"authorization", b"").decode("latin-1")
    if bearer:
        return bearer.partition(" ")[2] if bearer[:7].lower() == "bearer " else bearer
    for name in (b"x-api-key", b"x-goog-api-key", b"api-key"):
        if name in headers:
            return headers[name].decode("latin-1")
    return query.get("key", "")


def _admit(call: Call) -> None:
    """Raises Fault: no or bad credential, or what the directives in the header ask for at once."""
    if not call.credential:
        raise Fault(401, "You didn't provide an API key.", code="invalid_api_key")
    if call.credential == BAD_KEY:
        raise Fault(401, "Incorrect API key provided.", code="invalid_api_key")
    asked = call.headers.get(b"x-sim")
    if asked:
        call.wish = call.state.directives(asked.decode("latin-1"), call.credential)
        call.fail_if_asked()


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        parsed = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fault(400, f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(parsed, dict):
        raise Fault(400, "The JSON body of your request must be an object.")
    return parsed


async def _send_whole(
    send: Send, status: int, body: bytes, content_type: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    fixed = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fixed + headers})
    await send({"type": "http.response.body", "body": body})


class _Sender:
    """Sends one answer.

    Returning without the last body message makes the server close the socket: that is how answers are cut.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, entry: Entry, dialect: Dialect, call: Call | None
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._entry = entry
        self._dialect = dialect
        self._call = call
        self._leaving: asyncio.Task[dict[str, Any]] | None = None

    async def fault(self, fault: Fault) -> None:
        """An error answer."""
        headers = self._dialect.headers(self._entry.serial)
        if fault.retry_after >= 0:
            headers.append((b"retry-after", b"%d" % fault.retry_after))
        wish = self._call.wish if self._call else NONE
        body = self._dialect.fault_body(self._call, fault)
        try:
            if await self._begin(wish):
                await self._whole(fault.status, body, b"application/json", headers, wish)
        finally:
            self._stop_looking()

    async def answer(self, call: Call, answer: Answer) -> None:
        """A good answer, unless the directives spoil it."""
        headers = self._dialect.headers(self._entry.serial)
        wish = call.wish
        try:
            if not await self._begin(wish):
                return
            if answer.frames is not None:
                start = [(b"content-type", answer.content_type), (b"cache-control", b"no-cache"), *headers]
                await self._send({"type": "http.response.start", "status": 200, "headers": start})
                await self._frames(call, answer.frames)
            else:
                body = b"<html>502 Bad Gateway</html>" if wish.malformed else answer.body
                await self._whole(200, body, answer.content_type, headers, wish)
        finally:
            self._stop_looking()

    async def _begin(self, wish: Directives) -> bool:
        """Waits and breaks connections before the first byte; False when there is nothing more to send."""
        if wish is NONE:
            return True
        if wish.slow_first and not await self._wait(wish.slow_first):
            return False
        transport = self._scope.get("extensions", {}).get(TRANSPORT)
        if wish.malformed == "http" and transport is not None:
            transport.write(b"This is not HTTP.\r\n\r\n")
            transport.close()
        elif wish.drop and transport is not None:
            transport.abort()
        else:
            return True
        self._entry.outcome = "dropped"
        return False

    async def _whole(
        self,
        status: int,
        body: bytes,
        content_type: bytes,
        headers: list[tuple[bytes, bytes]],
        wish: Directives,
    ) -> None:
        end = (
            min(wish.cut_bytes, len(body))
            if wish.cut_bytes >= 0
            else (len(body) // 2 if wish.cut >= 0 else -1)
        )
        if end < 0:
            self._entry.outcome = "complete"
            await _send_whole(self._send, status, body, content_type, headers)
            return
        fixed = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": fixed + headers})
        await self._send({"type": "http.response.body", "body": body[:end], "more_body": True})
        self._entry.outcome = "cut"

    async def _frames(self, call: Call, frames: Iterator[bytes]) -> None:
        wish, entry, send = call.wish, self._entry, self._send
        if wish is not NONE:
            frames = self._spoiled(call, frames)
        for frame in frames:
            if wish.slow_frame and not await self._wait(wish.slow_frame):
                return
            entry.frames += 1
            await send({"type": "http.response.body", "body": frame, "more_body": True})
            if entry.frames % _LOOK_UP_EVERY == 0 and not await self._wait(0):
                return
        if entry.outcome == "open":
            entry.outcome = "complete"
            await send({"type": "http.response.body", "body": b""})

    def _spoiled(self, call: Call, frames: Iterator[bytes]) -> Iterator[bytes]:
        """The frames as the directives want them; the outcome becomes "cut" where the end is to be abrupt."""
        wish = call.wish
        sent_bytes = 0
        for number, frame in enumerate(chain(frames, [b""])):  # the empty one: an end after the last frame
            if wish.error_frame == number:
                fault = Fault(500, wish.message or "Simulated failure", code=wish.code or None)
                yield self._dialect.fault_frames(call, fault, number)
                return
            if wish.cut == number:
                self._entry.outcome = "cut"
                return
            if wish.malformed and number == 1:
                frame = b"data: {this is not JSON\n\n"
            if 0 <= wish.cut_bytes <= sent_bytes + len(frame):
                self._entry.outcome = "cut"
                if wish.cut_bytes > sent_bytes:
                    yield frame[: wish.cut_bytes - sent_bytes]
                return
            sent_bytes += len(frame)
            if frame:
                yield frame

    async def _wait(self, milliseconds: int) -> bool:
        """Sleeps; False as soon as the client has left."""
        if self._leaving is None:
            self._leaving = asyncio.ensure_future(self._receive())
        await asyncio.wait({self._leaving}, timeout=milliseconds / 1000)
        if self._leaving.done():
            self._entry.outcome = "client_gone"
            return False
        return True

    def _stop_looking(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
