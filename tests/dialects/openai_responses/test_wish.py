"""A wish for reasoning in the Responses API's words."""

from __future__ import annotations

import json

import pytest

from dragoman.core.wishes import Wish
from dragoman.dialects.openai_responses.wish import with_wish


def test_the_wish_is_an_effort_beside_what_reasoning_says() -> None:
    assert json.loads(with_wish(b'{"input":"x"}', Wish("high")))["reasoning"] == {"effort": "high"}
    told = with_wish(b'{"input":"x","reasoning":{"summary":"auto"}}', Wish("medium", 50_000))
    assert json.loads(told)["reasoning"] == {"summary": "auto", "effort": "xhigh"}


@pytest.mark.parametrize(
    "said", [b'{"reasoning":{"effort":"low"}}', b'{"reasoning":7}', b'{"reasoning":null}']
)
def test_what_the_body_says_wins(said: bytes) -> None:
    assert with_wish(said, Wish("high")) == said
