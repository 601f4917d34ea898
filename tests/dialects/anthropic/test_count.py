"""Count requests and their answers."""

from __future__ import annotations

import json

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.anthropic.count import read_count, write_count


def test_a_count_needs_no_max_tokens() -> None:
    read = read_count(b'{"model":"m","system":"S","messages":[{"role":"user","content":"hi"}]}')
    assert len(read.turns) == 1 and len(read.system) == 1 and read.max_output is None


def test_a_count_without_messages_is_a_400() -> None:
    with pytest.raises(Fault) as caught:
        read_count(b'{"model":"m"}')
    assert caught.value.status == 400


def test_a_warning_is_told_where_there_is_one() -> None:
    assert json.loads(write_count(7, "")) == {"input_tokens": 7}
    assert json.loads(write_count(7, "w")) == {"input_tokens": 7, "warning": "w"}
