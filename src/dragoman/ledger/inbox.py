"""What the writer is asked to do, in the order it was asked: any thread puts, one thread takes.

Waking another thread costs more than the rest of a call's queueing together, so ``put`` wakes the taker only while it
waits for just such an item: nobody is woken while a batch is being written or gathers company.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")
_NOTHING, _ANY, _URGENT = 0, 1, 2


class Inbox(Generic[T]):
    """Without a bound: whoever puts looks at ``len`` first. ``take`` and the waits belong to one thread."""

    def __init__(self) -> None:
        self._items: deque[tuple[T, bool]] = deque()
        self._awaited = _NOTHING
        self._sleep = threading.Lock()  # held: to take it is to sleep, to release it to wake
        self._sleep.acquire()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, *, urgent: bool) -> None:
        """Add an item. One that is not urgent is seen with the next that is, or when the taker's patience ends."""
        self._items.append((item, urgent))
        awaited = self._awaited
        if awaited == _ANY or (urgent and awaited == _URGENT):
            self._awaited = _NOTHING
            try:
                self._sleep.release()
            except RuntimeError:  # two threads have woken it at once
                return

    def take(self, most: int) -> list[T]:
        """Up to ``most`` items, oldest first."""
        return [self._items.popleft()[0] for _ in range(min(most, len(self._items)))]

    def wait(self, timeout_s: float) -> None:
        """Until an item is there."""
        self._wait(_ANY, timeout_s)

    def wait_urgent(self, timeout_s: float) -> None:
        """Until an urgent item is there."""
        self._wait(_URGENT, timeout_s)

    def _wait(self, awaited: int, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        # In this order: whoever puts an item after we looked sees that we wait. (``list`` copies in one step.)
        self._awaited = awaited
        there = any(urgent or awaited == _ANY for _, urgent in list(self._items))
        if not there and (left := until - time.monotonic()) > 0:
            self._sleep.acquire(timeout=left)
        self._awaited = _NOTHING
        self._sleep.acquire(blocking=False)  # a wake-up that came too late must not end the next sleep
