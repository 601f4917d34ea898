"""Events → the SSE events of a Responses stream.

Order (openai 3.52.0 ``lib/streaming/responses``, Codex): created, in_progress, then per item added, its parts and
deltas, done, at last completed, incomplete or failed with the whole response; ``sequence_number`` from 0 without gaps;
no ``[DONE]``. Items keep their id and place; each is added once and done before the end.

A block begins to show with its first text, so that empty ones leave no trace. A text or refusal that has ended is held
open until the next thing begins: neighbours are parts of one message, and citations may still come. The whole output is
kept, because the last event repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.conversation import (
    Annotated,
    Base64,
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
    Media,
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
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply, StreamPoint
from dragoman.dialects.openai_responses.fault import failure_code, write_stream_fault
from dragoman.dialects.openai_responses.response_object import (
    Item,
    Shell,
    call_item,
    call_seal,
    image_item,
    logprob_objects,
    message_item,
    notes_of,
    reasoning_item,
    refusal_part,
    status_of,
    text_part,
)

_CALL_EVENTS: Final = {
    False: ("response.function_call_arguments", "arguments"),
    True: ("response.custom_tool_call_input", "input"),
}


class _Message(Struct):
    """The message item that is being written. part: the block whose part is open."""

    item_id: str
    place: int
    content: list[Item]
    part: _Open | None = None


class _Open(Struct):
    """A block. pieces: its text so far. place: of its item in the output, -1 until it shows. spot: of its part.
    citations: those that wait for the end of the text; notes: those that were said."""

    block: Block
    pieces: list[str]
    item_id: str = ""
    place: int = -1
    spot: int = 0
    length: int = 0
    citations: tuple[Citation, ...] = ()
    notes: list[Item] = []
    logprobs: list[Item] = []
    signature: Signature | None = None
    closed: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def at(self) -> dict[str, Any]:
        return {"item_id": self.item_id, "output_index": self.place}


class ResponsesWriter:
    """One stream to a Responses client."""

    def __init__(self, reply: Reply) -> None:
        self._shell = Shell.of(reply)
        self._ids = reply.response_id
        self._sequence = 0
        self._out: list[bytes] = []
        self._over = False
        self._items: list[Item | None] = []  # None: added, not done
        self._blocks: dict[int, _Open] = {}
        self._message: _Message | None = None
        self._fresh: list[Item] = []  # logprobs that wait for their text
        self._finish: Finish = "stop"
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        if self._over or getattr(event, "choice", 0) != 0:
            return b""
        if isinstance(event, Failed):
            self._failed(event)
        else:
            if not self._sequence:
                self._begin()
            _HANDLERS[type(event)](self, event)
        frames = b"".join(self._out)
        self._out.clear()
        return frames

    def _say(self, kind: str, **members: Any) -> None:
        event = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        self._out.append(sse(msgspec.json.encode(event), kind.encode()))

    # -- the response ----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        for kind in ("response.created", "response.in_progress"):
            self._say(kind, response=self._shell.running())

    def _start(self, event: Start) -> None:
        """All that a start tells was said by ``_begin``."""

    def _usage_seen(self, event: UsageSeen) -> None:
        self._usage = event.usage

    def _finished(self, event: Finished) -> None:
        self._finish = event.finish

    def _ended(self, event: Ended) -> None:
        self._over = True
        self._close_all(status_of(self._finish))
        output = self._output()
        if self._finish == "error":
            text = "the upstream ended its answer with an error"
            failed = self._shell.failed(output, "server_error", text, self._usage)
            self._say("response.failed", response=failed)
            return
        whole = self._shell.finished(output, self._finish, self._usage)
        self._say(f"response.{whole['status']}", response=whole)

    def _failed(self, event: Failed) -> None:
        self._over = True
        fault = event.fault
        if not self._sequence:
            self._out.append(write_stream_fault(fault, self._ids, StreamPoint()))
            return
        self._close_all("incomplete")
        whole = self._shell.failed(self._output(), failure_code(fault), fault.message, self._usage)
        self._say("response.failed", response=whole)

    def _output(self) -> list[Item]:
        return [item for item in self._items if item is not None]

    def _close_all(self, status: str) -> None:
        for index, block in list(self._blocks.items()):
            if not block.closed:
                self._closed(Closed(index=index))
        self._end_message(status)

    # -- items -----------------------------------------------------------------------------------------------

    def _add(self, prefix: str) -> tuple[str, int]:
        """(id, place) of the next item."""
        place = len(self._items)
        self._items.append(None)
        return f"{prefix}{self._ids}{place}", place

    def _added(self, place: int, item: Item) -> None:
        self._say("response.output_item.added", output_index=place, item=item)

    def _done(self, place: int, item: Item) -> None:
        self._items[place] = item
        self._say("response.output_item.done", output_index=place, item=item)

    def _whole_item(self, place: int, item: Item) -> None:
        self._added(place, item)
        self._done(place, item)

    def _end_message(self, status: str = "completed") -> None:
        message = self._message
        if message is None:
            return
        self._end_part(message)
        self._message = None
        self._done(message.place, message_item(message.item_id, status, message.content))

    def _end_part(self, message: _Message) -> None:
        shown = message.part
        if shown is None:
            return
        message.part = None
        at = {**shown.at, "content_index": shown.spot}
        text = shown.text
        if isinstance(shown.block, Refusal):
            part = refusal_part(text)
            self._say("response.refusal.done", **at, refusal=text)
        else:
            shown.logprobs += self._fresh
            self._fresh = []
            part = text_part(text, shown.notes, shown.logprobs)
            self._say("response.output_text.done", **at, text=text, logprobs=shown.logprobs)
        message.content.append(part)
        shown.pieces = []
        self._say("response.content_part.done", **at, part=part)

    # -- blocks ----------------------------------------------------------------------------------------------

    def _opened(self, event: Opened) -> None:
        block = event.block
        opened = _Open(block=block, pieces=[])
        opened.signature = None if isinstance(block, Media) else getattr(block, "signature", None)
        self._blocks[event.index] = opened
        if isinstance(block, ToolCall):
            self._open_call(opened, block)
        elif isinstance(block, Media):
            if block.kind == "image" and isinstance(block.source, Base64):
                self._end_message()
                item_id, place = self._add("ig_")
                self._whole_item(place, image_item(item_id, block, block.source.data))
        elif isinstance(block, Text | Thinking | Refusal) and block.text:
            self._delta(Delta(index=event.index, text=block.text))
        if isinstance(block, Text) and block.citations:
            self._annotated(Annotated(index=event.index, citations=block.citations))

    def _open_call(self, opened: _Open, call: ToolCall) -> None:
        self._end_message()
        if opened.signature is not None:
            item_id, place = self._add("rs_")
            self._whole_item(place, call_seal(opened.signature, item_id))
            opened.signature = None
        opened.item_id, opened.place = self._add("ctc_" if call.custom else "fc_")
        self._added(
            opened.place, call_item(opened.item_id, call, self._call_id(opened, call), "", "in_progress")
        )

    def _call_id(self, opened: _Open, call: ToolCall) -> str:
        return call.id or f"call_{self._ids}{opened.place}"

    def _delta(self, event: Delta) -> None:
        opened = self._blocks.get(event.index)
        if opened is None or opened.closed or not event.text:
            return
        block = opened.block
        opened_now = opened.place < 0
        if isinstance(block, ToolCall):
            self._say(f"{_CALL_EVENTS[block.custom][0]}.delta", **opened.at, delta=event.text)
        elif isinstance(block, Thinking):
            if opened_now:
                self._show_reasoning(opened)
            self._say_summary(opened, "text.delta", delta=event.text)
        elif isinstance(block, Text | Refusal):
            if opened_now:
                self._show_part(opened)
            at = {**opened.at, "content_index": opened.spot}
            if isinstance(block, Text):
                logprobs, self._fresh = self._fresh, []
                opened.logprobs += logprobs
                self._say("response.output_text.delta", **at, delta=event.text, logprobs=logprobs)
            else:
                self._say("response.refusal.delta", **at, delta=event.text)
        opened.pieces.append(event.text)
        opened.length += len(event.text)

    def _show_part(self, opened: _Open) -> None:
        """The block becomes a part of the open message, or the first one of a new message."""
        message = self._message
        if message is None:
            item_id, place = self._add("msg_")
            message = self._message = _Message(item_id=item_id, place=place, content=[])
            self._added(place, message_item(item_id, "in_progress", []))
        else:
            self._end_part(message)
        message.part = opened
        opened.item_id, opened.place, opened.spot = message.item_id, message.place, len(message.content)
        part = refusal_part("") if isinstance(opened.block, Refusal) else text_part("", [], [])
        at = {**opened.at, "content_index": opened.spot}
        self._say("response.content_part.added", **at, part=part)

    def _show_reasoning(self, opened: _Open) -> None:
        self._end_message()
        opened.item_id, opened.place = self._add("rs_")
        self._added(opened.place, {"type": "reasoning", "id": opened.item_id, "summary": []})
        self._say_summary(opened, "part.added", part={"type": "summary_text", "text": ""})

    def _say_summary(self, opened: _Open, kind: str, **members: Any) -> None:
        self._say(f"response.reasoning_summary_{kind}", **opened.at, summary_index=0, **members)

    def _signed(self, event: Signed) -> None:
        opened = self._blocks.get(event.index)
        if opened is not None:
            opened.signature = event.signature

    def _logprobs(self, event: Logprobs) -> None:
        self._fresh += logprob_objects(event.tokens)

    def _annotated(self, event: Annotated) -> None:
        opened = self._blocks.get(event.index)
        if opened is None or not isinstance(opened.block, Text):
            return
        if opened.closed:
            self._say_notes(opened, event.citations)
        else:  # how long the text is may matter, and it need not show yet
            opened.citations += event.citations

    def _say_notes(self, opened: _Open, citations: tuple[Citation, ...]) -> None:
        if opened.place < 0:
            return
        for note in notes_of(citations, opened.length):
            # The list is that of the part, so a part that is done has its late notes in the last event.
            opened.notes.append(note)
            self._say(
                "response.output_text.annotation.added",
                **opened.at,
                content_index=opened.spot,
                annotation_index=len(opened.notes) - 1,
                annotation=note,
            )

    def _closed(self, event: Closed) -> None:
        opened = self._blocks.get(event.index)
        if opened is None or opened.closed:
            return
        opened.closed = True
        block = opened.block
        if isinstance(block, ToolCall):
            self._close_call(opened, block)
        elif isinstance(block, Thinking):
            self._close_reasoning(opened, block)
        elif isinstance(block, Text):
            self._close_text(opened)

    def _close_text(self, opened: _Open) -> None:
        """The part stays open; only its citations are known now. A signature is an item of its own."""
        self._say_notes(opened, opened.citations)
        if opened.signature is not None:
            self._end_message()
            item_id, place = self._add("rs_")
            self._whole_item(place, reasoning_item(item_id, "", opened.signature, redacted=False))

    def _close_call(self, opened: _Open, call: ToolCall) -> None:
        kind, member = _CALL_EVENTS[call.custom]
        text = opened.text or ("" if call.custom else "{}")
        self._say(f"{kind}.done", **opened.at, **{member: text})
        call_id = self._call_id(opened, call)
        self._done(opened.place, call_item(opened.item_id, call, call_id, text, "completed"))
        if opened.signature is not None:
            item_id, place = self._add("rs_")
            self._whole_item(place, call_seal(opened.signature, item_id, call_id=call_id))
        opened.pieces = []

    def _close_reasoning(self, opened: _Open, block: Thinking) -> None:
        signature = opened.signature
        text = opened.text
        opened.pieces = []
        if not text:
            if signature is not None:
                self._end_message()
                item_id, place = self._add("rs_")
                self._whole_item(place, reasoning_item(item_id, "", signature, redacted=block.redacted))
            return
        self._say_summary(opened, "text.done", text=text)
        self._say_summary(opened, "part.done", part={"type": "summary_text", "text": text})
        item = reasoning_item(opened.item_id, text, signature, redacted=block.redacted)
        self._done(opened.place, item)


_HANDLERS: Final[dict[type, Callable[[ResponsesWriter, Any], None]]] = {
    Start: ResponsesWriter._start,
    Opened: ResponsesWriter._opened,
    Delta: ResponsesWriter._delta,
    Annotated: ResponsesWriter._annotated,
    Signed: ResponsesWriter._signed,
    Logprobs: ResponsesWriter._logprobs,
    Closed: ResponsesWriter._closed,
    Finished: ResponsesWriter._finished,
    UsageSeen: ResponsesWriter._usage_seen,
    Ended: ResponsesWriter._ended,
}
