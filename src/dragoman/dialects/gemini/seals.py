"""The relay lane's care for foreign seals: a Gemini client that was answered by another vendor brings that vendor's
signatures along, and Google would refuse them."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.core.envelope import BAD_JSON, edit
from dragoman.core.signatures import MARK
from dragoman.dialects.gemini.signature import from_client

_NAMES = ("thoughtSignature", "thought_signature")


def without_seals(body: bytes) -> bytes:
    """The request body without the reasoning that other vendors signed; the body itself if there is none.

    A thought that another vendor signed goes with its signature; text and calls stay, unsigned.
    """
    try:
        value = msgspec.json.decode(body)
    except BAD_JSON:
        return body
    contents = value.get("contents") if isinstance(value, dict) else None
    listed = [contents] if isinstance(contents, dict) else contents
    if not isinstance(listed, list):
        return body
    changed = [_content(content) for content in listed]
    if all(new is old for new, old in zip(changed, listed, strict=True)):
        return body
    kept = [content for content in changed if content is not None]
    return edit(body, {"contents": msgspec.json.encode(kept)})


def _content(content: Any) -> Any:
    """The content itself if it holds no seal; None if nothing is left of it."""
    parts = content.get("parts") if isinstance(content, dict) else None
    listed = [parts] if isinstance(parts, dict) else parts
    if not isinstance(listed, list):
        return content
    changed = [_part(part) for part in listed]
    if all(new is old for new, old in zip(changed, listed, strict=True)):
        return content
    kept = [part for part in changed if part is not None]
    return {**content, "parts": kept} if kept else None


def _part(part: Any) -> Any:
    name = next((n for n in _NAMES if isinstance(part, dict) and _is_seal(part.get(n))), "")
    if not name:
        return part
    sealed = from_client(part[name])
    if sealed is not None and sealed.signature.origin == "gemini":
        return {**part, name: sealed.signature.value}
    rest = {key: value for key, value in part.items() if key != name}
    return None if part.get("thought") is True or rest.get("text") == "" else rest


def _is_seal(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(MARK)
