"""The snapshot: groups, channels and prices compiled into one immutable value that the data plane reads.

A new snapshot is compiled from the stored rows whenever one of them changes, and swapped in whole; a request keeps the
one that it began with. Model patterns are exact names or wildcards (``gpt-4-gizmo-*``); an exact name wins over a
wildcard, a longer wildcard over a shorter one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final, TypeVar

from msgspec import Struct

from dragoman.core.money import Price
from dragoman.providers.base import Endpoint

W = TypeVar("W")
NO_FACTS: Final[Mapping[str, object]] = MappingProxyType({})


class Group(Struct, frozen=True, kw_only=True):
    """A user tier and channel pool. ``multiplier_micros``: price multiplier × 10⁶; ``strict``: hold the worst case."""

    name: str
    multiplier_micros: int = 1_000_000
    strict: bool = False
    translate: bool = True
    vendor_prefixes: bool = False


class Channel(Struct, frozen=True, kw_only=True):
    """A configured upstream: an endpoint of a provider, its credentials, and what it may serve to whom."""

    id: int
    name: str
    label: str
    endpoint: Endpoint
    credentials: tuple[str, ...]
    models: tuple[str, ...]
    groups: tuple[str, ...]
    operations: frozenset[str]
    model_map: Mapping[str, str]
    priority: int = 0
    weight: int = 1
    proxy: str = ""
    translate: bool = True
    facts: Mapping[str, object] = NO_FACTS
    """The operator's own facts about the models of this channel; they win over the shipped table."""

    def serves(self, model: str) -> bool:
        """Does this channel list ``model``, by exact name or by wildcard?"""
        return any(m == model or (is_wildcard(m) and fnmatchcase(model, m)) for m in self.models)

    def upstream_model(self, model: str) -> str:
        """The vendor's name for our ``model``."""
        return self.model_map.get(model, model)


def is_wildcard(pattern: str) -> bool:
    """Patterns use ``*`` and ``?``; every other character stands for itself."""
    return "*" in pattern or "?" in pattern


class Snapshot:
    """Everything that routing reads. Immutable but for memo tables that only remember what was computed from it."""

    def __init__(
        self,
        *,
        groups: Iterable[Group],
        channels: Iterable[Channel],
        prices: Mapping[str, Price],
        default_price: Callable[[str], Price | None],
        aliases: Mapping[str, str] = {},
        catalogue: Iterable[str] = (),
        named: Mapping[str, str] = {},
        version: int = 0,
        memo_limit: int = 10_000,
    ) -> None:
        self.version = version
        self.groups: Mapping[str, Group] = {g.name: g for g in groups}
        self.channels: Mapping[int, Channel] = {c.id: c for c in channels}
        self.aliases = aliases
        self._prices = {m: p for m, p in prices.items() if not is_wildcard(m)}
        self._price_patterns = sorted(
            ((m, p) for m, p in prices.items() if is_wildcard(m)), key=lambda x: (-len(x[0]), x[0])
        )
        self._default_price = default_price
        self._catalogue = frozenset(catalogue)
        self._named = named  # model id → owner: what a wildcard may be listed as
        self._memo_limit = memo_limit
        self._candidates: dict[tuple[str, str], tuple[Channel, ...]] = {}
        self._price_memo: dict[str, Price | None] = {}
        self.ways: dict[tuple[str, str, str, bool], tuple[Any, ...]] = {}
        """What ``select`` found for (group, model, operation, stream)."""

    def candidates(self, group: str, model: str) -> tuple[Channel, ...]:
        """All channels of ``group`` that list ``model``, whatever operation they serve, in id order."""
        memo = self._candidates
        found = memo.get((group, model))
        if found is None:
            found = tuple(c for c in self.channels.values() if group in c.groups and c.serves(model))
            if len(memo) >= self._memo_limit:
                memo.clear()
            memo[(group, model)] = found
        return found

    def remember_ways(self, question: tuple[str, str, str, bool], ways: tuple[W, ...]) -> tuple[W, ...]:
        """Keep an answer of ``select`` in ``ways``, which stays bounded."""
        if len(self.ways) >= self._memo_limit:
            self.ways.clear()
        self.ways[question] = ways
        return ways

    def price(self, model: str) -> Price | None:
        """The price of ``model``: an exact row, a wildcard row, the shipped default, or None."""
        memo = self._price_memo
        if model in memo:
            return memo[model]
        price = self._prices.get(model)
        if price is None:
            price = next((p for pattern, p in self._price_patterns if fnmatchcase(model, pattern)), None)
        if price is None:
            price = self._default_price(model)
        if len(memo) >= self._memo_limit:
            memo.clear()
        memo[model] = price
        return price

    def knows(self, model: str) -> bool:
        """Is this id named by the documents, or by any channel or price row?"""
        return (
            model in self._catalogue
            or model in self._prices
            or any(p != "*" and fnmatchcase(model, p) for p, _ in self._price_patterns)
            or any(c.serves(model) for c in self.channels.values())
        )

    def models(self, group: str) -> list[str]:
        """Model ids that channels of ``group`` offer, sorted.

        A wildcard is listed as the named models that it matches; a lone ``*`` as those of the channel's own vendor,
        because it says nothing about which others there are.
        """
        names: set[str] = set()
        for channel in self.channels.values():
            if group not in channel.groups:
                continue
            vendor = channel.endpoint.provider.vendor
            for pattern in channel.models:
                if pattern == "*":
                    names.update(m for m, owner in self._named.items() if owner == vendor)
                elif is_wildcard(pattern):
                    names.update(m for m in self._named if fnmatchcase(m, pattern))
                else:
                    names.add(pattern)
        return sorted(names)

    def operations(self, group: str, model: str) -> frozenset[str]:
        """What some channel of ``group`` can do with ``model``."""
        found: frozenset[str] = frozenset()
        for channel in self.candidates(group, model):
            found |= channel.operations
        return found
