"""The answer of a count."""

from __future__ import annotations

import json

from dragoman.dialects.openai_responses.count import write_count


def test_the_answer_is_an_object_of_its_own() -> None:
    assert json.loads(write_count(7, "")) == {"object": "response.input_tokens", "input_tokens": 7}
    assert json.loads(write_count(7, "w"))["warning"] == "w"
