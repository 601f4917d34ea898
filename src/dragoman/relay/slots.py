"""Counts of what one key has under way at vendors, bounded."""

from __future__ import annotations

from collections import Counter


class CountSlots:
    """How many counts of each key are at a vendor now, at most ``at_once``."""

    def __init__(self, at_once: int, vendor_s: float) -> None:
        self._at_once, self.vendor_s = at_once, vendor_s
        self._taken: Counter[int] = Counter()

    def take(self, key_id: int) -> bool:
        """Take a slot; False when all are taken."""
        if self._taken[key_id] >= self._at_once:
            return False
        self._taken[key_id] += 1
        return True

    def give(self, key_id: int) -> None:
        """Give it back."""
        self._taken[key_id] -= 1
        if not self._taken[key_id]:
            del self._taken[key_id]
