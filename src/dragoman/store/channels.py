"""Groups, channels and prices: written only where something differs, each change recorded in the feed.

``put_*`` creates or updates by name and says which happened. Price rows are versioned: a change adds a version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, case, delete, func, insert, select, update

from dragoman.store.publish import CREDENTIAL_PURPOSE, PRICE_FIELDS, record_change
from dragoman.store.tables import DISABLED, ENABLED, channel_credentials, channels, groups, prices, vendor_ids
from dragoman.store.vault import Vault

Put = Literal["created", "changed", "same"]


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists, tuples and objects become JSON text with a stable order."""
    return {
        k: json.dumps(v, sort_keys=True, ensure_ascii=False) if isinstance(v, list | tuple | dict) else v
        for k, v in values.items()
    }


def put_group(connection: Connection, name: str, now: float, **values: Any) -> Put:
    """multiplier, hold, options, status, source."""
    return _put(connection, groups, groups.c.name == name, {"name": name}, "group", now, values)


def put_channel(
    connection: Connection, vault: Vault, name: str, now: float, *, keys: Sequence[str], **values: Any
) -> Put:
    """Columns of ``channels`` by name, and the channel's credentials in order."""
    done = _put(
        connection,
        channels,
        channels.c.name == name,
        {"name": name, "created_at": int(now)},
        "channel",
        now,
        values,
    )
    channel_id = connection.execute(select(channels.c.id).where(channels.c.name == name)).scalar_one()
    if _set_credentials(connection, vault, channel_id, keys) and done == "same":
        record_change(connection, "channel", channel_id, now)
        return "changed"
    return done


def put_price(connection: Connection, model: str, now: float, **values: Any) -> Put:
    """PRICE_FIELDS, extra, status, source of the newest version; a difference in a price makes a new version."""
    latest = connection.execute(
        select(prices).where(prices.c.model == model).order_by(prices.c.version.desc()).limit(1)
    ).first()
    wanted = {"status": ENABLED, "extra": "{}", **dict.fromkeys(PRICE_FIELDS), **_columns(values)}
    if latest is not None and all(getattr(latest, k) == v for k, v in wanted.items()):
        return "same"
    version = 1 if latest is None else latest.version + 1
    if latest is not None:
        connection.execute(update(prices).where(prices.c.model == model).values(status=DISABLED))
    connection.execute(insert(prices).values(model=model, version=version, created_at=int(now), **wanted))
    record_change(connection, "price", model, now)
    return "created" if latest is None else "changed"


def disable_missing(
    connection: Connection,
    kind: Literal["group", "channel", "price"],
    source: str,
    keep: set[str],
    now: float,
) -> list[str]:
    """Disable rows of ``source`` that are not in ``keep``. Returns their names."""
    table, column = {
        "group": (groups, groups.c.name),
        "channel": (channels, channels.c.name),
        "price": (prices, prices.c.model),
    }[kind]
    query = select(column).where(table.c.source == source, table.c.status == ENABLED)
    gone = [name for name in connection.execute(query).scalars() if name not in keep]
    for name in gone:
        row_id = name
        if kind == "channel":
            row_id = connection.execute(select(channels.c.id).where(channels.c.name == name)).scalar_one()
        connection.execute(
            update(table).where(column == name, table.c.source == source).values(status=DISABLED)
        )
        record_change(connection, kind, row_id, now)
    return gone


def _put(
    connection: Connection,
    table: Any,
    where: Any,
    identity: dict[str, Any],
    kind: str,
    now: float,
    values: Any,
) -> Put:
    wanted = _columns(values)
    row = connection.execute(select(table).where(where)).first()
    done: Put = "created"
    if row is not None:
        differing = {k: v for k, v in wanted.items() if getattr(row, k) != v}
        if not differing:
            return "same"
        connection.execute(update(table).where(where).values(differing))
        done = "changed"
    else:
        connection.execute(insert(table).values(**identity, **wanted))
    row_id = identity["name"]
    if kind == "channel":
        row_id = connection.execute(select(table.c.id).where(where)).scalar_one()
    record_change(connection, kind, row_id, now)
    return done


def _set_credentials(connection: Connection, vault: Vault, channel_id: int, keys: Sequence[str]) -> bool:
    """Make the credentials these, in this order. True when they differed.

    Vendor-side ids follow their credential to its new position; those of a credential that is gone are forgotten,
    since nothing can reach them any more.
    """
    c = channel_credentials.c
    rows = connection.execute(
        select(c.position, c.lookup, c.cipher).where(c.channel_id == channel_id).order_by(c.position)
    ).all()
    wanted = [vault.lookup(k) for k in keys]
    if [r.lookup for r in rows] == wanted:
        return False
    moves = {r.position: wanted.index(r.lookup) for r in rows if r.lookup in wanted}
    connection.execute(delete(channel_credentials).where(c.channel_id == channel_id))
    if keys:
        connection.execute(
            insert(channel_credentials),
            [
                {
                    "channel_id": channel_id,
                    "position": i,
                    "lookup": wanted[i],
                    "cipher": vault.encrypt(key.encode(), CREDENTIAL_PURPOSE),
                }
                for i, key in enumerate(keys)
            ],
        )
    v = vendor_ids.c
    gone = [r.position for r in rows if r.position not in moves]
    if gone:
        connection.execute(delete(vendor_ids).where(v.channel_id == channel_id, v.credential.in_(gone)))
    if any(old != new for old, new in moves.items()):
        position = case(moves, value=v.credential, else_=v.credential)
        connection.execute(update(vendor_ids).where(v.channel_id == channel_id).values(credential=position))
    return True


def count_enabled(connection: Connection) -> dict[str, int]:
    """How many groups, channels and prices are enabled."""
    return {
        t.name: connection.execute(
            select(func.count()).select_from(t).where(t.c.status == ENABLED)
        ).scalar_one()
        for t in (groups, channels, prices)
    }


def list_channels(connection: Connection) -> Sequence[Row[Any]]:
    """Rows of ``channels`` by name, without their credentials."""
    return connection.execute(select(channels).order_by(channels.c.name)).all()


def set_channel_status(connection: Connection, name: str, enabled: bool, now: float) -> bool:
    """Take a channel into routing or out of it. False: there is none, or it was so already."""
    row = connection.execute(select(channels).where(channels.c.name == name)).first()
    status = ENABLED if enabled else DISABLED
    if row is None or row.status == status:
        return False
    connection.execute(update(channels).where(channels.c.id == row.id).values(status=status))
    record_change(connection, "channel", row.id, now)
    return True
