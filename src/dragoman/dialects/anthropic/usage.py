"""The tap of Anthropic Messages.

Facts (https://docs.anthropic.com/en/api/messages-streaming): ``input_tokens`` excludes cache reads and
writes; ``cache_creation_input_tokens`` is split by lifetime in ``cache_creation``; ``message_start``
carries the prompt's counts, ``message_delta`` cumulative ones, so the objects are merged member by member
and a later number wins; ``message_stop`` ends a stream; a failure is an ``error`` event, without it.
``output_tokens`` includes thinking.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.envelope import BAD_JSON
from dragoman.core.usage import Usage, count
from dragoman.dialects.base import StreamPoint, content_bytes, mapping, named, text_bytes


class _Delta(Struct):
    text: Any = None
    partial_json: Any = None
    thinking: Any = None
    container: Any = None


class _Message(Struct):
    usage: Any = None
    container: Any = None


class _Event(Struct):
    type: Any = None
    delta: _Delta | None = None
    message: _Message | None = None
    usage: Any = None
    error: Any = None


class _Body(Struct):
    type: Any = None
    usage: Any = None
    container: Any = None
    content: Any = None
    error: Any = None


class _Loose(Struct):
    type: Any = None
    usage: Any = None
    error: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_BODY: Final = msgspec.json.Decoder(_Body)
_LOOSE: Final = msgspec.json.Decoder(_Loose)


def read_usage(value: object) -> Usage | None:
    """An Anthropic ``usage`` object as disjoint counts; None if it states nothing usable."""
    seen = mapping(value)
    plain = count(seen.get("input_tokens"))
    output = count(seen.get("output_tokens"))
    if plain is None and output is None:
        return None
    split = mapping(seen.get("cache_creation"))
    short = count(split.get("ephemeral_5m_input_tokens")) or 0
    long = count(split.get("ephemeral_1h_input_tokens")) or 0
    written = count(seen.get("cache_creation_input_tokens"))
    if written is not None:
        # The total rules: a later frame may raise it without repeating the split.
        long = min(long, written)
        short = written - long
    details = mapping(seen.get("output_tokens_details"))
    reasoning = count(details.get("thinking_tokens")) or count(details.get("reasoning_tokens")) or 0
    return Usage(
        input=plain or 0,
        cached_input=count(seen.get("cache_read_input_tokens")) or 0,
        cache_write_5m=short,
        cache_write_1h=long,
        output=output or 0,
        reasoning=min(reasoning, output or 0),
    )


class AnthropicTap:
    """Listens to one Messages answer, streamed or whole."""

    pending = False

    __slots__ = ("_ids", "_usage", "complete", "failed", "output_bytes", "response_id", "started")

    def __init__(self) -> None:
        self.output_bytes = 0
        self.complete = False
        self.failed = False
        self.response_id: str | None = None
        self.started = False
        self._usage: dict[str, object] = {}
        self._ids: dict[tuple[str, str], None] = {}

    @property
    def usage(self) -> Usage | None:
        return read_usage(self._usage) if self._usage else None

    @property
    def ids(self) -> list[tuple[str, str]]:
        return list(self._ids)

    def frame(self, data: bytes, event: bytes = b"") -> None:
        self.started = True
        seen = _decode(data)
        if seen is None:
            self._by_name(event.decode("utf-8", "replace"))
            return
        delta = seen.delta
        if delta is not None:
            text = delta.text or delta.partial_json or delta.thinking
            if text is not None:
                self.output_bytes += text_bytes(text)
            if delta.container is not None:
                self._container(delta.container)
        if seen.message is not None:
            self._merge(seen.message.usage)
            self._container(seen.message.container)
        if seen.usage is not None:
            self._merge(seen.usage)
        if seen.type != "content_block_delta":
            self._by_name(seen.type if type(seen.type) is str else event.decode("utf-8", "replace"))
            if b'"file_id"' in data:
                self._files(data)
        if seen.error:
            self.failed = True

    def body(self, data: bytes) -> None:
        try:
            seen = _BODY.decode(data)
        except BAD_JSON:
            return
        self._merge(seen.usage)
        self._container(seen.container)
        if seen.error or seen.type == "error":
            self.failed = True
        self.complete = not self.failed
        for block in seen.content if type(seen.content) is list else ():
            self.output_bytes += _block_bytes(mapping(block))
        if b'"file_id"' in data:
            self._files(data)

    def usage_only(self, data: bytes) -> bool:
        return False

    def point(self, *, array: bool = False) -> StreamPoint:
        return StreamPoint(started=self.started)

    def _by_name(self, name: str) -> None:
        if name == "message_stop":
            self.complete = True
        elif name == "error":
            self.failed = True

    def _merge(self, usage: object) -> None:
        for name, value in mapping(usage).items():
            if value is None:
                continue
            if type(value) is dict:
                known = mapping(self._usage.get(name))
                value = {**known, **{key: inner for key, inner in value.items() if inner is not None}}
            self._usage[name] = value

    def _container(self, container: object) -> None:
        if found := named(container) or named(mapping(container).get("id")):
            self._ids["container", found] = None

    def _files(self, data: bytes) -> None:
        """Files that the vendor's own tools made, wherever they stand in a tool result."""
        try:
            stack: list[object] = [msgspec.json.decode(data)]
        except BAD_JSON:
            return
        while stack:
            node = stack.pop()
            if type(node) is dict:
                if found := named(node.get("file_id")):
                    self._ids["file", found] = None
                # `input` holds the model's own words to the caller's tools.
                stack.extend(value for name, value in node.items() if name != "input")
            elif type(node) is list:
                stack.extend(node)


def _decode(data: bytes) -> _Event | None:
    try:
        return _EVENT.decode(data)
    except msgspec.ValidationError:
        pass  # a member of an odd type; how the stream goes on may still be readable
    except BAD_JSON:
        return None
    try:
        loose = _LOOSE.decode(data)
    except BAD_JSON:
        return None
    return _Event(type=loose.type, usage=loose.usage, error=loose.error)


def _block_bytes(block: dict[str, object]) -> int:
    if block.get("type") in ("text", "thinking"):
        return content_bytes(block)
    made = block.get("input")
    return len(msgspec.json.encode(made)) if made else 0
