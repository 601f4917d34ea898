"""A wish for reasoning in the Responses API's words: ``reasoning.effort``. What the body says itself wins."""

from __future__ import annotations

import msgspec

from dragoman.core import envelope
from dragoman.core.facts import effort_of
from dragoman.core.wishes import Wish


def with_wish(body: bytes, wish: Wish) -> bytes:
    """The body with the wish, unless its ``reasoning`` has an effort."""
    given = envelope.members(body).get("reasoning", b"{}")
    if not given.startswith(b"{") or "effort" in envelope.members(given):
        return body
    effort = wish.effort if wish.budget is None else effort_of(wish.budget)
    reasoning = envelope.edit(given, {"effort": msgspec.json.encode(effort)})
    return envelope.edit(body, {"reasoning": reasoning})
