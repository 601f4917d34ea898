"""How many connections, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.upstream.misbehaving import Peer, Server, echo, reply, run

from dragoman.upstream.client import Client, PoolLimits, Timeouts, UpstreamError

Gate = asyncio.Event


async def post(client: Client, server: Server, body: bytes = b"x", connect_s: float = 10) -> bytes:
    times = Timeouts(connect_s=connect_s)
    response = await client.send(server.origin(), b"POST", b"/", [], body, timeouts=times)
    return await response.read(1 << 20)


def gated(gate: asyncio.Event, asked: list[bytes], close: bool = False) -> object:
    """Answers with the body once the gate is open."""

    async def script(peer: Peer) -> None:
        while True:
            received = await peer.request()
            asked.append(received.body)
            await gate.wait()
            peer.send(reply(received.body, 200, b"connection: close") if close else reply(received.body))

    return script


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0)


@pytest.mark.parametrize("room", [1, 2])
@pytest.mark.parametrize("close", [False, True])
def test_calls_above_the_limit_wait_their_turn(close: bool, room: int) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        asked: list[bytes] = []
        async with Server(gated(gate, asked, close)) as server:  # type: ignore[arg-type]
            client = Client(limits=PoolLimits(per_origin=room))
            bodies = [b"%d" % number for number in range(10)]
            tasks = [asyncio.create_task(post(client, server, body)) for body in bodies]
            await until(lambda: len(asked) == room)
            assert client.stats()["open"] == room
            gate.set()
            assert await asyncio.gather(*tasks) == bodies
            # Turns are given in order; two connections at once may be read in either.
            assert (asked if room == 1 else sorted(asked)) == bodies
            assert server.connections == (10 if close else room)
            assert client.stats()["open"] == (0 if close else room)
            await client.close()

    run(main)


def test_waiting_too_long_is_a_connect_timeout_and_leaves_the_queue() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        asked: list[bytes] = []
        async with Server(gated(gate, asked)) as server:  # type: ignore[arg-type]
            client = Client(limits=PoolLimits(per_origin=1))
            first = asyncio.create_task(post(client, server, b"1"))
            await until(lambda: asked)
            with pytest.raises(UpstreamError) as caught:
                await post(client, server, b"2", connect_s=0.02)
            assert (caught.value.kind, caught.value.sent) == ("connect_timeout", False)
            third = asyncio.create_task(post(client, server, b"3"))
            gate.set()
            assert await asyncio.gather(first, third) == [b"1", b"3"]
            assert asked == [b"1", b"3"]
            assert server.connections == 1
            await client.close()

    run(main)


@pytest.mark.parametrize("close", [False, True])
def test_a_waiter_cancelled_as_its_turn_comes_passes_it_on(close: bool) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        asked: list[bytes] = []
        async with Server(gated(gate, asked, close)) as server:  # type: ignore[arg-type]
            client = Client(limits=PoolLimits(per_origin=1))
            first = asyncio.create_task(post(client, server, b"1"))
            await until(lambda: asked)
            second = asyncio.create_task(post(client, server, b"2"))
            third = asyncio.create_task(post(client, server, b"3"))
            for _ in range(3):
                await asyncio.sleep(0)
            # Runs before the second task does: the connection is its own by then.
            first.add_done_callback(lambda _: second.cancel())
            gate.set()
            assert await first == b"1"
            assert await third == b"3"
            await asyncio.wait([second])
            await client.close()

            # Cancelled in plain waiting.
            client = Client(limits=PoolLimits(per_origin=1))
            gate.clear()
            asked.clear()
            first = asyncio.create_task(post(client, server, b"1"))
            await until(lambda: asked)
            second = asyncio.create_task(post(client, server, b"2"))
            third = asyncio.create_task(post(client, server, b"3"))
            for _ in range(3):
                await asyncio.sleep(0)
            second.cancel()
            gate.set()
            assert await first == b"1"
            assert await third == b"3"
            assert b"2" not in asked
            await client.close()

    run(main)


def test_a_failed_dial_frees_its_slot() -> None:
    async def main() -> None:
        async with Server(echo) as server:
            client = Client(limits=PoolLimits(per_origin=1))
            origin = server.origin()
            await server.__aexit__()
            for _ in range(3):
                with pytest.raises(UpstreamError) as caught:
                    await client.send(origin, b"GET", b"/", [])
                assert caught.value.kind == "refused"
            await client.close()

    run(main)


def test_a_fresh_connection_takes_the_place_of_an_idle_one() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"streamed"

    async def main() -> None:
        async with Server(echo) as server:
            client = Client(limits=PoolLimits(per_origin=1))
            for number in range(1, 4):
                assert await post(client, server) == b"x"
                response = await client.send(server.origin(), b"POST", b"/", [], body())
                assert await response.read(100) == b"streamed"
                assert server.connections == number + 1
                assert client.stats()["open"] == 1
            await client.close()

    run(main)


def test_who_waits_for_a_fresh_one_is_not_given_a_used_one() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"streamed"

    async def main() -> None:
        gate = asyncio.Event()
        asked: list[bytes] = []
        async with Server(gated(gate, asked)) as server:  # type: ignore[arg-type]
            client = Client(limits=PoolLimits(per_origin=1))
            first = asyncio.create_task(post(client, server, b"1"))
            await until(lambda: asked)
            second = asyncio.create_task(client.send(server.origin(), b"POST", b"/", [], body()))
            await asyncio.sleep(0)
            gate.set()
            assert await first == b"1"
            assert await (await second).read(100) == b"streamed"
            assert server.connections == 2
            await client.close()

    run(main)


@pytest.mark.parametrize("limits", [PoolLimits(idle_per_origin=3), PoolLimits(idle_total=3)])
def test_only_so_many_are_kept_idle(limits: PoolLimits) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        asked: list[bytes] = []
        async with Server(gated(gate, asked)) as server:  # type: ignore[arg-type]
            client = Client(limits=limits)
            tasks = [asyncio.create_task(post(client, server, b"%d" % number)) for number in range(8)]
            await until(lambda: len(asked) == 8)
            gate.set()
            await asyncio.gather(*tasks)
            assert client.stats() == {"open": 3, "idle": 3, "opened_total": 8, "reused_total": 0}
            await client.close()
            assert client.stats()["idle"] == 0

    run(main)
