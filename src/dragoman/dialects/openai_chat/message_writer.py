"""Turns as ``messages`` for a Chat Completions upstream.

What strict servers demand: every assistant message with ``tool_calls`` is followed at once by a ``tool`` message for
each of them; a ``tool`` message holds text only, so images and files of results follow in a user's message behind the
last one of the group; names of members that OpenAI does not know are refused with 400.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from dragoman.core.facts import Facts
from dragoman.core.history import paired, with_ids
from dragoman.core.tools import WireNames, wire_id, wrapped
from dragoman.dialects.openai_chat.members import ORIGIN
from dragoman.dialects.openai_chat.parts import lost_cache, write_media
from dragoman.dialects.openai_chat.reasoning import details, extra_content
from dragoman.dialects.openai_chat.tools import cache_control

ID_LIMIT: Final = 40
"""OpenAI's limit on ``tool_calls[].id`` and ``tool_call_id``."""
_ERROR: Final = "Error: "
_BILLING: Final = "x-anthropic-billing-header:"


class Writing(Struct, frozen=True):
    """What the writing of one request needs everywhere. losses is filled."""

    conversation: Conversation
    facts: Facts
    names: WireNames
    losses: list[Loss]

    @property
    def own(self) -> bool:
        """Whether the client spoke chat itself, so that whatever its message held may go on."""
        return self.conversation.origin == ORIGIN


def write_messages(writing: Writing) -> list[Json]:
    """All messages: the system blocks, then the turns in an order that strict servers take."""
    conversation = writing.conversation
    out: list[Json] = []
    system = [block for block in conversation.system if not _is_billing(block)]
    if system:
        out.extend(_system(Turn(role="system", blocks=tuple(system)), writing))
    for turn in paired(with_ids(conversation.turns)):
        if turn.role == "assistant":
            out.extend(_assistant(turn, writing))
        elif turn.role == "user":
            out.extend(_user(turn, writing))
        else:
            out.extend(_system(turn, writing))
    return out


def _is_billing(block: Block) -> bool:
    """Claude Code's accounting line, which is nobody else's business."""
    return isinstance(block, Text) and block.text.startswith(_BILLING)


def _named(role: str, content: Json, turn: Turn, writing: Writing) -> Json:
    message = {"role": role, "content": content}
    if turn.name and writing.own:
        message["name"] = turn.name
    return message


# --- system and user --------------------------------------------------------------------------------------


def _system(turn: Turn, writing: Writing) -> list[Json]:
    texts: list[Text] = []
    for block in turn.blocks:
        if isinstance(block, Text):
            texts.append(block)
        elif isinstance(block, Opaque) and block.text:
            texts.append(Text(text=block.text, at=block.at))
        else:
            writing.losses.append(Loss(block.at, "the upstream takes only text in system messages"))
    content = _content(texts, writing)
    role = "developer" if turn.role == "developer" and writing.facts.developer_role else "system"
    return [_named(role, content, turn, writing)] if content else []


def _user(turn: Turn, writing: Writing) -> list[Json]:
    out: list[Json] = []
    rest: list[Block] = []
    for block in turn.blocks:
        if isinstance(block, ToolResult):
            message, lifted = _result(block, writing)
            out.append(message)
            rest.extend(lifted)
    rest.extend(block for block in turn.blocks if not isinstance(block, ToolResult))
    content = _content(rest, writing)
    if content:
        out.append(_named("user", content, turn, writing))
    return out


def _content(blocks: Sequence[Block], writing: Writing) -> Json:
    """One text as a string, everything else as parts; "" if nothing is left."""
    parts: list[dict[str, Any]] = []
    for block in blocks:
        part = _part(block, writing)
        if part is not None:
            parts.append(part)
    if len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts or ""


def _part(block: Block, writing: Writing) -> dict[str, Any] | None:
    if isinstance(block, Text):
        if not block.text:
            return None
        part: dict[str, Any] = {"type": "text", "text": block.text}
    elif isinstance(block, Media):
        part = write_media(block, writing.conversation.origin, writing.facts)
    elif isinstance(block, Opaque):
        return _opaque_part(block, writing)
    else:
        writing.losses.append(Loss(block.at, "a message of this role cannot hold it"))
        return None
    cache = lost_cache(block, writing.facts, writing.losses)
    if cache is not None:
        part["cache_control"] = cache_control(cache.ttl)
    return part


def _opaque_part(block: Opaque, writing: Writing) -> dict[str, Any] | None:
    if block.origin == ORIGIN and isinstance(block.raw, dict):
        return block.raw
    if block.text:
        return {"type": "text", "text": block.text}
    writing.losses.append(Loss(block.at, f"the upstream does not know {block.kind}"))
    return None


def _result(result: ToolResult, writing: Writing) -> tuple[Json, list[Block]]:
    """The ``tool`` message, and what it cannot hold."""
    texts: list[str] = []
    lifted: list[Block] = []
    for block in result.content:
        if isinstance(block, Media):
            lifted.append(block)
            continue
        if isinstance(block, Opaque) and not block.text:
            writing.losses.append(Loss(block.at, f"the upstream does not know {block.kind}"))
            continue
        if block.text:
            texts.append(block.text)
        if isinstance(block, Text):
            lost_cache(block, writing.facts, writing.losses)
    text = "\n".join(texts)
    if result.structured is not None:
        text = _as_text(result.structured)
    if result.is_error:
        text = _ERROR + text
    if result.cache is not None and not writing.facts.cache_control:
        writing.losses.append(Loss((*result.at, "cache_control"), "the upstream takes no cache marks"))
    call_id = wire_id(result.call_id, ID_LIMIT)
    content: Json = text
    if result.cache is not None and writing.facts.cache_control:
        content = [{"type": "text", "text": text, "cache_control": cache_control(result.cache.ttl)}]
    return {"role": "tool", "tool_call_id": call_id, "content": content}, lifted


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# --- assistant --------------------------------------------------------------------------------------------


def _assistant(turn: Turn, writing: Writing) -> list[Json]:
    texts: list[Block] = []
    refusals: list[str] = []
    calls: list[Json] = []
    extra: dict[str, Json] = {}
    for block in turn.blocks:
        if isinstance(block, ToolCall):
            calls.append(_call(block, writing))
        elif isinstance(block, Refusal):
            refusals.append(block.text)
        elif isinstance(block, Text):
            texts.append(block)
        elif isinstance(block, Media):
            writing.losses.append(Loss(block.at, "the upstream takes only text in the assistant's messages"))
        elif isinstance(block, Opaque):
            _opaque(block, texts, extra, writing)
    if refusals and not (writing.own or writing.facts.developer_role):
        texts.extend(Text(text=text) for text in refusals)
        refusals = []
    content = _said(texts, writing)
    if not (content or refusals or calls or extra):
        return []
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    if turn.name and writing.own:
        message["name"] = turn.name
    if refusals:
        message["refusal"] = "\n".join(refusals)
    if calls:
        message["tool_calls"] = calls
    message.update(extra)
    if writing.facts.reasoning_details:
        message.update(_reasoning(turn.blocks))
    return [message]


def _opaque(block: Opaque, texts: list[Block], extra: dict[str, Json], writing: Writing) -> None:
    if block.origin == ORIGIN and block.kind == "audio":
        extra["audio"] = block.raw
    elif block.origin == ORIGIN or block.text:
        texts.append(block)
    else:
        writing.losses.append(Loss(block.at, f"the upstream does not know {block.kind}"))


def _said(blocks: Iterable[Block], writing: Writing) -> Json:
    """What the assistant said: parts where the client wrote parts or OpenAI reads them, else one string, since many
    servers take nothing else. Pieces that only citations cut apart are one text."""
    listed = list(blocks)
    content = _content(listed, writing)
    if not isinstance(content, list) or writing.own or writing.facts.developer_role:
        return content
    if any("cache_control" in part for part in content):
        return content
    out = ""
    cited = False
    for block in listed:
        text = block.text if isinstance(block, Text | Opaque) else ""
        here = isinstance(block, Text) and bool(block.citations)
        if text:
            out += text if not out or cited or here else f"\n\n{text}"
            cited = here
    return out


def _call(call: ToolCall, writing: Writing) -> Json:
    out: dict[str, Any] = {
        "id": wire_id(call.id, ID_LIMIT),
        "type": "function",
        "function": {
            "name": writing.names.wire(call.name, call.namespace),
            "arguments": wrapped(call.arguments) if call.custom else call.arguments,
        },
    }
    signature = call.signature
    if signature is not None and signature.origin == "gemini" and writing.facts.signed_calls:
        out["extra_content"] = extra_content(signature)
    if call.cache is not None and not writing.facts.cache_control:
        writing.losses.append(Loss((*call.at, "cache_control"), "the upstream takes no cache marks"))
    return out


def _reasoning(blocks: Iterable[Block]) -> dict[str, Json]:
    """The reasoning as its vendor gave it, for upstreams that want it back."""
    thoughts = list(blocks)
    text = "".join(block.text for block in thoughts if isinstance(block, Thinking))
    sealed = details(thoughts)
    # DeepSeek refuses a call of its thinking models without the member, even where clients have lost the thought.
    called = any(isinstance(block, ToolCall) for block in thoughts)
    told = {"reasoning_content": text} if text or called else {}
    return {**told, "reasoning_details": sealed} if sealed else told
