"""The book: the ledger's asynchronous face. Commands go to the writer thread; results come back to the event loop.

``hold`` is awaited before any work begins. ``post``, ``void`` and ``log`` return at once and cannot be lost to
cancellation; the future they return need not be awaited.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from dragoman.ledger.core import (
    CallRecord,
    Command,
    Credit,
    Held,
    Hold,
    Log,
    Post,
    Refund,
    Refused,
    Resolution,
    Void,
)
from dragoman.ledger.writer import Delivery, LedgerUnavailable, Limits, Writer
from dragoman.store.engine import ProcessLock

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Book:
    """One per process. All methods but ``run_blocking`` belong to the event loop that called ``start``."""

    def __init__(
        self,
        engine: Engine,
        *,
        lock: ProcessLock | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits or Limits()
        self._writer = Writer(engine, deliver=self._deliver, lock=lock, limits=self._limits, clock=clock)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Take lock and lease, expire what died with earlier processes. Raises StoreBusy or the database's error."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._writer.start)

    async def close(self) -> None:
        """Write everything queued, end the lease. Commands sent later fail."""
        await asyncio.to_thread(self._writer.close)

    async def hold(self, command: Hold) -> Held | Refused:
        """Reserve. Raises LedgerUnavailable when the database cannot be written or the queue is full, LedgerError.

        If the caller is cancelled while it waits, the hold is voided.
        """
        if self._writer.queued >= self._limits.queue:
            raise LedgerUnavailable("the ledger's queue is full")
        try:
            result: Held | Refused = await self._send(command)
        except asyncio.CancelledError:
            # Queued behind the hold, so it finds it if it stands.
            self.void(Void(id=command.id, reason="cancelled", now=command.now))
            raise
        return result

    def post(self, command: Post) -> asyncio.Future[Resolution]:
        """Charge. The future need not be awaited."""
        return self._send(command, owed=True)

    def void(self, command: Void) -> asyncio.Future[Resolution]:
        """Release. The future need not be awaited."""
        return self._send(command, owed=True)

    def credit(self, command: Credit) -> asyncio.Future[Resolution]:
        """Add to a wallet, once per id."""
        return self._send(command, owed=True)

    def refund(self, command: Refund) -> asyncio.Future[Resolution]:
        """Give back a charge or a part of it, once per id."""
        return self._send(command, owed=True)

    def log(self, record: CallRecord) -> None:
        """A log row without money."""
        self._send(Log(record=record), owed=True)

    def run(self, function: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Run a short function that writes, in a transaction of the writer's.

        It may run more than once and must do nothing but read and write with the connection. Its exception is the
        future's; it undoes this function's writes and nobody else's.
        """
        return self._send(function)

    def run_blocking(self, function: Callable[[Connection], T]) -> T:
        """``run`` for other threads (console handlers, the admin socket)."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        if not self._writer.alive:
            raise LedgerUnavailable("the ledger is closed")
        self._writer.submit(function, future)
        return future.result()

    def stats(self) -> dict[str, float]:
        """Counters of the writer, for metrics: see ``writer.Stats``; and ``queued``, commands waiting now."""
        s = self._writer.stats
        values = {name: getattr(s, name) for name in s.__struct_fields__}
        return {"queued": self._writer.queued, **values}

    def trouble(self) -> str:
        """Why money cannot be moved now; empty when it can."""
        if not self._writer.alive:
            return "the ledger's writer is not running"
        return self._writer.down

    def _send(
        self, work: Command | Callable[[Connection], Any], *, owed: bool = False
    ) -> asyncio.Future[Any]:
        assert self._loop is not None, "Book.start was not awaited"
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._writer.alive:
            future.set_exception(LedgerUnavailable("the ledger is closed"))
            return future
        if owed:
            future.add_done_callback(_watch)
        self._writer.submit(work, future)
        return future

    def _deliver(self, results: list[Delivery]) -> None:
        """In the writer thread: one wake-up of the loop for the whole batch."""
        here: list[Delivery] = []
        for item in results:
            token, value, error = item
            if isinstance(token, concurrent.futures.Future):
                if error is None:
                    token.set_result(value)
                else:
                    token.set_exception(error)
            else:
                here.append(item)
        if not here:
            return
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_settle, here)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            logger.warning("results of %d ledger commands arrived after the event loop was closed", len(here))


def _settle(results: list[Delivery]) -> None:
    for future, value, error in results:
        if future is None or future.done():  # the writer's own, or cancelled by its owner
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _watch(future: asyncio.Future[Any]) -> None:
    """A resolution that could not be written is told even if nobody awaits it."""
    if not future.cancelled() and (error := future.exception()) is not None:
        logger.error("a ledger command failed: %s: %s", type(error).__name__, error)
