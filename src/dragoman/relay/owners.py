"""The register of vendor-side ids: written before the client sees an id, read before one is sent upstream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from dragoman.store.records import VendorId

BATCH = 200  # ids in one write: an answer may list thousands, and the writer is the ledger's
KEPT_S = (
    86_400.0  # what was read or written longer ago is asked again: the register forgets after some months
)

Pair = tuple[str, str]
T = TypeVar("T")


class Write(Protocol):
    """Runs a function with a connection in the ledger's writer; the future is its result, once that is durable."""

    def __call__(self, function: Callable[[Any], T], /) -> asyncio.Future[T]: ...


class OwnerRegister:
    """``store`` records pairs and says whose each one is now; ``read`` looks one id up in a thread.

    A bounded memory of recent ids saves the read for the usual case, the next turn of a conversation. It holds what the
    database holds: an id that was recorded for somebody else stays theirs. ``clock``: monotonic seconds.
    """

    def __init__(
        self,
        *,
        write: Write,
        store: Callable[[Any, list[Pair], VendorId], Mapping[Pair, VendorId]],
        erase: Callable[[Any, str, str], None],
        read: Callable[[str, str], VendorId | None],
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._store, self._erase, self._read = write, store, erase, read
        self._capacity, self._clock = capacity, clock
        self._recent: dict[Pair, tuple[VendorId, float]] = {}  # and until when it is believed
        self._generation = 0  # rises with each refresh: what was read before one is not kept after it

    async def remember(self, ids: list[Pair], owner: VendorId) -> None:
        """Record ids as ``owner``'s; returns when they are durable. Ids already recorded keep their owner."""
        fresh = [pair for pair in dict.fromkeys(ids) if self._known(pair) is None]
        for start in range(0, len(fresh), BATCH):
            await self._record(fresh[start : start + BATCH], owner)

    async def _record(self, ids: list[Pair], owner: VendorId) -> None:
        generation = self._generation
        owned = await self._write(lambda connection: self._store(connection, ids, owner))
        for pair, holder in owned.items():
            self._keep(pair, holder, generation)

    async def find(self, kind: str, external_id: str) -> VendorId | None:
        """Whose id this is; None when it was never recorded."""
        pair = (kind, external_id)
        owner = self._known(pair)
        if owner is None:
            generation = self._generation
            owner = await asyncio.to_thread(self._read, kind, external_id)
            if owner is not None:
                self._keep(pair, owner, generation)
        return owner

    async def forget(self, kind: str, external_id: str) -> None:
        """The vendor has deleted it."""
        self._drop((kind, external_id))
        await self._write(lambda connection: self._erase(connection, kind, external_id))
        self._drop((kind, external_id))  # what was read while it was being erased

    def refresh(self) -> None:
        """Forget what is remembered here: a channel changed, and its credentials may have other positions."""
        self._generation += 1
        self._recent.clear()

    def _drop(self, pair: Pair) -> None:
        self._generation += 1
        self._recent.pop(pair, None)

    def _known(self, pair: Pair) -> VendorId | None:
        kept = self._recent.get(pair)
        if kept is None:
            return None
        owner, until = kept
        return owner if self._clock() < until else None

    def _keep(self, pair: Pair, owner: VendorId, generation: int) -> None:
        if generation != self._generation:
            return
        self._recent.pop(pair, None)  # the newest stands last
        if len(self._recent) >= self._capacity:
            self._recent.pop(next(iter(self._recent)))
        self._recent[pair] = (owner, self._clock() + KEPT_S)
