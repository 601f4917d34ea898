"""Cache marks: a request may carry four."""

from __future__ import annotations

from typing import Final

from dragoman.core.conversation import Cache, Json, Loss, Path

LIMIT: Final = 4


class Marks:
    """Puts ``cache_control`` on blocks as they are written, and takes back what is too many."""

    def __init__(self) -> None:
        self._placed: list[tuple[dict[str, Json], Path]] = []

    def put(self, block: dict[str, Json], cache: Cache | None, at: Path) -> None:
        """Mark ``block``. To be called in the order of the prompt: tools, system, messages."""
        if cache is None:
            return
        block["cache_control"] = {"type": "ephemeral", **({"ttl": cache.ttl} if cache.ttl else {})}
        self._placed.append((block, at))

    def settle(self) -> list[Loss]:
        """Keep the last four, which stand for the longest beginnings of the prompt; say what went."""
        spare = self._placed[:-LIMIT]
        for block, _ in spare:
            del block["cache_control"]
        return [Loss((*at, "cache_control"), f"at most {LIMIT} cache marks are taken") for _, at in spare]
