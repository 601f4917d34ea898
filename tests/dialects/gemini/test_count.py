"""Count requests in both of Google's forms, and their answers."""

from __future__ import annotations

import json

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.gemini.count import read_count, write_count

CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}], "systemInstruction": {"parts": [{"text": "S"}]}}


@pytest.mark.parametrize("wrapper", ["", "generateContentRequest", "generate_content_request"])
def test_both_forms_are_read(wrapper: str) -> None:
    body = {wrapper: {"model": "models/m", **CONTENTS}} if wrapper else CONTENTS
    read = read_count(json.dumps(body).encode())
    assert len(read.turns) == 1 and len(read.system) == 1


def test_a_count_of_nothing_is_a_400() -> None:
    with pytest.raises(Fault) as caught:
        read_count(b'{"generateContentRequest":null}')
    assert caught.value.status == 400


def test_the_answer_names_the_total() -> None:
    assert json.loads(write_count(7, "")) == {"totalTokens": 7}
    assert json.loads(write_count(7, "w")) == {"totalTokens": 7, "warning": "w"}
