"""The writer: one thread per process through which money, and on SQLite every write, reaches the database.

Group commit: what has queued up while a batch was being written becomes the next batch, one transaction for up to
``max_batch`` commands. Their results are delivered together, after the commit.

When a batch fails: serialization failures and deadlocks are tried again; a command that poisons its batch is found
by running each alone, and what is owed is then written without the part that the database refuses (``salvage``).
When the database cannot be reached, holds and functions fail at once with LedgerUnavailable, while resolutions and
credits wait in the backlog until it can.

A commit whose answer was lost is found out by reading: a resolution or a credit is sent again, and finds its transfer if
it was made; a hold is voided, if it stands, once nobody can be committing it any more; a function is never repeated.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from sqlalchemy import Engine

from dragoman.ledger import salvage
from dragoman.ledger.core import Expire, Hold, LedgerError, Log, Post, Void
from dragoman.ledger.housekeeping import Retention, housekeep
from dragoman.ledger.inbox import Inbox
from dragoman.ledger.leases import Lease
from dragoman.ledger.session import COMMANDS, Session, Work, answered, trouble
from dragoman.store.engine import ProcessLock

Delivery = tuple[Any, Any, BaseException | None]  # token (None: nobody waits), result, error
_PATIENT = (Post, Void, Log)
# Holds in one transaction, transactions in one sweep; what is left is for the next one.
_SWEEP_LIMIT, _SWEEP_ROUNDS = 500, 200
logger = logging.getLogger(__name__)


class LedgerUnavailable(Exception):
    """The database cannot be written now; nothing was done, or the message says that it is not known."""


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
    keep: Retention = Retention()
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
    salvaged: int = 0
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
        self._deliver, self._limits, self._clock = deliver, limits, clock
        self._lock = lock or ProcessLock.of(engine)
        self._lease = Lease(engine, ttl_s=limits.lease_ttl_s)
        self._session = Session(engine, self._lease, clock)
        self._queue: Inbox[tuple[Work | None, Any]] = Inbox()
        self._backlog: list[tuple[Work, Any]] = []
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._next_beat = self._next_keeping = self._retry_at = 0.0
        self._stopping = self._running = False
        self._stuck: set[str] = set()  # orphaned holds that cannot be expired

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
        self._queue.put((work, token), urgent=not isinstance(work, _PATIENT))

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def lease_id(self) -> int | None:
        return self._lease.id

    @property
    def alive(self) -> bool:
        return self._running

    def close(self) -> None:
        """Write what is queued, end the lease, free the lock. Blocks."""
        if self._thread.is_alive():
            self._queue.put((None, None), urgent=True)
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
            self._running = True
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
            try:
                self._finish()
            finally:
                self._running = False

    def _open(self) -> None:
        self._session.writing()  # takes the lease
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
            self._guarded(self._keep_house)
        return not stop

    def _drain(self) -> tuple[list[tuple[Work, Any]], bool]:
        """Wait for work until the next thing is due, then take all there is, up to a batch."""
        inbox, limits = self._queue, self._limits
        due = min(self._next_beat, self._next_keeping, self._retry_at if self._backlog else self._next_beat)
        if not self._stopping:
            inbox.wait(max(0.0, due - time.monotonic()))
            if len(inbox) and self.stats.last_batch >= limits.siblings:
                # Under load a commit waits a moment for company: fewer commits cost less than the moment.
                time.sleep(limits.gather_s)
        items: list[tuple[Work, Any]] = []
        told = self._stopping
        for patient in (True, False):
            for work, token in inbox.take(limits.max_batch - len(items)):
                if work is None:
                    self._stopping = True
                else:
                    items.append((work, token))
            open_for_more = items and all(isinstance(work, _PATIENT) for work, _ in items)
            if not patient or self._stopping or not open_for_more:
                break
            # Nobody waits for a resolution: a batch of nothing else stays open, to commit with the next holds.
            inbox.wait_urgent(limits.patience_s)
        return items, self._stopping and not told

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
        stats.backlog, stats.retries = len(self._backlog), self._session.retries
        stats.cpu_s += time.thread_time() - cpu

    def _write(self, items: list[tuple[Work, Any]]) -> None:
        """Write a batch whatever happens: together, again, one by one, or later."""
        if self.down and time.monotonic() < self._retry_at:  # found out by an earlier batch of this turn
            self._postpone(items, LedgerUnavailable(self.down))
            return
        try:
            outcomes = self._session.commit([work for work, _ in items])
        except Exception as error:  # noqa: BLE001 - every kind is handled, and told to whoever waits
            self._failed(items, error)
            return
        self.down = ""
        stats = self.stats
        stats.batches += 1
        stats.commands += len(items)
        stats.last_batch = len(items)
        stats.largest_batch = max(stats.largest_batch, len(items))
        for (work, _), outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, LedgerError):
                self._free(work, outcome)
        self._deliver(
            [
                (token, None, outcome) if isinstance(outcome, BaseException) else (token, outcome, None)
                for (_, token), outcome in zip(items, outcomes, strict=True)
            ]
        )

    def _failed(self, items: list[tuple[Work, Any]], error: Exception) -> None:
        what, alone = trouble(error), len(items) == 1
        if what == "poison" and self._session.in_doubt and not answered(error):
            what = "lost"  # something broke after COMMIT was sent: that is no verdict on what is in the batch
        if what == "lost" or (what == "again" and alone):
            self._lose(error)
            self._postpone(items, LedgerUnavailable(str(error)), in_doubt=self._session.in_doubt)
        elif alone:
            self.stats.errors += 1
            self._salvage(*items[0], error)
        else:
            self.stats.poisoned += 1
            for item in items:
                self._write([item])

    def _salvage(self, work: Work, token: Any, error: Exception) -> None:
        """The database refuses this command: if it is owed, do it with less of its log row, or free its hold at least."""
        for instead in salvage.plainer(work, self._clock()):
            try:
                (outcome,) = self._session.commit([instead])
            except Exception as again:  # noqa: BLE001 - the next is plainer
                if trouble(again) != "poison":  # away meanwhile: all over again when it is back
                    self._failed([(work, token)], again)
                    return
                continue
            if not isinstance(outcome, LedgerError):
                self.stats.salvaged += 1
                logger.error("%s was written without a part of its log row: %r", _shown(work), error)
                self._deliver([(token, outcome, None)])
                return
        self._free(work, error)
        self._deliver([(token, None, error)])

    def _free(self, work: Work, error: Exception) -> None:
        """A resolution that cannot be made at all: what it would have resolved must not stay set aside for ever."""
        expire = salvage.release(work, error, self._clock())
        if expire is None:
            return
        try:
            (outcome,) = self._session.commit([expire])
        except Exception as again:  # noqa: BLE001 - later, then; it is idempotent
            if trouble(again) == "poison":
                outcome = again
            else:
                self._backlog.append((expire, None))
                outcome = None
        logger.error("%s could not be written: %r; its hold: %r", _shown(work), error, outcome)

    # ----------------------------------------------------------------------------------------------- heartbeat, trouble

    def _beat(self) -> None:
        connection = self._session.writing()
        now = self._clock()
        with connection.begin():
            if not self._lease.renew(connection, now):
                self._lease.take(connection, now)
        self._sweep()

    def _keep_house(self) -> None:
        if housekeep(self._session.writing(), self._clock(), self._limits.keep):
            self._next_keeping = time.monotonic()  # a batch at a time, and what has queued up between them

    def _sweep(self) -> None:
        """Expire holds whose process died and task holds past their deadline.

        It ends: each round takes holds that it has not tried before, and there are at most so many rounds.
        """
        tried = set(self._stuck)
        for _ in range(_SWEEP_ROUNDS):
            connection, now = self._session.writing(), self._clock()
            with connection.begin():
                found = self._lease.orphans(connection, now, _SWEEP_LIMIT + len(self._stuck))
                fresh = [Expire(id=i, reason=reason, now=now) for i, reason in found if i not in tried]
                if not fresh:
                    self._lease.bury(connection)
                    return
            tried.update(c.id for c in fresh)
            self._expire(fresh)

    def _expire(self, commands: list[Expire]) -> None:
        """Together, or one by one: a hold that cannot be expired is left alone from now on (the audit lists why)."""
        try:
            outcomes = self._session.commit(commands)
        except Exception as error:
            if trouble(error) != "poison":
                raise
            if len(commands) > 1:
                for command in commands:
                    self._expire([command])
                return
            outcomes = [error]
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._stuck.add(command.id)
                self.stats.errors += 1
                logger.error("hold %s cannot be expired: %r", command.id, outcome)
            else:
                self.stats.expired += 1

    def _guarded(self, duty: Callable[[], None]) -> None:
        """Duties may fail with the database; they come round again."""
        try:
            duty()
            self.down = ""  # it has written: without this an idle writer would say so for ever
        except Exception as error:  # noqa: BLE001 - counted; the thread must live on
            self._session.rollback()
            self.stats.errors += 1
            if trouble(error) == "lost":
                self._lose(error)

    def _lose(self, error: BaseException) -> None:
        """The database cannot be reached: try again in a while, with a new connection."""
        self.down = str(error).strip() or type(error).__name__
        self.stats.errors += 1
        self._retry_at = time.monotonic() + self._limits.retry_s
        self._session.discard()

    def _postpone(
        self, items: list[tuple[Work, Any]], error: LedgerUnavailable, *, in_doubt: bool = False
    ) -> None:
        """What is owed waits; what is only asked for fails now. ``in_doubt``: it may have been done all the same; holds
        are voided later, for nobody else will."""
        failed: list[Delivery] = []
        unsure = LedgerUnavailable(
            f"{error} (the connection was lost during the commit: it may have been done)"
        )
        ended = {work.id for work, _ in items if isinstance(work, Post | Void)}
        for work, token in items:
            if (
                isinstance(work, Hold)
                or not isinstance(work, COMMANDS)
                or len(self._backlog) >= self._limits.backlog
            ):
                failed.append((token, None, unsure if in_doubt and not isinstance(work, Hold) else error))
                if in_doubt and isinstance(work, Hold) and work.id not in ended:
                    reason, now = "the answer to the hold was lost", self._clock()
                    self._backlog.append((Void(id=work.id, reason=reason, now=now, doubtful=work), None))
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
        self._running = False
        self._refuse()

    def _refuse(self) -> None:
        """Whoever came too late is told so, rather than left to wait."""
        late = self._queue.take(len(self._queue))
        left: list[Delivery] = [
            (token, None, LedgerUnavailable("the ledger is closed"))
            for work, token in late
            if work is not None
        ]
        if left:
            self._deliver(left)

    def _end_lease(self) -> None:
        connection = self._session.writing()
        with connection.begin():
            self._lease.end(connection)

    def _close_connections(self) -> None:
        self._lease.drop()
        self._session.close()


def _shown(work: Work) -> str:
    """A command in a log line: what and which, nothing of its record."""
    return f"{type(work).__name__.lower()} {getattr(work, 'id', '')}"
