"""Errors that a vendor puts inside an answer whose status says 200: ``{"error": {"message", "code", "type"}}`` in a body
(OpenRouter) or in a frame of a stream, ``{"object": "error", "message", "code"}`` (vLLM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dragoman.core.faults import Fault
from dragoman.dialects.vendor_fault import in_band_status, read_fault

_VERDICTS: Final = frozenset({400, 404, 408, 413, 422})
"""What a vendor says of the request itself; the caller sees it as it is."""


def is_failure(value: Mapping[str, Any]) -> bool:
    """Is this body or frame an error?"""
    return bool(value.get("error")) or value.get("object") == "error"


def failure(value: Mapping[str, Any], body: bytes) -> Fault:
    """The fault, owned by the upstream: 429 for rate limits, 503 for overload, the vendor's verdicts, else 502."""
    said = read_fault(502, body)
    status = in_band_status(value.get("error") or value)
    if status == 429:
        code = said.code or "rate_limit_exceeded"
        return Fault(429, code, said.message, type="rate_limit_error", owner="upstream")
    if status == 503:
        return Fault(503, said.code or "overloaded", said.message, type="overloaded_error", owner="upstream")
    code = said.code or "upstream_error"
    return Fault(status if status in _VERDICTS else 502, code, said.message, owner="upstream")


def cut() -> Fault:
    """The stream ended without its end."""
    return Fault(502, "upstream_cut", "the upstream ended the stream before its end", owner="upstream")
