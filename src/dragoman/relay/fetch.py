"""Loading images and documents that a caller names by URL, for upstreams that cannot load them themselves.

The URL is the caller's: every address it leads to, redirects included, passes the egress policy; size, time and the
number of loads at once are bounded. Whatever goes wrong is the same 400 for the caller, so that nobody can use the
gateway to find out what answers where.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from urllib.parse import quote, urljoin, urlsplit

from dragoman.core.conversation import Base64, Media, Url, rejected
from dragoman.core.faults import Fault
from dragoman.core.media import image_type, kind_of, normalised, type_of_name
from dragoman.upstream.client import Client, EgressPolicy, Origin, Response, Timeouts, UpstreamError

REDIRECTS = 3
AT_ONCE = 32
# Of one request, so that it leaves room for others:
CALL_AT_ONCE = 4
CALL_URLS = 100
CALL_CHARS = 100_000_000  # of base64, all files together
CALL_S = 120
_MOVED = frozenset({301, 302, 303, 307, 308})
_TIMEOUTS = Timeouts(connect_s=10, first_byte_s=20, idle_s=10, total_s=30)
_HEADERS = [(b"accept", b"*/*"), (b"accept-encoding", b"identity"), (b"user-agent", b"dragoman")]


class _Refused(Exception):
    """The URL cannot be loaded; why is for the journal only."""


class MediaLoader:
    """Loads media through the egress policy. ``limit_bytes``: the largest body."""

    def __init__(self, client: Client, policy: EgressPolicy, limit_bytes: int) -> None:
        self._client, self._policy, self._limit = client, policy, limit_bytes
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def load(self, media: Media, origin: str) -> Media:
        """The media with its bytes in place of its URL. Fault 400 naming the member; ``origin``: the client's dialect."""
        assert isinstance(media.source, Url)
        try:
            async with self._slots:
                declared, data = await self._load(media.source.url)
        except (_Refused, UpstreamError, ValueError):
            raise self._fault(media, origin) from None
        media_type = declared or media.media_type
        text = base64.b64encode(data).decode()
        if media.kind == "image":
            media_type = image_type(media_type, text)
        if kind_of(media_type) != media.kind:
            raise self._fault(media, origin)
        return Media(
            kind=media.kind, source=Base64(text), media_type=media_type, name=media.name, detail=media.detail,
            signature=media.signature, cache=media.cache, at=media.at,
        )  # fmt: skip

    def _fault(self, media: Media, origin: str) -> Fault:
        thing = "image" if media.kind == "image" else "file"
        return rejected(
            media.at,
            origin,
            f"Unable to process the {thing} you provided. Please verify the {thing} URL is publicly accessible, "
            "or upload it as base64.",
        )

    async def _load(self, url: str) -> tuple[str, bytes]:
        """(MIME type, bytes). Raises what means that it cannot be had."""
        for _ in range(REDIRECTS + 1):
            origin, target = _parts(url)
            response = await self._client.send(
                origin, b"GET", target, list(_HEADERS), timeouts=_TIMEOUTS, egress=self._policy
            )
            try:
                if response.status in _MOVED:
                    url = urljoin(url, _header(response, b"location"))
                    continue
                if response.status != 200:
                    raise _Refused(f"status {response.status}")
                declared = normalised(_header(response, b"content-type"))
                if declared in ("", "application/octet-stream", "binary/octet-stream"):
                    declared = type_of_name(url)
                return declared, await response.read(self._limit)
            finally:
                response.close()
        raise _Refused("too many redirects")


async def load_all(loader: MediaLoader, wanted: Sequence[Media], origin: str) -> list[Media]:
    """Every one of them with its bytes. Fault 400 for the first that cannot be had, for too many, for too much; nothing is
    loaded any more when this returns or raises."""
    if len(wanted) > CALL_URLS:
        raise rejected(
            wanted[CALL_URLS].at,
            origin,
            f"the upstream loads no URLs itself, and at most {CALL_URLS} are loaded for one request",
        )
    room, left = asyncio.Semaphore(CALL_AT_ONCE), CALL_CHARS

    async def one(media: Media) -> Media:
        nonlocal left
        async with room:
            got = await loader.load(media, origin)
        assert isinstance(got.source, Base64)
        left -= len(got.source.data)
        if left < 0:
            raise rejected(media.at, origin, "the files that the request names by URL are too large together")
        return got

    tasks = [asyncio.ensure_future(one(media)) for media in wanted]
    try:
        async with asyncio.timeout(CALL_S):
            return await asyncio.gather(*tasks)
    except TimeoutError:
        at = next((m.at for m, task in zip(wanted, tasks, strict=True) if not task.done()), wanted[0].at)
        raise rejected(
            at, origin, "the files that the request names by URL could not be loaded in time"
        ) from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _parts(url: str) -> tuple[Origin, bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ValueError("not a public URL")
    path = quote(parts.path or "/", safe="!$%&'()*+,-./:;=@_~")
    query = quote(parts.query, safe="!$%&'()*+,-./:;=?@_~")
    return Origin.parse(f"{parts.scheme}://{parts.netloc}"), (f"{path}?{query}" if query else path).encode(
        "ascii"
    )


def _header(response: Response, name: bytes) -> str:
    return next((v.decode("latin-1") for n, v in response.headers if n == name), "")
