"""A wish for reasoning in Chat's words: ``reasoning_effort``. What the body says itself wins."""

from __future__ import annotations

import msgspec

from dragoman.core import envelope
from dragoman.core.facts import effort_of
from dragoman.core.wishes import Wish


def with_wish(body: bytes, wish: Wish) -> bytes:
    """The body with the wish, unless it has ``reasoning_effort``."""
    if "reasoning_effort" in envelope.members(body):
        return body
    effort = wish.effort if wish.budget is None else effort_of(wish.budget)
    return envelope.edit(body, {"reasoning_effort": msgspec.json.encode(effort)})
