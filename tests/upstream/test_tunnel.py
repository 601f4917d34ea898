"""Through real proxies to a real server."""

from __future__ import annotations

import socket

import pytest
from tests.upstream.certificates import Authority
from tests.upstream.misbehaving import Peer, Server, closing, echo, fake_dns, run, run_plain
from tests.upstream.proxies import HttpProxy, SocksProxy

from dragoman.upstream.client import Client, EgressPolicy, Timeouts, UpstreamError
from dragoman.upstream.tunnel import ProxyAddress, parse_proxy

Proxy = HttpProxy | SocksProxy


def url(proxy: Proxy, user: str = "") -> str:
    scheme = "http" if isinstance(proxy, HttpProxy) else "socks5"
    return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{proxy.port}"


async def fails(client: Client, server: Server, proxy: str) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await client.send(server.origin(proxy=proxy), b"GET", b"/", [])
    assert not caught.value.sent
    assert client.stats()["open"] == 0
    return caught.value


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
@pytest.mark.parametrize("tls", [False, True])
def test_requests_go_through_one_kept_tunnel(kind: type[Proxy], tls: bool, authority: Authority) -> None:
    """The proxy gets the name, so that it can resolve what only it can see; TLS is with the server."""

    async def main() -> None:
        context = authority.server("model.test") if tls else None
        async with Server(echo, context=context) as server, kind() as proxy:
            client = Client()
            origin = server.origin("model.test", proxy=url(proxy), ca_file=authority.ca_file)
            for number in range(20):
                response = await client.send(origin, b"POST", b"/", [], b"%d" % number)
                assert await response.read(100) == b"%d" % number
            assert proxy.targets == [f"model.test:{server.port}"]
            assert (server.connections, proxy.connections) == (1, 1)
            await client.close()

    run(main)


def test_credentials_are_sent_and_their_absence_is_a_proxy_failure() -> None:
    async def main() -> None:
        http = HttpProxy(credentials="some one:p@ss:word")
        socks = SocksProxy(credentials=("someone", "p@ss"))
        async with Server(echo) as server, http, socks:
            client = Client()
            for proxy, user in ((http, "some%20one:p%40ss%3Aword"), (socks, "someone:p%40ss")):
                origin = server.origin(proxy=url(proxy, user))
                assert (await client.send(origin, b"GET", b"/", [])).status == 200
                assert "p@ss" not in repr(origin)
                assert "p%40ss" not in repr(origin)
            await client.close()
            client = Client()
            for proxy in (http, socks):
                for user in ("", "other:secret"):
                    error = await fails(client, server, url(proxy, user))
                    assert error.kind == "proxy"
                    assert "secret" not in str(error)
            assert server.connections == 2
            await client.close()

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\nvia: x\r\nx-padding: " + b"a" * 5000 + b"\r\n\r\n",
        b"HTTP/1.0 204\r\n\r\n",
    ],
)
def test_any_2xx_in_any_number_of_segments_opens_the_tunnel(answer: bytes) -> None:
    async def main() -> None:
        async with Server(echo) as server, HttpProxy(answer=answer) as proxy:
            client = Client()
            response = await client.send(server.origin(proxy=url(proxy)), b"POST", b"/", [], b"x")
            assert await response.read(10) == b"x"
            await client.close()

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 2\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 20000,
        b"",
    ],
)
def test_what_is_not_a_good_answer_to_connect(answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.send(answer)

    async def main() -> None:
        async with Server(echo) as server, Server(script) as proxy:
            client = Client()
            assert (await fails(client, server, f"http://127.0.0.1:{proxy.port}")).kind == "proxy"
            assert server.connections == 0
            await client.close()

    run(main)


@pytest.mark.parametrize("code", [1, 2, 5, 99])
def test_a_refusal_in_socks(code: int) -> None:
    async def main() -> None:
        async with Server(echo) as server, SocksProxy(code=code) as proxy:
            client = Client()
            assert (await fails(client, server, url(proxy))).kind == "proxy"
            await client.close()

    run(main)


def test_garbage_and_silence_in_socks() -> None:
    async def garbage(peer: Peer) -> None:
        await peer.reader.readexactly(3)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def silence(peer: Peer) -> None:
        await peer.closed()

    async def main() -> None:
        async with Server(echo) as server, Server(garbage) as bad, Server(silence) as mute:
            client = Client()
            assert (await fails(client, server, f"socks5://127.0.0.1:{bad.port}")).kind == "proxy"
            for scheme in ("socks5", "http"):
                origin = server.origin(proxy=f"{scheme}://127.0.0.1:{mute.port}")
                with pytest.raises(UpstreamError) as caught:
                    await client.send(origin, b"GET", b"/", [], timeouts=Timeouts(connect_s=0.05))
                assert caught.value.kind in ("connect_timeout", "proxy")
            await client.close()

    run(main)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there(scheme: str) -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
            async with Server(echo) as server:
                client = Client()
                address = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"
                assert (await fails(client, server, address)).kind == "proxy"
                assert (await fails(client, server, "ftp://u:secret@h:1")).kind == "proxy"
                await client.close()

    run(main)


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_every_address_of_a_proxy_is_tried(kind: type[Proxy]) -> None:
    async def main() -> None:
        async with Server(echo) as server, kind() as proxy:
            fake_dns("127.0.0.9", "127.0.0.1")
            client = Client()
            address = url(proxy).replace("127.0.0.1", "proxy.test")
            assert (await client.send(server.origin(proxy=address), b"GET", b"/", [])).status == 200
            await client.close()

    run_plain(main)


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_under_a_policy_the_proxy_gets_the_address_that_was_checked(kind: type[Proxy]) -> None:
    async def main() -> None:
        async with Server(echo) as server, kind() as proxy:
            fake_dns("10.0.0.1", "127.0.0.1")
            client = Client()
            origin = server.origin("public.test", proxy=url(proxy))
            policy = EgressPolicy(["127.0.0.1/32"])
            assert (await client.send(origin, b"GET", b"/", [], egress=policy)).status == 200
            assert proxy.targets == [f"127.0.0.1:{server.port}"]
            with pytest.raises(UpstreamError) as caught:
                await client.send(origin, b"GET", b"/", [], egress=EgressPolicy())
            assert caught.value.kind == "egress"
            assert proxy.connections == 1
            await client.close()

    run_plain(main)


def test_a_server_that_hangs_up_in_the_tunnels_handshake(authority: Authority) -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.reader.read(1)

    async def main() -> None:
        async with Server(hang_up) as server, HttpProxy() as proxy:
            client = Client()
            origin = server.origin(proxy=url(proxy))
            secure = type(origin).parse(f"https://127.0.0.1:{server.port}", proxy=origin.proxy)
            with pytest.raises(UpstreamError) as caught:
                await client.send(secure, b"GET", b"/", [])
            assert caught.value.kind == "tls"
            await client.close()

    run(main)


def test_proxy_urls() -> None:
    assert parse_proxy("http://h") == ProxyAddress("http", "h", 8080)
    assert parse_proxy("socks5://h") == ProxyAddress("socks5", "h", 1080)
    assert parse_proxy("SOCKS5H://a:b@[::1]:9/") == ProxyAddress("socks5", "::1", 9, "a", "b")
    assert "b" not in repr(parse_proxy("http://a:b@h:1")).removeprefix("ProxyAddress")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h:1",
        "https://h:1",
        "socks4://h:1",
        "http://",
        "http://h:x",
        "http://h:99999",
        "http://h:1/path",
        "socks5://" + "a" * 256 + ":b@h:1",
        "socks5://ä:b@h:1",
        "socks5://a@h:1",
        "http://a%3Ab:c@h:1",
    ],
)
def test_what_is_not_a_proxy_url_and_the_message_keeps_its_secrets(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_proxy(text.replace("://h", "://secret:secret@h", 1))
    assert "secret" not in str(caught.value)


def test_the_answer_of_a_closing_server_comes_through_a_tunnel() -> None:
    async def main() -> None:
        async with Server(closing(b"HTTP/1.1 200 OK\r\n\r\nhello")) as server, HttpProxy() as proxy:
            client = Client()
            response = await client.send(server.origin(proxy=url(proxy)), b"GET", b"/", [])
            assert await response.read(100) == b"hello"
            await client.close()

    run(main)
