"""One answer, read while it arrives."""

from __future__ import annotations

import asyncio
from typing import Protocol

from dragoman.upstream.errors import UpstreamError


class Source(Protocol):
    """What a response needs of the connection it arrives on."""

    def expect_body(self) -> asyncio.Future[None]:
        """Somebody waits for body from now on: start the idle clock; done when there is news."""

    def drained(self) -> None:
        """The buffered body was taken: read on if reading was paused."""

    def abandon(self) -> None:
        """Nobody wants the rest: close the connection."""


class Response:
    """status: the final status code.  headers: (name in lower case, value), in the order received;
    trailers are dropped.  complete: the whole body has arrived (it may still be buffered here).

    Not safe for two readers at once.  Whoever gets a Response must read it to the end or close it.
    """

    __slots__ = ("_buffered", "_error", "_parts", "_source", "_waiter", "complete", "headers", "status")

    def __init__(self, source: Source) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        # Set by the connection: it appends to _parts and counts in _buffered as body arrives, clears
        # _source when it has nothing more to do with this answer, and puts the failure into _error.
        self._source: Source | None = source
        self._parts: list[bytes] = []
        self._buffered = 0
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def chunk(self) -> bytes | None:
        """All body that has arrived and was not taken yet, waiting for some if there is none.

        None: the body ended as its framing says.  UpstreamError if it ended otherwise ("closed",
        "protocol", "limit", "idle_timeout", "total_timeout"), after what did arrive was handed out;
        an exception of the request's body iterator is raised here as it is.
        Cancelling the caller closes the connection.
        """
        parts = self._parts
        if not parts:
            if self.complete:
                return None
            await self._more()
            parts = self._parts
            if not parts:
                return None
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = []
        self._buffered = 0
        if self._source is not None:
            self._source.drained()
        return data

    async def _more(self) -> None:
        """Returns when there is body or the end; raises the failure otherwise."""
        self._raise_failure()
        if self._source is None:
            raise UpstreamError("closed", "the answer was closed before its end", sent=True)
        if self._waiter is not None:
            raise RuntimeError("two readers of one response")
        self._waiter = self._source.expect_body()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None
        if not self._parts:
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise self._error

    async def read(self, limit: int) -> bytes:
        """The rest of the body.  UpstreamError as for `chunk`; kind "limit", the connection closed, when
        it is longer than `limit` bytes."""
        first = await self.chunk()
        if first is None:
            return b""
        pieces = [first]
        size = len(first)
        while size <= limit:
            piece = await self.chunk()
            if piece is None:
                return first if len(pieces) == 1 else b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        self.close()
        raise UpstreamError("limit", f"the answer's body is longer than {limit} bytes", sent=True)

    def close(self) -> None:
        """Done with it.  A complete answer's connection is in the pool already (if it could be kept);
        that of an incomplete one is closed.  Buffered body is let go.  Idempotent."""
        self._parts = []
        self._buffered = 0
        source, self._source = self._source, None
        if source is not None:
            source.abandon()
