"""Reading, limiting and leaving an answer."""

from __future__ import annotations

import asyncio

import pytest
from tests.upstream.misbehaving import Peer, Server, playing, reply, run

from dragoman.upstream.client import Client, UpstreamError


def test_a_chunk_is_everything_that_has_arrived() -> None:
    sent = asyncio.Event()
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await sent.wait()
        peer.send(b"1\r\nb\r\n1\r\nc\r\n")
        await more.wait()
        peer.send(b"1\r\nd\r\n0\r\n\r\n")
        await peer.closed()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            assert await response.chunk() == b"a"
            sent.set()
            assert await response.chunk() == b"bc"
            assert not response.complete
            more.set()
            assert await response.read(10) == b"d"
            assert response.complete
            assert await response.read(10) == b""
            response.close()
            assert client.stats()["idle"] == 1
            await client.close()

    run(main)


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_read_takes_up_to_its_limit_and_no_more(size: int) -> None:
    async def main() -> None:
        async with Server(playing(reply(b"x" * size))) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            assert await response.read(size) == b"x" * size
            assert client.stats()["idle"] == 1
            if size:
                response = await client.send(server.origin(), b"GET", b"/", [])
                with pytest.raises(UpstreamError) as caught:
                    await response.read(size - 1)
                assert caught.value.kind == "limit"
            await client.close()

    run(main)


def test_leaving_an_incomplete_answer_closes_its_connection() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            response.close()
            response.close()
            assert client.stats()["open"] == 0
            with pytest.raises(UpstreamError) as caught:
                await response.chunk()
            assert caught.value.kind == "closed"
            await gone.wait()
            await client.close()

    run(main)


def test_leaving_a_complete_answer_unread_keeps_its_connection() -> None:
    async def main() -> None:
        async with Server(playing(reply(b"hello"))) as server:
            client = Client()
            for _ in range(3):
                response = await client.send(server.origin(), b"GET", b"/", [])
                while not response.complete:
                    await asyncio.sleep(0)
                response.close()
            assert client.stats() == {"open": 1, "idle": 1, "opened_total": 1, "reused_total": 2}
            await client.close()

    run(main)


def test_two_readers_are_a_mistake() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        await peer.closed()

    async def main() -> None:
        async with Server(script) as server:
            client = Client()
            response = await client.send(server.origin(), b"GET", b"/", [])
            first = asyncio.create_task(response.chunk())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError):
                await response.chunk()
            first.cancel()
            await asyncio.wait([first])
            assert client.stats()["open"] == 0
            await client.close()

    run(main)
