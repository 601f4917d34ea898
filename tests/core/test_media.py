"""Data URLs, MIME types and names of media."""

from __future__ import annotations

import base64

import pytest

from dragoman.core.conversation import Base64, Media, Url
from dragoman.core.media import (
    data_url,
    file_name,
    image_type,
    kind_of,
    normalised,
    parse_data_url,
    type_of_name,
)


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("data:image/png;base64,AAAA", ("image/png", "AAAA")),
        ("data:image/jpg;base64,AAAA", ("image/jpeg", "AAAA")),
        ("DATA:Image/PNG;charset=utf-8;BASE64,AAAA", ("image/png", "AAAA")),
        ("data:;base64,AAAA", ("text/plain", "AAAA")),
        ("data:text/plain,hello", None),
        ("https://x/y.png", None),
        ("data:image/png;base64", None),
        ("", None),
    ],
)
def test_parse_data_url(url, parsed):
    assert parse_data_url(url) == parsed


def test_data_url_round_trips():
    assert parse_data_url(data_url("image/webp", "UklGRg==")) == ("image/webp", "UklGRg==")
    assert data_url("", "AA==") == "data:application/octet-stream;base64,AA=="


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"GIF89arest", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"nothing known", "image/x-own"),
        (b"", "image/x-own"),
    ],
)
def test_image_type_believes_the_bytes(head, found):
    assert image_type("image/x-own", base64.b64encode(head).decode()) == found


def test_image_type_looks_at_the_beginning_only_and_never_raises():
    assert image_type("image/jpg", "not base64 at all !!") == "image/jpeg"
    assert image_type("image/png", "A") == "image/png"
    assert image_type("image/png", "/9j/" + "@" * 10_000_000) == "image/jpeg"


def test_kinds_and_names():
    assert [kind_of(t) for t in ("image/png", "audio/wav", "video/mp4", "application/pdf", "")] == [
        "image",
        "audio",
        "video",
        "document",
        "document",
    ]
    assert normalised(" Image/JPG; q=1 ") == "image/jpeg"
    assert type_of_name("https://x.example/a/b.PDF?x=1.png#f.gif") == "application/pdf"
    assert type_of_name("https://x.example/a") == type_of_name("noending") == ""


@pytest.mark.parametrize(
    ("media", "default", "name"),
    [
        (Media(kind="document", source=Url("u"), name="r.pdf"), "d.pdf", "r.pdf"),
        (Media(kind="document", source=Url("u")), "d.pdf", "d.pdf"),
        (Media(kind="document", source=Base64("A"), media_type="application/pdf"), "", "document.pdf"),
        (Media(kind="image", source=Base64("A"), media_type="image/heic"), "", "image"),
    ],
)
def test_file_name(media, default, name):
    assert file_name(media, default) == name
