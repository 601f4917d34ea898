"""The bounded table of keys: HMAC of the key → record, loaded on first use, dropped on change.

A million keys cost nothing at start: a record is loaded when its key is first seen and the least recently loaded ones
leave when the table is full. Unknown keys are remembered too, for ``negative_ttl_s``, so that a client hammering with
a wrong key costs one database read per period and not one per request. Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

from msgspec import Struct


class KeyRecord(Struct, frozen=True, kw_only=True):
    """What the data plane knows of a key. ``models`` None means all; ``expires_at`` is in unix seconds, None never."""

    id: int
    user_id: int
    username: str
    role: str
    user_active: bool
    name: str
    active: bool
    expires_at: int | None
    group: str
    models: tuple[str, ...] | None
    allow_ips: tuple[str, ...]
    wallet_id: int
    key_account_id: int | None
    strict: bool = False


class KeyTable:
    """HMAC → KeyRecord or a remembered miss. Not thread-safe: it belongs to the event loop."""

    def __init__(
        self, *, capacity: int = 100_000, negative_capacity: int = 10_000, negative_ttl_s: float = 2.0
    ) -> None:
        self._records: dict[bytes, KeyRecord] = {}
        self._by_id: dict[int, bytes] = {}
        self._by_user: dict[int, set[bytes]] = {}
        self._misses: dict[bytes, float] = {}
        self._capacity, self._negative_capacity, self._ttl = capacity, negative_capacity, negative_ttl_s
        self.generation = (
            0  # rises with each drop; a load that began before a drop must not be stored after it
        )

    def get(self, lookup: bytes) -> KeyRecord | None:
        """The record, or None when it has to be loaded (or is a remembered miss: ask ``missed``)."""
        return self._records.get(lookup)

    def missed(self, lookup: bytes, now: float) -> bool:
        """True while ``lookup`` is known to be nobody's key."""
        until = self._misses.get(lookup)
        return until is not None and now < until

    def put(self, lookup: bytes, record: KeyRecord | None, now: float, generation: int) -> None:
        """Remember the result of a load that began at ``generation``; a load overtaken by a change is not kept."""
        if generation != self.generation:
            return
        if record is None:
            if len(self._misses) >= self._negative_capacity:
                self._misses.pop(next(iter(self._misses)))
            self._misses[lookup] = now + self._ttl
            return
        if lookup not in self._records and len(self._records) >= self._capacity:
            self._forget(next(iter(self._records)))
        self._records[lookup] = record
        self._by_id[record.id] = lookup
        self._by_user.setdefault(record.user_id, set()).add(lookup)

    def drop_key(self, key_id: int) -> None:
        """Forget one key, and every remembered miss (the key may have just been created)."""
        self.generation += 1
        self._misses.clear()
        if (lookup := self._by_id.get(key_id)) is not None:
            self._forget(lookup)

    def drop_user(self, user_id: int) -> None:
        """Forget all keys of a user."""
        self.generation += 1
        for lookup in tuple(self._by_user.get(user_id, ())):
            self._forget(lookup)

    def clear(self) -> None:
        """Forget everything."""
        self.generation += 1
        for table in (self._records, self._by_id, self._by_user, self._misses):
            table.clear()

    def __len__(self) -> int:
        return len(self._records)

    def _forget(self, lookup: bytes) -> None:
        record = self._records.pop(lookup)
        self._by_id.pop(record.id, None)
        siblings = self._by_user.get(record.user_id)
        if siblings is not None:
            siblings.discard(lookup)
            if not siblings:
                del self._by_user[record.user_id]
