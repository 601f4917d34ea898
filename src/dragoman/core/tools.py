"""Tool names, ids and arguments between dialects that allow different ones. Pure and deterministic.

The same history gives the same wire names and ids in every replay (prefix caches depend on it); what had to be renamed
on the way up gets its own name back on the way down (``Restored``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import (
    Answer,
    Block,
    Choice,
    Closed,
    Delta,
    Event,
    Finished,
    Function,
    Opened,
    Text,
    Tool,
    ToolCall,
)

CUSTOM_PARAMETERS: Final[Mapping[str, object]] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
"""The schema of a free-text tool for dialects that know JSON tools only."""

_NOT_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")


def _digest(text: str) -> str:
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def wire_id(call_id: str, limit: int = 64) -> str:
    """``call_id`` if it matches ``[a-zA-Z0-9_-]{1,limit}``, else one made from it; equal ids give equal ids."""
    clean = _NOT_NAME.sub("_", call_id)
    if clean == call_id and 0 < len(call_id) <= limit:
        return call_id
    return f"{clean[: limit - 11]}_{_digest(call_id)}"


class WireNames:
    """The names under which tools go to one upstream, and the way back.

    ``custom``: the upstream knows free-text tools itself. ``namespaces``: it knows namespaces itself.
    """

    def __init__(
        self, tools: Iterable[Tool], *, limit: int = 64, custom: bool = False, namespaces: bool = False
    ) -> None:
        self._limit, self._namespaces = limit, namespaces
        self.back: dict[str, Function] = {}
        for tool in tools:
            if isinstance(tool, Function):
                name = self.wire(tool.name, tool.namespace)
                if name != tool.name or (tool.namespace and not namespaces) or (tool.custom and not custom):
                    self.back[name] = tool

    def wire(self, name: str, namespace: str = "") -> str:
        """The upstream's name of a tool, at most ``limit`` characters of ``[a-zA-Z0-9_-]``."""
        whole = f"{namespace}__{name}" if namespace and not self._namespaces else name
        return wire_id(whole, self._limit)


def wrapped(text: str) -> str:
    """Free text as the arguments of the JSON tool that stands for a custom one."""
    return msgspec.json.encode({"input": text}).decode()


def unwrapped(arguments: str) -> str:
    """The free text inside such arguments; the arguments themselves if they have another form."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return arguments
    inner = value.get("input") if isinstance(value, dict) else None
    return inner if isinstance(inner, str) else arguments


def is_object(arguments: str) -> bool:
    """Is this the text of a JSON object?"""
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


class Restored:
    """Gives tool calls of an answer the names that the client knows. ``back``: ``WireNames.back`` of the request.

    ``answer_tool``: calls of this tool are the answer itself; their arguments become its text.
    """

    def __init__(self, back: Mapping[str, Function], answer_tool: str = "") -> None:
        self._back = back
        self._answer_tool = answer_tool
        self._said: dict[
            tuple[int, int], bool
        ] = {}  # (choice, index) of answer tools → has it said anything?
        self._called: set[int] = set()  # choices that call a tool of the client's
        self._free: dict[
            tuple[int, int], list[str]
        ] = {}  # (choice, index) → argument text of a custom call so far

    def answer(self, answer: Answer) -> Answer:
        if not self._back and not self._answer_tool:
            return answer
        return replace(answer, choices=tuple(self._choice(choice) for choice in answer.choices))

    def _choice(self, choice: Choice) -> Choice:
        blocks = tuple(self._block(block) for block in choice.blocks)
        told = choice.finish == "tool_calls" and not any(isinstance(block, ToolCall) for block in blocks)
        return replace(choice, blocks=blocks, finish="stop" if told else choice.finish)

    def _block(self, block: Block) -> Block:
        if not isinstance(block, ToolCall):
            return block
        if block.name == self._answer_tool:
            return Text(text=block.arguments)
        return self._call(block, whole=True)

    def event(self, event: Event) -> list[Event]:
        """The event as the client may see it; argument text of free-text tools comes in one piece, when it is whole."""
        if self._answer_tool:
            return self._answering(event)
        if not self._back:
            return [event]
        return self._named(event)

    def _answering(self, event: Event) -> list[Event]:
        """The answer tool's calls as text; a finish for its sake is a plain stop."""
        place = (event.choice, event.index) if isinstance(event, Opened | Delta | Closed) else None
        if isinstance(event, Opened) and isinstance(event.block, ToolCall) and place is not None:
            if event.block.name != self._answer_tool:
                self._called.add(event.choice)
                return self._named(event)
            self._said[place] = False
            return [replace(event, block=Text(text=""))]
        if place in self._said and isinstance(event, Delta):
            self._said[place] = True
        if place in self._said and isinstance(event, Closed) and not self._said[place]:
            return [Delta(index=event.index, choice=event.choice, text="{}"), event]
        if isinstance(event, Finished) and event.finish == "tool_calls" and event.choice not in self._called:
            return [replace(event, finish="stop")]
        return self._named(event)

    def _named(self, event: Event) -> list[Event]:
        if isinstance(event, Opened) and isinstance(event.block, ToolCall):
            block = self._call(event.block, whole=False)
            if block.custom and not event.block.custom:
                self._free[event.choice, event.index] = []
            return [replace(event, block=block)]
        if isinstance(event, Delta) and (event.choice, event.index) in self._free:
            self._free[event.choice, event.index].append(event.text)
            return []
        if isinstance(event, Closed) and (event.choice, event.index) in self._free:
            text = unwrapped("".join(self._free.pop((event.choice, event.index))))
            told = Delta(index=event.index, choice=event.choice, text=text)
            return [told, event] if text else [event]
        return [event]

    def _call(self, call: ToolCall, *, whole: bool) -> ToolCall:
        tool = self._back.get(call.name)
        if tool is None:
            return call
        arguments = call.arguments
        if whole and tool.custom and not call.custom:
            arguments = unwrapped(arguments)
        return replace(
            call,
            name=tool.name,
            namespace=tool.namespace,
            custom=tool.custom or call.custom,
            arguments=arguments,
        )
