"""A wish for thinking in Gemini's words."""

from __future__ import annotations

import json

import pytest

from dragoman.core.wishes import Wish
from dragoman.dialects.gemini.wish import with_wish


@pytest.mark.parametrize(
    ("wish", "config"),
    [
        (Wish("medium"), {"includeThoughts": True}),
        (Wish("medium", 2000), {"thinkingBudget": 2000, "includeThoughts": True}),
        (Wish("none"), {"thinkingBudget": 0}),
    ],
)
def test_the_wish_goes_into_the_config(wish: Wish, config: dict[str, object]) -> None:
    assert json.loads(with_wish(b"{}", wish)) == {"generationConfig": {"thinkingConfig": config}}
    told = json.loads(with_wish(b'{"generation_config":{"top_k":1}}', wish))
    assert told == {"generation_config": {"top_k": 1, "thinkingConfig": config}}


@pytest.mark.parametrize("said", [{"thinkingConfig": {}}, {"thinking_config": {"thinkingBudget": 1}}])
def test_what_the_body_says_wins(said: dict[str, object]) -> None:
    body = json.dumps({"generationConfig": said}).encode()
    assert with_wish(body, Wish("medium")) == body
