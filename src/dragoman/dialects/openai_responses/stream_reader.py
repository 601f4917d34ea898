"""The SSE events of a Responses stream → events.

Facts: openai 3.52.0 ``types/responses/response_stream_event.py``. What an item says may come as deltas, again whole in
``….done`` and ``output_item.done``, and again in the terminal event; some vendors leave one or the other out. So for
every piece of an item the number of characters that went out is kept, and a later, longer form adds only its rest.
Items are told apart by ``output_index``; in the terminal event by id, else by place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

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
from dragoman.core.tools import is_object
from dragoman.dialects.base import mapping
from dragoman.dialects.openai_chat.usage import read_usage
from dragoman.dialects.openai_responses.checked import ORIGIN
from dragoman.dialects.openai_responses.failure import cut_fault, told_fault
from dragoman.dialects.openai_responses.item_reader import read_citation
from dragoman.dialects.openai_responses.output_reader import (
    CALLS,
    JOINT,
    called,
    citations_of,
    finish_of,
    objects,
    read_logprobs,
    seconds,
    signature_of,
    text_of,
)

_Key = tuple[int, str, int]  # output_index, kind, content_index
_EMPTY: Final[dict[str, Block]] = {
    "text": Text(text=""),
    "refusal": Refusal(text=""),
    "reasoning": Thinking(),
}


class _Piece(Struct):
    """One piece of an item. block: the number of its block, -1 while it has none open. sent: characters that went
    out. call: its arguments so far, for calls. notes: citations that went out. part: of a summary, the current one."""

    block: int = -1
    sent: int = 0
    notes: int = 0
    part: int = 0
    shown_as: str = ""
    call: list[str] | None = None


class ResponsesReader:
    """One stream of a Responses upstream."""

    def __init__(self) -> None:
        self.broken = 0
        self._over = False
        self._started = False
        self._next = 0  # number of the next block
        self._alone: _Key | None = None  # the open text, refusal or reasoning
        self._pieces: dict[_Key, _Piece] = {}
        self._places: dict[str, int] = {}  # item id → output_index
        self._done: set[int] = set()  # output_index of items that are whole
        self._calls = False

    def feed(self, data: bytes, event: bytes = b"") -> list[Event]:
        if self._over or data.strip() in (b"", b"[DONE]"):
            return []
        try:
            frame = msgspec.json.decode(data)
        except BAD_JSON:
            frame = None
        if type(frame) is not dict:
            self.broken += 1
            return []
        kind = text_of(frame, "type") or event.decode("utf-8", "replace")
        handler = _HANDLERS.get(kind)
        if handler is not None:
            return handler(self, frame)
        return self._end_failed(frame) if frame.get("error") and not kind.startswith("response.") else []

    def finish(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return [*self._close_all(), Failed(fault=cut_fault())]

    # -- the response ----------------------------------------------------------------------------------------

    def _lifecycle(self, frame: dict[str, Any]) -> list[Event]:
        if self._started:
            return []
        self._started = True
        response = mapping(frame.get("response"))
        return [
            Start(
                model=text_of(response, "model"),
                id=text_of(response, "id"),
                created=seconds(response.get("created_at")),
            )
        ]

    def _terminal(self, frame: dict[str, Any]) -> list[Event]:
        response = mapping(frame.get("response"))
        if response.get("error") or response.get("status") in ("failed", "cancelled"):
            return self._end_failed(frame)
        out: list[Event] = self._lifecycle(frame)
        for place, item in enumerate(objects(response.get("output"))):
            out += self._whole(self._places.get(text_of(item, "id"), place), item)
        out += self._close_all()
        out += self._usage(response)
        self._over = True
        if text_of(frame, "type") == "response.incomplete":
            response = {"status": "incomplete", **response}
        finish = finish_of(response, calls=self._calls)
        return [*out, Finished(finish=finish), Ended()]

    def _end_failed(self, frame: dict[str, Any]) -> list[Event]:
        self._over = True
        out = self._close_all() + self._usage(mapping(frame.get("response")))
        return [*out, Failed(fault=told_fault(frame))]

    def _usage(self, response: dict[str, Any]) -> list[Event]:
        usage = read_usage(response["usage"]) if response.get("usage") is not None else None
        return [] if usage is None else [UsageSeen(usage=usage)]

    # -- blocks ----------------------------------------------------------------------------------------------

    def _piece(self, key: _Key) -> _Piece:
        return self._pieces.setdefault(key, _Piece())

    def _open(self, key: _Key, piece: _Piece, block: Block) -> list[Event]:
        out: list[Event] = self._lifecycle({})
        if isinstance(block, ToolCall):
            self._calls = True
            piece.call = []
            if self._alone is not None:
                out += self._close(self._alone)
        else:
            out += self._alone_now(key)
        piece.block = self._next
        self._next += 1
        return [*out, Opened(index=piece.block, block=block)]

    def _alone_now(self, key: _Key) -> list[Event]:
        """Ends what may not stay open beside ``key``: another text, and calls that are whole."""
        out: list[Event] = []
        for other, piece in list(self._pieces.items()):
            if piece.block < 0 or other == key:
                continue
            if piece.call is None or is_object("".join(piece.call)):
                out += self._close(other)
        self._alone = key
        return out

    def _close(self, key: _Key) -> list[Event]:
        piece = self._pieces.get(key)
        if piece is None or piece.block < 0:
            return []
        index, piece.block = piece.block, -1
        if piece.call:
            piece.call = []  # still a call, but its text is not needed any more
        if self._alone == key:
            self._alone = None
        return [Closed(index=index)]

    def _close_all(self) -> list[Event]:
        return [event for key in list(self._pieces) for event in self._close(key)]

    def _more(self, key: _Key, text: str, logprobs: object = None) -> list[Event]:
        """More text of a piece, whose block is opened if it has none."""
        if not text or key[0] in self._done:
            return []
        piece = self._piece(key)
        out: list[Event] = []
        if piece.block < 0:
            out += self._open(key, piece, _EMPTY[key[1]])
        piece.sent += len(text)
        tokens = read_logprobs(logprobs)
        if tokens:
            out.append(Logprobs(tokens=tokens))
        return [*out, Delta(index=piece.block, text=text)]

    def _rest(self, key: _Key, text: str, logprobs: object = None) -> list[Event]:
        """What of a whole text did not go out yet."""
        sent = self._piece(key).sent
        return self._more(key, text[sent:], None if sent else logprobs)

    # -- text ------------------------------------------------------------------------------------------------

    def _text_delta(self, frame: dict[str, Any]) -> list[Event]:
        return self._more(self._key(frame, "text"), text_of(frame, "delta"), frame.get("logprobs"))

    def _text_done(self, frame: dict[str, Any]) -> list[Event]:
        return self._rest(self._key(frame, "text"), text_of(frame, "text"), frame.get("logprobs"))

    def _refusal_delta(self, frame: dict[str, Any]) -> list[Event]:
        return self._more(self._key(frame, "refusal"), text_of(frame, "delta"))

    def _refusal_done(self, frame: dict[str, Any]) -> list[Event]:
        return self._rest(self._key(frame, "refusal"), text_of(frame, "refusal"))

    def _annotation(self, frame: dict[str, Any]) -> list[Event]:
        piece = self._piece(self._key(frame, "text"))
        note = frame.get("annotation")
        if piece.block < 0 or type(note) is not dict:
            return []
        piece.notes += 1
        return [Annotated(index=piece.block, citations=(read_citation(note),))]

    # -- reasoning -------------------------------------------------------------------------------------------

    def _summary_delta(self, frame: dict[str, Any]) -> list[Event]:
        return self._thought(frame, "summary", "summary_index", text_of(frame, "delta"))

    def _reasoning_delta(self, frame: dict[str, Any]) -> list[Event]:
        return self._thought(frame, "content", "content_index", text_of(frame, "delta"))

    def _thought(self, frame: dict[str, Any], shown_as: str, part_name: str, text: str) -> list[Event]:
        """A summary or the reasoning itself, whichever comes first; both say the same. Parts are joined."""
        key = (self._place(frame), "reasoning", 0)
        piece = self._piece(key)
        if piece.shown_as not in ("", shown_as) or not text:
            return []
        piece.shown_as = shown_as
        part = _number(frame, part_name)
        if part != piece.part and piece.sent:
            text = JOINT + text
        piece.part = part
        return self._more(key, text)

    # -- calls -----------------------------------------------------------------------------------------------

    def _arguments_delta(self, frame: dict[str, Any]) -> list[Event]:
        return self._arguments(frame, text_of(frame, "delta"))

    def _arguments_done(self, frame: dict[str, Any]) -> list[Event]:
        sent = self._piece(self._call_key(frame)).sent
        whole = text_of(frame, "arguments") or text_of(frame, "input")
        return self._arguments(frame, whole[sent:])

    def _arguments(self, frame: dict[str, Any], text: str) -> list[Event]:
        piece = self._piece(self._call_key(frame))
        if piece.block < 0 or piece.call is None or not text:
            return []  # a call that was not announced comes whole with its item
        piece.call.append(text)
        return self._more(self._call_key(frame), text)

    # -- items: where they stand -----------------------------------------------------------------------------

    def _place(self, frame: dict[str, Any]) -> int:
        """The ``output_index`` of the item that a frame speaks of; found by its id where the vendor does not say."""
        item_id = text_of(frame, "item_id") or text_of(mapping(frame.get("item")), "id")
        place = frame.get("output_index")
        if type(place) is not int:
            return self._places.setdefault(item_id, len(self._places)) if item_id else 0
        if item_id:
            self._places[item_id] = place
        return place

    def _key(self, frame: dict[str, Any], kind: str) -> _Key:
        return self._place(frame), kind, _number(frame, "content_index")

    def _call_key(self, frame: dict[str, Any]) -> _Key:
        return self._place(frame), "call", 0

    # -- items -----------------------------------------------------------------------------------------------

    def _item_added(self, frame: dict[str, Any]) -> list[Event]:
        item = mapping(frame.get("item"))
        place = self._place(frame)
        if text_of(item, "type") not in CALLS:
            return []
        key = (place, "call", 0)
        piece = self._piece(key)
        if piece.call is not None:
            return []
        return self._open(key, piece, msgspec.structs.replace(called(item), arguments=""))

    def _item_done(self, frame: dict[str, Any]) -> list[Event]:
        return self._whole(self._place(frame), mapping(frame.get("item")))

    def _whole(self, place: int, item: dict[str, Any]) -> list[Event]:
        """A whole item: what of it did not go out yet, and the end of its blocks."""
        kind = text_of(item, "type")
        if place in self._done or not kind:
            return []
        read = _WHOLE.get(kind, ResponsesReader._whole_other)
        out = read(self, place, item)
        self._done.add(place)
        return out

    def _whole_other(self, place: int, item: dict[str, Any]) -> list[Event]:
        key = (place, "other", 0)
        block = Opaque(origin=ORIGIN, kind=text_of(item, "type"), raw=item)
        return self._open(key, self._piece(key), block) + self._close(key)

    def _whole_message(self, place: int, item: dict[str, Any]) -> list[Event]:
        out: list[Event] = []
        for number, part in enumerate(objects(item.get("content"))):
            if part.get("type") == "refusal":
                key: _Key = (place, "refusal", number)
                out += self._rest(key, text_of(part, "refusal"))
            else:
                key = (place, "text", number)
                out += self._rest(key, text_of(part, "text"), part.get("logprobs"))
                piece = self._piece(key)
                late = citations_of(part)[piece.notes :]
                if late and piece.block >= 0:
                    piece.notes += len(late)
                    out.append(Annotated(index=piece.block, citations=late))
            out += self._close(key)
        for key in [key for key in self._pieces if key[0] == place]:
            out += self._close(key)
        return out

    def _whole_reasoning(self, place: int, item: dict[str, Any]) -> list[Event]:
        key: _Key = (place, "reasoning", 0)
        piece = self._piece(key)
        names = (piece.shown_as,) if piece.shown_as else ("summary", "content")
        parts = (
            [text for part in objects(item.get(name)) if (text := text_of(part, "text"))] for name in names
        )
        out = self._rest(key, JOINT.join(next((texts for texts in parts if texts), [])))
        signature = signature_of(item)
        if signature is not None:
            if piece.block < 0:
                out += self._open(key, piece, Thinking())
            out.append(Signed(index=piece.block, signature=signature))
        return out + self._close(key)

    def _whole_call(self, place: int, item: dict[str, Any]) -> list[Event]:
        key: _Key = (place, "call", 0)
        piece = self._piece(key)
        out: list[Event] = []
        call = called(item)
        if piece.call is None:
            out += self._open(key, piece, msgspec.structs.replace(call, arguments=""))
        if piece.block < 0:
            return out
        out += self._rest(key, text_of(item, CALLS[item["type"]]))
        return out + self._close(key)


_WHOLE: Final[dict[str, Callable[[ResponsesReader, int, dict[str, Any]], list[Event]]]] = {
    "message": ResponsesReader._whole_message,
    "reasoning": ResponsesReader._whole_reasoning,
    **dict.fromkeys(CALLS, ResponsesReader._whole_call),
}


def _number(frame: dict[str, Any], name: str) -> int:
    value = frame.get(name)
    return value if type(value) is int else 0


_HANDLERS: Final[dict[str, Callable[[ResponsesReader, dict[str, Any]], list[Event]]]] = {
    "response.created": ResponsesReader._lifecycle,
    "response.queued": ResponsesReader._lifecycle,
    "response.in_progress": ResponsesReader._lifecycle,
    "response.output_item.added": ResponsesReader._item_added,
    "response.output_item.done": ResponsesReader._item_done,
    "response.output_text.delta": ResponsesReader._text_delta,
    "response.output_text.done": ResponsesReader._text_done,
    "response.output_text.annotation.added": ResponsesReader._annotation,
    "response.refusal.delta": ResponsesReader._refusal_delta,
    "response.refusal.done": ResponsesReader._refusal_done,
    "response.reasoning_summary_text.delta": ResponsesReader._summary_delta,
    "response.reasoning_text.delta": ResponsesReader._reasoning_delta,
    "response.function_call_arguments.delta": ResponsesReader._arguments_delta,
    "response.function_call_arguments.done": ResponsesReader._arguments_done,
    "response.custom_tool_call_input.delta": ResponsesReader._arguments_delta,
    "response.custom_tool_call_input.done": ResponsesReader._arguments_done,
    "response.completed": ResponsesReader._terminal,
    "response.incomplete": ResponsesReader._terminal,
    "response.failed": ResponsesReader._end_failed,
    "response.cancelled": ResponsesReader._end_failed,
    "error": ResponsesReader._end_failed,
}
