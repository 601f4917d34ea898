"""Names that say how much to think."""

from __future__ import annotations

import pytest

from dragoman.core.facts import EFFORTS
from dragoman.core.wishes import Wish, split


@pytest.mark.parametrize(
    ("name", "plain", "wish"),
    [
        ("claude-opus-4-7-thinking", "claude-opus-4-7", Wish("medium")),
        ("gemini-2.5-flash-nothinking", "gemini-2.5-flash", Wish("none")),
        ("gpt-5-high", "gpt-5", Wish("high")),
        ("o3-mini-low", "o3-mini", Wish("low")),
        ("gpt-5.4-xhigh", "gpt-5.4", Wish("xhigh")),
        ("claude-sonnet-4-5-thinking-8000", "claude-sonnet-4-5", Wish("medium", 8000)),
    ],
)
def test_a_suffix_is_a_wish(name: str, plain: str, wish: Wish) -> None:
    assert split(name) == (plain, wish) and wish.effort in EFFORTS


@pytest.mark.parametrize(
    "name", ["gpt-5", "-high", "gpt-5-highest", "thinking", "gpt-5-thinking-", "m-thinking-1234567"]
)
def test_other_names_are_names(name: str) -> None:
    assert split(name) is None
