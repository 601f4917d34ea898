"""A wish for thinking in Gemini's words: ``generationConfig.thinkingConfig``. What the body says itself wins."""

from __future__ import annotations

import msgspec

from dragoman.core import envelope
from dragoman.core.wishes import Wish


def with_wish(body: bytes, wish: Wish) -> bytes:
    """The body with the wish, unless it has a ``thinkingConfig``. Without a number the model thinks as it likes, and its
    thoughts are shown."""
    members = envelope.members(body)
    name = "generation_config" if "generation_config" in members else "generationConfig"
    config = members.get(name, b"{}")
    if not config.startswith(b"{") or {"thinkingConfig", "thinking_config"} & envelope.members(config).keys():
        return body
    if wish.effort == "none":
        thinking: dict[str, object] = {"thinkingBudget": 0}
    elif wish.budget is not None:
        thinking = {"thinkingBudget": wish.budget, "includeThoughts": True}
    else:
        thinking = {"includeThoughts": True}
    edited = envelope.edit(config, {"thinkingConfig": msgspec.json.encode(thinking)})
    return envelope.edit(body, {name: edited})
