"""Names and addresses."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.upstream.misbehaving import Server, echo, fake_dns, run, run_plain

from dragoman.upstream.errors import UpstreamError
from dragoman.upstream.sockets import Endpoint, connect, resolve


def test_addresses_are_not_looked_up_and_doubles_are_dropped() -> None:
    async def main() -> None:
        asked = fake_dns("127.0.0.1", "::1", "127.0.0.1")
        assert await resolve("192.0.2.1", 80) == [Endpoint(socket.AF_INET, ("192.0.2.1", 80))]
        assert await resolve("2001:db8::1", 80) == [Endpoint(socket.AF_INET6, ("2001:db8::1", 80, 0, 0))]
        assert asked == []
        assert [endpoint.ip for endpoint in await resolve("name.test", 80)] == ["127.0.0.1", "::1"]
        assert asked == ["name.test"]

    run_plain(main)


def test_a_name_without_addresses() -> None:
    async def main() -> None:
        fake_dns()
        with pytest.raises(UpstreamError) as caught:
            await resolve("name.test", 80)
        assert caught.value.kind == "dns"

    run_plain(main)


@pytest.mark.parametrize("name", ["name.invalid", "a" * 64 + ".test", "a..b"])
def test_names_that_cannot_be(name: str) -> None:
    async def main() -> None:
        with pytest.raises(UpstreamError) as caught:
            await resolve(name, 80)
        assert caught.value.kind == "dns"

    run(main)


def test_every_address_is_tried() -> None:
    async def main() -> None:
        async with Server(echo) as server:
            loopback = [Endpoint(socket.AF_INET, (f"127.0.0.{n}", server.port)) for n in (7, 8, 1)]
            sock = await connect(loopback, 5)
            assert sock.getpeername() == ("127.0.0.1", server.port)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            sock.close()
            with pytest.raises(UpstreamError) as caught:
                await connect(loopback[:2], 5)
            assert (caught.value.kind, caught.value.sent) == ("refused", False)

    run(main)


def test_an_address_that_swallows_packets_does_not_use_up_the_time() -> None:
    """A socket whose queue of connections is full drops further ones, as a firewall would."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as full:
            full.bind(("127.0.0.2", 0))
            full.listen(0)
            port = full.getsockname()[1]
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.2", port))
            dead = Endpoint(socket.AF_INET, ("127.0.0.2", port))
            with socket.create_server(("127.0.0.1", port)) as alive:
                sock = await connect([dead, Endpoint(socket.AF_INET, ("127.0.0.1", port))], 0.4)
                assert sock.getpeername() == ("127.0.0.1", port)
                sock.close()
                alive.close()
            with pytest.raises(UpstreamError) as caught:
                await connect([dead], 0.1)
            assert caught.value.kind == "connect_timeout"
            task = loop.create_task(connect([dead], 60))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for filler in fillers:
                filler.close()

    run(main)


def test_an_address_without_a_route() -> None:
    async def main() -> None:
        with pytest.raises(UpstreamError) as caught:
            await connect([Endpoint(socket.AF_INET, ("255.255.255.255", 9))], 5)
        assert caught.value.kind == "connect"

    run(main)
