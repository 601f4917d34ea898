"""The dialect as one record."""

from __future__ import annotations

from tests.dialects.whole import check

from dragoman.dialects.anthropic.record import ANTHROPIC


def test_the_record_speaks_to_itself() -> None:
    assert ANTHROPIC.name == "anthropic"
    check(ANTHROPIC)
