"""From an origin to an open connection: addresses, egress check, tunnel, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from dragoman.upstream.egress import EgressPolicy
from dragoman.upstream.errors import ErrorKind, UpstreamError
from dragoman.upstream.origin import Origin
from dragoman.upstream.sockets import Endpoint, connect, resolve
from dragoman.upstream.tunnel import open_tunnel, parse_proxy

P = TypeVar("P", bound=asyncio.Protocol)


class Dialler:
    """Opens connections; one per client, because it keeps the TLS contexts (loading the system's
    authorities takes tens of milliseconds)."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[str | None, bool], ssl.SSLContext] = {}

    async def dial(
        self, origin: Origin, egress: EgressPolicy | None, budget_s: float, factory: Callable[[], P]
    ) -> P:
        """The protocol made by `factory`, on a connected (and for https verified) transport.

        The caller enforces `budget_s` as a whole; here it is only shared out between addresses.
        UpstreamError: "dns", "egress", "refused", "connect", "connect_timeout", "proxy", "tls".
        """
        context = self._context(origin) if origin.scheme == "https" else None
        sock = await self._socket(origin, egress, budget_s)
        return await _start(origin, sock, context, factory)

    async def _socket(self, origin: Origin, egress: EgressPolicy | None, budget_s: float) -> socket.socket:
        if origin.proxy is None:
            endpoints = await resolve(origin.host, origin.port)
            return await connect(_checked(origin, endpoints, egress), budget_s)
        try:
            proxy = parse_proxy(origin.proxy)
        except ValueError as error:
            raise UpstreamError("proxy", str(error)) from None
        host = origin.host
        if egress is not None:
            # The proxy would resolve the name itself, unchecked: give it the address we judged.
            host = _checked(origin, await resolve(host, origin.port), egress)[0].ip
        try:
            hops = await resolve(proxy.host, proxy.port)
        except UpstreamError as error:
            raise UpstreamError("proxy", error.message) from error
        return await open_tunnel(proxy, hops, host, origin.port, budget_s)

    def _context(self, origin: Origin) -> ssl.SSLContext:
        key = (origin.ca_file, origin.verify)
        context = self._contexts.get(key)
        if context is None:
            try:
                context = ssl.create_default_context(cafile=origin.ca_file)
            except (OSError, ValueError) as error:
                detail = f"the CA file {origin.ca_file} cannot be used" if origin.ca_file else str(error)
                raise UpstreamError("tls", detail) from error
            if not origin.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[key] = context
        return context


def _checked(origin: Origin, endpoints: list[Endpoint], egress: EgressPolicy | None) -> list[Endpoint]:
    if egress is None:
        return endpoints
    permitted = [endpoint for endpoint in endpoints if egress.permits(endpoint.ip)]
    if not permitted:
        ip = endpoints[0].ip
        raise UpstreamError("egress", f"{origin.host} is at {ip}, not allowed: {egress.refusal(ip)}")
    return permitted


async def _start(
    origin: Origin, sock: socket.socket, context: ssl.SSLContext | None, factory: Callable[[], P]
) -> P:
    loop = asyncio.get_running_loop()
    try:
        _, protocol = await loop.create_connection(
            factory, sock=sock, ssl=context, server_hostname=origin.host if context is not None else None
        )
    except ssl.SSLError as error:
        sock.close()
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        raise UpstreamError("tls", f"TLS with {origin} failed: {reason}") from error
    except OSError as error:
        sock.close()
        kind: ErrorKind = "connect" if context is None else "tls"
        raise UpstreamError(kind, f"{origin} closed during the handshake") from error
    except BaseException:
        sock.close()
        raise
    return protocol
