"""Google's stream → events.

Every element is a ``GenerateContentResponse`` with the next parts; function calls come whole. There is no terminator: the
stream is complete if a ``finishReason`` came for every candidate, or a refused prompt. ``Finished`` waits for the end of
the bytes, because some servers repeat the finish reason in every chunk, and usage and grounding come last.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    Annotated,
    Block,
    Citation,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opaque,
    Opened,
    Refusal,
    Signed,
    Start,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from dragoman.core.envelope import BAD_JSON
from dragoman.core.faults import Fault
from dragoman.core.usage import Usage
from dragoman.dialects.base import mapping
from dragoman.dialects.gemini.answer import GROUNDING
from dragoman.dialects.gemini.candidate import (
    BROKEN,
    blocked,
    candidates_of,
    finish_of,
    read_blocks,
    read_logprobs,
)
from dragoman.dialects.gemini.failure import cut, failure, unusable
from dragoman.dialects.gemini.grounding import Offsets, read_citations
from dragoman.dialects.gemini.usage import read_usage

_UNFINISHED: Final = "FINISH_REASON_UNSPECIFIED"
MAX_CHOICES: Final = 64
"""Candidates of one answer; more is garbage."""


class GeminiReader:
    """One stream. ``feed`` takes SSE payloads or elements of the JSON array alike."""

    def __init__(self) -> None:
        self.broken = 0
        self._choices: dict[int, _Choice] = {}
        self._started = False
        self._done = False
        self._refused = False
        self._usage: Usage | None = None
        self._counted: object = None  # the usageMetadata that it was read from

    def feed(self, data: bytes, event: bytes = b"") -> list[Event]:
        if self._done or not data.strip():
            return []
        try:
            value = msgspec.json.decode(data)
        except BAD_JSON:
            self.broken += 1
            return []
        out: list[Event] = []
        for chunk in value if isinstance(value, list) else [value]:
            if not isinstance(chunk, dict):
                self.broken += 1
            elif not self._done:
                out += self._chunk(chunk, data, event)
        return out

    def finish(self) -> list[Event]:
        if self._done:
            return []
        choices = self._choices
        complete = bool(choices) and all(choice.reason for choice in choices.values())
        if not complete and not (self._refused and not choices):
            return self._fail(cut())
        out: list[Event] = []
        for choice in choices.values():
            out += choice.end()
        self._done = True
        return [*out, Ended()]

    def _fail(self, fault: Fault) -> list[Event]:
        self._done = True
        return [
            *(event for choice in self._choices.values() for event in choice.close()),
            Failed(fault=fault),
        ]

    def _chunk(self, chunk: dict[str, Any], data: bytes, event: bytes) -> list[Event]:
        if chunk.get("error") or event == b"error":
            return self._fail(failure(chunk, data))
        out: list[Event] = []
        if not self._started:
            self._started = True
            out.append(Start(model=_text(chunk.get("modelVersion")), id=_text(chunk.get("responseId"))))
        counted = chunk.get("usageMetadata")
        if counted and counted != self._counted:
            self._counted = counted
            usage = read_usage(counted)
            if usage is not None and usage != self._usage:
                self._usage = usage
                out.append(UsageSeen(usage=usage))
        candidates = candidates_of(chunk)
        if not candidates and not self._choices and not self._refused:
            refusal = blocked(chunk)
            if refusal is not None:
                self._refused = True
                return out + _refusal(refusal)
        for candidate in candidates:
            out += self._candidate(candidate)
            if self._done:
                break
        return out

    def _candidate(self, candidate: dict[str, Any]) -> list[Event]:
        index = candidate.get("index")
        number = index if type(index) is int and 0 <= index < MAX_CHOICES else 0
        choice = self._choices.setdefault(number, _Choice(number))
        out = choice.feed(candidate)
        if choice.reason in BROKEN and not any(one.usable for one in self._choices.values()):
            return out + self._fail(unusable(choice.reason))
        return out


def _refusal(refusal: Refusal) -> list[Event]:
    """A prompt that was not let through, as an answer."""
    return [
        Opened(index=0, block=Refusal(text="")),
        Delta(index=0, text=refusal.text),
        Closed(index=0),
        Finished(finish="content_filter"),
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class _Choice:
    """One candidate: at most one block of it is open."""

    __slots__ = ("_called", "_grounding", "_next", "_number", "_open", "_texts", "reason", "usable")

    def __init__(self, number: int) -> None:
        self.reason = ""
        self.usable = False
        """Something came that a client can use."""
        self._number = number
        self._next = 0
        self._open: type[Text] | type[Thinking] | None = None
        self._texts: list[tuple[int, Offsets]] = []  # the text blocks, for the places of citations
        self._called = False
        self._grounding: object = None

    def feed(self, candidate: dict[str, Any]) -> list[Event]:
        out: list[Event] = []
        for block in read_blocks(candidate):
            out += self._block(block)
        if "logprobsResult" in candidate and (tokens := read_logprobs(candidate["logprobsResult"])):
            out.append(Logprobs(tokens=tokens, choice=self._number))
        if GROUNDING in candidate and mapping(candidate[GROUNDING]):
            self._grounding = candidate[GROUNDING]
        reason = _text(candidate.get("finishReason"))
        if reason and reason != _UNFINISHED:
            self.reason = reason
        return out

    def end(self) -> list[Event]:
        out: list[Event] = []
        found: dict[int, list[Citation]] = {}
        for number, citation in read_citations(self._grounding, [offsets for _, offsets in self._texts]):
            if number < len(self._texts):
                found.setdefault(self._texts[number][0], []).append(citation)
        for index, citations in found.items():
            out.append(Annotated(index=index, citations=tuple(citations), choice=self._number))
        out += self.close()  # the text that is open takes its citations with it
        if mapping(self._grounding):
            out += self._whole(Opaque(origin="gemini", kind=GROUNDING, raw=self._grounding))
        finish = finish_of(self.reason, calls=self._called)
        return [*out, Finished(finish=finish, choice=self._number)]

    def close(self) -> list[Event]:
        if self._open is None:
            return []
        self._open = None
        return [Closed(index=self._next - 1, choice=self._number)]

    def _block(self, block: Block) -> list[Event]:
        if isinstance(block, (Text, Thinking)):
            return self._running(block)
        self.usable = True
        if not isinstance(block, ToolCall):
            return self._whole(block)
        self._called = True
        call = ToolCall(id=block.id, name=block.name, arguments="", signature=block.signature)
        return self._whole(call, block.arguments)

    def _whole(self, block: Block, text: str = "") -> list[Event]:
        """A block that comes in one piece."""
        out = self.close()
        index = self._opened()
        out.append(Opened(index=index, block=block, choice=self._number))
        if text:
            out.append(Delta(index=index, text=text, choice=self._number))
        return [*out, Closed(index=index, choice=self._number)]

    def _opened(self) -> int:
        self._next += 1
        return self._next - 1

    def _running(self, block: Text | Thinking) -> list[Event]:
        """More text or thought. A signature ends its block; an empty text with one signs the text that is open."""
        kind = type(block)
        out: list[Event] = []
        if self._open is not kind:
            out += self.close()
            self._open = kind
            index = self._opened()
            empty: Block = Text(text="") if kind is Text else Thinking(redacted=_redacted(block))
            out.append(Opened(index=index, block=empty, choice=self._number))
            if kind is Text:
                self._texts.append((index, Offsets()))
        index = self._next - 1
        if kind is Text:
            self._texts[-1][1].add(block.text)
            self.usable = self.usable or bool(block.text)
        if block.text:
            out.append(Delta(index=index, text=block.text, choice=self._number))
        if block.signature is not None:
            out.append(Signed(index=index, signature=block.signature, choice=self._number))
            out += self.close()
        return out


def _redacted(block: Text | Thinking) -> bool:
    return isinstance(block, Thinking) and block.redacted
