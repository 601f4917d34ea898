"""Tunnels through proxies: HTTP CONNECT (RFC 9110 section 9.3.6) and SOCKS5 (RFC 1928, python-socks).

A tunnel is a connected socket to the destination; TLS and HTTP then run through it as if it were direct.
Plain-http origins are tunnelled too, so a proxy never sees a request head with a vendor's key in it.

CONNECT is written out here: python-socks takes the proxy's answer from a single read, and a head that
comes in two segments would leave its rest in front of the TLS handshake.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from dragoman.upstream.errors import UpstreamError
from dragoman.upstream.origin import ascii_host
from dragoman.upstream.sockets import Endpoint, connect, tune

_MAX_CONNECT_HEAD = 16384
_DEFAULT_PORTS = {"http": 8080, "socks5": 1080}


class ProxyAddress(Struct, frozen=True):
    """A proxy.  username is empty when none is to be sent; a SOCKS5 password must be ASCII."""

    scheme: Literal["http", "socks5"]
    host: str
    port: int
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"ProxyAddress({self.scheme}://{self.host}:{self.port})"


def parse_proxy(url: str) -> ProxyAddress:
    """Read "http://[user:password@]host:port" or "socks5[h]://...".

    "socks5" and "socks5h" are the same: names are resolved by the proxy, as behind it they must be.
    ValueError otherwise; its message repeats nothing of the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a proxy URL: bad host or port") from None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "socks5", "socks5h"):
        raise ValueError("not a proxy URL: the scheme must be http, socks5 or socks5h")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("not a proxy URL: it must end after host and port")
    kind: Literal["http", "socks5"] = "http" if scheme == "http" else "socks5"
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    # RFC 1929 has one length byte for each; the basic scheme of RFC 7617 has no room for a colon.
    if kind == "socks5" and (max(len(username), len(password)) > 255 or not (username + password).isascii()):
        raise ValueError("not a proxy URL: SOCKS5 credentials are at most 255 ASCII characters each")
    if kind == "socks5" and bool(username) != bool(password):
        raise ValueError("not a proxy URL: SOCKS5 wants both a user name and a password")
    if ":" in username:
        raise ValueError("not a proxy URL: a colon in the user name")
    try:
        host = ascii_host(parts.hostname or "")
    except ValueError:
        raise ValueError("not a proxy URL: bad host or port") from None
    return ProxyAddress(kind, host, _DEFAULT_PORTS[kind] if port is None else port, username, password)


async def open_tunnel(
    proxy: ProxyAddress, endpoints: Sequence[Endpoint], host: str, port: int, budget_s: float
) -> socket.socket:
    """A socket to `host`:`port` through `proxy`, whose own addresses are `endpoints`.

    host: a name, which the proxy resolves, or an address.  budget_s: seconds for all of it.
    UpstreamError kind "proxy" for whatever the proxy refuses or garbles, and when it cannot be reached.
    """
    if proxy.scheme == "http":
        return await _through_http(proxy, endpoints, host, port, budget_s)
    return await _through_socks(proxy, endpoints, host, port, budget_s)


async def _through_http(
    proxy: ProxyAddress, endpoints: Sequence[Endpoint], host: str, port: int, budget_s: float
) -> socket.socket:
    try:
        sock = await connect(endpoints, budget_s)
    except UpstreamError as error:
        raise _failed(proxy, error.message) from error
    try:
        await _ask(proxy, sock, host, port)
    except OSError as error:
        sock.close()
        raise _failed(proxy, "the connection broke") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _ask(proxy: ProxyAddress, sock: socket.socket, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username:
        pair = f"{proxy.username}:{proxy.password}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode("ascii"))
    head = b""
    while b"\r\n\r\n" not in head:
        data = await loop.sock_recv(sock, 4096)
        if not data:
            raise _failed(proxy, "closed before it answered CONNECT")
        head += data
        if len(head) > _MAX_CONNECT_HEAD:
            raise _failed(proxy, "the answer to CONNECT is too long")
    line, _, _ = head.partition(b"\r\n")
    version, _, rest = line.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or len(status) != 3 or not status.isdigit():
        raise _failed(proxy, "the answer to CONNECT is not HTTP")
    if not status.startswith(b"2"):
        raise _failed(proxy, f"CONNECT answered with status {status.decode()}")
    if not head.endswith(b"\r\n\r\n") or head.count(b"\r\n\r\n") != 1:
        # In TLS as in HTTP the client speaks first: what follows the head cannot be the destination's.
        raise _failed(proxy, "bytes behind the answer to CONNECT")


async def _through_socks(
    proxy: ProxyAddress, endpoints: Sequence[Endpoint], host: str, port: int, budget_s: float
) -> socket.socket:
    loop = asyncio.get_running_loop()
    end = loop.time() + budget_s
    for index, endpoint in enumerate(endpoints):
        share = (end - loop.time()) / (len(endpoints) - index)
        hop = Proxy(
            ProxyType.SOCKS5,
            endpoint.ip,
            proxy.port,
            username=proxy.username or None,
            password=proxy.password or None,
            rdns=True,
            loop=loop,
        )
        try:
            sock = await hop.connect(host, port, timeout=share)
        except (ProxyConnectionError, ProxyTimeoutError) as error:
            if index + 1 == len(endpoints):
                raise _failed(proxy, "not reachable") from error
        except (ProxyError, OSError, ValueError) as error:
            # ValueError: python-socks on bytes it cannot read, and on names it cannot encode.
            raise _failed(proxy, str(error) or type(error).__name__) from error
        else:
            tune(sock)
            return sock
    raise _failed(proxy, "has no address")


def _failed(proxy: ProxyAddress, detail: str) -> UpstreamError:
    return UpstreamError("proxy", f"proxy {proxy.host}:{proxy.port}: {detail}")
