"""Errors in Anthropic's shape: ``{"type": "error", "error": {"type", "message", "code"}, "request_id"}``.

``type`` follows https://docs.anthropic.com/en/api/errors; ``code`` is ours beside it, for clients that
probe for the gateway's words. A failure inside a stream is an ``error`` event, from which the SDKs raise;
no ``message_stop``.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dragoman.core.faults import Fault
from dragoman.core.framing import sse
from dragoman.dialects.base import StreamPoint

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def write_fault(fault: Fault, request_id: str) -> bytes:
    """The JSON body."""
    error = {"type": _type(fault), "message": fault.message, "code": fault.code}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def write_stream_fault(fault: Fault, request_id: str, at: StreamPoint) -> bytes:
    """The event that ends a running stream as a failure."""
    return sse(write_fault(fault, request_id), b"error")


def _type(fault: Fault) -> str:
    if fault.code == "insufficient_quota" and fault.status != 429:
        return "billing_error"
    known = _TYPES.get(fault.status)
    if known is not None:
        return known
    return "api_error" if fault.status >= 500 else "invalid_request_error"
