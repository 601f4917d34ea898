"""Errors in Google's shape: ``{"error": {"code", "message", "status", "details"}}``.

``status`` names follow https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto; our
own code goes into an ``ErrorInfo`` detail, where Google's clients look for a reason. In a stream the
object is one more SSE payload, or the last element of the growing array, which is then closed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dragoman.core.faults import Fault
from dragoman.core.framing import sse
from dragoman.dialects.base import StreamPoint

_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"


def write_fault(fault: Fault, request_id: str) -> bytes:
    """The JSON body. The request id travels in the headers."""
    default = "INTERNAL" if fault.status >= 500 else "INVALID_ARGUMENT"
    error: dict[str, object] = {
        "code": fault.status,
        "message": fault.message,
        "status": _STATUSES.get(fault.status, default),
    }
    if fault.code:
        error["details"] = [{"@type": _ERROR_INFO, "reason": fault.code, "domain": "dragoman"}]
    return msgspec.json.encode({"error": error})


def write_stream_fault(fault: Fault, request_id: str, at: StreamPoint) -> bytes:
    """The error as the stream's last frame, or as the array's last element and the closing bracket."""
    body = write_fault(fault, request_id)
    if at.array:
        return (b",\r\n" if at.started else b"[") + body + b"\r\n]"
    return sse(body)
