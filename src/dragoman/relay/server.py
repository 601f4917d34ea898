"""The listening socket and the server's life: bind, accept, drain, stop.

``build_server`` binds at once, so a taken port is an OSError in the caller's hands and ``server.port`` is known
before anything runs; connections queue in the kernel until ``serve`` accepts them. ``serve`` runs until SIGTERM,
SIGINT or ``server.should_exit``; then it stops accepting, lets running requests finish for ``drain_s``, cancels
what is left and returns, so that its caller can close the ledger. A second SIGINT ends the patience.

uvicorn's Server gives the main loop (date header, stop flag); the protocol is ``frontdoor``. Run it on uvloop:
``uvloop.run(serve(server))``. HTTP/2 is out of scope; a proxy in front speaks it (see the nginx recipe).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal, cast

import uvicorn

from dragoman.relay.exchange import Application
from dragoman.relay.frontdoor import FrontDoor, ServerLimits
from dragoman.relay.ids import request_id

__all__ = ["GatewayServer", "ServerLimits", "build_server", "listen", "raise_open_file_limit", "serve"]

BACKLOG = 2048
POLL_S = 0.05


class GatewayServer(uvicorn.Server):
    """A uvicorn server on sockets of our own, with a graceful stop that returns to its caller."""

    def __init__(
        self,
        config: uvicorn.Config,
        listeners: list[socket.socket],
        limits: ServerLimits,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(config)
        self.limits = limits
        self._listeners = listeners
        self._tls = tls
        self._stopped = False
        self.port: int = listeners[0].getsockname()[1] if listeners[0].family != socket.AF_UNIX else 0

    @property
    def open_connections(self) -> int:
        """Client connections that are open now."""
        return len(self.server_state.connections)

    def close(self) -> None:
        """Give up the listening sockets of a server that is not going to serve."""
        for listener in self._listeners:
            listener.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application's lifespan (if it has one), then accept."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise RuntimeError("the application refused to start")
        loop = asyncio.get_running_loop()
        timeouts: dict[str, Any] = {}
        if self._tls is not None:
            seconds = self.limits.header_timeout_s
            timeouts = {"ssl_handshake_timeout": seconds, "ssl_shutdown_timeout": seconds}
        self.servers = []
        for listener in self._listeners:
            server = await loop.create_server(
                self._new_connection, sock=listener, ssl=self._tls, backlog=BACKLOG, **timeouts
            )
            self.servers.append(server)
        self.started = True

    def _new_connection(self) -> asyncio.Protocol:
        make = cast(Any, self.config.http_protocol_class)
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain, cancel, cut. Returns after at most ``drain_s`` + ``cancel_s``."""
        if self._stopped:
            return
        self._stopped = True
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await self._wait_until_idle(self.limits.drain_s)
        if state.tasks:
            for task in list(state.tasks):
                task.cancel()
            await asyncio.wait(list(state.tasks), timeout=self.limits.cancel_s)
            await self._wait_until_idle(POLL_S)  # the last bytes of their answers
        for connection in list(state.connections):
            connection.transport.abort()
        await self.lifespan.shutdown()

    async def _wait_until_idle(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end, state = loop.time() + seconds, self.server_state
        # uvicorn's sets tell nobody when they get empty
        while (state.connections or state.tasks) and not self.force_exit and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """SIGTERM and SIGINT stop the server; unlike uvicorn's, they are not raised again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def listen(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Listening sockets for every address of ``host``, all on the same port (0: a free one). Raises OSError."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            target = (address[0], port, *address[2:])
            listener = socket.socket(family, socket.SOCK_STREAM)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                # "::" alone means IPv4 as well; beside an IPv4 listener it must not.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(len(found) > 1))
            listener.bind(target)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            port = listener.getsockname()[1]
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def build_server(
    app: Application,
    *,
    host: str = "127.0.0.1",
    port: int = 4000,
    limits: ServerLimits | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    fd: int | None = None,
    reuse_port: bool = False,
    lifespan: Literal["off", "on", "auto"] = "off",
) -> GatewayServer:
    """A server for the ASGI application ``app``, bound and not yet accepting.

    ``fd`` is an inherited listening socket and replaces ``host`` and ``port``. ``tls_cert`` and ``tls_key`` are PEM
    files (the certificate with its chain). Raises OSError: port taken, or the setting, the file and what is wrong with it.
    """
    limits = limits or ServerLimits()
    tls = _tls_context(tls_cert, tls_key) if tls_cert and tls_key else None
    door = functools.partial(FrontDoor, limits=limits, new_id=_new_id)
    config = uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], door),
        ws="none",
        loop="none",
        interface="asgi3",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
    )
    if fd is not None:
        listener = socket.socket(fileno=fd)
        listener.setblocking(False)
        return GatewayServer(config, [listener], limits, tls)
    return GatewayServer(config, listen(host, port, reuse_port=reuse_port), limits, tls)


async def serve(server: GatewayServer) -> None:
    """Serve until told to stop, then drain. Cancelling this coroutine drains too."""
    raise_open_file_limit()
    try:
        await server.serve()
    finally:
        if server.started:
            await server.shutdown()


def raise_open_file_limit() -> int:
    """Take all the open files the system grants (an open stream is two sockets); returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS reports a hard limit that it does not grant
            return soft
    return hard


def _tls_context(cert: str, key: str) -> ssl.SSLContext:
    """OpenSSL's own errors name no file, so what can be told apart is looked at first."""
    for setting, file, mark in (
        ("tls_cert", cert, b"CERTIFICATE-----"),
        ("tls_key", key, b"PRIVATE KEY-----"),
    ):
        try:
            content = Path(file).read_bytes()
        except OSError as error:
            raise OSError(f"server.{setting}: {file}: {error.strerror}") from error
        if mark not in content:
            kind = "certificate" if setting == "tls_cert" else "private key"
            raise OSError(f"server.{setting}: {file}: not a {kind} in PEM format")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An encrypted key would make OpenSSL ask for its password on the terminal, and wait.
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        why = error.reason or str(error)
        if why == "KEY_VALUES_MISMATCH":
            why = "they do not belong together"
        raise OSError(f"server.tls_cert: {cert}, server.tls_key: {key}: {why}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _new_id() -> str:
    return request_id(time.time(), os.urandom(9))
