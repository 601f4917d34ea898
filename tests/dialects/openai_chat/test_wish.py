"""A wish for reasoning in Chat's words."""

from __future__ import annotations

import json

from dragoman.core.wishes import Wish
from dragoman.dialects.openai_chat.wish import with_wish

BODY = b'{"model":"m",  "n" : 1.50}'


def test_the_wish_is_an_effort_and_nothing_else_is_touched() -> None:
    edited = with_wish(BODY, Wish("high"))
    assert json.loads(edited)["reasoning_effort"] == "high" and b'"model":"m",  "n" : 1.50' in edited
    assert json.loads(with_wish(BODY, Wish("medium", 1500)))["reasoning_effort"] == "low"


def test_what_the_body_says_wins() -> None:
    said = b'{"model":"m","reasoning_effort":"low"}'
    assert with_wish(said, Wish("high")) == said
