"""A gateway in front of a vendor of every dialect, for the tests of the translate lane."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.world import answers
from tests.world.harness import (
    KEY,
    PRICE,
    Exchange,
    Gateway,
    Reply,
    Vendor,
    channel,
    launch,
    users,
    write_config,
)

SECRET = "channel-secret-0123456789"
CHANNELS = (
    ("chat", "openai-compatible", "openai_chat", ["c", "both", "all"], 0),
    ("claude", "anthropic", "anthropic", ["a", "both", "all"], 5),
    ("gem", "gemini", "gemini", ["g", "all"], 3),
    ("resp", "openai", "openai_responses", ["r", "all"], 1),
)
ANSWER = {"chat": answers.CHAT, "claude": answers.MESSAGE, "gem": answers.GENERATED, "resp": answers.RESPONSE}
FRAMES = {
    "chat": [*answers.CHAT_FRAMES, answers.CHAT_USAGE, answers.DONE],
    "claude": answers.MESSAGE_FRAMES,
    "gem": answers.GEMINI_FRAMES,
    "resp": answers.RESPONSE_FRAMES,
}
OF_MODEL = {"c": "chat", "a": "claude", "g": "gem", "r": "resp"}
CLIENTS = ("chat", "claude", "gem", "resp")


def request(
    client: str, model: str, text: Any = "hi", *, stream: bool = False, **more: Any
) -> tuple[str, Any]:
    """Path and body of a client's call."""
    steer = {"stream": True} if stream else {}
    if client == "gem":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        contents = [{"role": "user", "parts": [{"text": text}]}]
        return f"/v1beta/models/{model}:{verb}", {"contents": contents, **more}
    if client == "resp":
        return "/v1/responses", {"model": model, "input": text, **steer, **more}
    body = {"model": model, "messages": [{"role": "user", "content": text}], **steer, **more}
    return (
        ("/v1/messages", {"max_tokens": 100, **body})
        if client == "claude"
        else ("/v1/chat/completions", body)
    )


def play(frames: list[bytes]) -> Any:
    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in frames:
            x.chunk(frame)
        x.end_stream()

    return script


def cut(frames: list[bytes]) -> Any:
    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in frames:
            x.chunk(frame)
        x.sock.shutdown(socket.SHUT_RDWR)

    return script


class World:
    """A gateway and a vendor of every dialect."""

    def __init__(self, gateway: Gateway, vendors: dict[str, Vendor]) -> None:
        self.gateway, self.vendors = gateway, vendors

    def ask(self, client: str, model: str, *, headers: Any = None, key: str = KEY, **fields: Any) -> Reply:
        path, body = request(client, model, **fields)
        return self.gateway.post(path, body, headers, key)

    def row(self, reply: Reply) -> Any:
        return self.gateway.call_row(reply.headers["x-request-id"])

    def detail(self, row: Any) -> Any:
        found = self.gateway.rows("SELECT detail FROM call_details WHERE request_id = ?", row["request_id"])
        return json.loads(found[0]["detail"])

    def last_row(self, count: int) -> Any:
        """The newest row, once there are more than ``count``."""
        self.gateway.eventually(lambda: self.rows() > count)
        return self.gateway.rows("SELECT * FROM call_logs ORDER BY rowid DESC LIMIT 1")[0]

    def rows(self) -> int:
        found: int = self.gateway.rows("SELECT COUNT(*) AS n FROM call_logs")[0]["n"]
        return found

    def nothing_held(self) -> None:
        sql = "SELECT COALESCE(SUM(held_nanos), 0) AS held FROM accounts"
        self.gateway.eventually(lambda: self.gateway.rows(sql)[0]["held"] == 0)


def open_world(folder: Path) -> Iterator[World]:
    """For a fixture: the world, and a check of the gateway's books at the end."""
    vendors = {name: Vendor(lambda x: x.reply(500, {})) for name, *_ in CHANNELS}
    channels = [
        channel(
            vendors[name],
            provider,
            name=name,
            dialects=[dialect],
            models=models,
            priority=priority,
            keys=[SECRET],
        )
        for name, provider, dialect, models, priority in CHANNELS
    ]
    config, data_dir = folder / "dragoman.toml", folder / "data"
    server = {
        "port": 0,
        "data_dir": str(data_dir),
        "answer_bytes": 2_000_000,
        "body_budget_bytes": 20_000_000,
    }
    write_config(
        config,
        {**server, "body_wait_s": 1},
        channels=channels,
        groups=[{"name": "default"}],
        prices=[{**PRICE, "model": "*"}],
        users=users("100000"),
    )
    with config.open("a") as file:
        file.write('[egress]\nallow = ["127.0.0.1/32"]\n')
    gateway = launch(config, data_dir, folder / "gateway.log")
    try:
        yield World(gateway, vendors)
    finally:
        gateway.stop()
        for vendor in vendors.values():
            vendor.close()
    report = gateway.audit()
    assert report.returncode == 0, report.stdout + report.stderr


def fresh(world: World) -> Iterator[None]:
    """For a fixture around each test: every vendor answers in its own dialect, streams when asked to, until the test says otherwise."""
    for name, vendor in world.vendors.items():
        vendor.received.clear()
        vendor.script = _plain(name)
    yield
    world.nothing_held()
    log = world.gateway.log.read_text()
    assert "internal_error" not in log and "Traceback" not in log, log[-3000:]


def _plain(name: str) -> Any:
    def script(x: Exchange) -> None:
        asked = x.request.json if x.request.body else {}
        if asked.get("stream") is True or "streamGenerateContent" in x.request.target:
            play(FRAMES[name])(x)
        else:
            x.reply(200, ANSWER[name])

    return script


class Client:
    """A client that reads a little of an answer and may leave."""

    def __init__(self, gateway: Gateway, path: str, body: Any, key: str = KEY) -> None:
        self.sock = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(data)}\r\n\r\n"
        self.sock.sendall(head.encode() + data)
        self.seen = b""

    def until(self, mark: bytes) -> bytes:
        while mark not in self.seen:
            piece = self.sock.recv(65536)
            assert piece, self.seen
            self.seen += piece
        return self.seen

    def leave(self) -> None:
        self.sock.close()


def events(reply: Reply) -> list[Any]:
    """The JSON values of a stream that the client got."""
    frames = reply.body.decode().replace("\r\n", "\n").split("\n\n")
    lines = [line[5:] for frame in frames for line in frame.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line.strip() != "[DONE]"]


def dialect(name: str) -> str:
    """The dialect that this vendor speaks."""
    return next(c[2] for c in CHANNELS if c[0] == name)
