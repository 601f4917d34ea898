"""The front door from outside, with raw sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.relay.doors import WAIT_S, Running, echo, error_of, parse, read_all, read_until, request, running


@pytest.fixture(scope="module")
def door() -> Iterator[Running]:
    with running(echo, limits={"header_timeout_s": 30}) as door:
        yield door


def told(answer: bytes) -> dict[str, Any]:
    status, _, body = parse(answer)
    assert status == 200
    return json.loads(body)


def refusing(status: int = 401, size: int = 0) -> Any:
    """An application that answers without reading the request's body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b"x" * size or b"no"
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


# -- what arrives at the application --------------------------------------------------------------------------


def test_request_and_answer(door: Running) -> None:
    answer = door.exchange(request("/v1/a%2Fb?x=1&y=%20", "X-Odd:  spaced \t", method="POST", body=b"hello"))
    status, headers, _ = parse(answer)
    assert status == 200
    assert headers["connection"] == "close"
    assert headers["date"].endswith("gmt")
    assert "server" not in headers
    got = told(answer)
    assert (got["method"], got["path"], got["raw_path"], got["query"]) == (
        "POST",
        "/v1/a/b",
        "/v1/a%2Fb",
        "x=1&y=%20",
    )
    assert ["x-odd", "spaced"] in got["headers"]
    assert got["text"] == "hello"


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://elsewhere/x/y?q=1", "/x/y"), ("*", "*"), ("/a#frag", "/a"), ("//a//b", "//a//b")],
)
def test_request_targets(door: Running, target: str, path: str) -> None:
    assert told(door.exchange(request(target, method="OPTIONS")))["path"] == path


def test_a_head_and_a_body_in_single_bytes(door: Running) -> None:
    with door.connect() as client:
        for byte in request("/slow", method="POST", body=b"abc"):
            client.sendall(bytes([byte]))
        assert told(read_all(client))["text"] == "abc"


def test_keep_alive_and_pipelining(door: Running) -> None:
    with door.connect() as client:
        client.sendall(b"".join(request(f"/{i}", method="POST", body=b"b", close=i == 4) for i in range(5)))
        data = read_all(client)
    assert data.count(b"HTTP/1.1 200 OK") == 5
    assert [data.index(f'"path": "/{i}"'.encode()) for i in range(5)] == sorted(
        data.index(f'"path": "/{i}"'.encode()) for i in range(5)
    )


def test_http_1_0_gets_an_answer_without_chunks(door: Running) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    with running(app) as plain:
        status, headers, body = parse(plain.exchange(b"GET / HTTP/1.0\r\n\r\n"))
    assert (status, body, headers["connection"]) == (200, b"onetwo", "close")
    assert "transfer-encoding" not in headers


def test_trailers_do_not_reach_the_application(door: Running) -> None:
    data = request("/", "Transfer-Encoding: chunked", method="POST")
    answer = door.exchange(data + b"3\r\nabc\r\n0\r\nAuthorization: Bearer late\r\n\r\n")
    got = told(answer)
    assert got["text"] == "abc"
    assert "authorization" not in dict(got["headers"])


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
@pytest.mark.parametrize("wish", ["Upgrade", "HTTP2-Settings, upgrade", "close, Upgrade"])
def test_an_upgrade_is_declined_by_a_normal_answer(door: Running, upgrade: str, wish: str) -> None:
    asking = request(
        "/up", f"Connection: {wish}", f"Upgrade: {upgrade}", method="POST", body=b"abc", close=False
    )
    with door.connect() as client:
        client.sendall(asking + (b"" if "close" in wish else request("/next", close=False)))
        got = read_until(client, b'"text": "abc"}')
        assert b'"upgrade"' not in got
        if "close" in wish:
            assert read_all(client) == b""
        else:
            if b'"/next"' not in got:
                read_until(client, b'"/next"')
            client.sendall(asking + request("/last"))
            assert b'"path": "/last"' in read_all(client)


def test_bytes_of_the_other_protocol_after_a_declined_upgrade_end_the_connection(door: Running) -> None:
    asking = request("/up", "Connection: Upgrade", "Upgrade: websocket", close=False)
    answer = door.exchange(asking + b"\x81\x05hello")
    assert answer.count(b"HTTP/1.1") == 1
    assert told(answer)["path"] == "/up"


def test_many_pipelined_upgrades_are_bounded(door: Running) -> None:
    asking = request("/up", "Connection: Upgrade", "Upgrade: h2c", close=False)
    assert 60 <= door.exchange(asking * 1000).count(b"HTTP/1.1 200 OK") <= 70


def test_expect_continue(door: Running) -> None:
    with door.connect() as client:
        head = request("/", "Expect: 100-continue", "Content-Length: 3", method="POST")
        client.sendall(head)
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert told(read_all(client))["text"] == "abc"


# -- malformed HTTP -------------------------------------------------------------------------------------------

POST = "POST / HTTP/1.1\r\nHost: a\r\n"
MALFORMED = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\x01",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    "http 0.9": b"GET /\r\n\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
    "nul in value": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\x002\r\n\r\n",
    "connect": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "length and coding": f"{POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "coding and length": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n".encode(),
    "two lengths": f"{POST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".encode(),
    "list of lengths": f"{POST}Content-Length: 3, 3\r\n\r\nabc".encode(),
    "signed length": f"{POST}Content-Length: +3\r\n\r\nabc".encode(),
    "endless length": f"{POST}Content-Length: {'9' * 30}\r\n\r\nabc".encode(),
    "unknown coding": f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".encode(),
    "coding not last": f"{POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n".encode(),
    "odd coding": f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n".encode(),
    "two codings": f"{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n".encode(),
    "coding in 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size": f"{POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
    "chunk size overflow": f"{POST}Transfer-Encoding: chunked\r\n\r\n{'f' * 20}\r\n".encode(),
    "chunk end": f"{POST}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n".encode(),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_is_a_400_in_json(door: Running, name: str) -> None:
    status, headers, error = error_of(door.exchange(MALFORMED[name]))
    assert status == 400
    assert (error["code"], error["type"], error["param"]) == ("malformed_http", "invalid_request_error", None)
    assert error["message"].startswith("Malformed HTTP request")
    assert headers["connection"] == "close"
    assert headers["x-should-retry"] == "false"


def test_nothing_is_put_into_the_middle_of_a_running_answer() -> None:
    started, garbage_seen = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        started.set()
        await asyncio.to_thread(garbage_seen.wait, WAIT_S)
        await send({"type": "http.response.body", "body": b"two"})

    with running(app) as door, door.connect() as client:
        client.sendall(request("/", close=False))
        head = read_until(client, b"one")
        assert started.wait(WAIT_S)
        client.sendall(b"garbage in the pipeline\r\n\r\n")
        while not door.call(lambda: all(c._deaf for c in door.server.server_state.connections)):
            pass
        garbage_seen.set()
        assert parse(head + read_all(client))[2] == b"onetwo"


def test_requests_before_the_malformed_one_are_answered(door: Running) -> None:
    data = door.exchange(request("/1", close=False) + request("/2", close=False) + b"garbage\r\n\r\n")
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert b'"path": "/2"' in data
    assert data.count(b"HTTP/1.1") == 2


def test_more_pipelined_requests_than_allowed_are_left_unanswered(door: Running) -> None:
    data = door.exchange(b"".join(request(f"/{i}", close=False) for i in range(200)))
    assert 60 <= data.count(b"HTTP/1.1 200 OK") <= 70


# -- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_head_over_the_limit_is_a_431(door: Running, pieces: int) -> None:
    data = request("/", *(f"X-{i}: {'v' * 1000}" for i in range(70)))
    with door.connect() as client:
        size = len(data) // pieces + 1
        for start in range(0, len(data), size):
            client.sendall(data[start : start + size])
        status, headers, error = error_of(read_all(client))
    assert (status, error["code"]) == (431, "headers_too_large")
    assert "65536" in error["message"]
    assert headers["connection"] == "close"


def test_a_head_below_the_limit_passes_beside_a_big_body(door: Running) -> None:
    head = [f"X-{i}: {'v' * 1000}" for i in range(60)]
    answer = door.exchange(request("/", *head, method="POST", body=b"b" * 3_000_000))
    assert told(answer)["body"] == 3_000_000


def test_one_endless_header_is_a_431(door: Running) -> None:
    with door.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(5):
            client.sendall(b"v" * 16384)
        assert error_of(read_all(client))[0] == 431


def test_an_endless_url_is_a_431(door: Running) -> None:
    assert error_of(door.exchange(b"GET /" + b"a" * 70_000))[0] == 431


def test_endless_trailers_and_endless_nothing_end(door: Running) -> None:
    data = request("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\nX: "
    assert error_of(door.exchange(data + b"v" * 900_000))[0] == 431
    assert error_of(door.exchange(b"\r\n" * 40_000))[0] == 400


def test_a_slow_head_is_a_408_and_an_idle_connection_closes_silently() -> None:
    with running(echo, limits={"header_timeout_s": 0.3, "keep_alive_s": 0.3}) as door:
        with door.connect() as client:  # never a byte
            assert read_all(client) == b""
        with door.connect() as client:  # a piece of a head
            client.sendall(b"GET / HT")
            status, headers, error = error_of(read_all(client))
            assert (status, error["code"], headers["connection"]) == (408, "request_timeout", "close")
        with door.connect() as client:  # a whole exchange, then nothing
            client.sendall(request("/", close=False))
            read_until(client, b'"text": ""}')
            assert read_all(client) == b""
        with door.connect() as client:  # a whole exchange, then a piece
            client.sendall(request("/", close=False))
            read_until(client, b'"text": ""}')
            client.sendall(b"GET / HTTP/1.1\r\n")
            assert error_of(read_all(client))[0] == 408


def test_a_head_dripping_in_is_not_given_more_time() -> None:
    with running(echo, limits={"header_timeout_s": 0.4}) as door, door.connect() as client:
        client.settimeout(0.02)
        data = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"v" * 100_000
        answer = b""
        for byte in data:
            client.sendall(bytes([byte]))
            try:
                answer = client.recv(65536)
                break
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_too_many_connections_are_told() -> None:
    with running(echo, limits={"connections": 2}) as door:
        with door.connect() as one, door.connect() as two:
            for client in (one, two):
                client.sendall(request("/", close=False))
                read_until(client, b'"text": ""}')
            status, headers, error = error_of(door.exchange(request("/", method="POST", body=b"x" * 1000)))
            assert (status, error["code"], headers["retry-after"]) == (503, "overloaded", "1")
            one.sendall(request("/"))
            assert told(read_all(one))["path"] == "/"
        while door.call(lambda: door.server.open_connections) > 0:
            pass
        assert told(door.exchange(request("/again")))["path"] == "/again"


def test_far_too_many_connections_are_closed() -> None:
    with running(echo, limits={"connections": 1}) as door:
        clients = [door.connect() for _ in range(80)]
        while door.call(lambda: door.server.open_connections) < 65:
            pass
        last = clients[-1]
        try:
            last.sendall(request("/"))
            assert last.recv(1) == b""
        except OSError:
            pass
        for client in clients:
            client.close()


def test_a_client_that_never_reads_is_let_go() -> None:
    gone = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["dragoman.disconnect"].callback = gone.set
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.is_set():
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})

    with running(app, limits={"write_stall_s": 0.2}) as door, door.connect() as client:
        client.sendall(request("/"))
        assert gone.wait(WAIT_S)


# -- early answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100_000, 100_000_000])
def test_an_early_answer_reaches_a_client_that_is_still_sending(size: int) -> None:
    with running(refusing(), limits={"linger_s": 1.0}) as door, door.connect() as client:
        client.sendall(request("/", f"Content-Length: {size}", method="POST", close=False))
        piece, left = b"b" * 65536, size
        try:
            while left > 0:
                client.sendall(piece[:left])
                left -= len(piece)
        except OSError:
            pass  # a client that cannot send any more reads what it was told
        status, headers, body = parse(client.recv(65536))
        assert (status, body) == (401, b"no")
        assert size < 1_000_000 or headers["connection"] == "close"


def test_after_an_early_answer_the_connection_ends_in_order() -> None:
    with running(refusing()) as door, door.connect() as client:
        client.sendall(request("/", "Content-Length: 5000000", method="POST", close=False) + b"b" * 1_000_000)
        assert parse(read_all(client))[0] == 401  # read_all raises on a reset
        client.sendall(b"b" * 1_000_000)  # still taken, and thrown away


def test_an_early_answer_to_a_whole_request_keeps_the_connection() -> None:
    with running(refusing()) as door, door.connect() as client:
        for _ in range(2):
            client.sendall(request("/", method="POST", body=b"small", close=False))
            assert b"connection: close" not in read_until(client, b"\r\n\r\nno")


def test_a_client_that_waits_for_continue_is_refused_without_it() -> None:
    with running(refusing()) as door, door.connect() as client:
        client.sendall(request("/", "Expect: 100-continue", "Content-Length: 100000000", method="POST"))
        assert read_all(client).startswith(b"HTTP/1.1 401 ")


# -- the disconnect hook --------------------------------------------------------------------------------------


def test_a_lost_connection_is_told_while_the_request_runs() -> None:
    running_, cancelled = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        scope["extensions"]["dragoman.disconnect"].callback = task.cancel
        running_.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with running(app) as door:
        with door.connect() as client:
            client.sendall(request("/"))
            assert running_.wait(WAIT_S)
        assert cancelled.wait(WAIT_S)
        while door.call(lambda: len(door.server.server_state.tasks)):
            pass


def test_a_lost_connection_is_not_told_after_the_answer() -> None:
    answered, over, calls = threading.Event(), threading.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["dragoman.disconnect"].callback = lambda: calls.append(1)
        await refusing()(scope, receive, send)
        answered.set()
        await asyncio.to_thread(over.wait, WAIT_S)

    with running(app) as door:
        with door.connect() as client:
            client.sendall(request("/", close=False))
            assert answered.wait(WAIT_S)
        while door.call(lambda: door.server.open_connections):
            pass
        over.set()
        assert calls == []


def test_a_pipelined_request_does_not_hide_the_running_one_from_the_hook() -> None:
    started, gone = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["dragoman.disconnect"].callback = gone.set
        started.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    with running(app) as door, door.connect() as client:
        client.sendall(request("/1", close=False) + request("/2", close=False))
        assert started.wait(WAIT_S)
        client.close()
        assert gone.wait(WAIT_S)


def test_a_body_that_breaks_cancels_its_request() -> None:
    reading, gone = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["dragoman.disconnect"].callback = gone.set
        await receive()
        reading.set()
        assert (await receive())["type"] == "http.disconnect"

    with running(app) as door, door.connect() as client:
        client.sendall(request("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n")
        assert reading.wait(WAIT_S)
        client.sendall(b"nonsense\r\n")
        assert error_of(read_all(client))[0] == 400
        assert gone.wait(WAIT_S)
