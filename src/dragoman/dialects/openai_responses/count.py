"""Counting tokens as the Responses API does: a Responses body, ``{"object": "response.input_tokens", …}`` back.

https://platform.openai.com/docs/api-reference/responses/input-tokens. ``warning`` is this gateway's own member.
"""

from __future__ import annotations

import msgspec


def write_count(tokens: int, warning: str) -> bytes:
    """The answer of ``POST /v1/responses/input_tokens``."""
    told: dict[str, object] = {"object": "response.input_tokens", "input_tokens": tokens}
    if warning:
        told["warning"] = warning
    return msgspec.json.encode(told)
