"""Relay lane: reasoning that another vendor signed is taken out of a request before Anthropic sees it.

A client of this dialect keeps foreign signatures in thinking blocks as seals (``core.signatures``); Anthropic answers
400 to a signature it did not make. Everything else keeps its bytes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.core import envelope
from dragoman.core.signatures import MARK

_RAWS: Final = msgspec.json.Decoder(list[Raw])
_MARK: Final = MARK.encode()


class _Body(Struct):
    messages: Raw | UnsetType = UNSET


class _Message(Struct):
    content: Raw | UnsetType = UNSET


class _Block(Struct):
    type: Any = None
    signature: Any = None
    data: Any = None


_BLOCK: Final = msgspec.json.Decoder(_Block)


def without_seals(body: bytes) -> bytes:
    """``body`` without thinking blocks that hold a seal, and without messages that held nothing else; ``body`` itself
    if there are none, or if it is no Messages request."""
    messages = _elements(envelope.peek(body, _Body).messages)
    kept = [cleaned for message in messages if (cleaned := _message(message)) is not None]
    if kept == messages:
        return body
    return envelope.edit(body, {"messages": b"[" + b",".join(kept) + b"]"})


def _elements(raw: Raw | UnsetType) -> list[bytes]:
    if raw is UNSET or not bytes(raw).startswith(b"["):
        return []
    return [bytes(element) for element in _RAWS.decode(raw)]


def _message(message: bytes) -> bytes | None:
    """A message without its seals, None if nothing is left of it."""
    if _MARK not in message or not message.startswith(b"{"):
        return message
    blocks = _elements(envelope.peek(message, _Message).content)
    kept = [block for block in blocks if not _sealed(block)]
    if len(kept) == len(blocks):
        return message
    return envelope.edit(message, {"content": b"[" + b",".join(kept) + b"]"}) if kept else None


def _sealed(block: bytes) -> bool:
    if _MARK not in block or not block.startswith(b"{"):
        return False
    seen = _BLOCK.decode(block)
    value = {"thinking": seen.signature, "redacted_thinking": seen.data}.get(str(seen.type))
    return type(value) is str and value.startswith(MARK)
