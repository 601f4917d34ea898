"""Errors of the Responses API: whole answers in OpenAI's shape, failures in a stream as its own events.

Before the first frame an ``error`` event; afterwards ``response.failed`` with the running response's id
and the next ``sequence_number`` (clients such as Codex wait for a terminal response event and would
otherwise reconnect).
"""

from __future__ import annotations

from typing import Final

import msgspec

from dragoman.core.faults import Fault
from dragoman.core.framing import sse
from dragoman.dialects.base import StreamPoint
from dragoman.dialects.openai_chat.fault import write_fault

__all__ = ["write_fault", "write_stream_fault"]


# ``ResponseError.code`` of openai 3.52.0, and the codes by which Codex tells what to do.
_CODES: Final = frozenset(
    [
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "data_residency_mismatch",
        "bio_policy",
        "misalignment_policy_violation",
        "vector_store_timeout",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
        "context_length_exceeded",
        "insufficient_quota",
        "server_is_overloaded",
    ]
)


def failure_code(fault: Fault) -> str:
    """``error.code`` of a failed response: the fault's own code if clients know it, else a word for its status."""
    if fault.code in _CODES:
        return fault.code
    return {429: "rate_limit_exceeded", 503: "server_is_overloaded", 529: "server_is_overloaded"}.get(
        fault.status, "server_error"
    )


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
        "error": {"code": failure_code(fault), "message": fault.message},
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
