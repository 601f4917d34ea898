"""Completions, embeddings and moderations through Chat's tap."""

from __future__ import annotations

from dragoman.core.faults import invalid_request
from dragoman.core.usage import Usage
from dragoman.dialects.base import StreamPoint
from dragoman.dialects.plain import PLAIN


def test_embeddings():
    tap = PLAIN.tap()
    tap.body(
        b'{"object":"list","data":[{"embedding":[0.1,1e-9]}],"usage":{"prompt_tokens":7,"total_tokens":7}}'
    )
    assert tap.usage == Usage(input=7)
    assert tap.complete
    assert tap.output_bytes == 0


def test_embeddings_with_a_total_only():
    tap = PLAIN.tap()
    tap.body(b'{"data":[],"usage":{"total_tokens":9}}')
    assert tap.usage == Usage(input=9)


def test_moderations_have_no_usage():
    tap = PLAIN.tap()
    tap.body(b'{"id":"modr-1","results":[{"flagged":false}]}')
    assert tap.usage is None
    assert tap.complete


def test_completion_stream():
    tap = PLAIN.tap()
    tap.frame(b'{"choices":[{"text":"Hel","index":0,"finish_reason":null}]}')
    assert not tap.complete
    tap.frame(b'{"choices":[{"text":"lo","index":0,"finish_reason":"stop"}]}')
    tap.frame(b"[DONE]")
    assert (tap.output_bytes, tap.complete, tap.failed) == (5, True, False)


def test_faults_and_ids():
    assert b'"code":"invalid_request"' in PLAIN.write_fault(invalid_request("no"), "req_1")
    assert PLAIN.write_stream_fault(invalid_request("no"), "req_1", StreamPoint()).endswith(
        b"data: [DONE]\n\n"
    )
    assert PLAIN.foreign_ids(b'{"input":"x","file_id":"file-1"}') == []
