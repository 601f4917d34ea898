"""Loading what a caller names by URL: through the policy, bounded, and without a word about what went wrong."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.core.conversation import Base64, Media, Url
from dragoman.core.faults import Fault
from dragoman.relay.fetch import CALL_AT_ONCE, CALL_CHARS, CALL_URLS, REDIRECTS, MediaLoader, load_all
from dragoman.upstream.client import Client, EgressPolicy

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 40
AT = ("messages", 0, "content", 1)


class Site(BaseHTTPRequestHandler):
    """A public web site of a few paths."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/hop/"):
            left = int(path.removeprefix("/hop/"))
            self._answer(302, b"", location="/a.png" if left == 1 else f"/hop/{left - 1}")
        elif path == "/inside":
            self._answer(302, b"", location="http://10.0.0.1/secret")
        else:
            status, kind, body = {
                "/a.png": (200, "image/png", PNG),
                "/wrong.png": (200, "image/jpeg", PNG),
                "/bare.png": (200, "application/octet-stream", PNG),
                "/page": (200, "text/html; charset=utf-8", b"<html>"),
                "/r.pdf": (200, "application/pdf", b"%PDF-1.7"),
                "/big.png": (200, "image/png", PNG * 100),
                "/secret.png": (403, "image/png", PNG),
            }.get(path, (404, "text/plain", b"no"))
            self._answer(status, body, kind)

    def _answer(self, status: int, body: bytes, kind: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def load(
    url: str, kind: Any = "image", allow: tuple[str, ...] = ("127.0.0.1/32",), limit: int = 2000
) -> Media:
    async def main() -> Media:
        client = Client()
        try:
            loader = MediaLoader(client, EgressPolicy(allow), limit)
            return await loader.load(
                Media(kind=kind, source=Url(url), name="n", detail="low", at=AT), "openai_chat"
            )
        finally:
            await client.close()

    return asyncio.run(main())


def refused(url: str, **fields: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        load(url, **fields)
    return caught.value


@pytest.mark.parametrize("path", ["/a.png", "/wrong.png", "/bare.png?x=1&y=é", f"/hop/{REDIRECTS}"])
def test_an_image_comes_with_the_type_that_its_bytes_tell(site: str, path: str) -> None:
    got = load(site + path)
    assert got.source == Base64(base64.b64encode(PNG).decode()) and got.media_type == "image/png"
    assert (got.name, got.detail, got.at) == ("n", "low", AT)


def test_a_document(site: str) -> None:
    got = load(site + "/r.pdf", kind="document")
    assert got.media_type == "application/pdf"


@pytest.mark.parametrize(
    "path", ["/page", "/r.pdf", "/big.png", "/secret.png", "/nothing", f"/hop/{REDIRECTS + 1}", "/inside"]
)
def test_what_cannot_be_had_is_the_documented_400_that_names_the_member(site: str, path: str) -> None:
    fault = refused(site + path)
    assert (fault.status, fault.param) == (400, "messages[0].content[1]")
    assert "Unable to process the image you provided." in fault.message
    assert "publicly accessible, or upload it as base64." in fault.message
    assert "127.0.0.1" not in fault.message and "403" not in fault.message


@pytest.mark.parametrize(
    "url",
    ["ftp://host/a.png", "file:///etc/passwd", "http://user:pass@host/a.png", "http://", "http://[bad/a.png"],
)
def test_what_is_no_public_url(url: str) -> None:
    assert refused(url).status == 400


def test_private_addresses_are_refused_unless_allowed(site: str) -> None:
    assert refused(site + "/a.png", allow=()).status == 400


class Loads:
    """A loader whose URLs take a while; those that name it fail."""

    def __init__(self) -> None:
        self.begun = self.now = self.most = 0

    async def load(self, media: Media, origin: str) -> Media:
        self.begun, self.now = self.begun + 1, self.now + 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.001)
            if "bad" in media.source.url:  # type: ignore[union-attr]
                raise Fault(400, "invalid_request", "no")
            return replace(media, source=Base64("x" * (CALL_CHARS // 2 if "big" in media.source.url else 1)))  # type: ignore[union-attr]
        finally:
            self.now -= 1


def load_many(*urls: str) -> tuple[Loads, Fault | None]:
    loads = Loads()
    wanted = [Media(kind="image", source=Url(url), at=("messages", n)) for n, url in enumerate(urls)]
    try:
        got = asyncio.run(load_all(loads, wanted, "openai_chat"))  # type: ignore[arg-type]
    except Fault as fault:
        return loads, fault
    assert [m.at for m in got] == [m.at for m in wanted]
    return loads, None


def test_the_loads_of_one_request_are_bounded() -> None:
    loads, fault = load_many(*map(str, range(CALL_URLS)))
    assert fault is None and (loads.begun, loads.most) == (CALL_URLS, CALL_AT_ONCE)
    loads, fault = load_many(*map(str, range(CALL_URLS + 1)))
    assert fault is not None and fault.param == f"messages[{CALL_URLS}]" and loads.begun == 0
    _, fault = load_many("big1", "big2", "big3")
    assert fault is not None and "too large together" in fault.message


def test_one_failure_ends_the_other_loads() -> None:
    loads, fault = load_many("bad", *map(str, range(50)))
    assert fault is not None and loads.now == 0 and loads.begun <= 2 * CALL_AT_ONCE
