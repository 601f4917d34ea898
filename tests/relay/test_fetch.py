"""Loading what a caller names by URL: through the policy, bounded, and without a word about what went wrong."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dragoman.core.conversation import Base64, Media, Url
from dragoman.core.faults import Fault
from dragoman.relay.fetch import REDIRECTS, MediaLoader
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
