"""The dialect as one record."""

from __future__ import annotations

from tests.dialects.whole import check

from dragoman.dialects.openai_responses.record import OPENAI_RESPONSES


def test_the_record_speaks_to_itself() -> None:
    assert OPENAI_RESPONSES.name == "openai_responses"
    check(OPENAI_RESPONSES)
