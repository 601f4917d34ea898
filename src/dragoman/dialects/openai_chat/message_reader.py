"""``messages`` of a request as turns."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import (
    Block,
    Media,
    Opaque,
    Path,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from dragoman.core.tools import is_object
from dragoman.dialects.openai_chat.members import ORIGIN, array, expected, needed, record, string, wrong
from dragoman.dialects.openai_chat.parts import Bound, cache_mark, read_content
from dragoman.dialects.openai_chat.reasoning import assembled, call_signature, carried

_ROLES: Final = "system, developer, user, assistant, tool or function"


def read_turns(body: dict[str, Any], bound: Bound) -> tuple[Turn, ...]:
    """One turn a message; a ``tool`` message is a user's turn with one result. Adds to ``bound``."""
    messages = array(body, "messages")
    if not messages:
        raise wrong(("messages",), "a non-empty array is required")
    turns: list[Turn] = []
    for place, raw in enumerate(messages):
        at: Path = ("messages", place)
        if not isinstance(raw, dict):
            raise expected(at, "an object", raw)
        turns.append(_turn(raw, at, bound))
    return tuple(turns)


def _turn(raw: dict[str, Any], at: Path, bound: Bound) -> Turn:
    role = needed(raw, "role", at)
    if role == "assistant":
        return _assistant(raw, at, bound)
    if role in ("tool", "function"):
        return Turn(role="user", blocks=(_result(raw, at, bound, legacy=role == "function"),), at=at)
    if role in ("system", "developer", "user"):
        blocks = _marked(raw, at, read_content(raw.get("content"), (*at, "content"), bound))
        return Turn(role=_role(role), blocks=tuple(blocks), name=string(raw, "name", at) or "", at=at)
    raise wrong((*at, "role"), f"must be {_ROLES}")


def _role(role: str) -> Literal["system", "developer", "user"]:
    return "system" if role == "system" else "developer" if role == "developer" else "user"


def _marked(raw: dict[str, Any], at: Path, blocks: list[Block]) -> list[Block]:
    """A cache mark on the message is one on its last part."""
    mark = cache_mark(raw, at)
    if mark is not None and blocks:
        last = blocks[-1]
        if isinstance(last, Text | Media) and last.cache is None:
            blocks[-1] = replace(last, cache=mark)
    return blocks


def _result(raw: dict[str, Any], at: Path, bound: Bound, *, legacy: bool) -> ToolResult:
    content = raw.get("content")
    blocks = read_content(content, (*at, "content"), bound) if content is not None else []
    kept = tuple(block for block in _marked(raw, at, blocks) if isinstance(block, Text | Media | Opaque))
    name = string(raw, "name", at) or ""
    if legacy:
        return ToolResult(call_id="", name=needed(raw, "name", at), content=kept, at=at)
    return ToolResult(call_id=_id(raw, "tool_call_id", at), name=name, content=kept, at=at)


def _id(raw: dict[str, Any], name: str, at: Path) -> str:
    """The id of a call. "" is what clients send back of a vendor that gives none (Gemini); results then go by order."""
    call_id = string(raw, name, at)
    if call_id is None:
        raise wrong((*at, name), "a string is required")
    return call_id


def _assistant(raw: dict[str, Any], at: Path, bound: Bound) -> Turn:
    content = raw.get("content")
    blocks = read_content(content, (*at, "content"), bound) if content is not None else []
    blocks = _marked(raw, at, blocks)
    refusal = string(raw, "refusal", at)
    if refusal:
        blocks.append(Refusal(text=refusal, at=(*at, "refusal")))
    audio = record(raw, "audio", at)
    if audio is not None:
        spot: Path = (*at, "audio")
        said = audio.get("transcript")
        transcript = said if type(said) is str else ""
        blocks.append(Opaque(origin=ORIGIN, kind="audio", raw=audio, text=transcript, at=spot))
        if not transcript:
            bound.append((spot, "audio of an earlier answer"))
    calls = [
        _call(call, (*at, "tool_calls", place))
        for place, call in enumerate(array(raw, "tool_calls", at) or ())
    ]
    old = record(raw, "function_call", at)
    if old is not None:
        spot = (*at, "function_call")
        calls.append(
            ToolCall(id="", name=needed(old, "name", spot), arguments=_arguments(old, spot), at=spot)
        )
    thought = carried(raw)
    inside = [block for block in blocks if isinstance(block, Thinking)]
    if inside and not thought.thinking:
        thought.thinking.extend(inside)
    rest = [block for block in blocks if not isinstance(block, Thinking)]
    placed = tuple(
        replace(block, at=at) if isinstance(block, Thinking) and not block.at else block
        for block in assembled(thought, rest, calls)
    )
    return Turn(role="assistant", blocks=placed, name=string(raw, "name", at) or "", at=at)


def _call(raw: object, at: Path) -> ToolCall:
    if not isinstance(raw, dict):
        raise expected(at, "an object", raw)
    call_id = _id(raw, "id", at)
    kind = string(raw, "type", at) or "function"
    if kind == "function":
        inner = record(raw, "function", at)
        spot: Path = (*at, "function")
        if inner is None:
            raise wrong(spot, "an object is required")
        return ToolCall(
            id=call_id,
            name=needed(inner, "name", spot),
            arguments=_arguments(inner, spot),
            signature=call_signature(raw),
            cache=cache_mark(raw, at),
            at=at,
        )
    if kind == "custom":
        inner = record(raw, "custom", at) or {}
        spot = (*at, "custom")
        text = string(inner, "input", spot) or ""
        return ToolCall(id=call_id, name=needed(inner, "name", spot), arguments=text, custom=True, at=at)
    raise wrong((*at, "type"), "must be function or custom")


def _arguments(function: dict[str, Any], at: Path) -> str:
    """The text of a JSON object. Nothing, "" and "null" mean an empty one; an object instead of its text is what some
    clients write."""
    value = function.get("arguments")
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    text = (string(function, "arguments", at) or "").strip()
    if text in ("", "null"):
        return "{}"
    if not is_object(text):
        raise wrong((*at, "arguments"), "must be the text of a JSON object")
    return text
