"""Reading request bodies within their limits (decisions 26).

- size: ``content-length`` is refused before a byte is read, chunked bodies while they are counted;
- memory: all buffered bodies share one ``BodyBudget``; beyond it requests wait in line, then 503. Bytes are taken
  as they arrive, so a slow upload holds no more than it has sent;
- time: a body may not stall (408), nor take for ever;
- expansion: gzip and zstd are decoded in small steps, up to the same limit and a ratio, so that no bomb goes off.

A body that arrives in one piece, as nearly all do, takes none of the slow paths. Uploads too big for memory go to an
unnamed file (``spool_body``), which disappears with its last user, crash included.
"""

from __future__ import annotations

import asyncio
import tempfile
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, TypeVar

import zstandard

from dragoman.core.faults import Fault, body_too_large, invalid_request, overloaded

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

ACCEPTED: Final = "gzip, zstd, identity"
STEP_BYTES: Final = 1_048_576  # decoded (or written to disk) before the event loop gets its turn
EXPANSION_FLOOR_BYTES: Final = 8_388_608  # below it any ratio is fine: it is the ratio of a bomb that hurts
ZSTD_WINDOW_BYTES: Final = 8_388_608  # RFC 9659: what a zstd content coding may ask of the decoder
# A zstd block of 4 bytes may stand for 128 KB, and its decoder knows no output limit: 512 bytes make 16 MB at most.
ZSTD_SLICE_BYTES: Final = 512
GZIP_SLICE_BYTES: Final = 65_536


class ClientGone(Exception):
    """The client left before its request was complete; there is nobody to answer."""


THREAD_BYTES = 262_144
T = TypeVar("T")


async def aside(size: int, work: Callable[[], T]) -> T:
    """``work`` over a body of ``size`` bytes: at once when it is small, else in a thread, so that streams go on.

    The interpreter lock passes from one to the other between the single scans that ``work`` is made of, each a few
    milliseconds for ten megabytes.
    """
    return work() if size < THREAD_BYTES else await asyncio.to_thread(work)


class BodyBudget:
    """Bytes of request bodies that are in memory at once, over all requests."""

    def __init__(self, total_bytes: int = 1 << 30) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = 0
        self._line: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return len(self._line)

    def take_now(self, size: int) -> bool:
        """Take ``size`` bytes if they are free and nobody is in line."""
        if self._line or not self._fits(size):
            return False
        self.used_bytes += size
        return True

    async def take(self, size: int, wait_s: float) -> None:
        """Take ``size`` bytes, in line if need be; raises Fault 503 after ``wait_s``."""
        if self.take_now(size):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, size)
        self._line.append(entry)
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except TimeoutError:
            self._leave(entry)
            raise overloaded(max(1.0, wait_s)) from None
        except asyncio.CancelledError:
            self._leave(entry)
            raise

    def give(self, size: int) -> None:
        """Give ``size`` bytes back and serve the line."""
        self.used_bytes -= size
        while self._line and self._fits(self._line[0][1]):
            turn, wanted = self._line.popleft()
            if not turn.done():
                self.used_bytes += wanted
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        # alone, even a piece larger than the whole budget may pass
        return self.used_bytes + size <= self.total_bytes or self.used_bytes == 0

    def _leave(self, entry: tuple[asyncio.Future[None], int]) -> None:
        turn, size = entry
        if turn.done() and not turn.cancelled():
            self.give(size)  # its turn came in the same moment
        elif entry in self._line:
            self._line.remove(entry)
            self.give(0)  # those behind it may fit


class Body:
    """A request body in memory. ``release`` (or the end of a ``with``) gives its bytes back to the budget."""

    __slots__ = ("_budget", "_held", "data")

    def __init__(self, data: bytes, budget: BodyBudget | None = None, held: int = 0) -> None:
        self.data = data
        self._budget = budget
        self._held = held

    @classmethod
    def empty(cls) -> Body:
        """The body of a request that has none."""
        return cls(b"")

    async def grow(self, data: bytes, wait_s: float) -> None:
        """Put ``data`` in the place of the body; what it is longer comes out of the budget. Fault 503 as for reading."""
        more = len(data) - self._held
        if self._budget is not None and more > 0:
            await self._budget.take(more, wait_s)
            self._held += more
        self.data = data

    def release(self) -> None:
        """Give the bytes back; may be called again."""
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.give(self._held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


async def read_body(
    scope: Scope,
    receive: Receive,
    *,
    budget: BodyBudget,
    limit: int = 100_000_000,
    idle_timeout_s: float = 30.0,
    total_timeout_s: float = 900.0,
    wait_s: float = 10.0,
    expansion_limit: int = 100,
) -> Body:
    """The whole body, decoded. ``limit`` in bytes holds for what is sent and for what comes out of the decoder.

    Raises Fault 400 (broken gzip or zstd), 408 (stalled), 413 (too large, or expanding more than ``expansion_limit``
    times), 415 (another coding), 503 (no memory left) and ClientGone.
    """
    coding = _inspect(scope, limit)
    reader = _Reader(scope, receive, limit, idle_timeout_s, total_timeout_s)
    data = await reader.next()
    if not reader.more and not coding and budget.take_now(len(data)):
        return Body(data, budget, len(data))
    held = 0
    try:
        pieces = []
        while True:
            await budget.take(len(data), wait_s)
            held += len(data)
            pieces.append(data)
            if not reader.more:
                break
            data = await reader.next()
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if coding and data:
            plain = _Decoded(budget, limit, expansion_limit)
            try:
                decoded = await plain.read(coding, data, wait_s)
            except BaseException:
                budget.give(plain.held)
                raise
            budget.give(held)
            data, held = decoded, plain.held
    except BaseException:
        budget.give(held)
        raise
    return Body(data, budget, held)


def _inspect(scope: Scope, limit: int) -> str:
    """The coding to undo ("" for none); refuses what the headers alone tell."""
    coding = b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit():
                raise invalid_request("Content-Length is not a number")
            if int(value) > limit:
                raise body_too_large(limit)
        elif name == b"content-encoding":
            coding = coding + b"," + value if coding else value
    if not coding:
        return ""
    word = coding.decode("latin-1").strip().lower()
    if word in ("gzip", "x-gzip"):
        return "gzip"
    if word == "zstd":
        return "zstd"
    if word in ("identity", ""):
        return ""
    message = f"Content-Encoding {word[:60]!r} is not supported; accepted are {ACCEPTED}"
    raise Fault(415, "unsupported_encoding", message)


class _Reader:
    """ASGI messages, counted and timed."""

    def __init__(
        self, scope: Scope, receive: Receive, limit: int, idle_timeout_s: float, total_timeout_s: float
    ) -> None:
        self._receive = receive
        self._arrived = scope.get("extensions", {}).get("dragoman.arrived")
        self._limit = limit
        self._seen = 0
        self._idle_timeout_s = idle_timeout_s
        self._total_timeout_s = total_timeout_s
        self._end = 0.0
        self.more = True

    async def next(self) -> bytes:
        """The next piece; ``more`` tells whether another follows."""
        if self._arrived is not None and self._arrived():
            message = await self._receive()  # does not wait, so it needs no timer
        else:
            message = await self._timed()
        if message["type"] == "http.disconnect":
            raise ClientGone
        data: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        self._seen += len(data)
        if self._seen > self._limit:
            raise body_too_large(self._limit)
        return data

    async def _timed(self) -> MutableMapping[str, Any]:
        now = asyncio.get_running_loop().time()
        self._end = self._end or now + self._total_timeout_s
        seconds = min(self._idle_timeout_s, self._end - now)
        try:
            async with asyncio.timeout(seconds):
                return await self._receive()
        except TimeoutError:
            reason = "stalled" if seconds == self._idle_timeout_s else "took too long"
            message = f"The request body {reason} (after {self._seen} bytes)"
            raise Fault(408, "request_timeout", message) from None


class _Decoded:
    """The plain bytes of a coded body, in bounded steps; ``held`` is what they took from the budget."""

    def __init__(self, budget: BodyBudget, limit: int, expansion_limit: int) -> None:
        self._budget = budget
        self._limit = limit
        self._expansion_limit = expansion_limit
        self.held = 0

    async def read(self, coding: str, data: bytes, wait_s: float) -> bytes:
        most = max(EXPANSION_FLOOR_BYTES, self._expansion_limit * len(data))
        pieces, step = [], 0
        try:
            for piece in _gunzip(data) if coding == "gzip" else _unzstd(data):
                if self.held + len(piece) > min(self._limit, most):
                    raise self._too_much(most)
                await self._budget.take(len(piece), wait_s)
                self.held += len(piece)
                pieces.append(piece)
                step += len(piece)
                if step >= STEP_BYTES:
                    step = 0
                    await asyncio.sleep(0)
        except (zlib.error, zstandard.ZstdError, EOFError) as error:
            raise invalid_request(f"The request body is not valid {coding}: {error}"[:200]) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_much(self, most: int) -> Fault:
        if most >= self._limit:
            return body_too_large(self._limit)
        message = f"The request body expands to more than {self._expansion_limit} times its size"
        return Fault(413, "request_too_large", message)


def _gunzip(data: bytes) -> Iterator[bytes]:
    """Pieces of at most STEP_BYTES. Raises zlib.error, or EOFError when the end is missing."""
    view, start = memoryview(data), 0
    while start < len(view):  # members may follow each other
        decoder = zlib.decompressobj(wbits=31)
        while not decoder.eof:
            if start >= len(view):
                raise EOFError("it ends too early")
            pending = bytes(view[start : start + GZIP_SLICE_BYTES])
            start += len(pending)
            while pending and not decoder.eof:
                yield decoder.decompress(pending, STEP_BYTES)
                pending = decoder.unconsumed_tail
        start -= len(decoder.unused_data)


def _unzstd(data: bytes) -> Iterator[bytes]:
    """Pieces of at most 16 MB, nearly always far smaller. Raises ZstdError or EOFError."""
    view, start = memoryview(data), 0
    context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    while start < len(view):  # frames may follow each other
        decoder = context.decompressobj()
        while not decoder.eof:
            if start >= len(view):
                raise EOFError("it ends too early")
            pending = view[start : start + ZSTD_SLICE_BYTES]
            start += len(pending)
            yield decoder.decompress(pending)
        start -= len(decoder.unused_data)


class SpooledBody:
    """A request body on disk: an unnamed file, gone when it is closed."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file = file
        self.size = size

    def close(self) -> None:
        """Give the disk space back; may be called again."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def spool_body(
    scope: Scope,
    receive: Receive,
    *,
    directory: Path,
    limit: int = 1_000_000_000,
    idle_timeout_s: float = 30.0,
    total_timeout_s: float = 3600.0,
) -> SpooledBody:
    """The body in a file in ``directory``, rewound to its start. Uploads come uncoded: gzip and zstd are a 415 here.

    Raises Fault 408, 413, 415, 503 (disk full) and ClientGone; nothing is left on disk then.
    """
    if _inspect(scope, limit):
        raise Fault(415, "unsupported_encoding", "Content-Encoding is not supported for uploads")
    reader = _Reader(scope, receive, limit, idle_timeout_s, total_timeout_s)
    file: IO[bytes] = await asyncio.to_thread(tempfile.TemporaryFile, dir=directory)
    size = 0
    try:
        waiting, waiting_bytes = [], 0
        while reader.more:
            data = await reader.next()
            waiting.append(data)
            waiting_bytes += len(data)
            if waiting_bytes >= STEP_BYTES or not reader.more:
                size += waiting_bytes
                await asyncio.to_thread(file.writelines, waiting)
                waiting, waiting_bytes = [], 0
        await asyncio.to_thread(file.seek, 0)
    except OSError as error:
        file.close()
        message = "The gateway cannot store the upload, please try again later"
        raise Fault(503, "storage_full", message, owner="gateway", retry_after_s=30) from error
    except BaseException:
        file.close()
        raise
    return SpooledBody(file, size)
