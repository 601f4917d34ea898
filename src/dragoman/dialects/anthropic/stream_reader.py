"""Events of an Anthropic stream as events of the conversation.

Facts (platform.claude.com, streaming messages): blocks come one after the other, each ``content_block_start``, deltas,
``content_block_stop``; usage in ``message_start`` and ``message_delta`` is cumulative and merged member by member;
``message_stop`` is the end, without it the answer is cut; ``error`` is a failure; unknown events and deltas may come any
day and are skipped. What the answer ends with is told at ``message_stop`` only, so that a cut answer never looks whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from dragoman.core.conversation import (
    Annotated,
    Block,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Json,
    Opened,
    Refusal,
    Signature,
    Signed,
    Start,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from dragoman.core.envelope import BAD_JSON
from dragoman.dialects.anthropic.answer import read_opaque, read_signature
from dragoman.dialects.anthropic.content_reader import read_citations
from dragoman.dialects.anthropic.usage import read_usage
from dragoman.dialects.anthropic.words import cut, read_explanation, read_finish, text_of, vendor_failure
from dragoman.dialects.base import mapping

Raw = Mapping[str, Json]
_KEPT_TEXT: Final = 8192
"""Characters of the last text that are kept to see whether ``stop_details`` only repeats it."""


class _Open(Struct):
    """The block that is open now. wire: its index at the vendor. index: ours, -1 for one that is told at its end."""

    wire: Json
    index: int
    raw: dict[str, Json]
    kind: str = ""
    signature: Signature | None = None
    length: int = 0
    """Characters of text so far."""
    citations: list[Json] = []
    """They often come before the text, and hold for all of it: told when the block is whole."""
    fed: bool = False
    """Argument text has come."""
    arguments: list[str] = []
    """Of server tools only: their input, told as a whole."""


class AnthropicReader:
    """Reads one stream. Memory is constant but for the input of a server tool's call and a block's citations."""

    def __init__(self) -> None:
        self.broken = 0
        self._over = False
        self._started = False
        self._open: _Open | None = None
        self._count = 0
        self._calls = False
        self._reason: Json = None
        self._stop_sequence = ""
        self._explanation = ""
        self._last_text: list[str] = []  # of the latest text block, while it is short
        self._last_length = 0
        self._usage: dict[str, Json] = {}

    def feed(self, data: bytes, event: bytes = b"") -> list[Event]:
        if self._over:
            return []
        try:
            frame = msgspec.json.decode(data)
        except BAD_JSON:
            self.broken += 1
            return []
        if type(frame) is not dict:
            self.broken += 1
            return []
        kind = text_of(frame.get("type")) or event.decode("utf-8", "replace")
        if kind == "error" or (frame.get("error") and not kind.startswith(("message_", "content_"))):
            return self._failed(data)
        handle = _HANDLERS.get(kind)
        return handle(self, frame) if handle else []

    def finish(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return [*self._close(), Failed(fault=cut())]

    def _failed(self, data: bytes) -> list[Event]:
        self._over = True
        return [*self._close(), Failed(fault=vendor_failure(data))]

    # --- the message ----------------------------------------------------------------------------------------

    def _message_start(self, frame: Raw) -> list[Event]:
        if self._started:
            return []
        self._started = True
        message = mapping(frame.get("message"))
        self._merge(message.get("usage"))
        start = Start(
            model=text_of(message.get("model")),
            id=text_of(message.get("id")),
            usage=read_usage(self._usage) if self._usage else None,
        )
        return [start]

    def _message_delta(self, frame: Raw) -> list[Event]:
        delta = mapping(frame.get("delta"))
        self._reason = delta.get("stop_reason") or self._reason
        self._stop_sequence = text_of(delta.get("stop_sequence")) or self._stop_sequence
        self._explanation = read_explanation(delta.get("stop_details")) or self._explanation
        self._merge(frame.get("usage"))
        usage = read_usage(self._usage)
        return [UsageSeen(usage=usage)] if usage is not None and frame.get("usage") else []

    def _message_stop(self, frame: Raw) -> list[Event]:
        self._over = True
        events = self._close()
        finish = read_finish(self._reason, calls=self._calls)
        if finish == "refusal" and self._explanation not in ("", "".join(self._last_text)):
            index = self._next()
            events.append(Opened(index=index, block=Refusal(text="")))
            events.append(Delta(index=index, text=self._explanation))
            events.append(Closed(index=index))
        return [*events, Finished(finish=finish, stop_sequence=self._stop_sequence), Ended()]

    def _merge(self, usage: Json) -> None:
        for name, value in mapping(usage).items():
            if value is not None:
                known = self._usage.get(name)
                both = type(value) is dict and type(known) is dict
                self._usage[name] = {**mapping(known), **mapping(value)} if both else value

    # --- blocks ---------------------------------------------------------------------------------------------

    def _block_start(self, frame: Raw) -> list[Event]:
        events = self._close()
        raw = mapping(frame.get("content_block"))
        kind = text_of(raw.get("type"))
        block = _opened(kind, raw)
        index = -1 if block is None else self._next()
        opened = _Open(wire=frame.get("index"), index=index, raw=raw, kind=kind)
        self._open = opened
        if block is None:
            return events
        self._calls = self._calls or isinstance(block, ToolCall)
        if isinstance(block, Text):
            self._last_text, self._last_length = [], 0
        opened.signature = read_signature(raw.get("data" if kind == "redacted_thinking" else "signature"))
        events.append(Opened(index=opened.index, block=block))
        first = text_of(raw.get(kind)) if kind in ("text", "thinking") else ""
        return [*events, *self._told(opened, first)]

    def _block_delta(self, frame: Raw) -> list[Event]:
        opened = self._open
        if opened is None or ("index" in frame and frame["index"] != opened.wire):
            return []
        delta = mapping(frame.get("delta"))
        kind = text_of(delta.get("type"))
        if kind == "input_json_delta":
            return self._argument(opened, text_of(delta.get("partial_json")))
        if opened.index < 0:
            return []
        if kind == "signature_delta":
            opened.signature = read_signature(delta.get("signature")) or opened.signature
            return []
        if kind == "citations_delta":
            opened.citations.append(delta.get("citation"))
            return []
        if kind != f"{opened.kind}_delta":  # a delta that is not this block's, or none that is known
            return []
        return self._told(opened, text_of(delta.get(opened.kind)))

    def _told(self, opened: _Open, text: str) -> list[Event]:
        opened.length += len(text)
        if opened.kind == "text":
            self._keep(text)
        return [Delta(index=opened.index, text=text)] if text else []

    def _keep(self, text: str) -> None:
        self._last_length += len(text)
        if self._last_length <= _KEPT_TEXT:
            self._last_text.append(text)
        else:
            self._last_text.clear()

    def _argument(self, opened: _Open, text: str) -> list[Event]:
        if opened.index < 0:
            opened.arguments.append(text)
            return []
        if not text or opened.kind != "tool_use":
            return []
        opened.fed = True
        return [Delta(index=opened.index, text=text)]

    def _block_stop(self, frame: Raw) -> list[Event]:
        opened = self._open
        if opened is None or ("index" in frame and frame["index"] != opened.wire):
            return []
        return self._close()

    def _close(self) -> list[Event]:
        opened, self._open = self._open, None
        if opened is None:
            return []
        if opened.index < 0:
            return self._opaque(opened)
        events: list[Event] = []
        given = opened.raw.get("input")
        if not opened.fed and type(given) is dict and given:  # the whole input came with the start
            events.append(Delta(index=opened.index, text=msgspec.json.encode(given).decode()))
        if citations := read_citations(opened.citations, opened.length):
            events.append(Annotated(index=opened.index, citations=citations))
        if opened.signature is not None:
            events.append(Signed(index=opened.index, signature=opened.signature))
        return [*events, Closed(index=opened.index)]

    def _opaque(self, opened: _Open) -> list[Event]:
        """A block that only Anthropic understands, in one piece."""
        raw = dict(opened.raw)
        if opened.arguments:
            try:
                raw["input"] = msgspec.json.decode("".join(opened.arguments) or "{}")
            except BAD_JSON:
                self.broken += 1
        block = read_opaque(raw)
        if block is None:
            return []
        index = self._next()
        return [Opened(index=index, block=block), Closed(index=index)]

    def _next(self) -> int:
        self._count += 1
        return self._count - 1


def _opened(kind: str, raw: Raw) -> Block | None:
    """The block as it begins; None for one that is told at its end."""
    if kind == "text":
        return Text(text="")
    if kind in ("thinking", "redacted_thinking"):
        return Thinking(redacted=kind == "redacted_thinking")
    if kind == "tool_use":
        return ToolCall(id=text_of(raw.get("id")), name=text_of(raw.get("name")), arguments="")
    return None


_HANDLERS: Final[Mapping[str, Callable[[AnthropicReader, Raw], list[Event]]]] = {
    "message_start": AnthropicReader._message_start,
    "message_delta": AnthropicReader._message_delta,
    "message_stop": AnthropicReader._message_stop,
    "content_block_start": AnthropicReader._block_start,
    "content_block_delta": AnthropicReader._block_delta,
    "content_block_stop": AnthropicReader._block_stop,
}
