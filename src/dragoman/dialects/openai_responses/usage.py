"""The tap of the Responses API: usage, ids, sequence numbers and how the answer ended.

Facts (https://platform.openai.com/docs/api-reference/responses-streaming): every event has ``type`` and
``sequence_number``; the whole response object comes in ``response.created`` and again, with ``usage``, in the
terminal event ``response.completed | failed | incomplete | cancelled``; text, reasoning and tool
arguments come as a string ``delta``; ``error`` is an event of its own. ``input_tokens`` includes cached,
``output_tokens`` includes reasoning.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.envelope import BAD_JSON
from dragoman.core.usage import Usage
from dragoman.dialects.base import StreamPoint, content_bytes, mapping, named, text_bytes
from dragoman.dialects.openai_chat.usage import read_usage

_TERMINAL: Final = frozenset(
    {"response.completed", "response.failed", "response.incomplete", "response.cancelled"}
)
_UNFINISHED: Final = ("queued", "in_progress")


class _Item(Struct):
    id: Any = None
    container_id: Any = None


class _Response(Struct):
    id: Any = None
    status: Any = None
    usage: Any = None
    error: Any = None
    conversation: Any = None
    model: Any = None
    created_at: Any = None


class _Event(Struct):
    type: Any = None
    sequence_number: Any = None
    delta: Any = None
    response: _Response | None = None
    item: _Item | None = None
    error: Any = None


class _Body(_Response):
    output: Any = None
    data: Any = None  # of a list of items


class _Loose(Struct):
    type: Any = None
    error: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_BODY: Final = msgspec.json.Decoder(_Body)
_LOOSE: Final = msgspec.json.Decoder(_Loose)


class ResponsesTap:
    """Listens to one Responses answer, streamed or whole."""

    __slots__ = (
        "_created_at",
        "_ids",
        "_model",
        "_usage",
        "complete",
        "failed",
        "last_sequence",
        "output_bytes",
        "pending",
        "response_id",
        "started",
    )

    def __init__(self) -> None:
        self.output_bytes = 0
        self.complete = False
        self.failed = False
        self.pending = False
        self.response_id: str | None = None
        self.last_sequence = -1
        self.started = False
        self._usage: object = None
        self._ids: dict[tuple[str, str], None] = {}
        self._model = ""
        self._created_at = 0

    @property
    def usage(self) -> Usage | None:
        return None if self._usage is None else read_usage(self._usage)

    @property
    def ids(self) -> list[tuple[str, str]]:
        return list(self._ids)

    def frame(self, data: bytes, event: bytes = b"") -> None:
        self.started = True
        seen = _decode(data)
        if seen is None:
            self._by_name(event)
            return
        if type(seen.sequence_number) is int:
            self.last_sequence = seen.sequence_number
        # Audio deltas are base64, not text; their transcript has its own event.
        if type(seen.delta) is str and seen.type != "response.audio.delta":
            delta = seen.delta
            self.output_bytes += len(delta) if delta.isascii() else text_bytes(delta)
            return
        if seen.response is not None:
            self._response(seen.response)
        if seen.item is not None:
            self._item(seen.item.id, seen.item.container_id)
        if type(seen.type) is str:
            self._by_name(seen.type.encode())
        elif event:
            self._by_name(event)
        if seen.error:
            self.failed = True

    def body(self, data: bytes) -> None:
        try:
            seen = _BODY.decode(data)
        except BAD_JSON:
            return
        self._response(seen)
        self.complete = not self.failed and not self.pending
        for entry in seen.output if type(seen.output) is list else ():
            item = mapping(entry)
            self._item(item.get("id"), item.get("container_id"))
            self.output_bytes += content_bytes(item.get("content")) + content_bytes(item.get("summary"))
            self.output_bytes += sum(text_bytes(item.get(name)) for name in ("arguments", "input", "code"))

        for entry in seen.data if type(seen.data) is list else ():
            item = mapping(entry)
            self._item(item.get("id"), item.get("container_id"))

    def usage_only(self, data: bytes) -> bool:
        return False

    def point(self, *, array: bool = False) -> StreamPoint:
        return StreamPoint(
            started=self.started,
            sequence=self.last_sequence,
            response_id=self.response_id or "",
            model=self._model,
            created_at=self._created_at,
        )

    def _by_name(self, name: bytes) -> None:
        """What the event's name alone says; enough even where its data cannot be read."""
        text = name.decode("utf-8", "replace")
        if text in _TERMINAL:
            self.complete = True
        if text in ("error", "response.failed"):
            self.failed = True

    def _response(self, seen: _Response) -> None:
        if response_id := named(seen.id):
            self.response_id = response_id
            self._ids["response", response_id] = None
        conversation = seen.conversation
        if found := named(conversation) or named(mapping(conversation).get("id")):
            self._ids["conversation", found] = None
        if seen.usage is not None:
            self._usage = seen.usage
        if seen.status == "failed" or seen.error:
            self.failed = True
        self.pending = seen.status in _UNFINISHED
        if type(seen.model) is str:
            self._model = seen.model
        if type(seen.created_at) in (int, float) and 0 <= seen.created_at < 2**53:
            self._created_at = int(seen.created_at)

    def _item(self, item_id: object, container_id: object) -> None:
        if found := named(item_id):
            self._ids["item", found] = None
        if found := named(container_id):
            self._ids["container", found] = None


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
    return _Event(type=loose.type, error=loose.error)
