"""Other vendors' reasoning in a request that goes to a Responses upstream as it is."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dragoman.core import envelope
from dragoman.core.signatures import MARK, unseal
from dragoman.dialects.openai_responses.checked import ORIGIN
from dragoman.dialects.openai_responses.output_reader import text_of

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MARK: Final = MARK.encode()


def without_seals(body: bytes) -> bytes:
    """``body`` without the reasoning items whose ``encrypted_content`` another vendor made; what this kind of vendor
    made and we only labelled gets its own content and id back. Every other item keeps its bytes, and ``body`` is
    returned itself if nothing of it is a seal. Fault 400 for what is no JSON object."""
    if _MARK not in body:
        return body
    raw = envelope.members(body).get("input", b"")
    if _MARK not in raw:
        return body
    try:
        items = _ITEMS.decode(raw)
    except envelope.BAD_JSON:
        return body  # a string that quotes a seal
    changed = False
    kept: list[bytes] = []
    for item in map(bytes, items):
        bare = _bare(item) if _MARK in item else item
        changed = changed or bare is not item
        if bare:
            kept.append(bare)
    return envelope.edit(body, {"input": b"[" + b",".join(kept) + b"]"}) if changed else body


def _bare(raw: bytes) -> bytes:
    """The item as its vendor may see it, b"" for nothing."""
    item: Any = msgspec.json.decode(raw)
    if type(item) is not dict or item.get("type") != "reasoning":
        return raw
    content = text_of(item, "encrypted_content")
    if not content.startswith(MARK):
        return raw
    sealed = unseal(content, ORIGIN)
    if sealed is None or sealed.signature.origin != ORIGIN:
        return b""
    signature = sealed.signature
    named = {"id": signature.id} if signature.id else {}
    return msgspec.json.encode({**item, **named, "encrypted_content": signature.value})
