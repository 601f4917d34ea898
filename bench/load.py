"""The load generator: compiles ``load.c``, keeps one process of it, and speaks its line protocol."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
BINARY = HERE / "bin" / "load"
UPSTREAM_KEY = "sk-upstream"
UPSTREAM_MODEL = "gpt-4.1"

_FILLER = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore "


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


def compile_load() -> Path:
    """Build ``bench/bin/load`` when it is missing or older than its source."""
    source = HERE / "load.c"
    if BINARY.exists() and BINARY.stat().st_mtime > source.stat().st_mtime:
        return BINARY
    compiler = os.environ.get("CC") or next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None:
        raise BenchError("no C compiler found (cc, gcc or clang, or name one in CC)")
    BINARY.parent.mkdir(exist_ok=True)
    subprocess.run([compiler, "-O2", "-Wall", "-o", str(BINARY), str(source)], check=True)
    return BINARY


def chat_body(model: str, *, stream: bool) -> bytes:
    """A chat request of 1 024 bytes; ``@@@@@@`` is where the load generator writes the stream's number."""

    def encode(filler: str) -> bytes:
        body: dict[str, Any] = {
            "model": model,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant. Answer briefly and precisely."},
                {"role": "user", "content": f"Please explain the following text to me: {filler}"},
            ],
            "temperature": 0.7,
            "max_tokens": 256,
            "seed": "@@@@@@",
        }
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return json.dumps(body).replace('"@@@@@@"', "@@@@@@").encode()

    missing = 1024 - len(encode(""))
    return encode((_FILLER * 12)[:missing])


def messages_body(model: str, *, stream: bool) -> bytes:
    """The same conversation as an Anthropic request of 1 024 bytes; ``@@@@@@`` stands in ``metadata.user_id``."""

    def encode(filler: str) -> bytes:
        body: dict[str, Any] = {
            "model": model,
            "system": "You are a helpful assistant. Answer briefly and precisely.",
            "messages": [
                {"role": "user", "content": f"Please explain the following text to me: {filler}"},
            ],
            "temperature": 0.7,
            "max_tokens": 256,
            "metadata": {"user_id": "@@@@@@"},
        }
        if stream:
            body["stream"] = True
        return json.dumps(body).encode()

    missing = 1024 - len(encode(""))
    return encode((_FILLER * 12)[:missing])


def http_request(port: int, key: str, body: bytes, path: str = "/v1/chat/completions") -> bytes:
    """The request as the official Python SDK sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 1.99.0\r\n"
        "X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 1.99.0\r\n"
        "X-Stainless-Async: async:asyncio\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Load:
    """One running ``load`` process: both the upstream and the clients."""

    def __init__(self, upstream_port: int, folder: Path, core: int | None) -> None:
        self.upstream_port = upstream_port
        self._folder = folder
        command = [str(compile_load()), str(upstream_port)]
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._event(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _event(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                raise BenchError(f"the load generator said nothing for {timeout_s:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the load generator ended")
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "error":
            raise BenchError(event["line"])
        return event

    def run(
        self,
        mode: str,
        port: int,
        request: bytes,
        *,
        conns: int,
        seconds: float,
        rate: float = 0,
        frames: int = 0,
        interval_us: float = 0,
        when_open: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """One run; load.c tells the modes. ``when_open`` is called when every stream has had a frame."""
        path = self._folder / "request.http"
        path.write_bytes(request)
        assert self._process.stdin is not None
        self._process.stdin.write(
            f"run {mode} {port} {conns} {seconds} {rate} {frames} {interval_us} {path}\n"
        )
        self._process.stdin.flush()
        while True:
            event = self._event(seconds + 40)
            if event["event"] == "open" and when_open is not None:
                when_open()
            if event["event"] == "done":
                return event
