"""Turns for Anthropic: ``system`` and ``messages``.

Facts: the first message is the user's; results stand in front of everything else in the user message right behind their
calls; text is never blank; ``system`` messages among the others are known to few models; an answer that is begun for the
model cannot end in white space; tool ids match ``[a-zA-Z0-9_-]+`` and are not used twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.conversation import (
    Block,
    Conversation,
    Json,
    Loss,
    Media,
    Opaque,
    Path,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    rejected,
)
from dragoman.core.facts import Facts
from dragoman.core.tools import WireNames, is_object, wire_id, wrapped
from dragoman.dialects.anthropic.marks import Marks
from dragoman.dialects.anthropic.members import ORIGIN
from dragoman.dialects.anthropic.sources import write_media
from dragoman.dialects.anthropic.thinking import is_written

ID_LIMIT: Final = 64
BILLING_HEADER: Final = "x-anthropic-billing-header:"
NOTHING_SAID: Final = "..."
"""The user message of a conversation that begins with the assistant, or that consists of instructions only."""
_INSTRUCTIONS: Final = ("system", "developer")
# Where the arguments stand under the path of a call, in the body of each dialect.
_ARGUMENTS: Final[Mapping[str, Path]] = {
    "openai_chat": ("function", "arguments"),
    "openai_responses": ("arguments",),
    "gemini": ("args",),
    "anthropic": ("input",),
}
_OF_ANSWERS: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
Wire = dict[str, Json]


class _Message(Struct):
    role: str
    content: list[Wire]
    at: Path


class TurnWriter:
    """Writes one conversation. ``losses`` gets what cannot be carried."""

    def __init__(
        self, conversation: Conversation, facts: Facts, names: WireNames, marks: Marks, losses: list[Loss]
    ) -> None:
        self._origin = conversation.origin
        self._facts = facts
        self._names = names
        self._marks = marks
        self._losses = losses
        self._ids: dict[str, str] = {}  # the client's id → ours, of its latest call
        self._taken: set[str] = set()

    # --- where turns go -------------------------------------------------------------------------------------

    def system(self, blocks: Sequence[Block], turns: Sequence[Turn]) -> list[Wire]:
        """The system prompt: the dialect's own place for it, then the instructions that open the turns."""
        opening = [block for turn in turns[: leading(turns)] for block in turn.blocks]
        written: list[Wire] = []
        for block in (*blocks, *opening):
            if isinstance(block, Text):
                written.extend(self._text(block))
            else:
                self._lose(block, "only text can be in a system prompt")
        return written

    def messages(self, turns: Sequence[Turn]) -> list[Wire]:
        """``messages``. turns: paired (``core.history``), with those that open it."""
        out: list[_Message] = []
        for turn in self._placed(turns[leading(turns) :]):
            if turn.name:
                self._losses.append(Loss((*turn.at, "name"), "messages have no names here"))
            content = [wire for block in turn.blocks for wire in self._block(block, turn.role)]
            if not content:
                continue
            if out and out[-1].role == turn.role:
                out[-1].content.extend(content)
            else:
                out.append(_Message(turn.role, content, turn.at))
        self._close(out)
        if not out or out[0].role != "user":
            out.insert(0, _Message("user", [{"type": "text", "text": NOTHING_SAID}], ()))
        return [{"role": message.role, "content": _plain(message.content)} for message in out]

    def _placed(self, turns: Sequence[Turn]) -> list[Turn]:
        """Instructions among the turns: in place where the model knows them, else in front of what the user says next
        (behind results, which must come first); the prompt's beginning stays as it is, for the vendor's cache."""
        out: list[Turn] = []
        held: list[Block] = []
        for turn in turns:
            if turn.role in _INSTRUCTIONS:
                if self._facts.system_turns:
                    out.append(Turn(role="system", blocks=turn.blocks, name=turn.name, at=turn.at))
                else:
                    held.extend(turn.blocks)
                continue
            if held and turn.role == "user":
                results = tuple(takewhile(lambda block: isinstance(block, ToolResult), turn.blocks))
                rest = turn.blocks[len(results) :]
                turn = Turn(role="user", blocks=(*results, *held, *rest), name=turn.name, at=turn.at)
            elif held:
                out.append(Turn(role="user", blocks=tuple(held), at=held[0].at))
            held = []
            out.append(turn)
        if held:
            out.append(Turn(role="user", blocks=tuple(held), at=held[0].at))
        return out

    def _close(self, out: list[_Message]) -> None:
        """The beginning of an answer: no white space at its end, and only for models that take it. An answer that paused
        amid server tools is continued by all."""
        if not out or out[-1].role != "assistant":
            return
        last = out[-1]
        begun = all(block.get("type") in _OF_ANSWERS for block in last.content)
        if begun and not self._facts.prefill:
            raise rejected(
                last.at, self._origin, "this model does not continue an answer that is begun for it"
            )
        if last.content[-1].get("type") == "text":
            last.content[-1]["text"] = last.content[-1]["text"].rstrip()

    # --- blocks ---------------------------------------------------------------------------------------------

    def _block(self, block: Block, role: str) -> list[Wire]:
        return _WRITERS[type(block)](self, block, role)

    def _text(self, block: Text, role: str = "") -> list[Wire]:
        if not is_written(block) or (self._origin != ORIGIN and block.text.startswith(BILLING_HEADER)):
            return []
        wire: Wire = {"type": "text", "text": block.text}
        # Citations of other vendors are for people to read; the model has the text.
        own = [dict(one.extra) for one in block.citations if one.origin == ORIGIN and one.extra]
        if own:
            wire["citations"] = own
        self._marks.put(wire, block.cache, block.at)
        return [wire]

    def _media(self, block: Media, role: str) -> list[Wire]:
        if role != "user":
            self._lose(block, "media can only be in user messages here")
            return []
        wire = write_media(block, self._origin)
        self._marks.put(wire, block.cache, block.at)
        return [wire]

    def _thinking(self, block: Thinking, role: str) -> list[Wire]:
        """Only what Anthropic signed goes back; a cache mark is refused here."""
        if not is_written(block) or block.signature is None or role != "assistant":
            return []
        value = block.signature.value
        if block.redacted:
            return [{"type": "redacted_thinking", "data": value}]
        return [{"type": "thinking", "thinking": block.text, "signature": value}]

    def _call(self, block: ToolCall, role: str) -> list[Wire]:
        arguments = wrapped(block.arguments) if block.custom else block.arguments
        if not is_object(arguments):
            at = (*block.at, *_ARGUMENTS[self._origin])
            raise rejected(at, self._origin, "the arguments of a tool call must be a JSON object")
        wire: Wire = {
            "type": "tool_use",
            "id": self._new_id(block.id),
            "name": self._names.wire(block.name, block.namespace),
            "input": msgspec.Raw(arguments.encode()),  # the client's own numbers and order of members
        }
        self._marks.put(wire, block.cache, block.at)
        return [wire]

    def _new_id(self, call_id: str) -> str:
        """An id for this call; one that was used before gets its number, since some vendors count from 0 each turn."""
        made, number = wire_id(call_id, ID_LIMIT), 1
        while made in self._taken:
            number += 1
            made = wire_id(f"{call_id}#{number}", ID_LIMIT)
        self._taken.add(made)
        self._ids[call_id] = made
        return made

    def _result(self, block: ToolResult, role: str) -> list[Wire]:
        made = self._ids.get(block.call_id) or wire_id(block.call_id, ID_LIMIT)
        wire: Wire = {"type": "tool_result", "tool_use_id": made}
        content = [inner for one in block.content for inner in self._block(one, "user")]
        if not content and block.structured is not None:
            content = [{"type": "text", "text": msgspec.json.encode(block.structured).decode()}]
        if content:
            wire["content"] = _plain(content)
        if block.is_error:
            wire["is_error"] = True
        self._marks.put(wire, block.cache, block.at)
        return [wire]

    def _refusal(self, block: Refusal, role: str) -> list[Wire]:
        return self._text(Text(text=block.text, at=block.at))

    def _opaque(self, block: Opaque, role: str) -> list[Wire]:
        if block.origin == ORIGIN:
            return [block.raw]
        if block.text:
            return self._text(Text(text=block.text, at=block.at))
        self._lose(block, f"a {block.kind} block cannot be carried to this model")
        return []

    def _lose(self, block: Block, why: str) -> None:
        self._losses.append(Loss(block.at, why))


def leading(turns: Sequence[Turn]) -> int:
    """How many turns of instructions open the conversation."""
    return sum(1 for _ in takewhile(lambda turn: turn.role in _INSTRUCTIONS, turns))


def _plain(content: list[Wire]) -> Json:
    """A single text is written as a string."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return content[0]["text"]
    return content


_WRITERS: Final[Mapping[type, Callable[[TurnWriter, Any, str], list[Wire]]]] = {
    Text: TurnWriter._text,
    Media: TurnWriter._media,
    Thinking: TurnWriter._thinking,
    ToolCall: TurnWriter._call,
    ToolResult: TurnWriter._result,
    Refusal: TurnWriter._refusal,
    Opaque: TurnWriter._opaque,
}
