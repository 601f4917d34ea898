"""Images and documents on their way to Anthropic."""

from __future__ import annotations

import base64

import pytest

from dragoman.core.conversation import Base64, FileId, Media, Url
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.dialects.anthropic.sources import takes_url, write_media

AT = ("messages", 0, "content", 1)


def media(kind, source, media_type="", name=""):
    return Media(kind=kind, source=source, media_type=media_type, name=name, at=AT)


def encoded(data):
    return Base64(base64.b64encode(data).decode())


@pytest.mark.parametrize(
    ("given", "block"),
    [
        (
            media("image", Base64("AAAA"), "image/png"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ),
        (
            media("image", Base64("/9j/4AAQ"), "image/png"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"}},
        ),
        (
            media("image", Url("https://x/y.png")),
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        ),
        (
            media("image", FileId("anthropic", "file_1")),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            media("document", Base64("JVBERi0="), "application/pdf", "r.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "r.pdf",
            },
        ),
        (
            media("document", Base64("JVBERi0="), "application/octet-stream"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            },
        ),
        (
            media("document", Url("https://x/r.pdf")),
            {"type": "document", "source": {"type": "url", "url": "https://x/r.pdf"}},
        ),
        (
            media("document", encoded("é,1".encode()), "text/csv", "t.csv"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "é,1"},
                "title": "t.csv",
            },
        ),
    ],
)
def test_e070_e072(given, block):
    assert write_media(given, "openai_chat") == block


@pytest.mark.parametrize(
    "given",
    [
        media("audio", Base64("AAAA"), "audio/wav"),
        media("video", Url("https://x/y.mp4"), "video/mp4"),
        media("document", FileId("openai", "file-1")),
        media("image", Base64("Qk0="), "image/bmp"),
        media(
            "document",
            encoded(b"PK"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        media("document", encoded(b"\xff\xfe"), "text/plain"),
        media("document", Base64("!"), "text/plain"),
    ],
)
def test_what_cannot_be_taken_is_400_naming_the_part_e079(given):
    with pytest.raises(Fault) as caught:
        write_media(given, "openai_chat")
    assert (caught.value.status, caught.value.param) == (400, "messages[0].content[1]")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (media("image", Url("https://x/y.png")), True),
        (media("image", Url("http://x/y.png")), False),
        (media("document", Url("https://x/r"), "application/pdf"), True),
        (media("document", Url("https://x/r")), True),
        (media("document", Url("https://x/r"), "text/plain"), False),
        (media("audio", Url("https://x/r.mp3")), False),
        (media("image", Base64("AAAA")), False),
    ],
)
def test_takes_url(given, expected):
    assert takes_url(given, Facts()) is expected
