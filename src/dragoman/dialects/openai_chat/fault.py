"""Errors in OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}``.

A failure inside a stream is a data frame of that shape and then ``[DONE]``: openai-python raises APIError
from the first, and readers that know nothing of errors still see an end.
"""

from __future__ import annotations

import msgspec

from dragoman.core.faults import Fault
from dragoman.core.framing import sse
from dragoman.dialects.base import StreamPoint


def write_fault(fault: Fault, request_id: str) -> bytes:
    """The JSON body. The request id travels in the headers, as OpenAI does it."""
    error = {"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code}
    return msgspec.json.encode({"error": error})


def write_stream_fault(fault: Fault, request_id: str, at: StreamPoint) -> bytes:
    """An error frame and the terminator."""
    return sse(write_fault(fault, request_id)) + sse(b"[DONE]")
