"""One connection: framing, limits, back-pressure, and every way an answer can go wrong."""

from __future__ import annotations

import asyncio

import pytest
from tests.upstream.misbehaving import Peer, Server, chunked, closing, playing, reply, run, run_plain

from dragoman.upstream.client import Client, PoolLimits, Timeouts, UpstreamError


async def fetch(server: Server, client: Client, method: bytes = b"GET") -> tuple[int, bytes]:
    response = await client.send(server.origin(), method, b"/", [])
    return response.status, await response.read(1 << 30)


CHUNKED = b"HTTP/1.1 200 OK\r\nX-One: a\r\ntransfer-encoding: chunked\r\n\r\n"

WHOLE = {
    "length": (reply(b"hello"), 200, b"hello"),
    "empty": (reply(b""), 200, b""),
    "chunked": (CHUNKED + chunked(b"he", b"llo"), 200, b"hello"),
    "chunk extension": (CHUNKED + b"5;a=b\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
    "trailers": (CHUNKED + chunked(b"hello", trailers=b"x-sum: 1\r\nstatus: 9\r\n"), 200, b"hello"),
    "no reason phrase": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", 200, b"hi"),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"hello"), 200, b"hello"),
    "early hints": (b"HTTP/1.1 103 Hints\r\nlink: </a>\r\n\r\n" * 3 + reply(b"hello"), 200, b"hello"),
    "processing": (b"HTTP/1.1 102 Processing\r\n\r\n" + reply(b"hello"), 200, b"hello"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 999\r\n\r\n", 304, b""),
    "upgrade offered": (reply(b"hello", 200, b"connection: upgrade", b"upgrade: h2,h2c"), 200, b"hello"),
    "1.0 kept": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello",
        200,
        b"hello",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_framings_end_where_they_say_and_keep_the_connection(name: str) -> None:
    answer, status, body = WHOLE[name]

    async def main() -> None:
        async with Server(playing(answer)) as server:
            client = Client()
            for _ in range(3):
                assert await fetch(server, client) == (status, body)
            assert server.connections == 1
            await client.close()

    run(main)


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_byte_by_byte_is_the_same_answer(name: str) -> None:
    answer, status, body = WHOLE[name]

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.drip(answer)

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            for _ in range(2):
                assert await fetch(server, client) == (status, body)
            assert server.connections == 1
            await client.close()

    run(main)


def test_headers_come_in_order_with_lower_case_names_and_without_those_of_interim_answers() -> None:
    answer = b"HTTP/1.1 103 Hints\r\nlink: </a>\r\n\r\n" + reply(
        b"", 200, b"X-A: 1", b"Set-Cookie: a", b"x-a: 2"
    )

    async def main() -> None:
        async with Server(playing(answer)) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            assert response.headers == [
                (b"x-a", b"1"),
                (b"set-cookie", b"a"),
                (b"x-a", b"2"),
                (b"content-length", b"0"),
            ]
            assert response.complete
            assert await response.chunk() is None
            assert await response.chunk() is None
            await client.close()

    run(main)


def test_trailers_do_not_become_headers() -> None:
    answer = CHUNKED + chunked(b"hello", trailers=b"x-late: 1\r\n")

    async def main() -> None:
        async with Server(playing(answer)) as server:
            client = Client()
            for _ in range(2):
                response = await client.send(server.origin(), b"GET", b"/", [])
                await response.read(100)
                assert response.headers == [(b"x-one", b"a"), (b"transfer-encoding", b"chunked")]
            await client.close()

    run(main)


def test_head_has_no_body_whatever_its_length_says() -> None:
    async def main() -> None:
        async with Server(playing(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")) as server:
            client = Client()
            for _ in range(3):
                assert await fetch(server, client, b"HEAD") == (200, b"")
            assert server.connections == 1
            await client.close()

    run(main)


def test_a_body_in_answer_to_head_is_dropped_with_its_connection() -> None:
    async def main() -> None:
        async with Server(playing(reply(b"hello"))) as server:
            client = Client()
            for _ in range(2):
                assert await fetch(server, client, b"HEAD") == (200, b"")
            assert client.stats()["idle"] == 0
            assert server.connections == 2
            await client.close()

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nall of it",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it",
        b"HTTP/1.0 200 OK\r\n\r\nall of it",
    ],
)
def test_without_length_or_chunks_the_close_is_the_end(answer: bytes) -> None:
    async def main() -> None:
        async with Server(closing(answer)) as server:
            client = Client()
            for _ in range(2):
                assert await fetch(server, client) == (200, b"all of it")
            assert server.connections == 2
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        reply(b"hello") + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        reply(b"hello") + b"junk",
        reply(b"hello", 200, b"connection: close") + b"junk",
    ],
)
def test_connections_that_cannot_be_kept_are_not(answer: bytes) -> None:
    async def main() -> None:
        async with Server(playing(answer)) as server:
            client = Client()
            for _ in range(3):
                assert await fetch(server, client) == (200, b"hello")
            assert server.connections == 3
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


def test_bytes_nobody_asked_for_cost_an_idle_connection() -> None:
    speak = asyncio.Event()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(reply(b"hello"))
        if peer.number > 1:
            await peer.closed()
            return
        await speak.wait()
        peer.send(reply(b"evil"))
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            assert await fetch(server, client) == (200, b"hello")
            assert client.stats()["idle"] == 1
            speak.set()
            await gone.wait()
            assert client.stats()["open"] == 0
            assert await fetch(server, client) == (200, b"hello")
            assert server.connections == 2
            await client.close()

    run(main)


@pytest.mark.parametrize("runner", [run, run_plain])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", "closed"),
        (CHUNKED + b"5\r\nhello\r\n", "closed"),
        (CHUNKED + b"9\r\nhello", "closed"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", "closed"),
        (CHUNKED + b"5\r\nhello\r\nzz\r\n", "protocol"),
    ],
)
def test_a_body_cut_short_gives_what_came_and_then_fails(runner: object, answer: bytes, kind: str) -> None:
    async def main() -> None:
        async with Server(closing(answer)) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            got = b""
            while len(got) < len(b"hello"):
                got += await response.chunk() or b""
            with pytest.raises(UpstreamError) as caught:
                await response.chunk()
            assert (got, caught.value.kind, caught.value.sent) == (b"hello", kind, True)
            assert not response.complete
            with pytest.raises(UpstreamError):
                await response.chunk()
            assert client.stats()["open"] == 0
            await client.close()

    runner(main)  # type: ignore[operator]


def test_a_reset_within_the_body_is_no_end_even_where_the_close_would_be() -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await read.wait()
        peer.reset()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            assert await response.chunk() == b"hello"
            read.set()
            with pytest.raises(UpstreamError) as caught:
                await response.chunk()
            assert caught.value.kind == "closed"
            await client.close()

    run(main)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "closed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhi", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nhi", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 Switching\r\n\r\nmore", "protocol"),
    ],
)
def test_no_answer_or_no_http(answer: bytes, kind: str) -> None:
    async def main() -> None:
        async with Server(closing(answer)) as server:
            client = Client()
            with pytest.raises(UpstreamError) as caught:
                await client.send(server.origin(), b"POST", b"/", [], b"{}")
            assert (caught.value.kind, caught.value.sent) == (kind, True)
            assert server.connections == 1
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


def endless(opening: bytes, piece: bytes) -> object:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(opening)
        while True:
            peer.send(piece)
            await peer.writer.drain()

    return script


@pytest.mark.parametrize(
    ("opening", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-a: bcdefghijklmnopqrstuvwxyz\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-endless: ", b"a" * 100),
        (b"HTTP/1.1 200 ", b"a" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CHUNKED + b"0\r\n", b"x-trailer: bcdefghijklmnopqrstuvwxyz\r\n"),
        (CHUNKED + b"5;", b"extension"),
    ],
    ids=["headers", "one header", "reason", "interim", "trailers", "extension"],
)
def test_framing_without_end_is_cut_off(opening: bytes, piece: bytes) -> None:
    async def main() -> None:
        async with Server(endless(opening, piece)) as server:  # type: ignore[arg-type]
            client = Client(limits=PoolLimits(header_bytes=4096))
            with pytest.raises(UpstreamError) as caught:
                await fetch(server, client)
            assert caught.value.kind == "limit"
            assert client.stats()["open"] == 0
            await client.close()

    run(main)


def test_a_head_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    # "x: " + value + CRLF and "content-length: 0" + CRLF
    for extra, passes in ((0, True), (1, False)):
        answer = reply(b"", 200, b"x: " + b"a" * (4096 - 5 - 19 + extra))

        async def main(answer: bytes = answer, passes: bool = passes) -> None:
            async with Server(playing(answer)) as server:
                client = Client(limits=PoolLimits(header_bytes=4096))
                if passes:
                    assert await fetch(server, client) == (200, b"")
                else:
                    with pytest.raises(UpstreamError) as caught:
                        await fetch(server, client)
                    assert caught.value.kind == "limit"
                await client.close()

        run(main)


@pytest.mark.parametrize("answer", [reply(b"a" * 5000), CHUNKED + chunked(*[b"a" * 500] * 10)])
def test_the_body_limit_holds_for_every_framing(answer: bytes) -> None:
    async def main() -> None:
        async with Server(playing(answer)) as server:
            client = Client(limits=PoolLimits(body_bytes=4999))
            with pytest.raises(UpstreamError) as caught:
                await fetch(server, client)
            assert caught.value.kind == "limit"
            await client.close()
            client = Client(limits=PoolLimits(body_bytes=5000))
            for _ in range(2):  # the count starts anew with each answer
                assert len((await fetch(server, client))[1]) == 5000
            await client.close()

    run(main)


@pytest.mark.parametrize("runner", [run, run_plain])
def test_back_pressure_bounds_what_is_buffered(runner: object) -> None:
    total = 50_000_000
    piece = b"x" * 100_000

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(total // len(piece)):
            peer.send(piece)
            await peer.writer.drain()
        await peer.request()
        peer.send(reply(b"next"))

    async def main() -> None:
        async with Server(script) as server:
            client = Client(limits=PoolLimits(buffer_bytes=65536))
            response = await client.send(server.origin(), b"GET", b"/", [])
            size = largest = 0
            while True:
                for _ in range(10):  # time for the socket to overfill us, if it could
                    await asyncio.sleep(0)
                data = await response.chunk()
                if data is None:
                    break
                size += len(data)
                largest = max(largest, len(data))
            assert size == total
            assert 65536 < largest <= 65536 + 262144  # high water and one read
            assert await fetch(server, client) == (200, b"next")
            assert server.connections == 1
            await client.close()

    runner(main)  # type: ignore[operator]


def test_a_slow_reader_is_not_the_upstreams_silence() -> None:
    """The idle clock runs only while somebody waits for body; the total one always."""

    async def main() -> None:
        async with Server(playing(reply(b"x" * 1_000_000))) as server:
            client = Client()
            times = Timeouts(idle_s=0.01, total_s=60)
            response = await client.send(server.origin(), b"GET", b"/", [], timeouts=times)
            await asyncio.sleep(0.1)
            assert len(await response.read(1 << 20)) == 1_000_000
            await client.close()

    run(main)


def test_what_was_buffered_is_handed_out_before_the_failure() -> None:
    done = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(CHUNKED + b"3\r\nabc\r\n")
        await peer.writer.drain()
        peer.close()
        done.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            await done.wait()
            while client.stats()["open"]:
                await asyncio.sleep(0)
            assert await response.chunk() == b"abc"
            with pytest.raises(UpstreamError):
                await response.chunk()
            await client.close()

    run(main)
