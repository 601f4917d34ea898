"""The nginx recipe of deploy/, run by a real nginx in front of the real front door."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dragoman.relay.bodies import BodyBudget, spool_body
from tests.relay.doors import WAIT_S, echo, parse, read_all, read_until, request, running
from tests.upstream.certificates import Authority
from tests.upstream.nginx import BINARY, needs_nginx

pytestmark = needs_nginx
RECIPE = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
AROUND = """
daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit; user root;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  {recipe}
}}
"""


class Site:
    """nginx with the recipe, in front of a port."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self._port = port
        self._trust = trust

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self._port), WAIT_S)
        return self._trust.wrap_socket(plain, server_hostname="localhost")

    def exchange(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        with self.connect() as client:
            client.sendall(data)
            return parse(read_all(client))


@contextlib.contextmanager
def nginx_before(port: int, folder: Path) -> Iterator[Site]:
    assert BINARY is not None
    authority = Authority(folder)
    certificate, key = authority.files("localhost", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listening = listener.getsockname()[1]
        recipe = RECIPE.read_text()
        for stated, here in (
            ("listen 443 ", f"listen 127.0.0.1:{listening} "),
            ("server 127.0.0.1:4000;", f"server 127.0.0.1:{port};"),
            ("/etc/ssl/gateway.example.com.pem", str(certificate)),
            ("/etc/ssl/gateway.example.com.key", str(key)),
        ):
            assert stated in recipe
            recipe = recipe.replace(stated, here)
        (folder / "nginx.conf").write_text(AROUND.format(recipe=recipe))
        # nginx takes over sockets that listen already (as when it upgrades itself): no port to guess, no waiting
        process = subprocess.Popen(
            [BINARY, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
            pass_fds=[listener.fileno()],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
        )
    trust = ssl.create_default_context(cafile=authority.ca_file)
    try:
        yield Site(listening, trust)
    finally:
        process.terminate()
        process.wait(WAIT_S)


class Frames:
    """Sends a frame, and the next one only after the client has confirmed it by another request."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self._confirmed: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/confirm/"):
            self._event(scope["path"][-1]).set()
            await echo(scope, receive, send)
            return
        scope["extensions"]["dragoman.disconnect"].callback = self.gone.set
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in "123":
            frame = f"data: frame {number}\n\n".encode()
            await send({"type": "http.response.body", "body": frame, "more_body": True})
            async with asyncio.timeout(WAIT_S):
                await self._event(number).wait()
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    def _event(self, number: str) -> asyncio.Event:
        return self._confirmed.setdefault(number, asyncio.Event())


def test_frames_arrive_one_by_one(tmp_path: Path) -> None:
    with running(Frames()) as door, nginx_before(door.port, tmp_path) as site, site.connect() as stream:
        stream.sendall(request("/stream"))
        for number in "123":
            read_until(stream, f"data: frame {number}\n\n".encode())
            assert site.exchange(request(f"/confirm/{number}"))[0] == 200
        assert b"data: [DONE]" in read_all(stream)


def test_a_client_that_leaves_is_noticed_behind_nginx(tmp_path: Path) -> None:
    frames = Frames()
    with running(frames) as door, nginx_before(door.port, tmp_path) as site:
        with site.connect() as stream:
            stream.sendall(request("/stream"))
            read_until(stream, b"data: frame 1\n\n")
        assert frames.gone.wait(WAIT_S)
        for number in "123":
            site.exchange(request(f"/confirm/{number}"))


def test_large_bodies_pass_while_they_are_sent(tmp_path: Path) -> None:
    begun = threading.Event()
    budget = BodyBudget()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def watched() -> Any:
            message = await receive()
            begun.set()
            return message

        with await spool_body(scope, watched, directory=tmp_path) as body:
            told = hashlib.sha256(body.file.read()).hexdigest().encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"64")]})
        await send({"type": "http.response.body", "body": told})

    piece, times = os.urandom(1_000_000), 120
    with running(app) as door, nginx_before(door.port, tmp_path) as site, site.connect() as client:
        client.sendall(request("/upload", f"Content-Length: {len(piece) * times}", method="POST"))
        for i in range(times):
            client.sendall(piece)
            if i == 2:
                assert begun.wait(WAIT_S)  # unbuffered: the gateway reads while the client still sends
        assert parse(read_all(client))[2].decode() == hashlib.sha256(piece * times).hexdigest()
    assert budget.used_bytes == 0


def test_an_early_refusal_passes(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})

    with running(app) as door, nginx_before(door.port, tmp_path) as site, site.connect() as client:
        client.sendall(request("/", "Content-Length: 50000000", method="POST"))
        client.sendall(b"x" * 100_000)
        assert read_until(client, b"\r\n\r\nno").startswith(b"HTTP/1.1 401 ")


def test_what_the_gateway_is_told_about_the_client(tmp_path: Path) -> None:
    with running(echo) as door, nginx_before(door.port, tmp_path) as site:
        _, _, body = site.exchange(
            request("/v1/a%2Fb?x=1", "X-Forwarded-For: 10.1.2.3", "Authorization: Bearer k")
        )
        told = json.loads(body)
        headers = dict(told["headers"])
        assert (told["raw_path"], told["query"]) == ("/v1/a%2Fb", "x=1")
        assert headers["host"] == "test"
        assert headers["x-forwarded-for"] == "10.1.2.3, 127.0.0.1"
        assert headers["x-forwarded-proto"] == "https"
        assert headers["authorization"] == "Bearer k"
        assert "connection" not in headers


def test_connections_to_the_gateway_are_reused(tmp_path: Path) -> None:
    with running(echo) as door, nginx_before(door.port, tmp_path) as site:
        for _ in range(5):
            assert site.exchange(request("/"))[0] == 200
            assert door.call(lambda: door.server.open_connections) == 1
        assert door.call(lambda: door.server.server_state.total_requests) == 5


@contextlib.contextmanager
def accepting_once(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            peer.settimeout(WAIT_S)
            with peer:
                handle(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(WAIT_S)


def test_an_upgrade_passes_both_ways(tmp_path: Path) -> None:
    heads: list[bytes] = []

    def backend(peer: socket.socket) -> None:
        heads.append(read_until(peer, b"\r\n\r\n").lower())
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        peer.sendall(read_until(peer, b"ping").replace(b"ping", b"pong"))

    with accepting_once(backend) as port, nginx_before(port, tmp_path) as site, site.connect() as client:
        client.sendall(request("/v1/realtime", "Connection: Upgrade", "Upgrade: websocket", close=False))
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        client.sendall(b"\x00ping")
        assert read_until(client, b"pong") == b"\x00pong"
    assert b"\r\nupgrade: websocket\r\n" in heads[0]
    assert b"\r\nconnection: upgrade\r\n" in heads[0]
