"""OpenAI's error shape, whole and in mid-stream."""

from __future__ import annotations

import json

from dragoman.core.faults import insufficient_quota, invalid_request
from dragoman.dialects.base import StreamPoint
from dragoman.dialects.openai_chat.fault import write_fault, write_stream_fault


def test_whole():
    assert json.loads(write_fault(invalid_request("bad n", "n"), "req_1")) == {
        "error": {
            "message": "bad n",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
        }
    }
    error = json.loads(write_fault(insufficient_quota("key"), "req_1"))["error"]
    assert (error["type"], error["code"], error["param"]) == (
        "insufficient_quota",
        "insufficient_quota",
        None,
    )


def test_stream_ends_with_done():
    wire = write_stream_fault(invalid_request("x"), "req_1", StreamPoint(started=True))
    error, done, rest = wire.split(b"\n\n")
    assert json.loads(error.removeprefix(b"data: "))["error"]["message"] == "x"
    assert (done, rest) == (b"data: [DONE]", b"")
