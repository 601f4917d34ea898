"""The dialect as one record."""

from __future__ import annotations

from tests.dialects.whole import check

from dragoman.dialects.gemini.record import GEMINI


def test_the_record_speaks_to_itself() -> None:
    assert GEMINI.name == "gemini"
    check(GEMINI)
