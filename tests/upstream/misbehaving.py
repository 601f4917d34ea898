"""A scripted server on a real socket: it accepts connections, counts them, and plays a script on each.

    async def script(peer): await peer.request(); peer.send(reply(b"hi"))
    async with Server(script) as server: ... server.origin() ... server.connections

A script that fails an assertion fails the test, when the server is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec
import uvloop

from dragoman.upstream.client import Origin

Script = Callable[["Peer"], Awaitable[None]]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine function on the loop the gateway uses."""
    uvloop.run(main())


def run_plain(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The same on the standard library's loop, whose resolver can be replaced (`fake_dns`)."""
    asyncio.run(main())


def reply(body: bytes = b"", status: int = 200, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Said" % status, *headers, b"content-length: %d" % len(body)]
    return b"\r\n".join([*lines, b"", body])


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


class Received(msgspec.Struct):
    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def get(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


class Peer:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number  # from 1

    async def head(self) -> Received:
        """The head of the next request.  Raises IncompleteReadError when the client closes instead."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        pairs = [line.split(b": ", 1) for line in lines[1:]]
        return Received(lines[0], [(name, value) for name, value in pairs])

    async def body(self, received: Received) -> bytes:
        if received.get(b"transfer-encoding"):
            body = b""
            while True:
                size = int(await self.reader.readline(), 16)
                body += (await self.reader.readexactly(size + 2))[:-2]
                if not size:
                    return body
        return await self.reader.readexactly(int((received.get(b"content-length") or [b"0"])[0]))

    async def request(self) -> Received:
        received = await self.head()
        received.body = await self.body(received)
        return received

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def drip(self, data: bytes) -> None:
        """One byte a write, with a turn of the loop between."""
        for index in range(len(data)):
            self.writer.write(data[index : index + 1])
            await self.writer.drain()
            await asyncio.sleep(0)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def closed(self) -> None:
        """Returns when the client has closed the connection; what it still sends is thrown away."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


class Server:
    def __init__(self, script: Script, *, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._script(Peer(reader, writer, self.connections))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        except BaseException as error:
            self._failures.append(error)
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._failures:
            raise self._failures[0]

    def origin(self, host: str = "127.0.0.1", **options: Any) -> Origin:
        scheme = "https" if self._context is not None else "http"
        return Origin.parse(f"{scheme}://{host}:{self.port}", **options)


async def echo(peer: Peer) -> None:
    """Answers every request with its own body."""
    while True:
        received = await peer.request()
        peer.send(reply(received.body))


def playing(answer: bytes) -> Script:
    """Answers every request with these bytes, then waits for the next."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.send(answer)

    return script


def closing(answer: bytes) -> Script:
    """Answers one request with these bytes and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(answer)

    return script


def fake_dns(*addresses: str) -> list[str]:
    """Names resolve to these addresses from now on; literal ones to themselves.  Returns the list to which
    every name asked for is appended.  Needs `run_plain`."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign, assignment]
    return asked
