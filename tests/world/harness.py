"""A whole gateway in a process of its own, and vendors that do exactly as they are told.

``Vendor`` is a socket server in a thread: a test gives it a function that plays one exchange on the open connection.
``Gateway`` runs ``dragoman serve`` on a free port with a configuration made by the test, and reads its database.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY = "sk-" + "Alice0" * 8
OTHER_KEY = "sk-" + "Bobby0" * 8
TIMEOUT_S = 30


@dataclass
class Received:
    """One request as the vendor got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Exchange:
    """The vendor's end of one exchange."""

    request: Received
    sock: socket.socket

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reply(
        self, status: int, body: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-type": "application/json", **(headers or {}), "content-length": str(len(data))}
        head = "".join(f"{n}: {v}\r\n" for n, v in lines.items())
        self.raw(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + data)

    def start_stream(
        self, headers: Mapping[str, str] | None = None, content_type: str = "text/event-stream"
    ) -> None:
        lines = {"content-type": content_type, "transfer-encoding": "chunked", **(headers or {})}
        self.raw(
            ("HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in lines.items()) + "\r\n").encode()
        )

    def chunk(self, data: bytes) -> None:
        self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        self.raw(b"0\r\n\r\n")

    def closed_by_peer(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Wait until the gateway closes this connection."""
        readable, _, _ = select.select([self.sock], [], [], timeout_s)
        if not readable:
            return False
        try:
            return self.sock.recv(1) == b""
        except OSError:
            return True


Script = Callable[[Exchange], None]


class Vendor:
    """A scripted upstream. ``script`` may be exchanged between requests; requests are kept in ``received``."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.received: list[Received] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(TIMEOUT_S)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        stream = sock.makefile("rb")
        try:
            while (request := _read_request(stream)) is not None:
                self.received.append(request)
                self.script(Exchange(request, sock))
        except OSError:
            pass
        finally:
            stream.close()
            sock.close()

    def close(self) -> None:
        self._listener.close()


def _read_request(stream: Any) -> Received | None:
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: list[tuple[str, str]] = []
    while (raw := stream.readline()) not in (b"\r\n", b""):
        name, _, value = raw.decode("latin-1").rstrip("\r\n").partition(":")
        headers.append((name, value.strip()))
    length = next((int(v) for n, v in headers if n.lower() == "content-length"), 0)
    return Received(method, target, headers, stream.read(length) if length else b"")


@dataclass
class Reply:
    """An answer as the client got it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """A running ``dragoman serve``."""

    process: subprocess.Popen[bytes]
    port: int
    config: Path
    data_dir: Path
    log: Path
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = KEY,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            data = json.dumps(body).encode() if isinstance(body, Mapping) else body
            sent = {"content-type": "application/json"} if data is not None else {}
            if key is not None:
                sent["authorization"] = f"Bearer {key}"
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(
        self,
        path: str,
        body: bytes | Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        key: str | None = KEY,
    ) -> Reply:
        return self.request("POST", path, body, headers, key)

    def get(self, path: str, headers: Mapping[str, str] | None = None, key: str | None = KEY) -> Reply:
        return self.request("GET", path, None, headers, key)

    def rows(self, sql: str, *arguments: Any) -> list[sqlite3.Row]:
        """Read the gateway's SQLite database beside it."""
        connection = sqlite3.connect(f"file:{self.data_dir / 'dragoman.db'}?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(sql, arguments).fetchall()
        finally:
            connection.close()

    def call_row(self, request_id: str) -> sqlite3.Row:
        """The log row of a call; the row is written just after the answer, so this waits for it (bounded)."""
        found = self.eventually(lambda: self.rows("SELECT * FROM call_logs WHERE request_id = ?", request_id))
        return found[0]

    def eventually(self, probe: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
        """The first true value of ``probe``; a bounded poll of another process's state."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            value = probe()
            if value:
                return value
            time.sleep(0.01)
        raise AssertionError(f"did not happen within {timeout_s} s; log:\n{self.log.read_text()[-3000:]}")

    def stop(self, sig: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(TIMEOUT_S)
            if self.process.stdout is not None:
                self.process.stdout.close()

    def audit(self) -> subprocess.CompletedProcess[str]:
        return run_cli("audit", "--config", str(self.config))


def run_cli(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The ``dragoman`` command, to its end."""
    command = [sys.executable, "-m", "dragoman.cli", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )


def toml(value: Any) -> str:
    """A TOML value (JSON's notation is TOML's for these types, but for tables)."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return json.dumps(value)


def write_config(path: Path, server: Mapping[str, Any], **sections: list[Mapping[str, Any]]) -> None:
    """A dragoman.toml from plain data."""
    lines = ["[server]", *(f"{k} = {toml(v)}" for k, v in server.items())]
    for section, entries in sections.items():
        for entry in entries:
            lines += [f"[[{section}]]", *(f"{k} = {toml(v)}" for k, v in entry.items())]
    path.write_text("\n".join(lines) + "\n")


def channel(vendor: Vendor, provider: str = "openai", **fields: Any) -> dict[str, Any]:
    """A channel to a scripted vendor."""
    values: dict[str, Any] = {
        "name": provider,
        "provider": provider,
        "base_url": vendor.url,
        "keys": ["vendor-secret"],
        "models": ["m"],
    }
    return {**values, **fields}


def users(credit: str = "100") -> list[dict[str, Any]]:
    """Two users with a key each."""
    return [
        {"username": "alice", "credit": credit, "keys": [{"name": "alice key", "key": KEY}]},
        {"username": "bob", "credit": credit, "keys": [{"name": "bob key", "key": OTHER_KEY}]},
    ]


PRICE = {
    "model": "m",
    "input": "1",
    "cached_input": "0.1",
    "cache_write_5m": "1.25",
    "cache_write_1h": "2",
    "output": "10",
}


def start_gateway(
    tmp_path: Path,
    channels: list[Mapping[str, Any]],
    server: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    **sections: Any,
) -> Gateway:
    """Start ``dragoman serve`` on a free port and wait until it says where it listens."""
    tmp_path.mkdir(parents=True, exist_ok=True)
    config, data_dir = tmp_path / "dragoman.toml", tmp_path / "data"
    declared = {"groups": [{"name": "default"}], "prices": [PRICE], "users": users(), **sections}
    write_config(
        config, {"port": 0, "data_dir": str(data_dir), **(server or {})}, channels=channels, **declared
    )
    return launch(config, data_dir, tmp_path / "gateway.log", env)


def launch(config: Path, data_dir: Path, log: Path, env: Mapping[str, str] | None = None) -> Gateway:
    """Start a gateway with a configuration that is already written. ``env`` is added to ours."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "dragoman.cli", "serve", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(env or {})},
        )
    assert process.stdout is not None
    lines: list[str] = []
    for raw in iter(process.stdout.readline, b""):
        lines.append(raw.decode().strip())
        if "listening on" in lines[-1]:
            port = int(lines[-1].rsplit(":", 1)[1].split("/")[0])
            return Gateway(process, port, config, data_dir, log, lines)
    process.kill()
    raise AssertionError(f"the gateway did not start: {lines} {log.read_text()}")


def gateway_for(tmp_path: Path, channels: list[Mapping[str, Any]], **kwargs: Any) -> Iterator[Gateway]:
    """For fixtures: a gateway that is stopped, and whose books must be clean, at the end."""
    gateway = start_gateway(tmp_path, channels, **kwargs)
    try:
        yield gateway
    finally:
        gateway.stop()
    report = gateway.audit()
    assert report.returncode == 0, report.stdout + report.stderr
