"""The register of vendor-side ids: written before the client sees an id, read before one is sent upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dragoman.store.records import VendorId

Write = Callable[[Callable[[Any], None]], "asyncio.Future[None]"]


class OwnerRegister:
    """``write`` runs a function with a connection in the ledger's writer; ``read`` looks one id up in a thread.

    A bounded memory of recent ids saves the read for the usual case, the next turn of a conversation.
    """

    def __init__(
        self,
        *,
        write: Write,
        store: Callable[[Any, list[tuple[str, str]], VendorId], None],
        erase: Callable[[Any, str, str], None],
        read: Callable[[str, str], VendorId | None],
        capacity: int = 10_000,
    ) -> None:
        self._write, self._store, self._erase, self._read, self._capacity = (
            write,
            store,
            erase,
            read,
            capacity,
        )
        self._recent: dict[tuple[str, str], VendorId] = {}
        self._generation = 0  # rises with each refresh: what was read before one is not kept after it

    async def remember(self, ids: list[tuple[str, str]], owner: VendorId) -> None:
        """Record ids as ``owner``'s; returns when they are durable. Ids already recorded are left as they are."""
        fresh = [i for i in ids if i not in self._recent]
        if not fresh:
            return
        generation = self._generation
        await self._write(lambda connection: self._store(connection, fresh, owner))
        for pair in fresh:
            self._keep(pair, owner, generation)

    async def find(self, kind: str, external_id: str) -> VendorId | None:
        """Whose id this is; None when it was never recorded."""
        pair = (kind, external_id)
        owner = self._recent.get(pair)
        if owner is None:
            generation = self._generation
            owner = await asyncio.to_thread(self._read, kind, external_id)
            if owner is not None:
                self._keep(pair, owner, generation)
        return owner

    async def forget(self, kind: str, external_id: str) -> None:
        """The vendor has deleted it."""
        self._recent.pop((kind, external_id), None)
        await self._write(lambda connection: self._erase(connection, kind, external_id))

    def refresh(self) -> None:
        """Forget what is remembered here: a channel changed, and its credentials may have other positions."""
        self._generation += 1
        self._recent.clear()

    def _keep(self, pair: tuple[str, str], owner: VendorId, generation: int) -> None:
        if generation != self._generation:
            return
        if len(self._recent) >= self._capacity:
            self._recent.pop(next(iter(self._recent)))
        self._recent[pair] = owner
