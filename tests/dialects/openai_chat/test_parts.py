from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import (
    Base64,
    Cache,
    FileId,
    Loss,
    Media,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    Url,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.dialects.openai_chat.parts import (
    Bound,
    lost_cache,
    read_content,
    takes_url,
    thinking_part,
    write_media,
)

AT = ("messages", 0, "content")
JPEG = "/9j/4AAQSkZJRgABAQ"


def read(*parts: Any) -> list[Any]:
    bound: Bound = []
    return read_content(list(parts), AT, bound)


def test_a_string_and_bare_strings_are_texts_and_empty_ones_nothing() -> None:
    assert read_content("x", AT, []) == [Text(text="x", at=AT)]
    assert read_content("", AT, []) == []
    assert read("x", {"type": "text", "text": ""}) == [Text(text="x", at=(*AT, 0))]


@pytest.mark.parametrize(
    ("url", "media_type", "source"),
    [
        ("data:image/png;base64,AAAA", "image/png", Base64("AAAA")),  # E070
        ("data:image/jpg;base64,AAAA", "image/jpeg", Base64("AAAA")),  # E072
        (f"data:image/png;base64,{JPEG}", "image/jpeg", Base64(JPEG)),
        ("https://x/y.png", "image/png", Url("https://x/y.png")),
        ("https://x/y", "", Url("https://x/y")),
    ],
)
def test_images(url: str, media_type: str, source: object) -> None:
    (image,) = read({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    assert (image.kind, image.media_type, image.source, image.detail) == ("image", media_type, source, "low")
    (bare,) = read({"type": "image_url", "image_url": url})
    assert bare.source == source


def test_parts_of_other_dialects() -> None:
    link = {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}
    anthropic = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    by_url = {"type": "image", "source": {"type": "url", "url": "https://x/z.gif"}}
    said, image, data, other = read({"type": "input_text", "text": "hi"}, link, anthropic, by_url)
    assert said == Text(text="hi", at=(*AT, 0))
    assert (image.source, image.detail) == (Url("https://x/y.png"), "low")
    assert (data.source, data.media_type) == (Base64("AAAA"), "image/png")
    assert other.source == Url("https://x/z.gif")
    unknown = read({"type": "image", "image": 1}, {"type": "input_image", "file_id": "f"})
    assert [type(block) for block in unknown] == [Opaque, Opaque]


def test_a_data_url_is_what_its_type_says() -> None:
    (pdf,) = read({"type": "image_url", "image_url": {"url": "data:application/pdf;base64,JVBERi0="}})
    assert (pdf.kind, pdf.media_type) == ("document", "application/pdf")


@pytest.mark.parametrize(
    ("format_", "media_type"), [("wav", "audio/wav"), ("mp3", "audio/mpeg"), ("flac", "audio/flac")]
)
def test_audio(format_: str, media_type: str) -> None:
    (audio,) = read({"type": "input_audio", "input_audio": {"data": "UklG", "format": format_}})
    assert (audio.kind, audio.media_type, audio.source) == ("audio", media_type, Base64("UklG"))


def test_files() -> None:
    part = {
        "type": "file",
        "file": {"filename": "r.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
    }
    (file,) = read(part)
    assert (file.kind, file.media_type, file.name, file.source) == (
        "document",
        "application/pdf",
        "r.pdf",
        Base64("JVBERi0="),
    )
    (bare,) = read({"type": "file", "file": {"filename": "a.csv", "file_data": "YSxi"}})
    assert (bare.media_type, bare.source) == ("text/csv", Base64("YSxi"))


def test_an_uploaded_file_binds_to_its_vendor() -> None:
    bound: Bound = []
    (file,) = read_content([{"type": "file", "file": {"file_id": "file-1"}}], AT, bound)
    assert isinstance(file, Media)
    assert file.source == FileId("openai", "file-1")
    assert bound == [((*AT, 0, "file", "file_id"), "uploaded file")]


def test_other_kinds() -> None:
    refusal, thought, redacted, mistral, other = read(
        {"type": "refusal", "refusal": "No."},
        {"type": "thinking", "thinking": "t", "signature": "S"},
        {"type": "redacted_thinking", "data": "R"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "m"}]},
        {"type": "tomorrow", "text": "x", "more": 1},
    )
    assert refusal == Refusal(text="No.", at=(*AT, 0))
    assert thought == Thinking(text="t", signature=Signature(origin="anthropic", value="S"), at=(*AT, 1))
    assert redacted.redacted
    assert mistral.text == "m"
    assert other == Opaque(
        origin="openai_chat",
        kind="tomorrow",
        raw={"type": "tomorrow", "text": "x", "more": 1},
        text="x",
        at=(*AT, 4),
    )
    assert thinking_part({"type": "thinking", "thinking": "", "signature": ""}) is None


def test_cache_marks() -> None:
    marks = [
        ({"cache_control": {"type": "ephemeral"}}, Cache()),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, Cache(ttl="1h")),
        ({"prompt_cache_breakpoint": {"mode": "explicit"}}, Cache()),
        ({}, None),
    ]
    for mark, cache in marks:
        (text,) = read({"type": "text", "text": "x", **mark})
        assert text.cache == cache


@pytest.mark.parametrize(
    ("part", "path"),
    [
        (5, "messages[0].content[0]"),
        ({}, "messages[0].content[0].type"),
        ({"type": "text"}, "messages[0].content[0].text"),
        ({"type": "text", "text": 5}, "messages[0].content[0].text"),
        ({"type": "image_url"}, "messages[0].content[0].image_url"),
        ({"type": "image_url", "image_url": {"url": "ftp://x"}}, "messages[0].content[0].image_url.url"),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png,abc"}},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x", "detail": 1}},
            "messages[0].content[0].image_url.detail",
        ),
        ({"type": "input_audio", "input_audio": {}}, "messages[0].content[0].input_audio.data"),
        ({"type": "file", "file": {}}, "messages[0].content[0].file"),
        ({"type": "text", "text": "x", "cache_control": 1}, "messages[0].content[0].cache_control"),
        (
            {"type": "text", "text": "x", "cache_control": {"ttl": "9h"}},
            "messages[0].content[0].cache_control.ttl",
        ),
    ],
)
def test_what_cannot_be_is_400_with_its_path(part: object, path: str) -> None:
    with pytest.raises(Fault) as caught:
        read(part)
    assert (caught.value.status, caught.value.param) == (400, path)


# --- writing ----------------------------------------------------------------------------------------------

PDF = Media(kind="document", source=Base64("JVBERi0="), media_type="application/pdf")


def written(media: Media, **facts: Any) -> dict[str, Any]:
    return write_media(media, "anthropic", Facts(**facts))


def test_written_images() -> None:
    webp = Media(kind="image", source=Base64("AAAA"), media_type="image/webp", detail="high")
    assert written(webp) == {  # E074
        "type": "image_url",
        "image_url": {"url": "data:image/webp;base64,AAAA", "detail": "high"},
    }
    link = Media(kind="image", source=Url("https://x/y.png"))
    assert written(link) == {"type": "image_url", "image_url": {"url": "https://x/y.png"}}


def test_written_files_always_have_a_name() -> None:  # E075
    data = "data:application/pdf;base64,JVBERi0="
    assert written(PDF) == {"type": "file", "file": {"filename": "document.pdf", "file_data": data}}
    named = Media(kind="document", source=PDF.source, media_type="application/pdf", name="r.pdf")
    assert written(named)["file"]["filename"] == "r.pdf"


def test_written_audio_and_video() -> None:
    mp3 = Media(kind="audio", source=Base64("SUQz"), media_type="audio/mpeg")
    assert written(mp3) == {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}
    video = Media(kind="video", source=Url("https://x/v.mp4"))
    assert written(video) == {"type": "video_url", "video_url": {"url": "https://x/v.mp4"}}


@pytest.mark.parametrize(
    ("media", "facts"),
    [
        (
            Media(kind="document", source=Url("https://x/r.pdf"), at=("a",)),
            {},
        ),  # E076: loaded before it comes here
        (Media(kind="document", source=FileId("anthropic", "f"), at=("a",)), {}),
        (Media(kind="image", source=FileId("openai", "f"), at=("a",)), {}),
        (
            Media(kind="video", source=Base64("x"), media_type="video/mp4", at=("a",)),
            {"developer_role": True},
        ),
        (Media(kind="audio", source=Base64("x"), media_type="audio/strange", at=("a",)), {}),
        (Media(kind="document", source=Base64("x"), at=("a",)), {"files": False}),
        (Media(kind="image", source=Url("gs://bucket/x.png"), at=("a",)), {}),
    ],
)
def test_what_chat_has_no_form_for_is_400_and_never_dropped(media: Media, facts: dict[str, Any]) -> None:
    with pytest.raises(Fault) as caught:
        written(media, **facts)
    assert (caught.value.status, caught.value.param) == (400, "a")


def test_which_urls_the_upstream_loads_itself() -> None:
    facts, openai = Facts(), Facts(developer_role=True)
    assert takes_url(Media(kind="image", source=Url("https://x")), openai)
    assert takes_url(Media(kind="video", source=Url("https://x")), facts)
    assert not takes_url(Media(kind="video", source=Url("https://x")), openai)
    assert not takes_url(Media(kind="document", source=Url("https://x")), facts)
    assert not takes_url(Media(kind="image", source=Url("gs://x")), facts)
    assert not takes_url(PDF, facts)


def test_a_cache_mark_is_kept_where_it_is_taken_and_else_a_loss() -> None:
    text = Text(text="x", cache=Cache(ttl="1h"), at=("system", 0))
    losses: list[Loss] = []
    assert lost_cache(text, Facts(cache_control=True), losses) == Cache(ttl="1h")
    assert losses == []
    assert lost_cache(text, Facts(), losses) is None
    assert [loss.at for loss in losses] == [("system", 0, "cache_control")]
