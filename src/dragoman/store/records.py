"""Records: the call log as readers see it, the register of vendor-side ids, and the housekeeping of both.

Rows of ``call_logs`` are written by the ledger, in the transaction that moves the money.
"""

# ruff: noqa: S608 - statements are put together from names of our own

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection, Row, Select, Table, and_, delete, func, insert, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.store.engine import PARTITION_LOCK, advisory_lock, is_sqlite
from dragoman.store.tables import (
    PARTITIONED,
    call_details,
    call_logs,
    changes,
    meta,
    responses,
    vendor_ids,
)

MONTHS_AHEAD = 3
# The audit compares transfers with log rows from this time on (unix seconds); older log rows have been dropped.
LOGS_KEPT_SINCE = "logs_kept_since"
RENEW_S = 86_400  # a vendor-side id that is named again is renewed once in this time


class CallFilter(Struct, frozen=True, kw_only=True):
    """Which calls. Empty members do not filter; times are unix seconds, both ends included; ``model`` may hold ``%``."""

    user_id: int | None = None
    key_ids: Sequence[int] | None = None
    kind: int = 0
    model: str = ""
    group: str = ""
    request_id: str = ""
    start: int | None = None
    end: int | None = None


def _matching(query: Select[Any], f: CallFilter) -> Select[Any]:
    c = call_logs.c
    if f.user_id is not None:
        query = query.where(c.user_id == f.user_id)
    if f.kind:
        query = query.where(c.kind == f.kind)
    if f.model:
        query = query.where(c.model.like(f.model) if "%" in f.model else c.model == f.model)
    if f.group:
        query = query.where(c.grp == f.group)
    if f.request_id:
        query = query.where(c.request_id == f.request_id)
    if f.start is not None:
        query = query.where(c.created_at >= f.start)
    if f.end is not None:
        query = query.where(c.created_at <= f.end)
    return query if f.key_ids is None else query.where(c.key_id.in_(f.key_ids))


def list_calls(connection: Connection, f: CallFilter, *, limit: int, offset: int = 0) -> Sequence[Row[Any]]:
    """Log rows, newest first. ``model_asked`` is None where it equals ``model``."""
    query = _matching(select(call_logs), f)
    query = (
        query.order_by(call_logs.c.created_at.desc(), call_logs.c.request_id.desc())
        .limit(limit)
        .offset(offset)
    )
    return connection.execute(query).all()


def count_calls(connection: Connection, f: CallFilter) -> int:
    """How many rows ``list_calls`` would return without a limit."""
    return connection.execute(_matching(select(func.count()).select_from(call_logs), f)).scalar_one()


def sum_quota(connection: Connection, f: CallFilter) -> int:
    """The quota units of all matching rows; 0 when there are none."""
    return int(
        connection.execute(_matching(select(func.coalesce(func.sum(call_logs.c.quota), 0)), f)).scalar_one()
    )


def call_detail(connection: Connection, request_id: str, created_at: int) -> bytes | None:
    """The detail row (JSON) of a call; None when there was none or its retention is over."""
    c = call_details.c
    return connection.execute(
        select(c.detail).where(c.created_at == created_at, c.request_id == request_id)
    ).scalar_one_or_none()


# ------------------------------------------------------------------------------------------------------- vendor-side ids


class VendorId(Struct, frozen=True):
    """Who caused a vendor-side id and where it lives. ``credential``: position in the channel's credentials."""

    user_id: int
    channel_id: int
    credential: int


def remember(
    connection: Connection, ids: Iterable[tuple[str, str]], owner: VendorId, now: float
) -> dict[tuple[str, str], VendorId]:
    """Record (kind, id) pairs as ``owner``'s. Returns whose each one is: a pair already recorded keeps its first owner.

    Its own owner's naming it again renews it (at most once in RENEW_S), so that retention spares what is in use.
    """
    pairs = list(dict.fromkeys(ids))
    if not pairs:
        return {}
    same_for_all = {**structs.asdict(owner), "created_at": int(now)}
    rows = [{"kind": kind, "id": external_id, **same_for_all} for kind, external_id in pairs]
    v, dialect = vendor_ids.c, sqlite if is_sqlite(connection) else postgresql
    statement = dialect.insert(vendor_ids)
    same = and_(
        v.user_id == statement.excluded.user_id,
        v.channel_id == statement.excluded.channel_id,
        v.credential == statement.excluded.credential,
        v.created_at < statement.excluded.created_at - RENEW_S,
    )
    statement = statement.on_conflict_do_update(
        index_elements=[v.kind, v.id], set_={"created_at": statement.excluded.created_at}, where=same
    )
    if connection.execute(statement, rows).rowcount == len(rows):  # all are new, or renewed
        return dict.fromkeys(pairs, owner)
    query = select(v.kind, v.id, v.user_id, v.channel_id, v.credential).where(tuple_(v.kind, v.id).in_(pairs))
    return {(kind, external_id): VendorId(*who) for kind, external_id, *who in connection.execute(query)}


def find(connection: Connection, kind: str, external_id: str) -> VendorId | None:
    """Whose id this is; None when it was never recorded."""
    c = vendor_ids.c
    row = connection.execute(
        select(c.user_id, c.channel_id, c.credential).where(c.kind == kind, c.id == external_id)
    ).first()
    return None if row is None else VendorId(*row)


def forget(connection: Connection, kind: str, external_id: str) -> None:
    """The vendor has deleted it."""
    connection.execute(delete(vendor_ids).where(vendor_ids.c.kind == kind, vendor_ids.c.id == external_id))


# ------------------------------------------------------------------------------------------------- partitions, retention


def month_bounds(now: float, ahead: int) -> tuple[str, int, int]:
    """Name suffix, first second and first second after of the (UTC) month ``ahead`` months from ``now``."""
    today = datetime.datetime.fromtimestamp(now, datetime.UTC)
    index = today.year * 12 + today.month - 1 + ahead
    first = datetime.datetime(index // 12, index % 12 + 1, 1, tzinfo=datetime.UTC)
    after = datetime.datetime((index + 1) // 12, (index + 1) % 12 + 1, 1, tzinfo=datetime.UTC)
    return f"{first.year:04d}_{first.month:02d}", int(first.timestamp()), int(after.timestamp())


def ensure_partitions(connection: Connection, now: float, months: int = MONTHS_AHEAD) -> list[str]:
    """PostgreSQL: create the partitions of this month and the next ``months``. Returns the names of new ones.

    A row outside all of them lands in the default partition, so a missed run loses nothing.
    """
    if is_sqlite(connection):
        return []
    wanted = [(table, *month_bounds(now, ahead)) for table in PARTITIONED for ahead in range(months + 1)]
    missing = [w for w in wanted if not _exists(connection, f"{w[0]}_{w[1]}")]
    if not missing:
        return []
    advisory_lock(connection, PARTITION_LOCK)
    created = []
    for table, suffix, first, after in missing:
        name = f"{table}_{suffix}"
        if not _exists(connection, name):  # another process may have been first
            _create_partition(connection, table, name, first, after)
            created.append(name)
    return created


def _create_partition(connection: Connection, table: str, name: str, first: int, after: int) -> None:
    """A partition refuses to be made while the default one has rows of its range, so these are moved into it first."""
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    connection.exec_driver_sql(
        f"WITH moved AS (DELETE FROM {table}_default WHERE created_at >= {first} AND created_at < {after} RETURNING *) "
        f"INSERT INTO {name} SELECT * FROM moved"
    )
    connection.exec_driver_sql(
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({after})"
    )


def _exists(connection: Connection, table: str) -> bool:
    return connection.execute(text("SELECT to_regclass(:name)"), {"name": table}).scalar() is not None


def purge_details(connection: Connection, before: int, limit: int) -> int:
    """Delete detail rows older than ``before`` (unix seconds): whole partitions, and at most ``limit`` rows.

    Returns how many rows went; ``limit`` means that there may be more.
    """
    _drop_partitions(connection, "call_details", before)
    d = call_details.c
    return _purge(connection, call_details, (d.created_at, d.request_id), before, limit)


def purge_vendor_ids(connection: Connection, before: int, limit: int) -> int:
    """Delete at most ``limit`` vendor-side ids that no answer has named since ``before``. Returns how many went."""
    v = vendor_ids.c
    return _purge(connection, vendor_ids, (v.kind, v.id), before, limit)


def purge_responses(connection: Connection, before: int, limit: int) -> int:
    """Delete at most ``limit`` kept responses older than ``before``. Returns how many went."""
    r = responses.c
    return _purge(connection, responses, (r.id, r.user_id), before, limit)


def purge_changes(connection: Connection, before: int) -> int:
    """Delete entries of the change feed older than ``before``, but never the newest one.

    A process that was cut off for longer sees by the oldest one left that it has missed some (``publish.read_feed``).
    """
    newest = select(func.max(changes.c.seq)).scalar_subquery()
    return _rowcount(connection, delete(changes).where(changes.c.created_at < before, changes.c.seq < newest))


def purge_logs(connection: Connection, before: int) -> int:
    """Delete log rows older than ``before``, and note it for the audit. Returns rows and partitions removed."""
    since = logs_kept_since(connection)
    if before <= since:
        return 0
    connection.execute(delete(meta).where(meta.c.name == LOGS_KEPT_SINCE))
    connection.execute(insert(meta).values(name=LOGS_KEPT_SINCE, value=str(before)))
    dropped = _drop_partitions(connection, "call_logs", before)
    return dropped + _rowcount(connection, delete(call_logs).where(call_logs.c.created_at < before))


def logs_kept_since(connection: Connection) -> int:
    """Log rows are complete from this time on (unix seconds); 0 = always."""
    value = connection.execute(
        select(meta.c.value).where(meta.c.name == LOGS_KEPT_SINCE)
    ).scalar_one_or_none()
    return int(value or 0)


def _purge(connection: Connection, table: Table, key: tuple[Any, ...], before: int, limit: int) -> int:
    """Old rows, a batch at a time: the ledger waits while one is written. Another process's batch is passed over."""
    old = select(*key).where(table.c.created_at < before).limit(limit).with_for_update(skip_locked=True)
    return _rowcount(connection, delete(table).where(tuple_(*key).in_(old)))


def _rowcount(connection: Connection, statement: Any) -> int:
    return max(0, connection.execute(statement).rowcount)


def _drop_partitions(connection: Connection, table: str, before: int) -> int:
    """Whole months are dropped, not deleted row by row."""
    if is_sqlite(connection):
        return 0
    names = connection.execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:table AS regclass)"),
        {"table": table},
    ).scalars()
    limit = month_bounds(before, 0)[0]  # months that end at or before the first second of this one
    old = [n for n in names if (suffix := n.rpartition(f"{table}_")[2]) != "default" and suffix < limit]
    for name in old:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    return len(old)
