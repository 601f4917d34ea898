"""What one call consumed, as disjoint counts; and the documented estimate where no count arrived.

The dialects read vendors' usage objects into ``Usage``; ``money.charge`` prices it. Everything a vendor sends
passes ``count`` first, so that strings, negatives, NaN or absurd numbers can neither raise nor bill.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

MAX_COUNT: Final = 10**9
"""Tokens. A count above this is a vendor's garbage, not usage (the largest contexts are some 10**7)."""

BYTES_PER_TOKEN: Final = 4
"""The estimate: one token for every four bytes of UTF-8, rounded up; linear by decision, not by accuracy."""


class Usage(Struct, frozen=True, kw_only=True):
    """Disjoint token counts of one call, all ``int >= 0``. ``reasoning`` alone is a part of another
    (``output``)."""

    input: int = 0
    """Uncached prompt tokens, of every kind not listed separately."""
    cached_input: int = 0
    """Prompt tokens read from the vendor's cache."""
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    """All generated tokens, reasoning included."""
    reasoning: int = 0
    """The part of ``output`` that is reasoning."""
    requests: int = 1
    estimated: bool = False

    @property
    def prompt(self) -> int:
        """All tokens of the prompt, cached or not."""
        return self.input + self.cached_input + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        return self.prompt + self.output


def count(value: object) -> int | None:
    """A vendor's number as a token count; None if it is missing or not a plausible count."""
    if type(value) is int:
        return value if 0 <= value <= MAX_COUNT else None
    if type(value) is float and 0 <= value <= MAX_COUNT and value == int(value):
        return int(value)
    return None


def split_prompt(
    prompt: int, *, cached: int = 0, write_5m: int = 0, write_1h: int = 0
) -> tuple[int, int, int, int]:
    """(input, cached, write_5m, write_1h) out of a prompt count that includes its parts.

    Parts that claim more than the whole are clamped in this order, so that their sum is always ``prompt``.
    """
    cached = min(cached, prompt)
    write_5m = min(write_5m, prompt - cached)
    write_1h = min(write_1h, prompt - cached - write_5m)
    return prompt - cached - write_5m - write_1h, cached, write_5m, write_1h


def estimate_input_tokens(body_bytes: int) -> int:
    """ceil(bytes of the request body / 4)."""
    return -(-max(0, body_bytes) // BYTES_PER_TOKEN)


def estimate_output_tokens(output_bytes: int) -> int:
    """ceil(bytes of generated text, reasoning and tool arguments seen / 4)."""
    return -(-max(0, output_bytes) // BYTES_PER_TOKEN)


def estimate(known: Usage | None, *, body_bytes: int, output_bytes: int) -> Usage:
    """The usage of a call whose final count never arrived, marked ``estimated``.

    ``known`` is what did arrive (Anthropic streams state the prompt in their first frame): its prompt
    counts are kept, and its output is raised to the estimate, because early frames carry only the count
    so far.
    """
    output = estimate_output_tokens(output_bytes)
    if known is None:
        return Usage(input=estimate_input_tokens(body_bytes), output=output, estimated=True)
    known = replace(known, output=max(known.output, output), estimated=True)
    return replace(known, input=estimate_input_tokens(body_bytes)) if known.prompt == 0 else known
