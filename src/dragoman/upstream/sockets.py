"""DNS and TCP: names to addresses, addresses to a connected socket."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence

from msgspec import Struct

from dragoman.upstream.errors import UpstreamError

# A dead peer behind a NAT must be noticed while a long generation keeps the line silent.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class Endpoint(Struct, frozen=True):
    """One resolved address: `family` is AF_INET or AF_INET6, `address` what the socket connects to."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]

    @property
    def ip(self) -> str:
        return self.address[0]


async def resolve(host: str, port: int) -> list[Endpoint]:
    """Every address of `host`, in the resolver's order, without doubles.  UpstreamError kind "dns"."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if ip.version == 4:
            return [Endpoint(socket.AF_INET, (host, port))]
        if "%" not in host:
            return [Endpoint(socket.AF_INET6, (host, port, 0, 0))]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UpstreamError("dns", f"could not resolve {host}: {error}") from error
    endpoints: dict[Endpoint, None] = {}
    for family, _, _, _, address in found:
        if family in (socket.AF_INET, socket.AF_INET6) and isinstance(address[0], str):
            endpoints[Endpoint(int(family), address)] = None
    if not endpoints:
        raise UpstreamError("dns", f"{host} has no address")
    return list(endpoints)


async def connect(endpoints: Sequence[Endpoint], budget_s: float) -> socket.socket:
    """A connected socket to the first of `endpoints` that accepts.

    The time that is left is shared evenly by the addresses that are left, so that one which swallows
    packets does not use it all up.  UpstreamError "refused" if every address refused,
    "connect_timeout" if the last one did not answer in time, else "connect".
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + budget_s
    failures: list[UpstreamError] = []
    for index, endpoint in enumerate(endpoints):
        share = (end - loop.time()) / (len(endpoints) - index)
        try:
            return await _connect_one(loop, endpoint, share)
        except UpstreamError as error:
            failures.append(error)
    if all(failure.kind == "refused" for failure in failures):
        raise failures[-1]
    raise next(failure for failure in reversed(failures) if failure.kind != "refused")


async def _connect_one(loop: asyncio.AbstractEventLoop, endpoint: Endpoint, budget_s: float) -> socket.socket:
    where = f"{endpoint.ip} port {endpoint.address[1]}"
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        tune(sock)
        async with asyncio.timeout(budget_s):
            await loop.sock_connect(sock, endpoint.address)
    except TimeoutError as error:
        sock.close()
        raise UpstreamError("connect_timeout", f"no answer from {where}") from error
    except ConnectionRefusedError as error:
        sock.close()
        raise UpstreamError("refused", f"connection refused by {where}") from error
    except OSError as error:
        sock.close()
        name = errno.errorcode.get(error.errno or 0, "error")
        raise UpstreamError("connect", f"could not connect to {where}: {name}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def tune(sock: socket.socket) -> None:
    """Non-blocking, no Nagle delay, keep-alive probes."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
