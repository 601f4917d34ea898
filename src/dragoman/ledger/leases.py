"""Leases: which process a hold belongs to, and whether that process is alive.

A process has one lease and renews it by heartbeat. SQLite serves one process, proved by its lock file, so every
other lease is dead at once. On PostgreSQL a lease is alive while it is not expired *and* its advisory lock is held: the lock
belongs to a session that does nothing else, and ends with the process, so a crash is seen at once; the expiry is for a
process that hangs. A lease that was lost (its session was cut, the process slept too long) is replaced by a new one:
holds made under the old one expire, and their posts become late posts.
"""
# ruff: noqa: S608 - the only texts put into statements are constants and numbers of our own

from __future__ import annotations

import os
import socket

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from dragoman.store.engine import LEASE_SPACE, is_sqlite

_HELD_LOCKS = (
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = :space AND objsubid = 2 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# PostgreSQL's own clock: processes on several machines need not agree on theirs.
_CLOCK = "extract(epoch FROM clock_timestamp())"


class Lease:
    """This process's lease. Used by the writer thread only. Any method may raise the driver's or SQLAlchemy's errors."""

    def __init__(self, engine: Engine, *, ttl_s: float) -> None:
        self._engine, self._ttl_s = engine, ttl_s
        self._guard: Connection | None = None
        self.id: int | None = None

    def take(self, connection: Connection, now: float) -> int:
        """Begin a new lease. ``connection`` is in a write transaction (SQLite)."""
        values = {"pid": os.getpid(), "host": socket.gethostname()[:100], "now": now, "ttl": self._ttl_s}
        columns = "INSERT INTO leases (id, pid, host, started_at, expires_at) VALUES "
        if is_sqlite(self._engine):
            # Ids only rise, even when all rows are gone: a hold must never name a later process's lease.
            used = connection.execute(
                text(
                    "SELECT max(coalesce((SELECT max(id) FROM leases), 0), coalesce((SELECT max(lease_id) FROM holds), 0))"
                )
            ).scalar_one()
            self.id = int(used) + 1
            connection.execute(
                text(columns + "(:id, :pid, :host, :now, :now + :ttl)"), {"id": self.id, **values}
            )
            return self.id
        self.drop()
        guard = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            number = int(
                guard.execute(text("SELECT nextval(pg_get_serial_sequence('leases', 'id'))")).scalar_one()
            )
            guard.execute(text("SELECT pg_advisory_lock(:space, :id)"), {"space": LEASE_SPACE, "id": number})
            guard.execute(
                text(columns + f"(:id, :pid, :host, {_CLOCK}, {_CLOCK} + :ttl)"), {"id": number, **values}
            )
        except BaseException:
            guard.invalidate()
            guard.close()
            raise
        self._guard, self.id = guard, number
        return number

    def renew(self, connection: Connection, now: float) -> bool:
        """Heartbeat. False: the lease is lost, take another one."""
        values = {"id": self.id, "now": now, "ttl": self._ttl_s}
        if is_sqlite(self._engine):
            statement = text("UPDATE leases SET expires_at = :now + :ttl WHERE id = :id")
            return connection.execute(statement, values).rowcount == 1
        if self._guard is None:
            return False
        # On the guard's own session: a lease whose lock is gone cannot be renewed by accident.
        statement = text(
            f"UPDATE leases SET expires_at = {_CLOCK} + :ttl WHERE id = :id AND expires_at > {_CLOCK}"
        )
        try:
            return self._guard.execute(statement, values).rowcount == 1
        except DBAPIError:  # the session is cut, and the lock went with it; SQLAlchemy would not use it again
            self.drop()
            return False

    def alive(self, connection: Connection) -> list[int]:
        """The leases whose holds must not be touched; ours is always one of them."""
        mine = [] if self.id is None else [self.id]
        if is_sqlite(self._engine):
            return mine
        return sorted({*mine, *living(connection)})

    def bury(self, connection: Connection) -> None:
        """Remove the rows of dead leases. Their holds stay until they are expired."""
        # Rows first, locks second: a lease is written after its lock was taken, so a new one cannot look dead.
        rows = connection.execute(text("SELECT id FROM leases")).scalars().all()
        alive = self.alive(connection)
        dead = [{"id": i} for i in rows if i not in alive]
        if dead:
            connection.execute(text("DELETE FROM leases WHERE id = :id"), dead)

    def orphans(self, connection: Connection, now: float, limit: int) -> list[tuple[str, str]]:
        """Open holds to expire, (id, reason): their process is dead, or they are a task's and past the deadline."""
        named = connection.execute(text("SELECT DISTINCT lease_id FROM holds WHERE lease_id IS NOT NULL"))
        leases = set(named.scalars())  # before asking who is alive: see bury
        dead = ", ".join(str(int(i)) for i in leases.difference(self.alive(connection)))
        found = []
        if dead:
            statement = text(f"SELECT id FROM holds WHERE lease_id IN ({dead}) LIMIT :limit")
            found = [(i, "process died") for i in connection.execute(statement, {"limit": limit}).scalars()]
        statement = text("SELECT id FROM holds WHERE lease_id IS NULL AND deadline <= :now LIMIT :limit")
        overdue = connection.execute(statement, {"now": int(now), "limit": limit}).scalars()
        return found + [(i, "deadline passed") for i in overdue]

    def end(self, connection: Connection) -> None:
        """The process stops in order. Holds it leaves open (there should be none) are orphans from now on."""
        connection.execute(text("DELETE FROM leases WHERE id = :id"), {"id": self.id})

    def drop(self) -> None:
        """Close the session that holds the lock, if it is still there."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.invalidate()  # closed, not returned to the pool: the lock must go with it
            guard.close()


def living(connection: Connection) -> set[int]:
    """PostgreSQL: leases that are not expired and whose lock is held."""
    current = connection.execute(text(f"SELECT id FROM leases WHERE expires_at > {_CLOCK}")).scalars()
    locked = set(connection.execute(text(_HELD_LOCKS), {"space": LEASE_SPACE}).scalars())
    return {i for i in current if i in locked}
