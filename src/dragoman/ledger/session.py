"""The writer's connection to the database: one transaction at a time, and what its failures mean.

Used by the writer thread only. After a failed ``commit`` the transaction is rolled back, or its connection given up;
``in_doubt`` then says whether it may have been committed all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from dragoman.ledger import batch
from dragoman.ledger.core import Command, Credit, Expire, Hold, LedgerError, Log, Post, Refund, Void
from dragoman.ledger.leases import Lease
from dragoman.store.engine import is_sqlite

Work = Command | Callable[[Connection], Any]
COMMANDS = (Hold, Post, Void, Expire, Credit, Refund, Log)
RETRIES = 20
_SQLITE_LOST = {5, 6, 8, 10, 13, 14}  # busy, locked, read-only, I/O error, full, cannot open
_IDLE_LIMIT = (  # unless the operator has set one
    "SELECT set_config('idle_in_transaction_session_timeout', '60s', false) "
    "WHERE current_setting('idle_in_transaction_session_timeout') = '0'"
)


class Session:
    """``clock``: unix seconds. Any method may raise the driver's or SQLAlchemy's errors."""

    def __init__(self, engine: Engine, lease: Lease, clock: Callable[[], float]) -> None:
        self._engine, self._lease, self._clock = engine, lease, clock
        self._sql = batch.Sql(is_sqlite(engine))
        self._connection: Connection | None = None
        self.in_doubt = False
        self.retries = 0

    def writing(self) -> Connection:
        """The connection, a new one if there is none; the lease is then taken if there is none either."""
        if self._connection is None:
            self._connection = self._connect()
            if self._lease.id is None:
                with self._connection.begin():
                    self._lease.take(self._connection, self._clock())
        return self._connection

    def _connect(self) -> Connection:
        connection = self._engine.connect().execution_options(dragoman_write=True)
        if not self._sql.sqlite:
            # If we vanish in the middle of a transaction, its locks must not outlive us by hours: others wait for them,
            # and so do we, when we come back to find out how it ended.
            with connection.begin():
                connection.execute(text(_IDLE_LIMIT))
        return connection

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """One transaction, again where the database asks for it. One outcome each; raises what the last try raised."""
        tries = 0
        while True:
            tries += 1
            try:
                return self.transact(works)
            except Exception as error:
                self.rollback()
                if tries == RETRIES or trouble(error) != "again":
                    raise
                self.retries += 1

    def transact(self, works: Sequence[Work]) -> list[Any]:
        """One try: runs of commands as sets, functions one at a time, in the order they came."""
        self.in_doubt = False
        connection = self.writing()
        if all(isinstance(w, COMMANDS) for w in works):
            raw = connection.connection.driver_connection
            assert raw is not None
            cursor = raw.cursor()
            if self._sql.sqlite:  # psycopg begins by itself
                cursor.execute("BEGIN IMMEDIATE")
            outcomes: list[Any] = list(batch.run(cursor, self._sql, works, self._lease.id))  # type: ignore[arg-type]
            self.in_doubt = True
            raw.commit()
            cursor.close()
            return outcomes
        with connection.begin():
            outcomes = self._mixed(connection, works)
            self.in_doubt = True
        return outcomes

    def _mixed(self, connection: Connection, works: Sequence[Work]) -> list[Any]:
        outcomes: list[Any] = []
        run: list[Command] = []
        for work in (*works, None):
            if isinstance(work, COMMANDS):
                run.append(work)
                continue
            if run:
                outcomes += batch.run(connection.connection.cursor(), self._sql, run, self._lease.id)
                run = []
            if work is not None:
                outcomes.append(_call(connection, work))
        return outcomes

    def rollback(self) -> None:
        """End what is open. A connection that cannot roll back is not used again."""
        if self._connection is None:
            return
        try:
            raw = self._connection.connection.driver_connection
            assert raw is not None
            raw.rollback()
            self._connection.rollback()
        except Exception:  # noqa: BLE001 - whatever it is, a new connection is what helps
            self.discard()

    def discard(self) -> None:
        """Give the connection up: it is broken, or nobody knows."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _call(connection: Connection, function: Callable[[Connection], Any]) -> Any:
    """Run one function in a savepoint: its failure is its own."""
    savepoint = connection.begin_nested()
    try:
        result = function(connection)
    except Exception as error:
        if trouble(error) != "poison":  # the driver's own errors as well
            raise
        savepoint.rollback()
        return error
    savepoint.commit()
    return result


def trouble(error: BaseException) -> Literal["again", "lost", "poison"]:
    """What a failure of a transaction means: try again, the database is away, or a command in it is bad."""
    if isinstance(error, LedgerError):
        return "poison"
    cause: Any = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if state in ("40001", "40P01", "55P03"):  # serialization failure, deadlock, lock not available
        return "again"
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return "lost"
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return "lost" if code & 0xFF in _SQLITE_LOST else "poison"
    name = type(cause).__name__
    classes = ("08", "25", "53", "57", "58")  # connection, read-only, resources, operator, system
    if name == "InterfaceError" or (isinstance(state, str) and state[:2] in classes):
        return "lost"
    if name == "OperationalError" and state is None:  # psycopg: the connection broke, or cannot be made
        return "lost"
    return "poison"


def answered(error: BaseException) -> bool:
    """Did the database itself say this? Then the transaction is over, and not committed."""
    cause: Any = getattr(error, "orig", None) or error
    named = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorcode", None)
    return isinstance(error, LedgerError) or named is not None
