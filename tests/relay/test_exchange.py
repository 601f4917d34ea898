"""One exchange against a connection made of a list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dragoman.relay.exchange import (
    CONTINUE,
    HIGH_WATER_BYTES,
    Disconnect,
    Exchange,
    split_target,
    target_is_readable,
)


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


class FakeDoor:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: Any = Transport()
        self.log: list[Any] = []

    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"date", b"today")]

    def is_writable(self) -> bool:
        return True

    async def drain(self) -> None:
        self.log.append("drain")

    def hold_input(self) -> None:
        self.log.append("hold")

    def want_input(self) -> None:
        self.log.append("want")

    def answered(self, exchange: Exchange) -> None:
        self.log.append("answered")

    def failed(self, exchange: Exchange, status: int, code: str, message: str) -> None:
        self.log.append((status, code))

    def finished(self, exchange: Exchange) -> None:
        self.log.append("finished")


Application = Callable[[Any, Any, Any], Awaitable[None]]


def make(
    method: str = "POST", version: str = "1.1", *, body: bytes | None = b"", **options: Any
) -> tuple[Exchange, FakeDoor]:
    door = FakeDoor()
    scope = {"type": "http", "method": method, "http_version": version}
    options = {"keep_alive": True, "expects_continue": False, **options}
    exchange = Exchange(door, scope, Disconnect(), **options)
    if body is not None:
        if body:
            exchange.feed(body)
        exchange.feed_end()
    return exchange, door


def answered(app: Application, method: str = "POST", version: str = "1.1") -> tuple[bytes, list[Any]]:
    async def main() -> tuple[bytes, list[Any]]:
        exchange, door = make(method, version)
        await exchange.run(app)
        return door.transport.written, door.log

    return asyncio.run(main())


def replying(status: int, headers: list[tuple[bytes, bytes]], *pieces: bytes) -> Application:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for i, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": i + 1 < len(pieces)})

    return app


@pytest.mark.parametrize(
    ("app", "method", "version", "expected"),
    [
        (replying(200, [(b"X-A", b"1")], b"ab", b"", b"c"), "GET", "1.1",
         b"HTTP/1.1 200 OK\r\ndate: today\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        (replying(200, [], b"ab", b""), "GET", "1.1",
         b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        (replying(529, [(b"content-length", b"2")], b"ab"), "GET", "1.1",
         b"HTTP/1.1 529 \r\ndate: today\r\ncontent-length: 2\r\n\r\nab"),
        (replying(204, [(b"content-length", b"0")], b""), "GET", "1.1", b"HTTP/1.1 204 No Content\r\ndate: today\r\n\r\n"),
        (replying(200, [(b"content-length", b"2")], b"ab"), "HEAD", "1.1",
         b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\n\r\n"),
        (replying(200, [], b"ab"), "HEAD", "1.1", b"HTTP/1.1 200 OK\r\ndate: today\r\n\r\n"),
        (replying(200, [], b"ab"), "GET", "1.0", b"HTTP/1.1 200 OK\r\ndate: today\r\nconnection: close\r\n\r\nab"),
        # framing is ours: what a vendor said about its own connection is not repeated
        (replying(200, [(b"transfer-encoding", b"gzip"), (b"connection", b"keep-alive"), (b"keep-alive", b"timeout=5")], b""),
         "GET", "1.1", b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        (replying(200, [(b"connection", b"Close"), (b"content-length", b"0")], b""), "GET", "1.1",
         b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
    ],
)  # fmt: skip
def test_answers_on_the_wire(app: Application, method: str, version: str, expected: bytes) -> None:
    assert answered(app, method, version) == (expected, ["answered", "finished"])


@pytest.mark.parametrize(
    "app",
    [
        replying(200, [(b"content-length", b"2")], b"abc"),
        replying(200, [(b"content-length", b"2")], b"a"),
        replying(200, [(b"x", b"1\r\nset-cookie: a")], b""),
        replying(200, [(b"x\n", b"1")], b""),
        replying(200, [(b"x", b"\0")], b""),
        replying(200, [], b"a", b"b") and (lambda scope, receive, send: send({"type": "http.response.body"})),
    ],
)
def test_broken_promises_are_failures(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    written, log = answered(app)
    assert log == [(500, "internal_error"), "finished"]
    assert b"set-cookie" not in written
    assert "the application failed" in caplog.text


def test_failures_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        return

    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    async def begun(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("inside")

    assert answered(nothing)[1] == [(500, "internal_error"), "finished"]
    assert answered(cancelled)[1] == [(503, "shutting_down"), "finished"]
    assert answered(begun)[1] == [(500, "internal_error"), "finished"]
    assert "inside" in caplog.text


def test_an_answer_before_the_body_was_read_closes() -> None:
    async def main() -> bytes:
        exchange, door = make(body=None)
        exchange.feed(b"half")
        await exchange.run(replying(401, [(b"content-length", b"0")], b""))
        assert exchange.more_body and not exchange.keep_alive
        return door.transport.written

    assert asyncio.run(main()).endswith(b"connection: close\r\n\r\n")


def test_receive_gives_what_arrived_then_waits() -> None:
    async def main() -> None:
        exchange, door = make(body=None)
        first = asyncio.create_task(exchange.receive())
        await asyncio.sleep(0)
        assert door.log == ["want"]
        exchange.feed(b"a")
        assert await first == {"type": "http.request", "body": b"a", "more_body": True}
        exchange.feed(b"b")
        exchange.feed(b"c")
        exchange.feed_end()
        assert await exchange.receive() == {"type": "http.request", "body": b"bc", "more_body": False}
        waiting = asyncio.create_task(exchange.receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        exchange.lose()
        assert (await waiting)["type"] == "http.disconnect"

    asyncio.run(main())


def test_reading_pauses_while_the_application_does_not_keep_up() -> None:
    async def main() -> None:
        exchange, door = make(body=None)
        exchange.feed(b"x" * HIGH_WATER_BYTES)
        assert door.log == []
        exchange.feed(b"x")
        assert door.log == ["hold"]
        assert len((await exchange.receive())["body"]) == HIGH_WATER_BYTES + 1
        assert door.log == ["hold", "want"]

    asyncio.run(main())


def test_continue_is_sent_when_the_application_asks_for_the_body() -> None:
    async def main() -> None:
        exchange, door = make(body=None, expects_continue=True)
        waiting = asyncio.create_task(exchange.receive())
        await asyncio.sleep(0)
        assert door.transport.written == CONTINUE
        exchange.feed_end()
        assert (await waiting)["more_body"] is False

    asyncio.run(main())


def test_loss_calls_the_hook_once_and_makes_send_silent() -> None:
    async def main() -> None:
        calls: list[int] = []
        hook = Disconnect()
        hook.callback = lambda: calls.append(1)
        door = FakeDoor()
        exchange = Exchange(door, {"method": "GET"}, hook, keep_alive=True, expects_continue=False)
        exchange.lose()
        exchange.lose()
        assert calls == [1]
        await exchange.run(replying(200, [], b"late"))
        assert (door.transport.written, door.log) == (b"", ["finished"])

    asyncio.run(main())


def test_lost_input_ends_the_body_but_not_the_answer() -> None:
    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert (await receive())["type"] == "http.disconnect"

        exchange, door = make(body=None)
        exchange.lose_input()
        await exchange.run(app)
        assert door.log == [(400, "malformed_http"), "finished"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"/a%2Fb?x=%20?y", ("/a/b", b"/a%2Fb", b"x=%20?y")),
        (b"/a#b?c", ("/a", b"/a", b"")),
        (b"//a", ("//a", b"//a", b"")),
        (b"*", ("*", b"*", b"")),
        (b"http://host:1/a?b", ("/a", b"/a", b"b")),
        (b"http://host", ("/", b"/", b"")),
        (b"HTTPS://host?q", ("/", b"/", b"q")),
    ],
)
def test_request_targets(target: bytes, parts: tuple[str, bytes, bytes]) -> None:
    assert split_target(target) == parts
    assert target[:1] == b"/" or target_is_readable(target)


@pytest.mark.parametrize("target", [b"host:443", b"", b"?", b"http:///a", b"ftp://host/a"])
def test_unreadable_targets(target: bytes) -> None:
    assert not target_is_readable(target)
