"""The stage of the conversion cases: one gateway, one scripted vendor behind channels of every upstream dialect.

Which dialect the upstream speaks follows from the model alone (``DIALECT_OF``), so a test names client, upstream and model and
gets what both ends saw (``Heard``). The channels take whole families of names (``claude-*``), facts go by the model's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from tests.world import answers
from tests.world.harness import (
    PRICE,
    Exchange,
    Gateway,
    Received,
    Reply,
    Vendor,
    channel,
    launch,
    users,
    write_config,
)

CC, RS, AM, GM = "openai_chat", "openai_responses", "anthropic", "gemini"
DIALECTS: Final = (CC, RS, AM, GM)
SHORT: Final = {CC: "CC", RS: "RS", AM: "AM", GM: "GM"}

# What each channel serves: (name, provider, dialect, models, model_map); the two of one model have paths of their own.
_CHANNELS: Final = (
    ("openai chat", "openai", CC, ["gpt-4o*", "gpt-5", "gpt-5-mini", "gpt-5.5", "o3", "fast"], {"fast": "gpt-4o"}),
    ("openai responses", "openai", RS, ["gpt-4.1*", "gpt-5.1*", "gpt-5.2*", "gpt-5.4*", "o4-mini"], {}),
    ("generic chat", "openai-compatible", CC, ["qwen-*", "deepseek-*", "kimi-*"], {}),
    ("openrouter chat", "openrouter", CC, ["router-claude"], {"router-claude": "anthropic/claude-sonnet-4.5"}),
    ("anthropic", "anthropic", AM, ["claude-*", "fast-claude"], {"fast-claude": "claude-sonnet-4-5"}),
    ("gemini", "gemini", GM, ["gemini-*"], {}),
    ("left", "openai-compatible", CC, ["pair"], {}),
    ("right", "openai-compatible", CC, ["pair"], {}),
)  # fmt: skip

MODEL: Final = {CC: "gpt-4o", RS: "gpt-4.1", AM: "claude-sonnet-4-5", GM: "gemini-2.5-flash"}
"""A model without oddities at each upstream: no reasoning at OpenAI, thinking by budget at the others."""
REASONER: Final = {CC: "gpt-5", RS: "gpt-5.2", AM: "claude-sonnet-4-5", GM: "gemini-2.5-flash"}
"""A model that can think at each upstream."""
ADAPTIVE: Final = "claude-opus-4-7"
"""Adaptive thinking only, no sampling parameters, no prefill."""
GEMINI_3: Final = "gemini-3-pro"
GENERIC: Final = "qwen-plus"
ROUTED: Final = "router-claude"

_ANSWER: Final = {CC: answers.CHAT, RS: answers.RESPONSE, AM: answers.MESSAGE, GM: answers.GENERATED}
_FRAMES: Final = {
    CC: [*answers.CHAT_FRAMES, answers.CHAT_USAGE, answers.DONE],
    RS: answers.RESPONSE_FRAMES,
    AM: answers.MESSAGE_FRAMES,
    GM: answers.GEMINI_FRAMES,
}

Answer = (
    Mapping[str, Any] | Sequence[bytes] | tuple[int, Mapping[str, Any]] | Callable[[Exchange], None] | None
)
"""What the vendor does: a 200 body, the frames of a stream, (status, body), a script, or None for its dialect's plain "Hello"."""


def dialect_of(model: str) -> str:
    """The dialect of the upstream that serves this model."""
    return next(c[2] for c in _CHANNELS if any(fnmatchcase(model, pattern) for pattern in c[3]))


def _dialect_at(target: str) -> str:
    """The dialect that a request to this path speaks."""
    path = target.partition("?")[0]
    endings = {"/chat/completions": CC, "/responses": RS, "/messages": AM, "enerateContent": GM}
    return next(dialect for ending, dialect in endings.items() if path.endswith(ending))


@dataclass(frozen=True)
class Heard:
    """One exchange as both ends saw it. sent: the requests that reached the vendor; reply: what the client got."""

    client: str
    reply: Reply
    sent: list[Received]

    @property
    def upstream(self) -> Any:
        """The JSON of the one request that the vendor received."""
        assert len(self.sent) == 1, (
            f"{len(self.sent)} requests upstream; client got {self.reply.status} {self.reply.body[:800]!r}"
        )
        return self.sent[0].json

    @property
    def dropped(self) -> list[str]:
        """The paths that the gateway says it could not carry."""
        return [
            path.strip()
            for path in self.reply.headers.get("x-dragoman-dropped", "").split(",")
            if path.strip()
        ]

    @property
    def answer(self) -> Any:
        """The JSON that the client got, with status 200."""
        assert self.reply.status == 200, f"{self.reply.status} {self.reply.body[:1500]!r}"
        return self.reply.json

    @property
    def events(self) -> list[tuple[str, Any]]:
        """(event name, data) of the stream that the client got; ``[DONE]`` is the data "[DONE]"."""
        assert self.reply.status == 200, f"{self.reply.status} {self.reply.body[:1500]!r}"
        return sse(self.reply.body)

    @property
    def chunks(self) -> list[Any]:
        """The JSON values of the stream that the client got, without ``[DONE]``."""
        return [data for _, data in self.events if data != "[DONE]"]


def sse(body: bytes) -> list[tuple[str, Any]]:
    """(event name, data) of every event of an SSE body; comments are left out."""
    out: list[tuple[str, Any]] = []
    for frame in re.split(r"\r?\n\r?\n", body.decode()):
        lines = [line for line in frame.splitlines() if line and not line.startswith(":")]
        name = next((line[6:].strip() for line in lines if line.startswith("event:")), "")
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if data:
            out.append((name, data if data == "[DONE]" else json.loads(data)))
    return out


@dataclass
class Stage:
    """The gateway and its vendor. files: path → (content type, bytes) that the vendor serves to GET requests."""

    gateway: Gateway
    vendor: Vendor
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def ask(
        self,
        client: str,
        upstream: str,
        body: Mapping[str, Any] | bytes,
        *,
        model: str = "",
        answer: Answer = None,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Heard:
        """Send ``body`` as a client of dialect ``client`` to a model that an upstream of dialect ``upstream`` serves.

        ``model`` (default ``MODEL[upstream]``) goes into the body or path, ``stream`` too; Messages bodies get a ``max_tokens``
        of 1024 if they have none. Bytes are sent as they are.
        """
        model = model or MODEL[upstream]
        assert dialect_of(model) == upstream, f"{model} is served by {dialect_of(model)}"
        path, whole = _request(client, model, body, stream=stream)
        self.vendor.script = self._script(answer)
        self.vendor.received.clear()
        reply = self.gateway.post(path, whole, headers)
        return Heard(client, reply, [r for r in self.vendor.received if r.method == "POST"])

    def sends(self, client: str, upstream: str, body: Mapping[str, Any] | bytes, **options: Any) -> Any:
        """The JSON that the upstream receives for ``body``; the client must get a 200. Options as in ``ask``."""
        heard = self.ask(client, upstream, body, **options)
        assert heard.reply.status == 200, f"{heard.reply.status} {heard.reply.body[:1500]!r}"
        return heard.upstream

    def rejects(
        self, client: str, upstream: str, body: Mapping[str, Any] | bytes, path: str, **options: Any
    ) -> None:
        """400 in the client's shape that names ``path``; nothing is sent upstream, nothing is charged."""
        before = self._wallet()
        heard = self.ask(client, upstream, body, **options)
        assert heard.reply.status == 400, (
            f"{heard.reply.status} {heard.reply.body[:800]!r}; upstream got {[r.body[:800] for r in heard.sent]}"
        )
        assert_error_shape(client, heard.reply)
        error = heard.reply.json["error"]
        told = _plain(f"{error['message']} {error.get('param') or ''}")
        assert _plain(path) in told, f"{path} is not named in {told!r}"
        assert heard.sent == []
        assert self._wallet() == before
        rows = self.gateway.rows(
            "SELECT quota, nanos FROM call_logs WHERE request_id = ?", heard.reply.headers["x-request-id"]
        )
        assert all(row["quota"] == 0 and row["nanos"] == 0 for row in rows)

    def serve_file(self, path: str, content_type: str, data: bytes) -> str:
        """The URL under which the vendor's host gives this file."""
        self.files[path] = (content_type, data)
        return self.vendor.url + path

    def _wallet(self) -> int:
        """What the wallets hold, when no call is open any more."""
        sql = "SELECT SUM(balance_nanos) AS balance, SUM(held_nanos) AS held FROM accounts WHERE kind = 2"
        row = self.gateway.eventually(
            lambda: next((row for row in self.gateway.rows(sql) if row["held"] == 0), None)
        )
        balance: int = row["balance"]
        return balance

    def _script(self, answer: Answer) -> Callable[[Exchange], None]:
        def play(exchange: Exchange) -> None:
            request = exchange.request
            if request.method == "GET":
                content_type, data = self.files.get(request.target, ("text/plain", b""))
                exchange.reply(200 if data else 404, data, {"content-type": content_type})
            elif callable(answer):
                answer(exchange)
            elif isinstance(answer, tuple):
                exchange.reply(answer[0], answer[1])
            elif isinstance(answer, Mapping):
                exchange.reply(200, answer)
            else:
                _play_frames_or_plain(exchange, answer)

        return play


def _play_frames_or_plain(exchange: Exchange, frames: Sequence[bytes] | None) -> None:
    request = exchange.request
    dialect = _dialect_at(request.target)
    streams = "streamGenerateContent" in request.target or (
        dialect != GM and request.json.get("stream") is True
    )
    if frames is None and not streams:
        exchange.reply(200, _ANSWER[dialect])
        return
    exchange.start_stream()
    for frame in _FRAMES[dialect] if frames is None else frames:
        exchange.chunk(frame)
    exchange.end_stream()


def _request(
    client: str, model: str, body: Mapping[str, Any] | bytes, *, stream: bool
) -> tuple[str, Mapping[str, Any] | bytes]:
    """Path and body of a client's call."""
    if client == GM:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{verb}", body
    path = {CC: "/v1/chat/completions", RS: "/v1/responses", AM: "/v1/messages"}[client]
    if isinstance(body, bytes):
        return path, body
    steering = {"model": model, **({"stream": True} if stream else {})}
    return path, {**({"max_tokens": 1024} if client == AM else {}), **steering, **body}


def _plain(path: str) -> str:
    """A path in one notation, whichever the dialect uses."""
    return re.sub(r"\[(\d+)\]", r".\1", path)


def assert_error_shape(client: str, reply: Reply) -> None:
    """The error has the shape of the client's dialect (E260)."""
    body = reply.json
    error = body["error"]
    assert isinstance(error["message"], str) and error["message"]
    if client in (CC, RS):
        assert set(error) >= {"message", "type", "param", "code"} and isinstance(error["type"], str)
        assert all(error[name] is None or isinstance(error[name], str) for name in ("param", "code"))
    elif client == AM:
        assert (
            body["type"] == "error" and isinstance(error["type"], str) and isinstance(body["request_id"], str)
        )
    else:
        assert error["code"] == reply.status and re.fullmatch("[A-Z_]+", error["status"])
    assert "detail" not in body


def open_stage(folder: Path) -> Iterator[Stage]:
    """For a fixture: the stage, and a check of the gateway's books when the session is over."""
    vendor = Vendor(lambda exchange: exchange.reply(500, {"error": {"message": "no script"}}))
    channels = [
        channel(
            vendor,
            provider,
            name=name,
            dialects=[dialect],
            models=models,
            model_map=names,
            base_url=f"{vendor.url}/{name}" if models == ["pair"] else vendor.url,
        )
        for name, provider, dialect, models, names in _CHANNELS
    ]
    config, data_dir = folder / "dragoman.toml", folder / "data"
    write_config(
        config,
        {"port": 0, "data_dir": str(data_dir)},
        channels=channels,
        groups=[{"name": "default"}],
        prices=[{**PRICE, "model": "*"}],
        users=users("100000"),
    )
    with config.open("a") as file:
        file.write('[egress]\nallow = ["127.0.0.1/32"]\n')
    gateway = launch(config, data_dir, folder / "gateway.log")
    try:
        yield Stage(gateway, vendor)
    finally:
        gateway.stop()
        vendor.close()
    report = gateway.audit()
    assert report.returncode == 0, report.stdout + report.stderr
