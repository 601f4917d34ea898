"""The usage tap of Chat Completions and of the plain endpoints that share its usage object.

Facts (https://platform.openai.com/docs/api-reference/chat/object and vendors' pages): ``prompt_tokens``
includes cached and cache-written tokens, ``completion_tokens`` includes reasoning. Departures, each
recognised by its own member or by arithmetic: DeepSeek's ``prompt_cache_hit_tokens``; Moonshot's
top-level ``cached_tokens`` and its ``choices[0].usage`` in streams; Groq's ``x_groq.usage``; xAI counts
reasoning beside completion, which shows in ``total_tokens``; embedding vendors that state
``total_tokens`` only.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.envelope import BAD_JSON
from dragoman.core.usage import Usage, count, split_prompt
from dragoman.dialects.base import StreamPoint, content_bytes, mapping, named, text_bytes


class _Delta(Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    text: Any = None
    finish_reason: Any = None
    usage: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None


class _Loose(Struct):
    usage: Any = None
    error: Any = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)
_LOOSE: Final = msgspec.json.Decoder(_Loose)


def read_usage(value: object) -> Usage | None:
    """A vendor's ``usage`` object as disjoint counts; None if it states nothing usable."""
    seen = mapping(value)
    prompt = _either(seen, "prompt_tokens", "input_tokens")
    output = _either(seen, "completion_tokens", "output_tokens")
    total = count(seen.get("total_tokens"))
    details = mapping(seen.get("prompt_tokens_details") or seen.get("input_tokens_details"))
    cached = _either(details, "cached_tokens")
    if cached is None:
        cached = _either(seen, "prompt_cache_hit_tokens", "cached_tokens")
    if prompt is None:
        missed = count(seen.get("prompt_cache_miss_tokens"))
        if missed is not None:
            prompt = missed + (cached or 0)
        elif output is None:
            prompt = total
    if prompt is None and output is None:
        return None
    written = (
        _either(details, "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens") or 0
    )
    plain, cached, written, _ = split_prompt(prompt or 0, cached=cached or 0, write_5m=written)
    generated, reasoning = _generated(seen, prompt or 0, output or 0, total)
    return Usage(
        input=plain, cached_input=cached, cache_write_5m=written, output=generated, reasoning=reasoning
    )


def _generated(seen: dict[str, object], prompt: int, output: int, total: int | None) -> tuple[int, int]:
    details = mapping(seen.get("completion_tokens_details") or seen.get("output_tokens_details"))
    reasoning = _either(details, "reasoning_tokens")
    if reasoning is None:
        reasoning = _either(seen, "reasoning_tokens") or 0
    if reasoning and total == prompt + output + reasoning:
        return output + reasoning, reasoning
    return output, min(reasoning, output)


def _either(source: dict[str, object], *names: str) -> int | None:
    return next((value for name in names if (value := count(source.get(name))) is not None), None)


class ChatTap:
    """Listens to a chat completion, a legacy completion, an embedding or a moderation answer."""

    pending = False

    __slots__ = (
        "_ids",
        "_last",
        "_last_usage_only",
        "_usage",
        "complete",
        "failed",
        "output_bytes",
        "response_id",
        "started",
    )

    def __init__(self) -> None:
        self.output_bytes = 0
        self.complete = False
        self.failed = False
        self.response_id: str | None = None
        self.started = False
        self._usage: object = None
        self._ids: dict[tuple[str, str], None] = {}
        self._last = b""
        self._last_usage_only = False

    @property
    def usage(self) -> Usage | None:
        return None if self._usage is None else read_usage(self._usage)

    @property
    def ids(self) -> list[tuple[str, str]]:
        return list(self._ids) if self._ids else []

    def frame(self, data: bytes, event: bytes = b"") -> None:
        self.started = True
        if data == b"[DONE]":
            self.complete = True
            return
        chunk = self._decode(data)
        if chunk is None:
            return
        self._last = data
        self._last_usage_only = not chunk.choices and chunk.choices is not None and chunk.usage is not None
        if event == b"error":
            self.failed = True
        self._common(chunk)
        for choice in chunk.choices or ():
            delta = choice.delta
            if delta is not None:
                content = delta.content
                # The hot path: one short text a frame.
                if type(content) is str and content.isascii():
                    self.output_bytes += len(content)
                else:
                    self.output_bytes += content_bytes(content)
                self._others(delta)
            self._choice(choice)

    def body(self, data: bytes) -> None:
        chunk = self._decode(data)
        if chunk is None:
            return
        self._common(chunk)
        self.complete = not self.failed
        for choice in chunk.choices or ():
            if choice.message is not None:
                self.output_bytes += content_bytes(choice.message.content)
                self._others(choice.message)
            self._choice(choice)

    def usage_only(self, data: bytes) -> bool:
        if data is self._last or data == self._last:
            return self._last_usage_only
        try:
            chunk = _CHUNK.decode(data)
        except BAD_JSON:
            return False
        return chunk.choices is not None and not chunk.choices and chunk.usage is not None

    def point(self, *, array: bool = False) -> StreamPoint:
        return StreamPoint(started=self.started, array=array)

    def _decode(self, data: bytes) -> _Chunk | None:
        try:
            return _CHUNK.decode(data)
        except msgspec.ValidationError:
            pass  # a member of an odd type; usage and error may still be readable
        except BAD_JSON:
            return None
        try:
            loose = _LOOSE.decode(data)
        except BAD_JSON:
            return None
        return _Chunk(usage=loose.usage, error=loose.error)

    def _common(self, chunk: _Chunk) -> None:
        if chunk.usage is not None:
            self._usage = chunk.usage
        elif chunk.x_groq is not None:
            self._usage = mapping(chunk.x_groq).get("usage") or self._usage
        if chunk.error:
            self.failed = True

    def _others(self, delta: _Delta) -> None:
        self.output_bytes += text_bytes(delta.reasoning_content) or text_bytes(delta.reasoning)
        if delta.refusal is not None:
            self.output_bytes += text_bytes(delta.refusal)
        if delta.tool_calls is not None and type(delta.tool_calls) is list:
            self.output_bytes += sum(_arguments(call) for call in delta.tool_calls)
        if delta.function_call is not None:
            self.output_bytes += text_bytes(mapping(delta.function_call).get("arguments"))
        if delta.audio is not None:
            audio = mapping(delta.audio)
            self.output_bytes += text_bytes(audio.get("transcript"))
            if found := named(audio.get("id")):
                self._ids["audio", found] = None

    def _choice(self, choice: _Choice) -> None:
        if choice.text is not None:
            self.output_bytes += text_bytes(choice.text)
        if choice.finish_reason is not None:
            self.complete = True
        if choice.usage is not None:
            self._usage = choice.usage


def _arguments(call: object) -> int:
    seen = mapping(call)
    return text_bytes(mapping(seen.get("function")).get("arguments")) + text_bytes(
        mapping(seen.get("custom")).get("input")
    )
