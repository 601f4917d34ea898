"""The dialect as one record."""

from __future__ import annotations

from tests.dialects.whole import check

from dragoman.dialects.openai_chat.record import OPENAI_CHAT


def test_the_record_speaks_to_itself() -> None:
    assert OPENAI_CHAT.name == "openai_chat"
    check(OPENAI_CHAT)
