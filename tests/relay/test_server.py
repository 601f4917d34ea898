"""The server's life: binding, TLS, the graceful stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography.hazmat.primitives import serialization

from dragoman.relay.server import ServerLimits, build_server, listen, raise_open_file_limit, serve
from tests.relay.doors import WAIT_S, echo, error_of, parse, read_all, read_until, request, running
from tests.upstream.certificates import Authority


class Gate:
    """An application that begins an answer and finishes it when the test says so."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
        self.started.set()
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if scope["path"] != "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"two"})


def test_the_port_is_known_and_taken_before_the_server_runs() -> None:
    server = build_server(echo, port=0)
    try:
        assert server.port > 0
        with pytest.raises(OSError):
            build_server(echo, port=server.port)
        with socket.create_connection(("127.0.0.1", server.port)):
            pass
    finally:
        server.close()


def test_localhost_means_all_its_addresses_on_one_port() -> None:
    listeners = listen("localhost", 0)
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
    finally:
        for listener in listeners:
            listener.close()


def test_several_processes_can_share_a_port() -> None:
    first = listen("127.0.0.1", 0, reuse_port=True)
    second = listen("127.0.0.1", first[0].getsockname()[1], reuse_port=True)
    for listener in first + second:
        listener.close()


def test_an_inherited_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        port = inherited.getsockname()[1]
        with running(echo, fd=os.dup(inherited.fileno())) as door:
            assert door.port == port
            assert parse(door.exchange(request("/")))[0] == 200


def test_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.files("localhost", "127.0.0.1")
    trust = ssl.create_default_context(cafile=authority.ca_file)
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with running(echo, tls_cert=str(certificate), tls_key=str(key)) as door:
        with trust.wrap_socket(door.connect(), server_hostname="localhost") as client:
            assert client.selected_alpn_protocol() == "http/1.1"
            client.sendall(request("/secret", method="POST", body=b"x" * 500_000))
            assert json.loads(parse(read_all(client))[2])["body"] == 500_000
        with trust.wrap_socket(door.connect(), server_hostname="localhost") as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert error_of(read_all(client))[0] == 400
        assert door.exchange(request("/plain")) == b""  # plain HTTP on the TLS port


def test_tls_files_that_do_not_fit_are_named_with_their_setting(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).files("localhost")
    other = tmp_path / "other"
    other.mkdir()
    _, foreign = Authority(other).files("localhost")
    bad, none = tmp_path / "bad.pem", tmp_path / "none.pem"
    bad.write_text("not a certificate")
    locked = tmp_path / "locked.key"
    secret = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    locked.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    for cert_file, key_file, message in (
        (none, key, f"server.tls_cert: {none}: No such file or directory"),
        (certificate, none, f"server.tls_key: {none}: No such file or directory"),
        (tmp_path, key, f"server.tls_cert: {tmp_path}: Is a directory"),
        (bad, key, f"server.tls_cert: {bad}: not a certificate in PEM format"),
        (certificate, bad, f"server.tls_key: {bad}: not a private key in PEM format"),
        (certificate, certificate, f"server.tls_key: {certificate}: not a private key in PEM format"),
        (certificate, foreign, f"server.tls_key: {foreign}: they do not belong together"),
        (certificate, locked, f"server.tls_key: {locked}: "),  # and it does not ask on the terminal
    ):
        with pytest.raises(OSError) as caught:
            build_server(echo, port=0, tls_cert=str(cert_file), tls_key=str(key_file))
        assert message in str(caught.value)


def test_a_stop_lets_running_requests_finish_and_closes_idle_connections() -> None:
    gate = Gate()
    with running(gate) as door, door.connect() as idle, door.connect() as busy, door.connect() as partial:
        partial.sendall(b"GET /late HTTP/1.1\r\n")
        busy.sendall(request("/stream", close=False))
        read_until(busy, b"one")
        while door.call(lambda: door.server.open_connections) < 3:
            pass
        door.server.should_exit = True
        assert read_all(idle) == b""
        gate.go.set()
        assert b"two" in read_all(busy)  # finished, then closed although it was keep-alive
        partial.sendall(b"Host: a\r\n\r\n")
        status, headers, _ = parse(read_all(partial))
        assert (status, headers["connection"]) == (200, "close")
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", door.port), 1).close()


def test_a_stop_cancels_what_does_not_finish() -> None:
    gate = Gate()
    with running(gate, limits={"drain_s": 0.2}) as door, door.connect() as stream, door.connect() as silent:
        stream.sendall(request("/stream"))
        silent.sendall(request("/silent"))
        read_until(stream, b"one")
        assert gate.started.wait(WAIT_S)
        while door.call(lambda: len(door.server.server_state.tasks)) < 2:
            pass
        door.server.should_exit = True
        status, headers, error = error_of(read_all(silent))
        assert (status, error["code"], headers["retry-after"]) == (503, "shutting_down", "1")
        assert not read_all(stream).endswith(b"0\r\n\r\n")  # the client can tell that the stream was cut
        assert gate.cancelled.is_set()


def test_serve_can_be_cancelled() -> None:
    async def main() -> None:
        server = build_server(echo, port=0, limits=ServerLimits(drain_s=1))
        task = asyncio.create_task(serve(server))
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("/", close=False))
        await reader.readuntil(b"\r\n\r\n")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.open_connections == 0
        await reader.read()
        writer.close()

    uvloop.run(main())


def test_lifespan_when_asked_for() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await echo(scope, receive, send)
            return
        for _ in range(2):
            kind = (await receive())["type"]
            seen.append(kind)
            await send({"type": f"{kind}.complete"})

    with running(app, lifespan="on") as door:
        assert parse(door.exchange(request("/")))[0] == 200
    assert seen == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_and_the_program_goes_on(number: int) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys, uvloop
        from dragoman.relay.server import build_server, serve

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await asyncio.sleep(0.5)
            await send({"type": "http.response.body", "body": b"two"})

        async def main():
            server = build_server(app, port=0)
            print(server.port, flush=True)
            await serve(server)
            print("ledger closed", flush=True)

        uvloop.run(main())
        """
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline())), WAIT_S) as client:
            client.sendall(request("/"))
            read_until(client, b"one")
            process.send_signal(number)
            assert b"two" in read_all(client)
        assert process.stdout.read() == "ledger closed\n"
        assert process.wait(WAIT_S) == 0


def test_the_open_file_limit_is_raised_to_what_is_granted() -> None:
    import resource

    assert raise_open_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
