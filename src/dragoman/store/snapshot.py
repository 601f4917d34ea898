"""Stored rows → the values that the data plane reads: ``routing``'s Snapshot and KeyRecord."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import asdict

from dragoman.core.money import Price, multiplier_micros, price_from_strings
from dragoman.providers.base import OPERATION_DIALECT, Endpoint, Provider
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.snapshot import Channel, Group, Snapshot
from dragoman.store.accounts import KeyRow
from dragoman.store.publish import ChannelRow, GroupRow, SnapshotRows
from dragoman.store.tables import ENABLED


class Unusable(ValueError):
    """A row that cannot be compiled; the message names it and the field."""


def compile_snapshot(
    rows: SnapshotRows,
    *,
    providers: Mapping[str, Provider],
    default_price: Callable[[str], Price | None],
    aliases: Mapping[str, str],
    catalogue: Iterable[str],
    named: Mapping[str, str] = {},
    refused: Callable[[str], None] = lambda problem: None,
) -> Snapshot:
    """One immutable value from everything enabled. A channel that cannot work is left out and told to ``refused``."""
    channels = []
    for row in rows.channels:
        try:
            channels.append(compile_channel(row, providers))
        except Unusable as problem:
            refused(str(problem))
    return Snapshot(
        groups=[_group(row) for row in rows.groups],
        channels=channels,
        prices={row.model: price_from_strings(row.version, _strings(asdict(row))) for row in rows.prices},
        default_price=default_price,
        aliases=aliases,
        catalogue=frozenset(catalogue) | rows.known,
        named=named,
        version=rows.seq,
    )


def compile_channel(row: ChannelRow, providers: Mapping[str, Provider]) -> Channel:
    """A channel ready for routing. Raises Unusable."""
    provider = providers.get(row.provider)
    if provider is None:
        raise Unusable(
            f"channel {row.name}: provider {row.provider!r} is not known; known are {', '.join(sorted(providers))}"
        )
    spoken = provider.dialects
    if unknown := set(row.dialects) - spoken:
        raise Unusable(
            f"channel {row.name}: dialects: {', '.join(sorted(unknown))} is not spoken by {row.provider}"
        )
    try:
        endpoint = Endpoint(provider, row.base_url, tuple(row.headers.items()), row.drop_params, row.options)
    except ValueError as error:
        raise Unusable(f"channel {row.name}: {error}") from None
    allowed = set(row.dialects) | {"plain"} if row.dialects else spoken
    return Channel(
        id=row.id,
        name=row.name,
        label=row.label or provider.label,
        endpoint=endpoint,
        credentials=row.keys,
        models=row.models,
        groups=row.groups,
        operations=frozenset(op for op in provider.paths if OPERATION_DIALECT[op] in allowed),
        model_map=row.model_map,
        priority=row.priority,
        weight=row.weight,
        proxy=row.proxy,
        translate=row.translate,
        facts=row.facts,
    )


def key_record(row: KeyRow) -> KeyRecord:
    """A key as the key table holds it."""
    return KeyRecord(
        id=row.id,
        user_id=row.user_id,
        username=row.username,
        role=row.role,
        user_active=row.user_status == ENABLED,
        name=row.name,
        active=row.status == ENABLED,
        expires_at=row.expires_at,
        group=row.group,
        models=row.models,
        allow_ips=row.allow_ips,
        wallet_id=row.wallet_id,
        key_account_id=row.key_account_id,
        strict=row.strict,
    )


def _group(row: GroupRow) -> Group:
    return Group(
        name=row.name,
        multiplier_micros=multiplier_micros(row.multiplier),
        strict=row.hold == "strict",
        translate=bool(row.options.get("translate", True)),
        vendor_prefixes=bool(row.options.get("vendor_prefixes")),
    )


def _strings(row: dict[str, Any]) -> dict[str, str]:
    return {k: v for k, v in row.items() if k not in ("model", "version", "extra") and v is not None}
