"""Small real proxies: HTTP CONNECT and SOCKS5 (RFC 1928, 1929), enough to be tunnelled through."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress

from tests.upstream.misbehaving import Peer, Server


class HttpProxy(Server):
    """`answer` replaces the head of a good answer; targets: what was asked for, as "host:port"."""

    def __init__(self, *, credentials: str = "", answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        super().__init__(self._play)
        self._credentials = credentials
        self._answer = answer
        self.targets: list[str] = []

    async def _play(self, peer: Peer) -> None:
        received = await peer.head()
        method, target, _ = received.line.decode().split(" ")
        assert method == "CONNECT"
        assert received.get(b"host") == [target.encode()]
        self.targets.append(target)
        expected = [b"Basic " + base64.b64encode(self._credentials.encode())] if self._credentials else []
        if received.get(b"proxy-authorization") != expected:
            peer.send(b"HTTP/1.1 407 Authenticate\r\ncontent-length: 0\r\n\r\n")
            return
        await peer.drip(self._answer)
        host, _, port = target.rpartition(":")
        await relay(peer, host.strip("[]"), int(port))


class SocksProxy(Server):
    """`code`: the reply code, 0 to connect."""

    def __init__(self, *, credentials: tuple[str, str] | None = None, code: int = 0) -> None:
        super().__init__(self._play)
        self._credentials = credentials
        self._code = code
        self.targets: list[str] = []

    async def _play(self, peer: Peer) -> None:
        read = peer.reader.readexactly
        version, count = await read(2)
        assert version == 5
        methods = await read(count)
        method = 2 if self._credentials else 0
        if method not in methods:
            peer.send(b"\x05\xff")
            return
        peer.send(bytes([5, method]))
        if self._credentials:
            assert await read(1) == b"\x01"
            name = await read((await read(1))[0])
            password = await read((await read(1))[0])
            good = (name.decode(), password.decode()) == self._credentials
            peer.send(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        version, command, _, kind = await read(4)
        assert (version, command) == (5, 1)
        if kind == 3:
            host = (await read((await read(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await read(4 if kind == 1 else 16)))
        port = int.from_bytes(await read(2), "big")
        self.targets.append(f"{host}:{port}")
        peer.send(bytes([5, self._code, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not self._code:
            await relay(peer, host, port)


async def relay(peer: Peer, host: str, port: int) -> None:
    """Copy both ways until either side ends.  Names under .test are this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1" if host.endswith(".test") else host, port)

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

    tasks = [asyncio.create_task(copy(peer.reader, writer)), asyncio.create_task(copy(reader, peer.writer))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
