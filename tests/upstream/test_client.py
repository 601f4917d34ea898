"""The port as the relay uses it: requests on the wire, time, uploads, reuse and its race, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.upstream.misbehaving import Peer, Received, Server, echo, playing, reply, run, run_plain
from tests.upstream.nginx import Nginx, needs_nginx

from dragoman.upstream.client import Client, EgressPolicy, PoolLimits, Timeouts, UpstreamError
from dragoman.upstream.client import request_head as build_head


async def post(client: Client, server: Server, body: bytes = b"{}", times: Timeouts | None = None) -> bytes:
    response = await client.send(server.origin(), b"POST", b"/", [], body, timeouts=times or Timeouts())
    return await response.read(1 << 30)


# ---- the request


def test_the_request_arrives_as_given() -> None:
    seen: list[Received] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            peer.send(reply())

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            headers = [(b"X-B", b"2"), (b"x-a", b"1"), (b"X-B", b"\xe4")]
            big = b"y" * 300_000
            for method, body in ((b"POST", b"hello"), (b"GET", b""), (b"POST", b""), (b"PUT", big)):
                await (await client.send(server.origin(), method, b"/v1/x?y=%20", headers, body)).read(0)
            host = (b"host", b"127.0.0.1:%d" % server.port)
            common = [host, (b"x-b", b"2"), (b"x-a", b"1"), (b"x-b", b"\xe4")]
            assert [one.line for one in seen] == [
                method + b" /v1/x?y=%20 HTTP/1.1" for method in (b"POST", b"GET", b"POST", b"PUT")
            ]
            lengths = [[(b"content-length", b"5")], [], [(b"content-length", b"0")], []]
            lengths[3] = [(b"content-length", b"300000")]
            for one, length in zip(seen, lengths, strict=True):
                assert [(name.lower(), value) for name, value in one.headers] == common + length
            assert [one.body for one in seen] == [b"hello", b"", b"", big]
            assert server.connections == 1
            await client.close()

    run(main)


def test_framing_headers_of_the_caller_cannot_smuggle_and_a_given_host_is_kept() -> None:
    given = [
        (b"Content-Length", b"999"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"close"),
        (b"Expect", b"100-continue"),
        (b"Host", b"other.test"),
        (b"x-a", b"1"),
    ]
    assert build_head(b"POST", b"/", b"h", given, 2) == (
        b"POST / HTTP/1.1\r\nhost: other.test\r\nx-a: 1\r\ncontent-length: 2\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        (b"GET", b"/a b", []),
        (b"GET", b"/a\r\nx: y", []),
        (b"GET", b"http://elsewhere/", []),
        (b"GET", b"", []),
        (b"", b"/", []),
        (b"GET /", b"/", []),
        (b"GET", b"/", [(b"x", b"a\r\ny: z")]),
        (b"GET", b"/", [(b"x", b"a\nb")]),
        (b"GET", b"/", [(b"x", b"a\rb")]),
        (b"GET", b"/", [(b"x", b"a\0b")]),
        (b"GET", b"/", [(b"x: y", b"a")]),
        (b"GET", b"/", [(b"content-length ", b"5")]),
        (b"GET", b"/", [(b"", b"a")]),
        (b"GET", b"/", [(b"host", b"a"), (b"Host", b"b")]),
    ],
)
def test_what_could_be_read_as_more_than_it_is_does_not_leave(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    with pytest.raises(ValueError):
        build_head(method, target, b"h", headers, 0)


def test_redirects_are_answers() -> None:
    async def main() -> None:
        async with Server(playing(reply(b"", 307, b"location: http://127.0.0.1:1/"))) as server:
            client = Client()
            response = await client.send(server.origin(), b"POST", b"/", [], b"{}")
            assert response.status == 307
            assert (b"location", b"http://127.0.0.1:1/") in response.headers
            assert server.connections == 1
            await client.close()

    run(main)


# ---- reuse


@pytest.mark.parametrize("runner", [run, run_plain])
def test_two_hundred_requests_take_one_connection(runner: object) -> None:
    async def main() -> None:
        async with Server(echo) as server:
            client = Client()
            for number in range(200):
                assert await post(client, server, b"%d" % number) == b"%d" % number
            assert server.connections == 1
            assert client.stats() == {"open": 1, "idle": 1, "opened_total": 1, "reused_total": 199}
            await client.close()
            assert client.stats()["open"] == 0

    runner(main)  # type: ignore[operator]


def test_fifty_at_once_take_fifty_connections_and_all_are_used_again() -> None:
    together = 50
    arrived = 0
    all_here = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal arrived
        while True:
            received = await peer.request()
            arrived += 1
            if arrived % together == 0:
                all_here.set()
            await all_here.wait()
            peer.send(reply(received.body))

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            for _ in range(3):
                all_here.clear()
                bodies = [b"%d" % number for number in range(together)]
                assert await asyncio.gather(*[post(client, server, body) for body in bodies]) == bodies
                assert server.connections == together
            assert client.stats() == {
                "open": together,
                "idle": together,
                "opened_total": together,
                "reused_total": 2 * together,
            }
            await client.close()

    run(main)


def test_a_request_that_meets_the_close_of_its_reused_connection_is_sent_once_more() -> None:
    bodies: list[bytes] = []

    async def script(peer: Peer) -> None:
        bodies.append((await peer.request()).body)
        peer.send(reply(b"one"))
        if peer.number == 1:
            bodies.append((await peer.request()).body)
        else:
            await peer.closed()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            assert await post(client, server, b"a") == b"one"
            assert await post(client, server, b"b") == b"one"
            assert bodies == [b"a", b"b", b"b"]
            assert server.connections == 2
            await client.close()

    run(main)


def test_a_reset_of_the_reused_connection_is_the_same_race() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(reply(b"one"))
        await peer.request()
        if peer.number == 1:
            peer.reset()
        peer.send(reply(b"two"))
        await peer.closed()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            assert await post(client, server) == b"one"
            assert await post(client, server) == b"one"
            assert await post(client, server) == b"two"
            assert server.connections == 2
            await client.close()

    run(main)


@pytest.mark.parametrize(
    ("first", "second", "connections"),
    [
        ("", "", 1),  # a fresh connection that dies is a failure
        ("one", "part", 1),  # so is a reused one that had begun to answer
        ("one", "", 2),  # and the second connection, if it dies too
    ],
)
def test_nothing_else_is_sent_again(first: str, second: str, connections: int) -> None:
    received = 0

    async def script(peer: Peer) -> None:
        nonlocal received
        await peer.request()
        received += 1
        if first and peer.number == 1:
            peer.send(reply(b"one"))
            await peer.request()
            received += 1
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" if second else b"")

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            if first:
                assert await post(client, server) == b"one"
            with pytest.raises(UpstreamError) as caught:
                await post(client, server)
            assert (caught.value.kind, caught.value.sent) == ("closed", True)
            assert server.connections == connections
            assert received == connections + (1 if first else 0)
            await client.close()

    run(main)


def test_a_connection_closed_while_idle_is_not_used() -> None:
    async def script(peer: Peer) -> None:
        received = await peer.request()
        peer.send(reply(received.body))  # and close, without saying so

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            for number in range(3):
                assert await post(client, server, b"x") == b"x"
                while client.stats()["open"]:
                    await asyncio.sleep(0)
                assert server.connections == number + 1
            assert client.stats()["reused_total"] == 0
            await client.close()

    run(main)


def test_idle_connections_expire() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        received = await peer.request()
        peer.send(reply(received.body))
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client(limits=PoolLimits(idle_expiry_s=0.05))
            assert await post(client, server) == b"{}"
            assert client.stats()["idle"] == 1
            await gone.wait()
            assert client.stats() == {"open": 0, "idle": 0, "opened_total": 1, "reused_total": 0}
            await client.close()

    run(main)


def test_pools_of_origins_no_longer_used_are_forgotten() -> None:
    async def main() -> None:
        async with Server(playing(reply(b"x", 200, b"connection: close"))) as server:
            client = Client()
            for number in range(600):
                origin = server.origin(ca_file=f"never read {number}")
                await (await client.send(origin, b"GET", b"/", [])).read(10)
            assert len(client._pools) <= 257
            await client.close()

    run(main)


# ---- time


def stalling(opening: bytes) -> object:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(opening)
        await peer.closed()

    return script


HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"


@pytest.mark.parametrize("runner", [run, run_plain])
@pytest.mark.parametrize(
    ("opening", "times", "kind"),
    [
        (b"", Timeouts(first_byte_s=0.02), "first_byte_timeout"),
        (b"HTTP/1.1 200 OK\r\nx-a: ", Timeouts(first_byte_s=0.02), "first_byte_timeout"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Timeouts(first_byte_s=0.02), "first_byte_timeout"),
        (HALF, Timeouts(idle_s=0.02), "idle_timeout"),
        (b"", Timeouts(total_s=0.02), "total_timeout"),
        (HALF, Timeouts(total_s=0.02), "total_timeout"),
        (HALF, Timeouts(first_byte_s=0.01, idle_s=60, total_s=0.05), "total_timeout"),
    ],
)
def test_a_silent_upstream(runner: object, opening: bytes, times: Timeouts, kind: str) -> None:
    async def main() -> None:
        async with Server(stalling(opening)) as server:  # type: ignore[arg-type]
            client = Client()
            with pytest.raises(UpstreamError) as caught:
                await post(client, server, times=times)
            assert (caught.value.kind, caught.value.sent) == (kind, True)
            assert client.stats()["open"] == 0
            await client.close()

    runner(main)  # type: ignore[operator]


def test_the_deadlines_of_one_exchange_do_not_reach_the_next() -> None:
    async def main() -> None:
        async with Server(echo) as server:
            client = Client()
            await post(client, server, times=Timeouts(first_byte_s=0.05, idle_s=0.05, total_s=0.05))
            await asyncio.sleep(0.1)
            assert await post(client, server, b"again") == b"again"
            assert server.connections == 1
            await client.close()

    run(main)


def test_a_trickle_never_idle_ends_at_the_total() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            peer.send(b".")
            await peer.writer.drain()
            await asyncio.sleep(0.002)

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            with pytest.raises(UpstreamError) as caught:
                await post(client, server, times=Timeouts(idle_s=30, total_s=0.1))
            assert caught.value.kind == "total_timeout"
            await client.close()

    run(main)


def test_the_total_counts_even_when_nobody_reads() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(HALF)
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            times = Timeouts(total_s=0.05)
            response = await client.send(server.origin(), b"GET", b"/", [], timeouts=times)
            await gone.wait()
            assert await response.chunk() == b"hello"
            with pytest.raises(UpstreamError) as caught:
                await response.chunk()
            assert caught.value.kind == "total_timeout"
            await client.close()

    run(main)


# ---- uploads


class Upload:
    """An iterated body: yields `pieces`, knows how far it got and whether it was closed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.sent = 0
        self.closed = False

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                self.sent += len(piece)
                yield piece
                await asyncio.sleep(0)
        finally:
            self.closed = True


@pytest.mark.parametrize("length", [None, 500_000])
def test_an_iterated_body_arrives_chunked_or_counted(length: int | None) -> None:
    seen: list[Received] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            peer.send(reply(b"thanks"))

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            for _ in range(2):
                upload = Upload(iter([b"a" * 1000, b""] * 500))
                response = await client.send(server.origin(), b"POST", b"/", [], upload(), body_length=length)
                assert await response.read(100) == b"thanks"
                assert upload.closed
            assert seen[0].body == seen[1].body == b"a" * 500_000
            assert seen[0].get(b"content-length") == ([b"500000"] if length else [])
            assert seen[0].get(b"transfer-encoding") == ([] if length else [b"chunked"])
            # A body that cannot be sent twice must not meet the close of a reused connection.
            assert server.connections == 2
            assert await post(client, server) == b"thanks"
            assert server.connections == 2
            await client.close()

    run(main)


def test_an_answer_before_the_end_of_the_upload_ends_the_upload() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(100_000)
        peer.send(reply(b"too much", 413))
        await peer.writer.drain()
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            upload = Upload(b"a" * 65536 for _ in iter(int, 1))  # never ends
            response = await client.send(server.origin(), b"POST", b"/", [], upload())
            assert response.status == 413
            assert await response.read(100) == b"too much"
            await gone.wait()
            while not upload.closed:
                await asyncio.sleep(0)
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


def test_an_early_good_answer_is_read_while_the_upload_goes_on() -> None:
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        await more.wait()
        yield b"two"

    async def script(peer: Peer) -> None:
        received = await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nready\r\n")
        assert await peer.body(received) == b"onetwo"
        peer.send(b"4\r\ndone\r\n0\r\n\r\n")
        await peer.request()
        peer.send(reply(b"kept"))

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            response = await client.send(server.origin(), b"POST", b"/", [], body())
            assert await response.chunk() == b"ready"
            more.set()
            assert await response.chunk() == b"done"
            assert await response.chunk() is None
            assert await post(client, server) == b"kept"
            assert server.connections == 1
            await client.close()

    run(main)


def test_a_complete_answer_to_half_a_request_costs_the_connection() -> None:
    gone = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.Event().wait()

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.send(reply(b"enough"))
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            response = await client.send(server.origin(), b"POST", b"/", [], body())
            assert await response.read(100) == b"enough"
            await gone.wait()
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


def test_a_reader_that_stops_reading_stops_the_upload() -> None:
    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            upload = Upload(b"a" * 65536 for _ in range(4000))  # 262 MB
            times = Timeouts(idle_s=0.2)
            with pytest.raises(UpstreamError) as caught:
                await client.send(server.origin(), b"POST", b"/", [], upload(), timeouts=times)
            assert (caught.value.kind, caught.value.sent) == ("idle_timeout", True)
            assert upload.sent < 40_000_000  # the kernel's buffers on both sides, and a write of ours
            while not upload.closed:
                await asyncio.sleep(0)
            await client.close()

    run(main)


@pytest.mark.parametrize("length", [2, 20])
def test_a_body_of_another_length_than_announced_is_not_passed_off(length: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"

    async def main() -> None:
        async with Server(stalling(b"")) as server:  # type: ignore[arg-type]
            client = Client()
            with pytest.raises(ValueError):
                await client.send(server.origin(), b"POST", b"/", [], body(), body_length=length)
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


def test_a_failing_body_fails_the_call_as_it_is() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.closed()
        gone.set()

    async def body(failure: BaseException) -> AsyncIterator[bytes]:
        yield b"hello"
        raise failure

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            with pytest.raises(LookupError, match="the client left"):
                await client.send(server.origin(), b"POST", b"/", [], body(LookupError("the client left")))
            await gone.wait()
            with pytest.raises(UpstreamError) as caught:
                await client.send(server.origin(), b"POST", b"/", [], body(asyncio.CancelledError()))
            assert caught.value.kind == "closed"
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


# ---- cancellation and closing


@pytest.mark.parametrize("opening", [b"", HALF])
def test_cancelling_the_caller_closes_the_connection(opening: bytes) -> None:
    asked = asyncio.Event()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(opening)
        asked.set()
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            task = asyncio.create_task(post(client, server))
            await asked.wait()
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


def test_cancelling_an_upload_closes_connection_and_body() -> None:
    asked = asyncio.Event()
    gone = asyncio.Event()
    upload = Upload(b"a" * 1000 for _ in iter(int, 1))

    async def script(peer: Peer) -> None:
        await peer.head()
        asked.set()
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            task = asyncio.create_task(client.send(server.origin(), b"POST", b"/", [], upload()))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()
            while not upload.closed:
                await asyncio.sleep(0)
            await client.close()

    run(main)


def test_closing_the_client_fails_what_is_under_way_and_what_comes() -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.closed()

    async def main() -> None:
        async with Server(script) as server:
            client = Client(limits=PoolLimits(per_origin=1))
            running = asyncio.create_task(post(client, server))
            await asked.wait()
            waiting = asyncio.create_task(post(client, server))
            await asyncio.sleep(0)
            await client.close()
            for task in (running, waiting):
                with pytest.raises(UpstreamError) as caught:
                    await task
                assert caught.value.kind == "closed"
            with pytest.raises(UpstreamError):
                await post(client, server)
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


# ---- egress


def test_a_policy_holds_for_its_calls_and_does_not_share_their_connections() -> None:
    async def main() -> None:
        async with Server(echo) as server:
            client = Client()
            assert await post(client, server) == b"{}"
            with pytest.raises(UpstreamError) as caught:
                await client.send(server.origin(), b"GET", b"/", [], egress=EgressPolicy())
            assert (caught.value.kind, caught.value.sent) == ("egress", False)
            assert server.connections == 1
            allowed = EgressPolicy(["127.0.0.0/8"])
            for _ in range(3):
                response = await client.send(server.origin(), b"GET", b"/", [], egress=allowed)
                assert response.status == 200
            assert server.connections == 2
            await client.close()
            strict = Client(egress=EgressPolicy())
            with pytest.raises(UpstreamError) as caught:
                await post(strict, server)
            assert caught.value.kind == "egress"
            await strict.close()

    run(main)


# ---- a real server


@needs_nginx
def test_nginx_keeps_one_connection_for_two_hundred_requests(nginx: Nginx) -> None:
    async def main() -> None:
        client = Client()
        serials = set()
        for _ in range(200):
            response = await client.send(nginx.origin(), b"GET", b"/connection", [])
            serials.add(await response.read(100))
        assert len(serials) == 1
        assert client.stats() == {"open": 1, "idle": 1, "opened_total": 1, "reused_total": 199}
        await client.close()

    run(main)


@needs_nginx
def test_nginx_serves_files_heads_ranges_and_conditions(nginx: Nginx) -> None:
    async def main() -> None:
        client = Client()

        async def get(method: bytes, *headers: tuple[bytes, bytes]) -> tuple[int, bytes, dict[bytes, bytes]]:
            response = await client.send(nginx.origin(), method, b"/big", list(headers))
            return response.status, await response.read(1 << 30), dict(response.headers)

        status, body, headers = await get(b"GET")
        assert (status, body) == (200, nginx.big)
        tag = (b"if-none-match", headers[b"etag"])
        assert (await get(b"HEAD"))[:2] == (200, b"")
        assert (await get(b"GET", tag))[:2] == (304, b"")
        assert (await get(b"GET", (b"range", b"bytes=5-9")))[:2] == (206, nginx.big[5:10])
        assert (await get(b"POST"))[0] == 405
        response = await client.send(nginx.origin(), b"GET", b"/nothing", [])
        assert (response.status, await response.read(9)) == (204, b"")
        assert client.stats()["opened_total"] == 1
        await client.close()

    run(main)


@needs_nginx
def test_nginx_answers_early_when_the_upload_is_too_big(nginx: Nginx) -> None:
    async def main() -> None:
        client = Client()
        upload = Upload(b"a" * 65536 for _ in iter(int, 1))
        response = await client.send(nginx.origin(), b"POST", b"/small", [], upload())
        assert response.status == 413
        assert b"Too Large" in await response.read(10_000)
        while not upload.closed:
            await asyncio.sleep(0)
        await client.close()

    run(main)


@needs_nginx
def test_nginx_ends_connections_after_their_share_of_requests(nginx: Nginx) -> None:
    async def main() -> None:
        client = Client()
        for _ in range(20):
            response = await client.send(nginx.origin(), b"POST", b"/three", [], b"{}")
            assert response.status == 200
            await response.read(100)
        assert client.stats()["opened_total"] == 7
        await client.close()

    run(main)


@needs_nginx
def test_nginx_over_tls(nginx: Nginx) -> None:
    async def main() -> None:
        client = Client()
        for _ in range(5):
            response = await client.send(nginx.origin(tls=True), b"GET", b"/tls", [])
            assert await response.read(100) == b"TLSv1.3 localhost"
        response = await client.send(nginx.origin(tls=True), b"GET", b"/big", [])
        assert await response.read(1 << 30) == nginx.big
        assert client.stats()["opened_total"] == 1
        await client.close()

    run(main)
