"""Errors that a vendor puts inside an answer whose status says 200: ``{"error": {"message", "code", "type"}}`` in a body
(OpenRouter) or in a frame of a stream, also on a choice; ``{"object": "error", "message", "code"}`` (vLLM); ``{"code",
"message"}`` (DashScope), ``{"error_code", "error_msg"}`` (Baidu), ``{"detail"}`` (FastAPI) and ``{"base_resp":
{"status_code", "status_msg"}}`` (MiniMax) where there are no choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dragoman.core.faults import Fault
from dragoman.dialects.base import mapping
from dragoman.dialects.vendor_fault import in_band_status, read_fault

_VERDICTS: Final = frozenset({400, 404, 408, 413, 422})
"""What a vendor says of the request itself; the caller sees it as it is."""


_CODES: Final = ("code", "status_code", "error_code")
_MESSAGES: Final = ("message", "error_msg")
ENDED_BADLY: Final = frozenset({"error", "network_error", "insufficient_system_resource"})
"""Words for the finish of an answer that broke off at the vendor's."""


def is_failure(value: Mapping[str, Any]) -> bool:
    """Is this body or frame an error?"""
    if value.get("error") or value.get("object") == "error":
        return True
    if "choices" in value and value["choices"] is not None:
        return False
    said = any(type(value.get(name)) is str for name in _MESSAGES)
    coded = any(value.get(name) for name in _CODES)
    return bool((said and coded) or value.get("detail") or _status_of_base(value))


def _status_of_base(value: Mapping[str, Any]) -> object:
    return mapping(value.get("base_resp")).get("status_code")


def failure(value: Mapping[str, Any], body: bytes) -> Fault:
    """The fault, owned by the upstream: 429 for rate limits, 503 for overload, the vendor's verdicts, else 502."""
    if _status_of_base(value) and not value.get("error"):
        message = mapping(value.get("base_resp")).get("status_msg")
        return failure(inner := {"error": {"message": message}}, msgspec.json.encode(inner))
    said = read_fault(502, body)
    status = in_band_status(value.get("error") or value)
    if status == 429:
        code = said.code or "rate_limit_exceeded"
        return Fault(429, code, said.message, type="rate_limit_error", owner="upstream")
    if status == 503:
        return Fault(503, said.code or "overloaded", said.message, type="overloaded_error", owner="upstream")
    code = said.code or "upstream_error"
    return Fault(status if status in _VERDICTS else 502, code, said.message, owner="upstream")


def broken(choice: Mapping[str, Any]) -> Fault | None:
    """The fault of a choice that ends with an error of its own, or with a word for one; else None."""
    error = choice.get("error")
    if error:
        told = {"error": error}
        return failure(told, msgspec.json.encode(told))
    word = choice.get("finish_reason")
    if type(word) is str and word.lower() in ENDED_BADLY:
        return Fault(502, "upstream_error", "the upstream ended its answer with an error", owner="upstream")
    return None


def cut() -> Fault:
    """The stream ended without its end."""
    return Fault(502, "upstream_cut", "the upstream ended the stream before its end", owner="upstream")
