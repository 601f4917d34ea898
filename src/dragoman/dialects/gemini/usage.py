"""The tap of Gemini's ``generateContent`` family.

Facts (https://ai.google.dev/api/generate-content#UsageMetadata): ``promptTokenCount`` includes cached
content; ``toolUsePromptTokenCount`` comes on top of it; ``candidatesTokenCount`` excludes
``thoughtsTokenCount``; ``totalTokenCount`` is the sum of all, which tells apart vendors that do count
thoughts as candidates. Every chunk may carry ``usageMetadata``, the last one is whole. A stream has no
terminator: it ends with a ``finishReason`` or with a refused prompt (``promptFeedback.blockReason``).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.envelope import BAD_JSON
from dragoman.core.usage import Usage, count, split_prompt
from dragoman.dialects.base import StreamPoint, mapping, text_bytes


class _Code(Struct):
    code: Any = None


class _Call(Struct):
    args: msgspec.Raw = msgspec.Raw()


class _Part(Struct, rename="camel"):
    text: Any = None
    function_call: _Call | None = None
    executable_code: _Code | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: Any = None


class _Chunk(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    usage_metadata: Any = None
    prompt_feedback: Any = None
    error: Any = None


class _Loose(Struct, rename="camel"):
    usage_metadata: Any = None
    error: Any = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)
_LOOSE: Final = msgspec.json.Decoder(_Loose)
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_usage(value: object) -> Usage | None:
    """A ``usageMetadata`` object as disjoint counts; None if it states nothing usable."""
    seen = mapping(value)
    prompt = count(seen.get("promptTokenCount"))
    candidates = count(seen.get("candidatesTokenCount"))
    total = count(seen.get("totalTokenCount"))
    if prompt is None and candidates is None and total is None:
        return None
    tools = count(seen.get("toolUsePromptTokenCount")) or 0
    thoughts = count(seen.get("thoughtsTokenCount")) or 0
    plain, cached, _, _ = split_prompt(prompt or 0, cached=count(seen.get("cachedContentTokenCount")) or 0)
    if candidates is None:
        # Only the sum says what was generated, as in embeddings (nothing) or in answers that are all thought.
        output = thoughts if total is None or prompt is None else max(thoughts, total - prompt - tools)
    elif thoughts and total == (prompt or 0) + tools + candidates:
        output = candidates
    else:
        output = candidates + thoughts
    return Usage(input=plain + tools, cached_input=cached, output=output, reasoning=min(thoughts, output))


class GeminiTap:
    """Listens to one Gemini answer: SSE payloads, elements of the JSON array, or a whole body."""

    pending = False

    __slots__ = ("_usage", "complete", "failed", "output_bytes", "response_id", "started")

    def __init__(self) -> None:
        self.output_bytes = 0
        self.complete = False
        self.failed = False
        self.response_id: str | None = None
        self.started = False
        self._usage: object = None

    @property
    def usage(self) -> Usage | None:
        return None if self._usage is None else read_usage(self._usage)

    @property
    def ids(self) -> list[tuple[str, str]]:
        return []

    def frame(self, data: bytes, event: bytes = b"") -> None:
        self.started = True
        if event == b"error":
            self.failed = True
        self._read(data)

    def body(self, data: bytes) -> None:
        if not data.lstrip().startswith(b"["):
            if self._read(data):
                self.complete = not self.failed
            return
        try:
            elements = _ARRAY.decode(data)
        except BAD_JSON:
            return
        for element in elements:
            self._read(bytes(element))
        self.complete = not self.failed

    def usage_only(self, data: bytes) -> bool:
        return False

    def point(self, *, array: bool = False) -> StreamPoint:
        return StreamPoint(started=self.started, array=array)

    def _read(self, data: bytes) -> bool:
        chunk = self._decode(data)
        if chunk is None:
            return False
        if chunk.usage_metadata is not None:
            self._usage = chunk.usage_metadata
        if chunk.error:
            self.failed = True
        if chunk.prompt_feedback is not None and mapping(chunk.prompt_feedback).get("blockReason"):
            self.complete = True
        for candidate in chunk.candidates or ():
            if candidate.finish_reason:
                self.complete = True
            if candidate.content is not None:
                for part in candidate.content.parts or ():
                    self._part(part)
        return True

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
        return _Chunk(usage_metadata=loose.usage_metadata, error=loose.error)

    def _part(self, part: _Part) -> None:
        if part.text is not None:
            self.output_bytes += text_bytes(part.text)
        if part.function_call is not None:
            self.output_bytes += len(memoryview(part.function_call.args))
        if part.executable_code is not None:
            self.output_bytes += text_bytes(part.executable_code.code)
