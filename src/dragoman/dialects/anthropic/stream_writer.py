"""Events of a conversation as the SSE frames of an Anthropic stream.

Facts (platform.claude.com, streaming messages; the SDK's accumulator): every frame has an ``event:`` line equal to its
``type``; one block is open at a time and indexes have no gaps, because the SDK appends blocks and finds them by place;
``signature_delta`` is assigned, not appended, so it comes once and whole; one ``message_delta`` with the final usage; a
failure is an ``error`` event, and then neither ``message_delta`` nor ``message_stop``.

Blocks that run side by side are written one after the other: what belongs to a later one waits. A block is started when
it has something to say, so there are no empty ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.conversation import (
    Annotated,
    Block,
    Citation,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finish,
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
from dragoman.core.framing import sse
from dragoman.core.tools import wrapped
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic.answer import carrier, write_block, write_citation, write_signature
from dragoman.dialects.anthropic.words import error_type, stop_details, stop_reason, write_stream_usage
from dragoman.dialects.base import Reply


class _Pending(Struct):
    """A block on its way out. wire: its index in the client's stream, -1 before its start is written."""

    index: int
    block: Block
    wire: int = -1
    signature: Signature | None = None
    text: list[str] = []
    """What waits to be written."""
    citations: list[Citation] = []
    told: int = 0
    """Characters of text written."""
    closed: bool = False


class AnthropicWriter:
    """Writes one stream. Memory: what waits behind the open block; a refusal until the finish is known."""

    def __init__(self, reply: Reply) -> None:
        self._response_id = reply.response_id
        self._model = reply.model
        self._begun = False
        self._over = False
        self._next = 0
        self._queue: list[_Pending] = []  # the first is the one being written
        self._finish: Finish | None = None
        self._stop_sequence = ""
        self._usage: Usage | None = None
        self._refusals: list[str] = []

    def feed(self, event: Event) -> bytes:
        if self._over or getattr(event, "choice", False):  # this dialect has one choice
            return b""
        handle = _HANDLERS.get(type(event))
        if handle is None:
            return b""
        if self._begun or isinstance(event, Start):
            return handle(self, event)
        return self._start(Start()) + handle(self, event)

    # --- the message ----------------------------------------------------------------------------------------

    def _start(self, event: Start) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message: dict[str, Json] = {
            "id": f"msg_{self._response_id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_stream_usage(event.usage),
        }
        return _frame("message_start", message=message)

    def _finished(self, event: Finished) -> bytes:
        self._finish, self._stop_sequence = event.finish, event.stop_sequence
        return b""

    def _usage_seen(self, event: UsageSeen) -> bytes:
        self._usage = event.usage
        return b""

    def _ended(self, event: Ended) -> bytes:
        self._over = True
        out = self._drain()
        finish = self._finish or "stop"
        refusal = "".join(self._refusals)
        if refusal and finish != "content_filter":  # a filter's words explain, they are no content (E151)
            out += self._whole({"type": "text", "text": ""}, {"type": "text_delta", "text": refusal})
        reason = stop_reason(finish, refused=bool(refusal))
        delta: dict[str, Json] = {
            "stop_reason": reason,
            "stop_sequence": (self._stop_sequence or None) if reason == "stop_sequence" else None,
        }
        if reason == "refusal":
            delta["stop_details"] = stop_details(refusal)
        out += _frame("message_delta", delta=delta, usage=write_stream_usage(self._usage))
        return out + _frame("message_stop")

    def _failed(self, event: Failed) -> bytes:
        self._over = True
        current = self._queue[0] if self._queue else None
        out = b""
        if current is not None and current.wire >= 0:
            out = _frame("content_block_stop", index=current.wire)
        self._queue.clear()
        return out + _frame("error", error={"type": error_type(event.fault), "message": event.fault.message})

    # --- blocks ---------------------------------------------------------------------------------------------

    def _opened(self, event: Opened) -> bytes:
        block = event.block
        first = _first_text(block)
        self._queue.append(_Pending(event.index, block, text=[first] if first else []))
        return self._advance()

    def _delta(self, event: Delta) -> bytes:
        pending = self._find(event.index)
        if pending is None or not event.text:
            return b""
        pending.text.append(event.text)
        return self._advance()

    def _annotated(self, event: Annotated) -> bytes:
        pending = self._find(event.index)
        if pending is None:
            return b""  # a closed block takes no citations
        pending.citations.extend(event.citations)
        return self._advance()

    def _signed(self, event: Signed) -> bytes:
        pending = self._find(event.index)
        if pending is not None:
            pending.signature = event.signature
        return b""

    def _closed(self, event: Closed) -> bytes:
        pending = self._find(event.index)
        if pending is None:
            return b""
        pending.closed = True
        return self._advance()

    def _find(self, index: int) -> _Pending | None:
        return next((one for one in self._queue if one.index == index and not one.closed), None)

    def _drain(self) -> bytes:
        for pending in self._queue:
            pending.closed = True
        return self._advance()

    def _advance(self) -> bytes:
        """Write what may be written now: the first block, and the next ones as soon as those before are closed."""
        out = b""
        while self._queue:
            current = self._queue[0]
            if isinstance(current.block, Refusal):
                self._refusals.extend(current.text)
                current.text.clear()
            elif isinstance(current.block, Text | Thinking | ToolCall):
                out += self._write(current)
            elif current.closed:
                out += self._write_whole(current.block)
            if not current.closed:
                return out
            self._queue.pop(0)
        return out

    def _write(self, current: _Pending) -> bytes:
        text = "".join(current.text)
        current.text.clear()
        out = b""
        if text and not (isinstance(current.block, ToolCall) and current.block.custom):
            out += self._begin(current)
            out += _frame("content_block_delta", index=current.wire, delta=_delta_of(current.block, text))
        elif text:
            current.text.append(text)  # free text becomes the member of an object when it is whole
        current.told += len(text)
        if current.citations and current.wire >= 0:
            out += self._cite(current)
        return out + self._end(current) if current.closed else out

    def _begin(self, current: _Pending) -> bytes:
        """The start of a block, if it is not written yet; in front of it the carrier of its signature."""
        if current.wire >= 0:
            return b""
        block, out = current.block, b""
        signature = current.signature or getattr(block, "signature", None)
        if isinstance(block, Text | ToolCall):
            for carried in carrier(signature, call=isinstance(block, ToolCall)):
                out += self._carry(carried)
            current.signature = None
        current.wire = self._next
        self._next += 1
        if isinstance(block, ToolCall):
            call_id = block.id or f"toolu_{self._response_id}{current.index}"
            start: dict[str, Json] = {"type": "tool_use", "id": call_id, "name": block.name, "input": {}}
        elif isinstance(block, Thinking):
            start = {"type": "thinking", "thinking": "", "signature": ""}
        else:
            start = {"type": "text", "text": ""}
        return out + _frame("content_block_start", index=current.wire, content_block=start)

    def _end(self, current: _Pending) -> bytes:
        """The rest of a block: what was kept for its end, and its stop."""
        block = current.block
        signature = current.signature or getattr(block, "signature", None)
        if isinstance(block, Thinking):
            return self._end_thinking(current, block, signature)
        out = b""
        if isinstance(block, ToolCall):
            out += self._begin(current)
            if block.custom:
                arguments = wrapped("".join(current.text))
                delta = _delta_of(block, arguments)
                out += _frame("content_block_delta", index=current.wire, delta=delta)
        if current.wire >= 0:
            out += _frame("content_block_stop", index=current.wire)
            signature = current.signature  # one that came before the start has been carried in front of it
        if isinstance(block, Text):
            for carried in carrier(signature, call=False):
                out += self._carry(carried)
        return out

    def _end_thinking(self, current: _Pending, block: Thinking, signature: Signature | None) -> bytes:
        if current.wire < 0 and signature is None:
            return b""
        if current.wire < 0 and block.redacted:
            return self._whole(
                {"type": "redacted_thinking", "data": write_signature(signature, redacted=True)}
            )
        out = self._begin(current)
        if signature is not None:
            delta = {"type": "signature_delta", "signature": write_signature(signature)}
            out += _frame("content_block_delta", index=current.wire, delta=delta)
        return out + _frame("content_block_stop", index=current.wire)

    def _carry(self, block: Mapping[str, Json]) -> bytes:
        start = {**block, "signature": ""}
        return self._whole(start, {"type": "signature_delta", "signature": block["signature"]})

    def _cite(self, current: _Pending) -> bytes:
        out = b""
        for citation in current.citations:
            told = write_citation(citation, "")  # the text is gone already
            if told is not None:
                delta = {"type": "citations_delta", "citation": told}
                out += _frame("content_block_delta", index=current.wire, delta=delta)
        current.citations.clear()
        return out

    def _write_whole(self, block: Block) -> bytes:
        """A block that comes in one piece."""
        out = b""
        for written in write_block(block, ""):
            if written.get("type") == "text":
                out += self._whole(
                    {"type": "text", "text": ""}, {"type": "text_delta", "text": written["text"]}
                )
            else:
                out += self._whole(written)
        return out

    def _whole(self, start: Mapping[str, Json], delta: Mapping[str, Json] | None = None) -> bytes:
        """Start, at most one delta, stop."""
        index = self._next
        self._next += 1
        out = _frame("content_block_start", index=index, content_block=start)
        if delta is not None:
            out += _frame("content_block_delta", index=index, delta=delta)
        return out + _frame("content_block_stop", index=index)


def _first_text(block: Block) -> str:
    """Text that an opened block brings along."""
    if isinstance(block, ToolCall):
        return block.arguments
    return block.text if isinstance(block, Text | Thinking | Refusal) else ""


def _delta_of(block: Block, text: str) -> dict[str, Json]:
    if isinstance(block, ToolCall):
        return {"type": "input_json_delta", "partial_json": text}
    if isinstance(block, Thinking):
        return {"type": "thinking_delta", "thinking": text}
    return {"type": "text_delta", "text": text}


def _frame(kind: str, **members: Json) -> bytes:
    return sse(msgspec.json.encode({"type": kind, **members}), kind.encode())


_HANDLERS: Final[Mapping[type, Callable[[AnthropicWriter, Any], bytes]]] = {
    Start: AnthropicWriter._start,
    Opened: AnthropicWriter._opened,
    Delta: AnthropicWriter._delta,
    Annotated: AnthropicWriter._annotated,
    Signed: AnthropicWriter._signed,
    Closed: AnthropicWriter._closed,
    Finished: AnthropicWriter._finished,
    UsageSeen: AnthropicWriter._usage_seen,
    Ended: AnthropicWriter._ended,
    Failed: AnthropicWriter._failed,
}
