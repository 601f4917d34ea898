"""The writer: one thread per process through which money, and on SQLite every write, reaches the database.

Group commit: what has queued up while a batch was being written becomes the next batch, one transaction for up to
``max_batch`` commands. Their results are delivered together, after the commit.

When a batch fails: serialization failures and deadlocks are tried again; a command that poisons its batch is found
by running each alone; when the database cannot be reached, holds and functions fail at once with LedgerUnavailable,
while resolutions and credits wait in the backlog until it can: they are idempotent, so a commit whose answer was
lost is safe to repeat.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dragoman.ledger import batch
from dragoman.ledger.core import Command, Credit, Expire, Hold, LedgerError, Log, Post, Refund, Void
from dragoman.ledger.housekeeping import housekeep
from dragoman.ledger.leases import Lease
from dragoman.store.engine import ProcessLock, is_sqlite

Work = Command | Callable[[Connection], Any]
Delivery = tuple[Any, Any, BaseException | None]  # token (None: nobody waits), result, error
_PATIENT = (Post, Void, Log)
_COMMANDS = (Hold, Post, Void, Expire, Credit, Refund, Log)
_RETRIES = 20
_SWEEP_LIMIT = 500
_SQLITE_LOST = {5, 6, 8, 10, 13, 14}  # busy, locked, read-only, I/O error, full, cannot open


class LedgerUnavailable(Exception):
    """The database cannot be written now; nothing was done."""


class Limits(Struct, frozen=True, kw_only=True):
    """The writer's limits. Times in seconds."""

    max_batch: int = 512
    queue: int = 50_000
    backlog: int = 100_000
    lease_ttl_s: float = 60.0
    beat_s: float = 5.0
    patience_s: float = 0.004
    gather_s: float = 0.001
    siblings: int = 12
    housekeeping_s: float = 600.0
    detail_days: int | None = 30
    retry_s: float = 0.5
    drain_s: float = 20.0


class Stats(Struct):
    """Counters since the start, written by the writer thread only."""

    commands: int = 0
    batches: int = 0
    largest_batch: int = 0
    last_batch: int = 0
    retries: int = 0
    poisoned: int = 0
    errors: int = 0
    expired: int = 0
    backlog: int = 0
    cpu_s: float = 0.0


class Writer:
    """``deliver`` is called in the writer thread with the results of a batch; it must not block or raise."""

    def __init__(
        self,
        engine: Engine,
        *,
        deliver: Callable[[list[Delivery]], None],
        lock: ProcessLock | None = None,
        limits: Limits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stats = Stats()
        self.down: str = ""  # why the database cannot be written, while it cannot
        self._engine, self._deliver, self._limits, self._clock = engine, deliver, limits, clock
        self._lock = lock or ProcessLock.of(engine)
        self._sql = batch.Sql(is_sqlite(engine))
        self._lease = Lease(engine, ttl_s=limits.lease_ttl_s)
        self._queue: queue.SimpleQueue[tuple[Work | None, Any]] = queue.SimpleQueue()
        self._backlog: list[tuple[Work, Any]] = []
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._next_beat = self._next_keeping = self._retry_at = 0.0
        self._stopping = False
        self._in_doubt = False  # the transaction may have been committed although it failed

    # ------------------------------------------------------------------------------------------------- other threads

    def start(self) -> None:
        """Take the process lock (SQLite) and the lease, expire orphaned holds, then accept work.

        Blocks until ready. Raises StoreBusy, or the database's own error.
        """
        if self._lock is not None:
            self._lock.acquire()
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._release()
            raise self._failure

    def submit(self, work: Work, token: Any) -> None:
        """Queue a command, or a function that writes with the connection it is given.

        A function may run more than once (its transaction is repeated), so it must do nothing but read and write there.
        """
        self._queue.put((work, token))

    @property
    def queued(self) -> int:
        return self._queue.qsize()

    @property
    def lease_id(self) -> int | None:
        return self._lease.id

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Write what is queued, end the lease, free the lock. Blocks."""
        if self._thread.is_alive():
            self._queue.put((None, None))
            self._thread.join()
            self._refuse()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    # ------------------------------------------------------------------------------------------------- writer thread

    def _run(self) -> None:
        try:
            self._open()
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits in start()
            self._failure = error
            self._close_connections()
            return
        finally:
            self._ready.set()
        try:
            while self._turn():
                pass
        finally:
            self._finish()

    def _open(self) -> None:
        self._connection = self._engine.connect().execution_options(dragoman_write=True)
        now = self._clock()
        with self._connection.begin():
            self._lease.take(self._connection, now)
        self._next_beat = time.monotonic() + self._limits.beat_s
        self._sweep()

    def _turn(self) -> bool:
        """One batch, or one heartbeat. False when it was told to stop."""
        items, stop = self._drain()
        if items or self._backlog:
            self._batch(items)
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + self._limits.beat_s
            self._guarded(self._beat)
        if now >= self._next_keeping and not stop:
            self._next_keeping = now + self._limits.housekeeping_s
            self._guarded(lambda: housekeep(self._writing(), self._clock(), self._limits.detail_days))
        return not stop

    def _drain(self) -> tuple[list[tuple[Work, Any]], bool]:
        """Wait for work until the next thing is due, then take all there is, up to a batch."""
        due = min(self._next_beat, self._next_keeping, self._retry_at if self._backlog else self._next_beat)
        items: list[tuple[Work, Any]] = []
        try:
            work, token = self._queue.get(timeout=max(0.0, 0.0 if self._stopping else due - time.monotonic()))
            begun, hurry = time.monotonic(), self._stopping
            # Under load a commit waits a moment for company: fewer commits cost less than the moment.
            busy_s = self._limits.gather_s if self.stats.last_batch >= self._limits.siblings else 0.0
            while True:
                if work is None:
                    self._stopping = True
                    return items, True
                items.append((work, token))
                if len(items) >= self._limits.max_batch:
                    return items, False
                # Nobody waits for a resolution: a batch of nothing else stays open, to commit with the next holds.
                hurry = hurry or not isinstance(work, _PATIENT)
                left = begun + (busy_s if hurry else self._limits.patience_s) - time.monotonic()
                work, token = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
        except queue.Empty:
            return items, False

    def _batch(self, items: list[tuple[Work, Any]]) -> None:
        cpu = time.thread_time()
        if self.down and time.monotonic() < self._retry_at:
            self._postpone(items, LedgerUnavailable(self.down))
            return
        items = self._backlog + items
        self._backlog = []
        for start in range(0, len(items), self._limits.max_batch):
            self._write(items[start : start + self._limits.max_batch])
        stats = self.stats
        stats.backlog = len(self._backlog)
        stats.cpu_s += time.thread_time() - cpu

    def _write(self, items: list[tuple[Work, Any]]) -> None:
        """Write a batch whatever happens: together, again, one by one, or later."""
        if self.down and time.monotonic() < self._retry_at:  # found out by an earlier batch of this turn
            self._postpone(items, LedgerUnavailable(self.down))
            return
        for attempt in range(_RETRIES):
            try:
                outcomes = self._transact([work for work, _ in items])
            except Exception as error:  # noqa: BLE001 - every kind is handled below, and told to whoever waits
                self._rollback()
                what = trouble(error)
                if what == "again" and attempt < _RETRIES - 1:
                    self.stats.retries += 1
                    continue
                if what == "lost":
                    self._lose(error)
                    self._postpone(items, LedgerUnavailable(str(error)), in_doubt=self._in_doubt)
                elif len(items) == 1:
                    self.stats.errors += 1
                    self._deliver([(items[0][1], None, error)])
                else:
                    self.stats.poisoned += 1
                    for item in items:
                        self._write([item])
                return
            break
        self.down = ""
        stats = self.stats
        stats.batches += 1
        stats.commands += len(items)
        stats.last_batch = len(items)
        stats.largest_batch = max(stats.largest_batch, len(items))
        self._deliver(
            [
                (token, None, outcome) if isinstance(outcome, BaseException) else (token, outcome, None)
                for (_, token), outcome in zip(items, outcomes, strict=True)
            ]
        )

    def _transact(self, works: Sequence[Work]) -> list[Any]:
        """One transaction: runs of commands as sets, functions one at a time, in the order they came."""
        self._in_doubt = False
        connection = self._writing()
        if all(isinstance(w, _COMMANDS) for w in works):
            raw = connection.connection.driver_connection
            assert raw is not None
            cursor = raw.cursor()
            if self._sql.sqlite:  # psycopg begins by itself
                cursor.execute("BEGIN IMMEDIATE")
            outcomes: list[Any] = list(batch.run(cursor, self._sql, works, self._lease.id))  # type: ignore[arg-type]
            self._in_doubt = True
            raw.commit()
            cursor.close()
            return outcomes
        with connection.begin():
            outcomes = self._mixed(connection, works)
            self._in_doubt = True
        return outcomes

    def _mixed(self, connection: Connection, works: Sequence[Work]) -> list[Any]:
        outcomes: list[Any] = []
        run: list[Command] = []
        for work in (*works, None):
            if isinstance(work, _COMMANDS):
                run.append(work)
                continue
            if run:
                outcomes += batch.run(connection.connection.cursor(), self._sql, run, self._lease.id)
                run = []
            if work is not None:
                outcomes.append(self._call(connection, work))
        return outcomes

    def _call(self, connection: Connection, function: Callable[[Connection], Any]) -> Any:
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

    # ----------------------------------------------------------------------------------------------- heartbeat, trouble

    def _beat(self) -> None:
        connection = self._writing()
        now = self._clock()
        with connection.begin():
            if not self._lease.renew(connection, now):
                self._lease.take(connection, now)
        self._sweep()

    def _sweep(self) -> None:
        """Expire holds whose process died and task holds past their deadline."""
        connection = self._writing()
        while True:
            now = self._clock()
            with connection.begin():
                found = self._lease.orphans(connection, now, _SWEEP_LIMIT)
                if not found:
                    self._lease.bury(connection)
                    return
                commands = [Expire(id=i, reason=reason, now=now) for i, reason in found]
                batch.run(connection.connection.cursor(), self._sql, commands, self._lease.id)
            self.stats.expired += len(found)

    def _guarded(self, duty: Callable[[], None]) -> None:
        """Duties may fail with the database; they come round again."""
        try:
            duty()
            self.down = ""  # it has written: without this an idle writer would say so for ever
        except Exception as error:  # noqa: BLE001 - counted; the thread must live on
            self._rollback()
            self.stats.errors += 1
            if trouble(error) == "lost":
                self._lose(error)

    def _writing(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(dragoman_write=True)
            if self._lease.id is None:
                with self._connection.begin():
                    self._lease.take(self._connection, self._clock())
        return self._connection

    def _rollback(self) -> None:
        if self._connection is None:
            return
        try:
            raw = self._connection.connection.driver_connection
            assert raw is not None
            raw.rollback()
            self._connection.rollback()
        except Exception:  # noqa: BLE001 - a connection that cannot roll back is not used again
            self._discard()

    def _lose(self, error: BaseException) -> None:
        """The database cannot be reached: try again in a while, with a new connection."""
        self.down = str(error).strip() or type(error).__name__
        self.stats.errors += 1
        self._retry_at = time.monotonic() + self._limits.retry_s
        self._discard()

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _postpone(
        self, items: list[tuple[Work, Any]], error: LedgerUnavailable, *, in_doubt: bool = False
    ) -> None:
        """What is owed waits; what is only asked for fails now. ``in_doubt``: holds may stand all the same; they are
        voided later, for nobody else will."""
        failed: list[Delivery] = []
        for work, token in items:
            if (
                isinstance(work, Hold)
                or not isinstance(work, _COMMANDS)
                or len(self._backlog) >= self._limits.backlog
            ):
                failed.append((token, None, error))
                if in_doubt and isinstance(work, Hold):
                    void = Void(id=work.id, reason="the answer to the hold was lost", now=self._clock())
                    self._backlog.append((void, None))
            else:
                self._backlog.append((work, token))
        self.stats.backlog = len(self._backlog)
        if failed:
            self._deliver(failed)

    def _finish(self) -> None:
        """Write what came after the stop, and the backlog if the database comes back in time; end the lease."""
        until = time.monotonic() + self._limits.drain_s
        while True:
            late, more = self._drain()
            if late or self._backlog:
                self._batch(late)
            if time.monotonic() >= until or not (late or more or self._backlog):
                break
            if self._backlog:
                time.sleep(max(0.0, min(self._retry_at, until) - time.monotonic()))
        if self._backlog:
            lost = LedgerUnavailable(f"{self.down} ({len(self._backlog)} commands were not written)")
            self._deliver([(token, None, lost) for _, token in self._backlog])
        self._guarded(self._end_lease)
        self._close_connections()
        self._refuse()

    def _refuse(self) -> None:
        """Whoever came too late is told so, rather than left to wait."""
        left: list[Delivery] = []
        with contextlib.suppress(queue.Empty):
            while True:
                work, token = self._queue.get_nowait()
                if work is not None:
                    left.append((token, None, LedgerUnavailable("the ledger is closed")))
        if left:
            self._deliver(left)

    def _end_lease(self) -> None:
        connection = self._writing()
        with connection.begin():
            self._lease.end(connection)

    def _close_connections(self) -> None:
        self._lease.drop()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


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
