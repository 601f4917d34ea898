"""Model names that say how much to think: ``claude-opus-4-7-thinking``, ``gpt-5-high``, ``gemini-2.5-flash-nothinking``.

A convention of this family of gateways, not of any vendor. The suffix is read only where the whole name means nothing
(``relay.routes``); the request then goes on with the plain name and the wish in its own dialect's words.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

_SUFFIX: Final = re.compile(
    r"-(?:thinking-(?P<budget>\d{1,6})|(?P<word>thinking|nothinking|minimal|low|medium|high|xhigh|max))$"
)
_WORDS: Final = {"thinking": "medium", "nothinking": "none"}


class Wish(Struct, frozen=True):
    """effort: a word of ``core.facts.EFFORTS``. budget: tokens, None where the name gives none."""

    effort: str
    budget: int | None = None


def split(model: str) -> tuple[str, Wish] | None:
    """(the plain name, the wish), or None for a name without such a suffix."""
    found = _SUFFIX.search(model)
    if found is None or found.start() == 0:
        return None
    name = model[: found.start()]
    if found["budget"] is not None:
        return name, Wish("medium", int(found["budget"]))
    return name, Wish(_WORDS.get(found["word"], found["word"]))
