"""Events → Google's stream for a Gemini client: SSE payloads, or with ``Reply.array`` the elements of one growing array.

Text goes out with its event; a function call goes out whole, when its arguments are. The last element carries every
choice's ``finishReason``, its grounding and ``usageMetadata``; a failure is an ``error`` element instead.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

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
    Logprobs,
    Opaque,
    Opened,
    Refusal,
    Signature,
    Signed,
    Start,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    UsageSeen,
)
from dragoman.core.faults import Fault
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply, StreamPoint, mapping
from dragoman.dialects.gemini.answer import (
    GROUNDING,
    finish_reason,
    is_grounding,
    shows_thoughts,
    write_call,
    write_part,
    write_thought,
    write_usage,
)
from dragoman.dialects.gemini.candidate import write_logprobs
from dragoman.dialects.gemini.fault import write_stream_fault
from dragoman.dialects.gemini.grounding import Offsets, write_grounding

Part = dict[str, Any]


class GeminiWriter:
    """One answer. Keeps nothing of the text but the places of its characters, for citations."""

    def __init__(self, reply: Reply) -> None:
        self._model = reply.model
        self._response_id = reply.response_id
        self._array = reply.array
        self._shown = shows_thoughts(reply.conversation)
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._started = False
        self._done = False

    def feed(self, event: Event) -> bytes:
        if self._done:
            return b""
        if isinstance(event, (Start, UsageSeen)):
            self._usage = event.usage or self._usage
            return b""
        if isinstance(event, Ended):
            return self._end()
        if isinstance(event, Failed):
            return self._fail(event.fault)
        choice = self._choices.setdefault(event.choice, _Choice(event.choice, self._shown))
        try:
            parts = choice.feed(event)
        except Fault as fault:
            return self._fail(fault)
        return self._chunk([choice.candidate(parts)]) if parts else b""

    def _chunk(self, candidates: list[dict[str, Any]], *, last: bool = False) -> bytes:
        value: dict[str, Any] = {"candidates": candidates}
        if last:
            value["usageMetadata"] = write_usage(self._usage)
        value["modelVersion"] = self._model
        value["responseId"] = self._response_id
        data = msgspec.json.encode(value)
        if not self._array:
            return b"data: " + data + b"\r\n\r\n"
        head = b",\r\n" if self._started else b"["
        self._started = True
        return head + data

    def _end(self) -> bytes:
        choices = self._choices or {0: _Choice(0, self._shown)}
        last = self._chunk([choices[number].last() for number in sorted(choices)], last=True)
        self._done = True
        return last + b"]" if self._array else last

    def _fail(self, fault: Fault) -> bytes:
        self._done = True
        return write_stream_fault(fault, "", StreamPoint(started=self._started, array=self._array))


class _Open:
    """A block that is not closed yet."""

    __slots__ = ("arguments", "block", "closed", "signature")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.arguments: list[str] = []
        self.signature: Signature | None = None
        self.closed = False
        """A call that is whole, but waits for the calls that began before it."""


class _Choice:
    def __init__(self, number: int, shown: bool) -> None:
        self._number = number
        self._shown = shown
        self._open: dict[int, _Open] = {}
        self._texts: dict[int, tuple[Offsets, int]] = {}  # block → its offsets, bytes of text in front of it
        self._size = 0
        self._cited: list[tuple[Citation, Offsets, int]] = []
        self._grounding: dict[str, Any] = {}
        self._tokens: list[TokenLogprob] = []
        self._finish: Finish = "stop"

    def feed(self, event: Event) -> list[Part]:
        """The parts that go out now. Fault if the arguments of a call that closes are no JSON object."""
        if isinstance(event, Opened):
            return self._opened(event)
        if isinstance(event, Delta):
            return self._delta(event)
        if isinstance(event, Signed):
            return self._signed(event)
        if isinstance(event, Closed):
            return self._closed(event)
        if isinstance(event, Annotated):
            offsets, before = self._texts.get(event.index, (Offsets(), 0))
            self._cited += [(citation, offsets, before) for citation in event.citations]
        elif isinstance(event, Logprobs):
            self._tokens += event.tokens
        elif isinstance(event, Finished):
            self._finish = event.finish
        return []

    def candidate(self, parts: list[Part]) -> dict[str, Any]:
        out: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": self._number}
        if self._tokens:
            out["logprobsResult"] = write_logprobs(self._tokens)
            self._tokens = []
        return out

    def last(self) -> dict[str, Any]:
        """The end of this choice. Clients read a text from every chunk, so there is one."""
        out = self.candidate([{"text": ""}])
        out["finishReason"] = finish_reason(self._finish)
        grounding = self._grounding or write_grounding(self._cited)
        if grounding:
            out[GROUNDING] = grounding
        return out

    def _opened(self, event: Opened) -> list[Part]:
        block = event.block
        opened = self._open[event.index] = _Open(block)
        if isinstance(block, Text):
            self._texts[event.index] = (Offsets(), self._size)
        if isinstance(block, (Text, Refusal)):
            parts = self._text(event.index, block.text)
            if isinstance(block, Text) and block.signature is not None:
                parts += _some(write_part(Text(text="", signature=block.signature), self._shown))
            return parts
        if isinstance(block, Thinking):
            return _some(write_part(block, self._shown))
        if isinstance(block, ToolCall):
            opened.signature = block.signature
            if block.arguments:
                opened.arguments.append(block.arguments)
            return []
        if is_grounding(block) and isinstance(block, Opaque):
            self._grounding = mapping(block.raw)
            return []
        return _some(write_part(block, self._shown))

    def _delta(self, event: Delta) -> list[Part]:
        opened = self._open.get(event.index)
        if opened is None:
            return []
        if isinstance(opened.block, ToolCall):
            opened.arguments.append(event.text)
            return []
        if isinstance(opened.block, Thinking):
            return _some(write_thought(event.text, None)) if self._shown else []
        return self._text(event.index, event.text)

    def _text(self, index: int, text: str) -> list[Part]:
        if not text:
            return []
        if index in self._texts:
            offsets = self._texts[index][0]
            before = offsets.size
            offsets.add(text)
            self._size += offsets.size - before
        else:
            self._size += len(text.encode())
        return [{"text": text}]

    def _signed(self, event: Signed) -> list[Part]:
        opened = self._open.get(event.index)
        if opened is None:
            return []
        if isinstance(opened.block, ToolCall):
            opened.signature = event.signature
            return []
        if isinstance(opened.block, Thinking):
            return _some(write_thought("", event.signature, redacted=opened.block.redacted))
        return _some(write_part(Text(text="", signature=event.signature), self._shown))

    def _closed(self, event: Closed) -> list[Part]:
        """The calls that may go now: they keep the order in which they began."""
        opened = self._open.get(event.index)
        if opened is None or not isinstance(opened.block, ToolCall):
            self._open.pop(event.index, None)
            return []
        opened.closed = True
        parts: list[Part] = []
        for index, one in list(self._open.items()):
            if isinstance(one.block, ToolCall):
                if not one.closed:
                    break
                del self._open[index]
                whole = replace(one.block, arguments="".join(one.arguments), signature=one.signature)
                parts.append(write_call(whole))
        return parts


def _some(part: Part | None) -> list[Part]:
    return [] if part is None else [part]
