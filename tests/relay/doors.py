"""A real server in a thread and clients made of raw sockets, for tests of the front door."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvloop

from dragoman.relay.server import GatewayServer, ServerLimits, build_server, serve

WAIT_S = 20.0


class Running:
    """A server in a thread."""

    def __init__(self, server: GatewayServer) -> None:
        self.server = server
        self.port = server.port
        self.loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread

    def start(self) -> None:
        ready = threading.Event()

        async def main() -> None:
            self.loop = asyncio.get_running_loop()
            ready.set()
            await serve(self.server)

        self._thread = threading.Thread(target=lambda: uvloop.run(main()), daemon=True)
        self._thread.start()
        assert ready.wait(WAIT_S)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def call(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` in the server's loop; gives its result."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(WAIT_S)

    def connect(self, **options: Any) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), WAIT_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def exchange(self, data: bytes) -> bytes:
        """Send ``data`` on a connection of its own and read until the server closes it."""
        with self.connect() as client:
            client.sendall(data)
            return read_all(client)


@contextlib.contextmanager
def running(app: Any, *, limits: dict[str, Any] | None = None, **options: Any) -> Iterator[Running]:
    values = {"drain_s": 5.0, "cancel_s": 2.0, **(limits or {})}
    door = Running(build_server(app, port=0, limits=ServerLimits(**values), **options))
    door.start()
    try:
        yield door
    finally:
        door.stop()


def read_all(client: socket.socket) -> bytes:
    """Everything up to the orderly end; a reset is an error."""
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def read_until(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = client.recv(65536)
        assert piece, f"closed before {end!r}: {data!r}"
        data += piece
    return data


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


def error_of(answer: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and the error object of an answer that must be JSON in the OpenAI shape."""
    status, headers, body = parse(answer)
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(body)
    assert headers["x-request-id"].startswith("req_")
    return status, headers, json.loads(body)["error"]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it got, as JSON."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
        "body": len(body),
        "text": body[:100].decode("latin-1"),
    }
    data = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def request(
    path: str = "/", *headers: str, method: str = "GET", body: bytes = b"", close: bool = True
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
