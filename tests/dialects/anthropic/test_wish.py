"""A wish for thinking in Messages' words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.core.wishes import Wish
from dragoman.dialects.anthropic.wish import with_wish


def told(wish: Wish, **body: Any) -> dict[str, Any]:
    return json.loads(with_wish(json.dumps(body).encode(), wish))


@pytest.mark.parametrize(
    ("wish", "most", "budget", "raised"),
    [
        (Wish("medium"), 32_000, 8192, 32_000),
        (Wish("high"), 20_000, 19_999, 20_000),
        (Wish("medium", 4000), 32_000, 4000, 32_000),
        (Wish("low"), 500, 1024, 1524),
        (Wish("medium", 7), 32_000, 1024, 32_000),
    ],
)
def test_a_budget_has_room_below_max_tokens(wish: Wish, most: int, budget: int, raised: int) -> None:
    body = told(wish, max_tokens=most)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget} and body["max_tokens"] == raised
    assert 1024 <= budget < raised


def test_a_wish_for_none_and_what_the_body_says() -> None:
    assert told(Wish("none"), max_tokens=9)["thinking"] == {"type": "disabled"}
    said = {"max_tokens": 9, "thinking": {"type": "adaptive"}}
    assert told(Wish("high"), **said) == said
    assert told(Wish("low"))["thinking"]["budget_tokens"] == 1024
