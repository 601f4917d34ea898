"""Errors of the Responses API: whole answers in OpenAI's shape, failures in a stream as its own events.

Before the first frame an ``error`` event; afterwards ``response.failed`` with the running response's id
and the next ``sequence_number`` (clients such as Codex wait for a terminal response event and would
otherwise reconnect).
"""

from __future__ import annotations

import msgspec

from dragoman.core.faults import Fault
from dragoman.core.framing import sse
from dragoman.dialects.base import StreamPoint
from dragoman.dialects.openai_chat.fault import write_fault

__all__ = ["write_fault", "write_stream_fault"]


def write_stream_fault(fault: Fault, request_id: str, at: StreamPoint) -> bytes:
    """The frame that ends a running Responses stream as a failure."""
    if not at.started:
        event = {
            "type": "error",
            "code": fault.code,
            "message": fault.message,
            "param": fault.param,
            "sequence_number": at.sequence + 1,
        }
        return sse(msgspec.json.encode(event), b"error")
    response = {
        "id": at.response_id or f"resp_{request_id}",
        "object": "response",
        "created_at": at.created_at,
        "status": "failed",
        "error": {"code": fault.code, "message": fault.message},
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": at.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }
    failed = {"type": "response.failed", "sequence_number": at.sequence + 1, "response": response}
    return sse(msgspec.json.encode(failed), b"response.failed")
