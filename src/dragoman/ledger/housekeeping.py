"""Housekeeping in the writer thread: partitions ahead of time, and the retention of what is not kept for ever."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection

from dragoman.store.records import (
    ensure_partitions,
    purge_changes,
    purge_details,
    purge_responses,
    purge_vendor_ids,
)

DAY_S = 86_400
RESPONSES = 50  # a kept turn may have megabytes
BATCH = 2000  # rows that are deleted while the ledger waits


class Retention(Struct, frozen=True, kw_only=True):
    """Days; None: keep all. ``vendor_ids``: since an answer last named the id."""

    details: int | None = 30
    vendor_ids: int | None = 90
    responses: int | None = 30


def housekeep(connection: Connection, now: float, keep: Retention) -> bool:
    """Each duty in a transaction of its own, so that none holds up the ledger for long. True: there may be more to do."""
    with connection.begin():
        ensure_partitions(connection, now)
    with connection.begin():
        purge_changes(connection, int(now) - DAY_S)
    more = False
    if keep.details is not None:
        with connection.begin():
            more = purge_details(connection, int(now) - keep.details * DAY_S, BATCH) == BATCH
    if keep.vendor_ids is not None:
        with connection.begin():
            more |= purge_vendor_ids(connection, int(now) - keep.vendor_ids * DAY_S, BATCH) == BATCH
    if keep.responses is not None:
        with connection.begin():
            more |= purge_responses(connection, int(now) - keep.responses * DAY_S, RESPONSES) == RESPONSES
    return more
