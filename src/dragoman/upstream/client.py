"""The outbound port: `Client.send` is the only way out of the gateway.

Why a POST may be sent twice
    A server may close a kept-alive connection at any moment, and its close may cross our next request
    on the wire.  The request was then read by nobody, yet from here it looks like one that got no
    answer.  RFC 9110 section 9.2.2 allows the repetition of a non-idempotent request only where there is
    reason to believe that the first was not applied.  That reason exists in one case, and only then is
    the request sent again, once, on a fresh connection: the connection was a REUSED one, the peer CLOSED
    it, and not ONE byte of an answer (not even a 1xx) had arrived.  A fresh connection that dies, a
    timeout, a partial answer, a second failure: all are the caller's to judge, with
    `UpstreamError.sent` set.
    An iterated body cannot be played twice, so such a request always gets a fresh connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from dragoman.upstream.dial import Dialler
from dragoman.upstream.egress import EgressPolicy
from dragoman.upstream.errors import ErrorKind, StaleConnection, UpstreamError
from dragoman.upstream.h1 import Connection, Request
from dragoman.upstream.limits import PoolLimits, Timeouts
from dragoman.upstream.origin import Origin
from dragoman.upstream.pool import Counts, Pool
from dragoman.upstream.response import Response

__all__ = [
    "Client",
    "EgressPolicy",
    "ErrorKind",
    "Origin",
    "PoolLimits",
    "Response",
    "Timeouts",
    "UpstreamError",
]

Headers = list[tuple[bytes, bytes]]

# Headers about the connection and the framing are this client's, a caller's are left out; Host goes first.
_OWNED = frozenset(
    {b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"proxy-connection", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade"}
)
_BODYLESS = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"})
_TOKEN_CHARS = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORGET_AT = 256  # pools, before empty ones are looked for
_DEFAULT_TIMEOUTS = Timeouts()
_DEFAULT_LIMITS = PoolLimits()


class Client:
    """Belongs to the event loop it is used in.  egress: policy for calls that bring none."""

    def __init__(self, *, limits: PoolLimits = _DEFAULT_LIMITS, egress: EgressPolicy | None = None) -> None:
        self._limits = limits
        self._egress = egress
        self._dialler = Dialler()
        self._counts = Counts()
        self._pools: dict[tuple[Origin, EgressPolicy | None], Pool] = {}
        self._forget_at = _FORGET_AT
        self._closed = False

    async def send(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        body_length: int | None = None,
        egress: EgressPolicy | None = None,
    ) -> Response:
        """One exchange; returns when the head of the final answer is there.

        target: origin form, "/path?query", percent-encoded.  headers: sent in this order; Host is added
        unless given; framing and connection headers are this client's own, given ones are left out.
        body: an iterator is sent chunked, or under Content-Length if `body_length` is given; it is closed
        when sending ends.  An answer that comes before the body is sent is returned at once; the rest of the
        body is still sent if the status is below 300.
        egress: the policy a user-supplied origin is subject to.

        UpstreamError; ValueError, before anything is sent, for a method, target or header that cannot
        be written to the wire; whatever the body iterator raises.
        """
        if self._closed:
            raise UpstreamError("closed", "the client is closed")
        loop = asyncio.get_running_loop()
        started = loop.time()
        policy = self._egress if egress is None else egress
        pool = self._pool(origin, policy)
        replayable = isinstance(body, bytes)
        length = len(body) if isinstance(body, bytes) else body_length
        head = request_head(method, target, pool.authority, headers, length)
        request = Request(head, body, timeouts, started, method == b"HEAD", length)
        connection = pool.take_idle() if replayable else None
        if connection is None:
            connection = await _acquire(pool, request, loop, fresh=not replayable)
        try:
            return await connection.exchange(request)
        except StaleConnection:
            if not replayable:
                raise
        pool = self._pool(origin, policy)  # the old one may have been forgotten meanwhile
        connection = await _acquire(pool, request, loop, fresh=True)
        return await connection.exchange(request)

    def _pool(self, origin: Origin, egress: EgressPolicy | None) -> Pool:
        # A connection to an address that nobody checked must not serve a call that demands the check.
        key = (origin, egress)
        pool = self._pools.get(key)
        if pool is None:

            async def dial(budget_s: float, owner: Pool) -> Connection:
                loop = asyncio.get_running_loop()
                return await self._dialler.dial(
                    origin, egress, budget_s, lambda: Connection(loop, self._limits, owner)
                )

            if len(self._pools) >= self._forget_at:
                # Users' URLs bring ever new origins.  Safe here: between a call's look-up of its pool and
                # its place in that pool there is no await, so an empty pool is nobody's.
                self._pools = {k: p for k, p in self._pools.items() if not p.empty}
                self._forget_at = max(_FORGET_AT, 2 * len(self._pools))
            pool = Pool(dial, self._limits, self._counts, origin.authority.encode("ascii"))
            self._pools[key] = pool
        return pool

    async def close(self) -> None:
        """Close every connection.  Exchanges under way fail with kind "closed".  Idempotent."""
        self._closed = True
        for pool in list(self._pools.values()):
            pool.close()
        # Transports finish closing in the loop's next turns.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def stats(self) -> dict[str, int]:
        """open and idle: connections now; opened_total; reused_total: exchanges begun on a connection
        that had carried another before."""
        return {
            "open": sum(pool.open for pool in self._pools.values()),
            "idle": self._counts.idle,
            "opened_total": self._counts.opened_total,
            "reused_total": self._counts.reused_total,
        }


async def _acquire(
    pool: Pool, request: Request, loop: asyncio.AbstractEventLoop, *, fresh: bool
) -> Connection:
    left = request.started + request.timeouts.total_s - loop.time()
    try:
        return await pool.acquire(min(left, request.timeouts.connect_s), fresh=fresh)
    except UpstreamError as error:
        if error.kind == "connect_timeout" and left <= request.timeouts.connect_s:
            raise UpstreamError("total_timeout", error.message) from error
        raise


def request_head(
    method: bytes, target: bytes, authority: bytes, headers: Headers, length: int | None
) -> bytes:
    """Request line and headers with the empty line.  length: of the body; None: chunked.

    ValueError if any part could be read as more than it is: a line break or NUL anywhere, a space in
    the target, a name that is no token.
    """
    names = [name.lower() for name, _ in headers]
    host = b"host: " + authority
    if not _OWNED.isdisjoint(names):
        if names.count(b"host") > 1:
            raise ValueError("two Host headers")
        if b"host" in names:
            host = b"host: " + headers[names.index(b"host")][1]
        headers = [header for header, name in zip(headers, names, strict=True) if name not in _OWNED]
    lines = [b"%b %b HTTP/1.1" % (method, target), host]
    lines += [name + b": " + value for name, value in headers]
    if length is None:
        lines.append(b"transfer-encoding: chunked")
    elif length or method not in _BODYLESS:
        lines.append(b"content-length: %d" % length)
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    # One pass over the whole instead of one per value: there are as many line breaks as we wrote.
    if head.count(b"\r") != len(lines) or head.count(b"\n") != len(lines) or b"\0" in head:
        raise ValueError("a line break or NUL in the request's head")
    if b" " in target or not target.startswith((b"/", b"*")) or not method:
        raise ValueError("not a target in origin form")
    if b"" in names or (method + b"".join(names)).translate(None, _TOKEN_CHARS):
        raise ValueError("a method or header name that is no token")
    return head
