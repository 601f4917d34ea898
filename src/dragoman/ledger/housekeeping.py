"""Housekeeping in the writer thread: partitions ahead of time, and the retention of detail rows and of the change feed."""

from __future__ import annotations

from sqlalchemy import Connection

from dragoman.store.records import ensure_partitions, purge_changes, purge_details

DAY_S = 86_400


def housekeep(connection: Connection, now: float, detail_days: int | None) -> None:
    """Each duty in a transaction of its own, so that none holds up the ledger for long. ``detail_days`` None: keep all."""
    with connection.begin():
        ensure_partitions(connection, now)
    with connection.begin():
        purge_changes(connection, int(now) - DAY_S)
    if detail_days is not None:
        with connection.begin():
            purge_details(connection, int(now) - detail_days * DAY_S)
