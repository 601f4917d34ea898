"""A wish for thinking in Messages' words: ``thinking``. What the body says itself wins."""

from __future__ import annotations

import msgspec

from dragoman.core import envelope
from dragoman.core.facts import budget_of
from dragoman.core.wishes import Wish

LEAST_BUDGET = 1024


def with_wish(body: bytes, wish: Wish) -> bytes:
    """The body with the wish, unless it has ``thinking``. A budget stays below ``max_tokens``, which grows where there
    would be no room for the least budget. (Adaptive models get their own form of it: ``providers.quirks``.)"""
    members = envelope.members(body)
    if "thinking" in members:
        return body
    if wish.effort == "none":
        return envelope.edit(body, {"thinking": b'{"type":"disabled"}'})
    most = members.get("max_tokens", b"")
    limit = int(most) if most.isdigit() and len(most) < 10 else 0
    sets: dict[str, bytes] = {}
    if limit and limit <= LEAST_BUDGET:
        limit += LEAST_BUDGET
        sets["max_tokens"] = str(limit).encode()
    budget = max(LEAST_BUDGET, wish.budget if wish.budget is not None else budget_of(wish.effort))
    if limit:
        budget = min(budget, limit - 1)
    sets["thinking"] = msgspec.json.encode({"type": "enabled", "budget_tokens": budget})
    return envelope.edit(body, sets)
