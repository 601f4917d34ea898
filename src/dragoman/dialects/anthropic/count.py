"""Counting tokens as Anthropic does: a Messages body that needs no ``max_tokens``, ``{"input_tokens": n}`` back.

https://platform.claude.com/docs/en/api/messages-count-tokens. ``warning`` is this gateway's own member.
"""

from __future__ import annotations

import msgspec

from dragoman.core.conversation import Conversation
from dragoman.dialects.anthropic.request_reader import read_request


def read_count(body: bytes) -> Conversation:
    """The body of ``POST /v1/messages/count_tokens``."""
    return read_request(body, counting=True)


def write_count(tokens: int, warning: str) -> bytes:
    """The answer."""
    told: dict[str, object] = {"input_tokens": tokens}
    if warning:
        told["warning"] = warning
    return msgspec.json.encode(told)
