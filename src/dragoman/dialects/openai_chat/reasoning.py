"""Reasoning and its signatures on a chat message.

Chat itself has no place for them; these are the members that its copies use:

* ``reasoning_content`` (DeepSeek, Qwen, Moonshot …) or ``reasoning`` (OpenRouter, vLLM): the text
* ``reasoning_details`` (OpenRouter): ``[{"type": "reasoning.text", "text", "signature", "format", "index"},
  {"type": "reasoning.summary", "summary", …}, {"type": "reasoning.encrypted", "data", "id", …}]``; ``format`` tells
  whose signature it is, so signatures travel bare
* ``thinking_blocks`` (LiteLLM): Anthropic's own blocks
* ``tool_calls[].extra_content.google.thought_signature``: Google's own OpenAI layer

A stream sends the text of the first block as ``reasoning_content`` only and its signature as an entry without text;
``carried`` puts the two together again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.conversation import Block, Json, Origin, Signature, Text, Thinking, ToolCall
from dragoman.dialects.base import mapping

_ORIGINS: Final[Mapping[str, Origin]] = MappingProxyType(
    {
        "anthropic-claude-v1": "anthropic",
        "google-gemini-v1": "gemini",
        "openai-responses-v1": "openai_responses",
        "azure-openai-responses-v1": "openai_responses",
        "": "anthropic",
    }
)
_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "anthropic": "anthropic-claude-v1",
        "gemini": "google-gemini-v1",
        "openai_responses": "openai-responses-v1",
    }
)

_PLAIN: Final = ("reasoning_content", "reasoning")
_INNER: Final = ("content", "text", "summary")


class Carried(Struct, frozen=True):
    """What the carriers of one message or delta hold. calls: tool call id → its signature. loose: signatures of Gemini
    that belong to the text."""

    thinking: list[Thinking]
    calls: dict[str, Signature]
    loose: list[Signature]


def _string(value: object) -> str:
    return value if type(value) is str else ""


def plain_text(message: Mapping[str, Any]) -> str:
    """The reasoning text beside the details; a few servers put it into an object."""
    for name in _PLAIN:
        value = message.get(name)
        if type(value) is str:
            if value:
                return value
        elif type(value) is dict:
            text = next((text for inner in _INNER if (text := _string(value.get(inner)))), "")
            if text:
                return text
    return ""


def origin_of(entry: Mapping[str, Any]) -> Origin | None:
    """Who signed an entry of ``reasoning_details``; None for vendors whose signatures nobody here can use."""
    return _ORIGINS.get(_string(entry.get("format")))


def entries(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of ``reasoning_details``; those of ``thinking_blocks`` in the same form where there are none."""
    details = message.get("reasoning_details")
    if isinstance(details, list) and details:
        return [entry for entry in details if isinstance(entry, dict)]
    blocks = message.get("thinking_blocks")
    return [entry for block in blocks if (entry := _entry(block))] if isinstance(blocks, list) else []


def _entry(block: object) -> dict[str, Any] | None:
    """Anthropic's own block as an entry."""
    seen = mapping(block)
    if seen.get("type") == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": seen.get("data")}
    if seen.get("type") == "thinking":
        return {"type": "reasoning.text", "text": seen.get("thinking"), "signature": seen.get("signature")}
    return None


def signature_in(entry: Mapping[str, Any]) -> Signature | None:
    """The signature of an entry of any type."""
    value = _string(entry.get("data" if entry.get("type") == "reasoning.encrypted" else "signature"))
    origin = origin_of(entry)
    if not value or origin is None:
        return None
    return Signature(
        origin=origin, value=value, id=_string(entry.get("id")) if origin == "openai_responses" else ""
    )


def _index(entry: Mapping[str, Any]) -> int | None:
    index = entry.get("index")
    return index if type(index) is int else None


def text_in(entry: Mapping[str, Any]) -> str:
    return _string(entry.get("text")) or _string(entry.get("summary"))


def carried(message: Mapping[str, Any]) -> Carried:
    """Everything that the carriers of a message hold. Never raises; what is odd is left out."""
    found = Carried([], {}, [])
    place: int | None = None  # of the last text; the pieces of a stream have the index of their block
    for entry in entries(message):
        signature = signature_in(entry)
        if entry.get("type") != "reasoning.encrypted":
            text = text_in(entry)
            last = found.thinking[-1] if found.thinking and place is not None else None
            if last is not None and last.signature is None and _index(entry) == place:
                found.thinking[-1] = replace(last, text=last.text + text, signature=signature)
            elif text or signature is not None:
                found.thinking.append(Thinking(text=text, signature=signature))
            place = _index(entry)
        elif signature is not None:
            _encrypted(found, signature, _string(entry.get("id")))
    plain = plain_text(message)
    if plain:
        _with_plain(found.thinking, plain)
    return found


def _encrypted(found: Carried, signature: Signature, entry_id: str) -> None:
    if signature.origin == "gemini":
        if entry_id:
            found.calls[entry_id] = signature
        else:
            found.loose.append(signature)
    elif signature.origin == "anthropic":
        found.thinking.append(Thinking(signature=signature, redacted=True))
    elif found.thinking and found.thinking[-1].signature is None:
        found.thinking[-1] = replace(found.thinking[-1], signature=signature)
    else:
        found.thinking.append(Thinking(signature=signature))


def _with_plain(blocks: list[Thinking], plain: str) -> None:
    """Gives the one signed block without text what the plain text holds beside the texts of the others."""
    bare = [
        place
        for place, block in enumerate(blocks)
        if not block.text and not block.redacted and block.signature is not None
    ]
    if len(bare) == 1:
        before = "".join(block.text for block in blocks[: bare[0]])
        after = "".join(block.text for block in blocks[bare[0] :])
        if len(plain) >= len(before) + len(after) and plain.startswith(before) and plain.endswith(after):
            text = plain[len(before) : len(plain) - len(after)]
            blocks[bare[0]] = replace(blocks[bare[0]], text=text)
            return
    if not any(block.text for block in blocks):
        blocks.insert(0, Thinking(text=plain))


def call_signature(call: Mapping[str, Any]) -> Signature | None:
    """Google's signature of a tool call."""
    google = mapping(mapping(call.get("extra_content")).get("google"))
    value = _string(google.get("thought_signature"))
    return Signature(origin="gemini", value=value) if value else None


def extra_content(signature: Signature) -> Json:
    """The ``extra_content`` of a tool call that carries its signature."""
    return {"google": {"thought_signature": signature.value}}


def assembled(found: Carried, content: Sequence[Block], calls: Sequence[ToolCall]) -> tuple[Block, ...]:
    """The blocks of an assistant's message: reasoning, then what it says, then its calls, signatures put in place."""
    said, signed = list(content), list[ToolCall]()
    for call in calls:
        signature = found.calls.get(call.id) if call.signature is None else None
        signed.append(replace(call, signature=signature) if signature is not None else call)
    for signature in found.loose:
        _place(signature, said, signed)
    return (*found.thinking, *said, *signed)


def _place(signature: Signature, content: list[Block], calls: list[ToolCall]) -> None:
    """A signature without a place goes to the last text, else to the first call, that has none."""
    for place in range(len(content) - 1, -1, -1):
        block = content[place]
        if isinstance(block, Text) and block.signature is None:
            content[place] = replace(block, signature=signature)
            return
    if calls and calls[0].signature is None:
        calls[0] = replace(calls[0], signature=signature)
    else:
        content.append(Text(text="", signature=signature))


def seal_entry(signature: Signature, index: int, *, redacted: bool = False, text: str = "") -> dict[str, Any]:
    """The entry of ``reasoning_details`` that carries one signature. text: the reasoning itself, where it is known."""
    vendor = {"format": _FORMATS.get(signature.origin, signature.origin), "index": index}
    if redacted or signature.origin == "openai_responses":
        named = {"id": signature.id} if signature.id else {}
        return {"type": "reasoning.encrypted", "data": signature.value, **named, **vendor}
    told = {"text": text} if text else {}
    return {"type": "reasoning.text", **told, "signature": signature.value, **vendor}


def text_entry(signature: Signature | None, text: str, index: int) -> dict[str, Any]:
    """The entry of a piece of reasoning text that is not sealed itself."""
    if signature is not None and signature.origin == "openai_responses":
        vendor = {"format": _FORMATS["openai_responses"], "index": index}
        return {"type": "reasoning.summary", "summary": text, **vendor}
    return {"type": "reasoning.text", "text": text, "index": index}


def details(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """``reasoning_details`` of a whole message; empty if nothing in it is signed."""
    out: list[dict[str, Any]] = []
    signed = False
    for block in blocks:
        if isinstance(block, Thinking):
            signature = block.signature
            apart = signature is None or signature.origin == "openai_responses"
            if block.text and apart:
                out.append(text_entry(signature, block.text, len(out)))
            if signature is not None:
                signed = True
                text = "" if apart else block.text
                out.append(seal_entry(signature, len(out), redacted=block.redacted, text=text))
        elif isinstance(block, Text) and block.signature is not None:
            signed = True
            out.append(seal_entry(block.signature, len(out), redacted=True))
    return out if signed else []
