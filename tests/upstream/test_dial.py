"""TLS: who is trusted, under which name, and which protocol is spoken."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.upstream.certificates import Authority
from tests.upstream.misbehaving import Peer, Server, echo, fake_dns, reply, run, run_plain

from dragoman.upstream.client import Client, Origin, Timeouts, UpstreamError


async def fails(client: Client, origin: Origin, times: Timeouts | None = None) -> str:
    with pytest.raises(UpstreamError) as caught:
        await client.send(origin, b"GET", b"/", [], timeouts=times or Timeouts())
    assert not caught.value.sent
    assert client.stats()["open"] == 0
    return caught.value.kind


def test_the_name_is_announced_checked_and_only_http_1_1_offered(authority: Authority) -> None:
    names: list[str] = []
    protocols: list[str | None] = []

    async def script(peer: Peer) -> None:
        protocols.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await echo(peer)

    async def main() -> None:
        context = authority.server("model.test")
        context.sni_callback = lambda _object, name, _context: names.append(name)
        async with Server(script, context=context) as server:
            fake_dns("127.0.0.1")
            client = Client()
            for number in range(20):
                origin = server.origin("model.test", ca_file=authority.ca_file)
                response = await client.send(origin, b"POST", b"/", [], b"%d" % number)
                assert await response.read(100) == b"%d" % number
            assert (names, protocols) == (["model.test"], ["http/1.1"])
            assert server.connections == 1
            await client.close()

    run_plain(main)


def test_an_address_can_be_certified_too(authority: Authority) -> None:
    async def main() -> None:
        async with Server(echo, context=authority.server("127.0.0.1")) as server:
            client = Client()
            origin = server.origin(ca_file=authority.ca_file)
            assert (await client.send(origin, b"GET", b"/", [])).status == 200
            await client.close()

    run(main)


def test_whom_nobody_vouches_for(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")

    async def main() -> None:
        async with Server(echo, context=authority.server("127.0.0.1")) as server:
            client = Client()
            assert await fails(client, server.origin(ca_file=stranger.ca_file)) == "tls"
            assert await fails(client, server.origin()) == "tls"  # the system's authorities
            assert await fails(client, server.origin("localhost", ca_file=authority.ca_file)) == "tls"
            assert await fails(client, server.origin(ca_file=str(tmp_path / "missing.pem"))) == "tls"
            (tmp_path / "empty.pem").write_text("nothing")
            assert await fails(client, server.origin(ca_file=str(tmp_path / "empty.pem"))) == "tls"
            # Trust is part of the origin: an unverified connection serves no verified call.
            assert (await client.send(server.origin(verify=False), b"GET", b"/", [])).status == 200
            with pytest.raises(UpstreamError):
                await client.send(server.origin(ca_file=stranger.ca_file), b"GET", b"/", [])
            await client.close()

    run(main)


def test_a_server_without_tls_or_without_a_word(authority: Authority) -> None:
    async def plain(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def hang_up(peer: Peer) -> None:
        await peer.reader.read(1)

    async def mute(peer: Peer) -> None:
        await peer.closed()

    async def main() -> None:
        async with Server(plain) as one, Server(hang_up) as two, Server(mute) as three:
            client = Client()
            assert await fails(client, Origin.parse(f"https://127.0.0.1:{one.port}")) == "tls"
            assert await fails(client, Origin.parse(f"https://127.0.0.1:{two.port}")) == "tls"
            silent = Origin.parse(f"https://127.0.0.1:{three.port}")
            assert await fails(client, silent, Timeouts(connect_s=0.05)) == "connect_timeout"
            assert await fails(client, silent, Timeouts(connect_s=5, total_s=0.05)) == "total_timeout"
            await client.close()

    run(main)


def test_cancelling_a_handshake_closes_the_socket() -> None:
    asked = asyncio.Event()
    gone = asyncio.Event()

    async def mute(peer: Peer) -> None:
        await peer.reader.read(1)
        asked.set()
        await peer.closed()
        gone.set()

    async def main() -> None:
        async with Server(mute) as server:
            client = Client()
            origin = Origin.parse(f"https://127.0.0.1:{server.port}")
            task = asyncio.create_task(client.send(origin, b"GET", b"/", []))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()
            await client.close()

    run(main)


@pytest.mark.parametrize("runner", [run, run_plain])
def test_nothing_is_lost_when_the_peer_closes_behind_a_paused_reader(
    runner: object, authority: Authority
) -> None:
    total = 5_000_000

    async def script(peer: Peer) -> None:
        received = await peer.request()
        length = b"" if received.line.startswith(b"GET /eof") else b"content-length: %d\r\n" % total
        peer.send(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + b"x" * total)
        await peer.writer.drain()

    async def main() -> None:
        async with Server(script, context=authority.server("127.0.0.1")) as server:
            client = Client()
            for target in (b"/eof", b"/length"):
                response = await client.send(server.origin(ca_file=authority.ca_file), b"GET", target, [])
                size = 0
                while (data := await response.chunk()) is not None:
                    size += len(data)
                    for _ in range(10):
                        await asyncio.sleep(0)
                assert size == total
            await client.close()

    runner(main)  # type: ignore[operator]


def test_contexts_are_made_once(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str | None] = []
    create = ssl.create_default_context

    def counting(cafile: str | None = None) -> ssl.SSLContext:
        made.append(cafile)
        return create(cafile=cafile)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(reply(b"", 200, b"connection: close"))

    async def main() -> None:
        async with Server(script, context=authority.server("127.0.0.1")) as server:
            monkeypatch.setattr(ssl, "create_default_context", counting)
            client = Client()
            for _ in range(5):
                origin = server.origin(ca_file=authority.ca_file)
                assert (await client.send(origin, b"GET", b"/", [])).status == 200
            assert made == [authority.ca_file]
            assert server.connections == 5
            await client.close()

    run(main)
