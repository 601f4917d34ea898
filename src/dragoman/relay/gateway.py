"""The ports and limits that a request needs. Built once in ``app``; ``snapshot`` is swapped whole when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

from msgspec import Struct

from dragoman.core.money import Price
from dragoman.ledger.book import Book
from dragoman.observe import Journal, Metrics
from dragoman.relay.bodies import BodyBudget
from dragoman.relay.fetch import MediaLoader
from dragoman.relay.slots import CountSlots
from dragoman.relay.state import ResponseState
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.snapshot import Snapshot
from dragoman.store.records import VendorId
from dragoman.upstream.client import Client, Timeouts
from dragoman.upstream.credentials import Credentials


class Limits(Struct, frozen=True, kw_only=True):
    """Every limit of the relay, from the configuration. Sizes in bytes, times in seconds."""

    body_bytes: int
    body_idle_timeout_s: float
    body_wait_s: float
    answer_bytes: int
    attempts: int
    timeouts: Timeouts
    hold_output_tokens: int
    max_output_tokens: int
    max_context_tokens: int
    counts_at_once: int
    count_vendor_s: float
    background_s: float
    strict_paths: bool
    api_only_hosts: frozenset[str]
    public_url: str
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    metrics_allow: tuple[str, ...]


class KeyFinder(Protocol):
    """Finds the record behind a key's text; from memory when it can."""

    def cached(self, key: str) -> KeyRecord | None: ...
    async def find(self, key: str) -> KeyRecord | None: ...


class Owners(Protocol):
    """The register of vendor-side ids (decisions 22)."""

    async def remember(self, ids: list[tuple[str, str]], owner: VendorId) -> None: ...
    async def find(self, kind: str, external_id: str) -> VendorId | None: ...
    async def forget(self, kind: str, external_id: str) -> None: ...


class PriceFinder(Protocol):
    """Default prices that the snapshot does not hold yet."""

    async def find(self, model: str, now: float) -> Price | None: ...


class Gateway:
    """What routes and flow work with. Not a request context: nothing here belongs to one call."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        limits: Limits,
        book: Book,
        client: Client,
        credentials: Credentials,
        keys: KeyFinder,
        owners: Owners,
        media: MediaLoader,
        state: ResponseState,
        prices: PriceFinder,
        journal: Journal,
        metrics: Metrics,
        budget: BodyBudget,
        clock: Callable[[], float],
        random: Callable[[], float],
        new_id: Callable[[], str],
        ready: Callable[[], dict[str, str]],
    ) -> None:
        self.snapshot = snapshot
        self.limits = limits
        self.book = book
        self.client = client
        self.credentials = credentials
        self.keys = keys
        self.owners = owners
        self.media = media
        self.state = state
        self.prices = prices
        self.journal = journal
        self.metrics = metrics
        self.budget = budget
        self.clock = clock
        self.random = random
        self.new_id = new_id
        self.ready = ready
        self.count_slots = CountSlots(limits.counts_at_once, limits.count_vendor_s)
        self.later: set[asyncio.Task[None]] = set()  # work that outlives its request

    def afterwards(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something when its request is over; cancelled when the gateway stops."""
        task = asyncio.get_running_loop().create_task(work)
        self.later.add(task)
        task.add_done_callback(self.later.discard)
