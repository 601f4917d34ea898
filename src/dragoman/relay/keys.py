"""Finding the record behind a key: from the key table, else one read of the database, once per key at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dragoman.routing.keytable import KeyRecord, KeyTable


class Keys:
    """``lookup`` hashes a key's text; ``load`` reads a record by that hash in a thread. Belongs to the event loop."""

    def __init__(
        self,
        table: KeyTable,
        *,
        lookup: Callable[[str], bytes],
        load: Callable[[bytes], KeyRecord | None],
        clock: Callable[[], float],
        concurrency: int = 8,
    ) -> None:
        self._table, self._lookup, self._load, self._clock = table, lookup, load, clock
        self._loading: dict[bytes, asyncio.Future[KeyRecord | None]] = {}
        self._slots = asyncio.Semaphore(concurrency)  # wrong keys must not take every database connection

    def cached(self, key: str) -> KeyRecord | None:
        """The record, when this process already knows it."""
        return self._table.get(self._lookup(key)) if plausible(key) else None

    async def find(self, key: str) -> KeyRecord | None:
        """The record, read from the database when needed; None when it is nobody's key."""
        if not plausible(key):
            return None
        lookup = self._lookup(key)
        record = self._table.get(lookup)
        if record is None and not self._table.missed(lookup, self._clock()):
            record = await self._shared_load(lookup)
        return record

    async def _shared_load(self, lookup: bytes) -> KeyRecord | None:
        loading = self._loading.get(lookup)
        if loading is None:
            loading = asyncio.ensure_future(self._read(lookup))
            self._loading[lookup] = loading
            loading.add_done_callback(lambda _: self._loading.pop(lookup, None))
        return await asyncio.shield(loading)

    async def _read(self, lookup: bytes) -> KeyRecord | None:
        async with self._slots:
            generation = self._table.generation
            record = await asyncio.to_thread(self._load, lookup)
            self._table.put(lookup, record, self._clock(), generation)
            return record


def plausible(key: str) -> bool:
    """Could this be a key at all? Anything else is not worth a look into the database."""
    return 8 <= len(key) <= 128 and key.isascii()
