"""Counting tokens as Gemini does: ``contents``, or a whole ``generateContentRequest``; ``{"totalTokens": n}`` back.

https://ai.google.dev/api/tokens. ``warning`` is this gateway's own member.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.core.conversation import Conversation
from dragoman.core.envelope import peek
from dragoman.dialects.gemini.request_reader import read_request


class _Count(Struct):
    generateContentRequest: Raw | UnsetType = UNSET  # noqa: N815 (Google's name)
    generate_content_request: Raw | UnsetType = UNSET


def read_count(body: bytes) -> Conversation:
    """The body of ``POST /v1beta/models/{model}:countTokens``."""
    seen = peek(body, _Count)
    for inner in (seen.generateContentRequest, seen.generate_content_request):
        if inner is not UNSET and bytes(inner) != b"null":
            return read_request(bytes(inner))
    return read_request(body)


def write_count(tokens: int, warning: str) -> bytes:
    """The answer."""
    told: dict[str, object] = {"totalTokens": tokens}
    if warning:
        told["warning"] = warning
    return msgspec.json.encode(told)
