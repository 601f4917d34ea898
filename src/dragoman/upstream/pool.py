"""The connections of one origin: open, idle, and the calls that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct

from dragoman.upstream.errors import UpstreamError
from dragoman.upstream.h1 import Connection
from dragoman.upstream.limits import PoolLimits


class Counts(Struct):
    """Of all pools of a client: idle now, ever opened, exchanges begun on a reused connection."""

    idle: int = 0
    opened_total: int = 0
    reused_total: int = 0


# Budget in seconds, owner -> an open connection.
Dial = Callable[[float, "Pool"], Awaitable[Connection]]


class Pool:
    """At most `limits.per_origin` connections, in use, idle or being opened.

    Idle ones are taken last in, first out: the busy few stay warm and the rest expire.  When there is
    neither an idle connection nor room for one more, callers queue, first come first served; a slot that
    becomes free is counted as taken on behalf of the first in the queue, so nobody overtakes.
    """

    def __init__(
        self,
        dial: Dial,
        limits: PoolLimits,
        counts: Counts,
        authority: bytes,
    ) -> None:
        self.authority = authority  # the Host header's value
        self._dial = dial
        self._limits = limits
        self._counts = counts
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._dialling = 0
        # Each gets a connection, or None: a slot to dial in.  The flag: only a fresh one will do.
        self._queue: deque[tuple[asyncio.Future[Connection | None], bool]] = deque()
        self._closed = False

    @property
    def open(self) -> int:
        return len(self._connections)

    @property
    def empty(self) -> bool:
        return not (self._connections or self._dialling or self._queue)

    def take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            self._counts.idle -= 1
            if connection.usable:
                self._counts.reused_total += 1
                return connection
            connection.shut()
        return None

    async def acquire(self, budget_s: float, *, fresh: bool) -> Connection:
        """A connection for one exchange; with `fresh` one that never carried any.

        UpstreamError: see `dial.Dialler.dial`; "connect_timeout" when `budget_s` is over, be it spent
        in the queue or in dialling.
        """
        if not fresh:
            connection = self.take_idle()
            if connection is not None:
                return connection
        try:
            async with asyncio.timeout(budget_s) as limit:
                if not await self._slot(fresh):
                    waiter: asyncio.Future[Connection | None]
                    waiter = asyncio.get_running_loop().create_future()
                    self._queue.append((waiter, fresh))
                    connection = await self._wait(waiter)
                    if connection is not None:
                        self._counts.reused_total += 1
                        return connection
                return await self._open(budget_s)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise UpstreamError("connect_timeout", f"no connection within {budget_s:g} s") from error

    async def _slot(self, fresh: bool) -> bool:
        """Take a slot if one is free, or can be freed of an idle connection."""
        if self._closed:
            raise UpstreamError("closed", "the client is closed")
        if fresh and self._idle and len(self._connections) + self._dialling >= self._limits.per_origin:
            self._idle[0].shut()
        if len(self._connections) + self._dialling >= self._limits.per_origin:
            return False
        self._dialling += 1
        return True

    async def _wait(self, waiter: asyncio.Future[Connection | None]) -> Connection | None:
        try:
            return await waiter
        except asyncio.CancelledError:
            # What was handed over in the same moment goes back.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                connection = waiter.result()
                if connection is not None:
                    self.release(connection)
                else:
                    self._dialling -= 1
                    self._freed()
            raise

    async def _open(self, budget_s: float) -> Connection:
        """Dial in a slot that is already counted."""
        try:
            connection = await self._dial(budget_s, self)
        except BaseException:
            self._dialling -= 1
            self._freed()
            raise
        self._dialling -= 1
        self._counts.opened_total += 1
        self._connections.add(connection)
        if self._closed:
            connection.shut()
            raise UpstreamError("closed", "the client is closed")
        return connection

    # ---- what connections report (h1.Owner)

    def release(self, connection: Connection) -> None:
        while self._queue:
            waiter, fresh = self._queue[0]
            if waiter.done():
                self._queue.popleft()
            elif fresh:
                connection.shut()  # frees its slot for the waiter
                return
            else:
                self._queue.popleft()
                waiter.set_result(connection)
                return
        if (
            self._closed
            or len(self._idle) >= self._limits.idle_per_origin
            or self._counts.idle >= self._limits.idle_total
        ):
            connection.shut()
            return
        self._idle.append(connection)
        self._counts.idle += 1

    def lost(self, connection: Connection) -> None:
        if connection not in self._connections:
            return  # died before dialling was over
        self._connections.remove(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            self._counts.idle -= 1
        self._freed()

    def _freed(self) -> None:
        """A slot is free: give it to the first that waits."""
        while self._queue:
            waiter, _ = self._queue.popleft()
            if not waiter.done():
                self._dialling += 1
                waiter.set_result(None)
                return

    def close(self) -> None:
        """Close every connection, fail every waiter; exchanges under way fail with kind "closed"."""
        self._closed = True
        queue, self._queue = self._queue, deque()
        for waiter, _ in queue:
            if not waiter.done():
                waiter.set_exception(UpstreamError("closed", "the client is closed"))
        for connection in list(self._connections):
            connection.shut()
