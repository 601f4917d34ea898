"""How a Responses stream ends as a failure."""

from __future__ import annotations

import json

from dragoman.core.faults import Fault, upstream_garbage
from dragoman.core.framing import sse_parts
from dragoman.dialects.base import StreamPoint
from dragoman.dialects.openai_responses.fault import failure_code, write_fault, write_stream_fault
from dragoman.dialects.openai_responses.usage import ResponsesTap


def test_whole_is_openais_shape():
    assert json.loads(write_fault(upstream_garbage(), "req_1"))["error"]["code"] == "upstream_invalid_answer"


def test_before_the_first_frame():
    event, data = sse_parts(write_stream_fault(upstream_garbage(), "req_1", StreamPoint()))
    seen = json.loads(data)
    assert (event, seen["type"], seen["sequence_number"]) == (b"error", "error", 0)
    assert seen["code"] == "upstream_invalid_answer"


def test_in_mid_stream_the_numbers_go_on():
    at = StreamPoint(started=True, sequence=7, response_id="resp_1", model="gpt-5", created_at=17)
    event, data = sse_parts(write_stream_fault(upstream_garbage(), "req_1", at))
    seen = json.loads(data)
    assert (event, seen["type"], seen["sequence_number"]) == (b"response.failed", "response.failed", 8)
    response = seen["response"]
    assert (response["id"], response["status"], response["model"]) == ("resp_1", "failed", "gpt-5")
    assert response["error"]["code"] == "server_error"  # the API's own word; ours is none of its list
    tap = ResponsesTap()
    tap.frame(data, event)
    assert tap.failed


def test_a_stream_whose_id_never_came_gets_one():
    at = StreamPoint(started=True)
    assert b'"id":"resp_req_1"' in write_stream_fault(upstream_garbage(), "req_1", at)


def test_a_failure_has_a_code_that_clients_know():
    def code(fault: Fault) -> str:
        return failure_code(fault)

    assert code(Fault(400, "context_length_exceeded", "m")) == "context_length_exceeded"
    assert code(Fault(429, "whatever", "m")) == "rate_limit_exceeded"
    assert code(Fault(503, "overloaded", "m")) == "server_is_overloaded"
    assert code(Fault(502, "upstream_cut", "m")) == "server_error"
