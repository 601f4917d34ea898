"""What the data plane loads, and the feed of changes that tells it when to load again.

``changes`` is followed by sequence number: every process polls it, and PostgreSQL wakes pollers with NOTIFY. On
PostgreSQL writers of the feed take turns until they commit, so that a number is never seen before a smaller one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, func, insert, select, text

from dragoman.store.engine import CHANGES_LOCK, advisory_lock, is_sqlite
from dragoman.store.tables import ENABLED, changes, channel_credentials, channels, groups, prices
from dragoman.store.vault import Vault

CHANNEL_NAME = "dragoman_changes"  # for LISTEN on PostgreSQL
CREDENTIAL_PURPOSE = b"upstream credential"

PRICE_FIELDS = (
    "input",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "per_request",
)


class GroupRow(Struct, frozen=True, kw_only=True):
    """A group. ``multiplier``: decimal string; ``hold``: expected or strict."""

    name: str
    multiplier: str
    hold: str
    options: dict[str, Any]


class ChannelRow(Struct, frozen=True, kw_only=True):
    """A channel with its credentials in the clear, in position order: ``vendor_ids.credential`` is an index here."""

    id: int
    name: str
    provider: str
    base_url: str
    label: str
    keys: tuple[str, ...]
    models: tuple[str, ...]
    groups: tuple[str, ...]
    dialects: tuple[str, ...]
    model_map: dict[str, str]
    priority: int
    weight: int
    proxy: str
    headers: dict[str, str]
    drop_params: tuple[str, ...]
    cost_multiplier: str
    status: int
    options: dict[str, str]
    translate: bool = True
    facts: dict[str, Any] = {}


class PriceRow(Struct, frozen=True, kw_only=True):
    """The current price of a model (exact or wildcard): USD decimal strings, per million tokens or per request."""

    model: str
    version: str
    input: str | None
    cached_input: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    output: str | None
    reasoning: str | None
    per_request: str | None
    extra: dict[str, Any]


class SnapshotRows(Struct, frozen=True):
    """Everything enabled, and the number of the last change it includes. ``known``: models of disabled rows as well."""

    groups: tuple[GroupRow, ...]
    channels: tuple[ChannelRow, ...]
    prices: tuple[PriceRow, ...]
    known: frozenset[str]
    seq: int


class Change(Struct, frozen=True):
    """An entry of the feed. ``kind``: key, user, group, channel, price."""

    seq: int
    kind: str
    id: str


class Feed(Struct, frozen=True):
    """What is new in the feed. ``missed``: there was more, but it has been purged; ``changes`` is not empty then."""

    changes: list[Change]
    missed: bool


def record_change(connection: Connection, kind: str, row_id: int | str, now: float) -> None:
    """Tell every process that this row changed, when the transaction commits."""
    advisory_lock(connection, CHANGES_LOCK)
    connection.execute(insert(changes).values(kind=kind, id=str(row_id), created_at=int(now)))
    if not is_sqlite(connection):
        connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL_NAME})


def changes_since(connection: Connection, seq: int, limit: int = 10_000) -> list[Change]:
    """Entries after ``seq``, oldest first."""
    c = changes.c
    rows = connection.execute(select(c.seq, c.kind, c.id).where(c.seq > seq).order_by(c.seq).limit(limit))
    return [Change(*row) for row in rows]


def read_feed(connection: Connection, seq: int) -> Feed:
    """What a process that has seen everything up to ``seq`` has yet to see.

    Whoever was cut off for longer than entries are kept must load everything anew. (A number that was never used looks
    the same; then it is loaded once for nothing.)
    """
    news = changes_since(connection, seq)
    # Asked second: what is purged between the two has been read. The newest entry is never purged.
    oldest = connection.execute(select(func.min(changes.c.seq))).scalar() if news else None
    return Feed(news, oldest is not None and seq < oldest - 1)


def last_sequence(connection: Connection) -> int:
    """The number of the newest entry; 0 when there is none."""
    return int(connection.execute(select(func.coalesce(func.max(changes.c.seq), 0))).scalar_one())


def load_snapshot_rows(connection: Connection, vault: Vault) -> SnapshotRows:
    """Enabled groups, channels and prices. Raises VaultError when a credential cannot be decrypted."""
    seq = last_sequence(connection)  # first: what is missed below is then announced again
    credentials: dict[int, list[str]] = {}
    c = channel_credentials.c
    for row in connection.execute(select(c.channel_id, c.cipher).order_by(c.channel_id, c.position)):
        credentials.setdefault(row.channel_id, []).append(
            vault.decrypt(row.cipher, CREDENTIAL_PURPOSE).decode()
        )
    channel_rows = connection.execute(select(channels).order_by(channels.c.id)).all()
    price_rows = connection.execute(select(prices).order_by(prices.c.model, prices.c.version)).all()
    group_rows = connection.execute(
        select(groups).where(groups.c.status == ENABLED).order_by(groups.c.name)
    ).all()
    return SnapshotRows(
        groups=tuple(
            GroupRow(name=g.name, multiplier=g.multiplier, hold=g.hold, options=json.loads(g.options))
            for g in group_rows
        ),
        channels=tuple(_channel(r, credentials.get(r.id, ())) for r in channel_rows if r.status == ENABLED),
        prices=tuple(_price(r) for r in price_rows if r.status == ENABLED),
        known=frozenset(m for r in channel_rows for m in json.loads(r.models))
        | {r.model for r in price_rows},
        seq=seq,
    )


def _channel(row: Any, credentials: Sequence[str]) -> ChannelRow:
    return ChannelRow(
        id=row.id,
        name=row.name,
        provider=row.provider,
        base_url=row.base_url,
        label=row.label,
        keys=tuple(credentials),
        models=tuple(json.loads(row.models)),
        groups=tuple(json.loads(row.groups)),
        dialects=tuple(json.loads(row.dialects)),
        model_map=json.loads(row.model_map),
        priority=row.priority,
        weight=row.weight,
        proxy=row.proxy,
        headers=json.loads(row.headers),
        drop_params=tuple(json.loads(row.drop_params)),
        cost_multiplier=row.cost_multiplier,
        status=row.status,
        options=json.loads(row.options),
        translate=bool(row.translate),
        facts=json.loads(row.facts),
    )


def _price(row: Any) -> PriceRow:
    return PriceRow(
        model=row.model,
        version=str(row.version),
        input=row.input,
        cached_input=row.cached_input,
        cache_write_5m=row.cache_write_5m,
        cache_write_1h=row.cache_write_1h,
        output=row.output,
        reasoning=row.reasoning,
        per_request=row.per_request,
        extra=json.loads(row.extra),
    )
