"""F04: images, documents, audio."""
# ruff: noqa: N802

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, Like, OneOf, Where, same
from tests.conformance.world import AM, CC, GEMINI_3, GENERIC, GM, ROUTED, RS, Stage, assert_error_shape

USER = {"role": "user", "content": "U"}
PNG_BYTES = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG = base64.b64encode(PNG_BYTES).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(20)).decode()
PDF_BYTES = b"%PDF-1.4\n%%EOF\n"
PDF = "JVBERi0="


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def asked(client: str, part: Any) -> dict[str, Any]:
    """A question of one part, in the client's dialect."""
    if client == GM:
        return {"contents": [{"role": "user", "parts": [part]}]}
    return {"input" if client == RS else "messages": [{"role": "user", "content": [part]}]}


def part_of(upstream: str, sent: Any) -> Any:
    """The only part of the only turn that the upstream received."""
    if upstream == GM:
        (turn,) = sent["contents"]
        (part,) = turn["parts"]
        return part
    (turn,) = sent["input" if upstream == RS else "messages"]
    (part,) = turn["content"]
    return part


def image_url(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def image(media_type: str, data: str = "AAAA") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def document(source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **more}


PDF_SOURCE = {"type": "base64", "media_type": "application/pdf", "data": PDF}


def test_E070_a_data_url_becomes_a_base64_source(stage: Stage) -> None:
    sent = stage.sends(CC, AM, asked(CC, image_url("data:image/png;base64,AAAA")))
    same(part_of(AM, sent), image("image/png"))


def test_E072_image_jpg_is_image_jpeg(stage: Stage) -> None:
    sent = stage.sends(CC, AM, asked(CC, image_url("data:image/jpg;base64,AAAA")))
    same(part_of(AM, sent), image("image/jpeg"))


@pytest.mark.parametrize(
    ("declared", "data", "real"),
    [
        ("image/png", JPEG, "image/jpeg"),
        ("image/jpeg", PNG, "image/png"),
        ("image/png", base64.b64encode(b"GIF89a" + bytes(20)).decode(), "image/gif"),
        ("image/png", base64.b64encode(b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(9)).decode(), "image/webp"),
    ],
)
def test_E072_the_first_bytes_tell_the_type(stage: Stage, declared: str, data: str, real: str) -> None:
    sent = stage.sends(CC, AM, asked(CC, image_url(f"data:{declared};base64,{data}")))
    same(part_of(AM, sent), image(real, data))


def test_E074_image_sources_become_urls(stage: Stage) -> None:
    sent = stage.sends(AM, CC, asked(AM, image("image/webp")))
    same(part_of(CC, sent), image_url("data:image/webp;base64,AAAA"))
    sent = stage.sends(
        AM, CC, asked(AM, {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}})
    )
    same(part_of(CC, sent), image_url("https://x/y.png"))


@pytest.mark.parametrize(
    ("title", "name"), [({"title": "r.pdf"}, "r.pdf"), ({}, "document.pdf")], ids=["title", "none"]
)
def test_E075_documents_become_files(stage: Stage, title: dict[str, str], name: str) -> None:
    body = asked(AM, document(PDF_SOURCE, **title))
    data = f"data:application/pdf;base64,{PDF}"
    same(
        part_of(CC, stage.sends(AM, CC, body)),
        {"type": "file", "file": {"filename": name, "file_data": data}},
    )
    same(part_of(RS, stage.sends(AM, RS, body)), {"type": "input_file", "filename": name, "file_data": data})
    part = part_of(GM, stage.sends(AM, GM, body))
    same(part, {"inlineData": {"mimeType": "application/pdf", "data": PDF, ...: 0}})


def test_E076_a_document_url_is_loaded_for_chat(stage: Stage) -> None:
    url = stage.serve_file("/files/r.pdf", "application/pdf", PDF_BYTES)
    sent = stage.sends(AM, CC, asked(AM, document({"type": "url", "url": url})))
    data = "data:application/pdf;base64," + base64.b64encode(PDF_BYTES).decode()
    same(part_of(CC, sent), {"type": "file", "file": {"filename": ANY, "file_data": data}})


def test_E076_a_document_url_stays_a_url_for_responses(stage: Stage) -> None:
    sent = stage.sends(AM, RS, asked(AM, document({"type": "url", "url": "https://x/r.pdf"})))
    same(
        part_of(RS, sent),
        {"type": "input_file", "file_url": "https://x/r.pdf", "filename": OneOf(ABSENT, ANY)},
    )


@pytest.mark.parametrize("upstream", [CC, GM, RS])
def test_E077_a_plain_text_document_is_text(stage: Stage, upstream: str) -> None:
    body = asked(AM, document({"type": "text", "media_type": "text/plain", "data": "abc"}, title="T"))
    sent = stage.sends(AM, upstream, body)
    turns = sent.get("contents") or sent.get("messages") or sent["input"]
    (turn,) = turns
    parts = turn.get("parts") or turn["content"]
    whole = parts if isinstance(parts, str) else "".join(p["text"] for p in parts)
    same(whole, Like(r"(T\s+)?abc"))
    assert "document" not in json.dumps(sent)


AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}


@pytest.mark.parametrize(
    "part", [AUDIO, {"type": "file", "file": {"file_id": "file-abc"}}], ids=["audio", "file id"]
)
def test_E079_what_anthropic_cannot_take_is_refused(stage: Stage, part: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [text("U"), part]}]}
    if part is AUDIO:
        stage.rejects(CC, AM, body, "messages[0].content[1]")
        return
    heard = stage.ask(
        CC, AM, body
    )  # an id that this user does not own is "not found" before it is "not possible"
    assert heard.reply.status in (400, 404) and heard.sent == []
    assert_error_shape(CC, heard.reply)


@pytest.mark.parametrize(
    ("detail", "level"),
    [("low", "MEDIA_RESOLUTION_LOW"), ("high", "MEDIA_RESOLUTION_HIGH"), ("auto", None), (None, None)],
)
def test_E080_detail_is_media_resolution_on_gemini_3(
    stage: Stage, detail: str | None, level: str | None
) -> None:
    body = asked(CC, image_url(f"data:image/png;base64,{PNG}", **({"detail": detail} if detail else {})))
    part = part_of(GM, stage.sends(CC, GM, body, model=GEMINI_3))
    inline = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    same(part, {**inline, "mediaResolution": {"level": level} if level else ABSENT})
    same(part_of(GM, stage.sends(CC, GM, body)), inline)
    same(part_of(AM, stage.sends(CC, AM, body)), image("image/png", PNG))


BIG = "iVBORw0KGgo" + "A" * 20_000_001


@pytest.mark.parametrize(("client", "upstream"), [(CC, AM), (AM, CC), (CC, GM), (AM, RS), (GM, AM)])
def test_E082_twenty_megabytes_arrive_byte_equal(stage: Stage, client: str, upstream: str) -> None:
    part: Any = image_url(f"data:image/png;base64,{BIG}")
    if client == AM:
        part = image("image/png", BIG)
    if client == GM:
        part = {"inlineData": {"mimeType": "image/png", "data": BIG}}
    heard = stage.ask(client, upstream, asked(client, part))
    assert heard.reply.status == 200, heard.reply.body[:500]
    assert BIG.encode() in heard.sent[0].body and len(heard.sent[0].body) < len(BIG) + 2000


# --- further cases of the same rules ---------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CC, AM, GM, RS])
@pytest.mark.parametrize("upstream", [CC, AM, GM, RS])
def test_F04_an_image_reaches_every_upstream(stage: Stage, client: str, upstream: str) -> None:
    url = f"data:image/png;base64,{PNG}"
    forms: dict[str, Any] = {
        CC: image_url(url),
        RS: {"type": "input_image", "image_url": url},
        AM: image("image/png", PNG),
        GM: {"inlineData": {"mimeType": "image/png", "data": PNG}},
    }
    expected = {**forms[upstream], ...: 0} if upstream == RS else forms[upstream]
    same(part_of(upstream, stage.sends(client, upstream, asked(client, forms[client]))), expected)


def test_F04_an_image_url_stays_a_url_where_the_vendor_loads_it(stage: Stage) -> None:
    url = "https://x/y.png"
    sent = stage.sends(CC, AM, asked(CC, image_url(url)))
    same(part_of(AM, sent), {"type": "image", "source": {"type": "url", "url": url}})
    sent = stage.sends(CC, RS, asked(CC, image_url(url, detail="low")))
    same(part_of(RS, sent), {"type": "input_image", "image_url": url, "detail": "low"})
    sent = stage.sends(RS, AM, asked(RS, {"type": "input_image", "image_url": url}))
    same(part_of(AM, sent), {"type": "image", "source": {"type": "url", "url": url}})


@pytest.mark.parametrize("client", [CC, AM, RS])
def test_F04_an_image_url_is_loaded_for_gemini(stage: Stage, client: str) -> None:
    url = stage.serve_file("/files/y.png", "image/png", PNG_BYTES)
    forms: dict[str, Any] = {
        CC: image_url(url),
        RS: {"type": "input_image", "image_url": url},
        AM: {"type": "image", "source": {"type": "url", "url": url}},
    }
    part = part_of(GM, stage.sends(client, GM, asked(client, forms[client])))
    same(
        part,
        OneOf(
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
            {"fileData": {"fileUri": url, "mimeType": "image/png"}},
        ),
    )


def test_F04_a_plain_http_url_is_loaded_for_anthropic(stage: Stage) -> None:
    """Anthropic takes https only."""
    url = stage.serve_file("/files/z.png", "image/png", PNG_BYTES)
    same(part_of(AM, stage.sends(CC, AM, asked(CC, image_url(url)))), OneOf(image("image/png", PNG), {"type": "image", "source": {"type": "url", "url": url}}))  # fmt: skip


@pytest.mark.parametrize("path", ["/files/none.png", "/files/page.png"], ids=["missing", "no image"])
def test_F04_an_image_that_cannot_be_loaded_is_refused_in_the_documented_words(
    stage: Stage, path: str
) -> None:
    stage.serve_file("/files/page.png", "text/html", b"<html></html>")
    heard = stage.ask(CC, GM, asked(CC, image_url(stage.vendor.url + path)))
    assert heard.reply.status == 400 and heard.sent == []
    assert "Unable to process the image you provided" in heard.reply.json["error"]["message"]


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "http://localhost:1/x.png", "file:///etc/passwd", "ftp://x/y.png"],
)
def test_F04_addresses_that_are_not_public_are_never_loaded(stage: Stage, url: str) -> None:
    heard = stage.ask(CC, GM, asked(CC, image_url(url)))
    assert heard.reply.status == 400 and heard.sent == []
    assert_error_shape(CC, heard.reply)


@pytest.mark.parametrize("url", ["data:,hello", "data:image/png,hello", "not a url", ""])
def test_F04_a_broken_image_url_is_refused_by_name(stage: Stage, url: str) -> None:
    body = {"messages": [{"role": "user", "content": [text("U"), image_url(url)]}]}
    heard = stage.ask(CC, AM, body)
    assert heard.reply.status == 400 and heard.sent == [], heard.reply
    assert_error_shape(CC, heard.reply)


def test_F04_a_chat_file_becomes_a_document(stage: Stage) -> None:
    part = {"type": "file", "file": {"filename": "r.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}
    same(part_of(AM, stage.sends(CC, AM, asked(CC, part))), document(PDF_SOURCE, title="r.pdf"))
    same(
        part_of(GM, stage.sends(CC, GM, asked(CC, part))),
        {"inlineData": {"mimeType": "application/pdf", "data": PDF, ...: 0}},
    )
    same(part_of(RS, stage.sends(CC, RS, asked(CC, part))), {"type": "input_file", **part["file"]})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("member", "source"),
    [
        ({"file_data": f"data:application/pdf;base64,{PDF}"}, PDF_SOURCE),
        ({"file_url": "https://x/r.pdf"}, {"type": "url", "url": "https://x/r.pdf"}),
    ],
    ids=["data", "url"],
)
def test_F04_a_responses_file_becomes_a_document(
    stage: Stage, member: dict[str, str], source: dict[str, str]
) -> None:
    part = {"type": "input_file", "filename": "r.pdf", **member}
    same(part_of(AM, stage.sends(RS, AM, asked(RS, part))), document(source, title="r.pdf"))


def test_F04_a_text_file_is_text_for_anthropic(stage: Stage) -> None:
    data = base64.b64encode("a,b\né,2".encode()).decode()
    part = {"type": "file", "file": {"filename": "t.csv", "file_data": f"data:text/csv;base64,{data}"}}
    got = part_of(AM, stage.sends(CC, AM, asked(CC, part)))
    plain = document({"type": "text", "media_type": "text/plain", "data": "a,b\né,2"}, title="t.csv")
    same(got, OneOf(plain, {"type": "text", "text": Where("the file's text", lambda t: "a,b\né,2" in t)}))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"inlineData": {"mimeType": "application/pdf", "data": PDF}}, document(PDF_SOURCE)),
        ({"inline_data": {"mime_type": "image/png", "data": PNG}}, image("image/png", PNG)),
        ({"fileData": {"mimeType": "image/png", "fileUri": "https://x/y.png"}}, {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}),
        ({"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/r.pdf"}}, document({"type": "url", "url": "https://x/r.pdf"})),
    ],
    ids=["pdf", "snake case", "image url", "pdf url"],
)  # fmt: skip
def test_F04_geminis_data_parts_at_anthropic(
    stage: Stage, part: dict[str, Any], expected: dict[str, Any]
) -> None:
    got = part_of(AM, stage.sends(GM, AM, asked(GM, part)))
    same({k: v for k, v in got.items() if k != "title"}, expected)


def test_F04_audio_reaches_gemini_and_chat(stage: Stage) -> None:
    part = part_of(GM, stage.sends(CC, GM, asked(CC, AUDIO)))
    same(part, {"inlineData": {"mimeType": Like("audio/(x-)?wav"), "data": "UklGRg=="}})
    got = part_of(
        CC, stage.sends(GM, CC, asked(GM, {"inlineData": {"mimeType": "audio/mpeg", "data": "//uQ"}}))
    )
    same(got, {"type": "input_audio", "input_audio": {"data": "//uQ", "format": "mp3"}})


def test_F04_audio_and_video_for_anthropic_are_refused(stage: Stage) -> None:
    for mime in ("audio/mpeg", "video/mp4"):
        body = {
            "contents": [
                {"role": "user", "parts": [{"text": "U"}, {"inlineData": {"mimeType": mime, "data": "AAAA"}}]}
            ]
        }
        stage.rejects(GM, AM, body, "contents[0].parts[1]")


def test_F04_a_video_for_chat_is_refused(stage: Stage) -> None:
    body = {
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "U"}, {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}],
            }
        ]
    }
    stage.rejects(GM, CC, body, "contents[0].parts[1]")


def test_F04_an_image_type_that_anthropic_does_not_know_is_refused(stage: Stage) -> None:
    data = base64.b64encode(b"BM" + bytes(30)).decode()
    body = {
        "messages": [{"role": "user", "content": [text("U"), image_url(f"data:image/bmp;base64,{data}")]}]
    }
    stage.rejects(CC, AM, body, "messages[0].content[1]")


@pytest.mark.parametrize("upstream", [AM, GM])
def test_F04_parts_keep_their_order(stage: Stage, upstream: str) -> None:
    parts = [
        text("1"),
        image_url(f"data:image/png;base64,{PNG}"),
        text("2"),
        image_url(f"data:image/jpeg;base64,{JPEG}"),
        text("3"),
    ]
    sent = stage.sends(CC, upstream, {"messages": [{"role": "user", "content": parts}]})
    got = sent["contents"][0]["parts"] if upstream == GM else sent["messages"][0]["content"]
    kinds = ["text" if "text" in p else "image" for p in got]
    assert kinds == ["text", "image", "text", "image", "text"]
    assert [p["text"] for p in got if "text" in p] == ["1", "2", "3"]


@pytest.mark.parametrize("model", [GENERIC, "deepseek-chat"])
def test_F04_images_are_parts_at_every_chat_server(stage: Stage, model: str) -> None:
    sent = stage.sends(AM, CC, asked(AM, image("image/png", PNG)), model=model)
    same(part_of(CC, sent), image_url(f"data:image/png;base64,{PNG}"))


def test_F04_cache_marks_on_images_stay_where_they_are_known(stage: Stage) -> None:
    marked = {**image("image/png", PNG), "cache_control": {"type": "ephemeral"}}
    same(part_of(CC, stage.sends(AM, CC, asked(AM, marked))), image_url(f"data:image/png;base64,{PNG}"))
    got = part_of(CC, stage.sends(AM, CC, asked(AM, marked), model=ROUTED))
    same(got, {**image_url(f"data:image/png;base64,{PNG}"), "cache_control": {"type": "ephemeral"}})


def test_F04_a_document_of_blocks_keeps_its_texts(stage: Stage) -> None:
    source = {"type": "content", "content": [text("one"), text("two")]}
    whole = json.dumps(stage.sends(AM, CC, asked(AM, document(source, title="T"))))
    assert whole.index("one") < whole.index("two") and "document" not in whole


def test_F04_a_file_of_another_vendor_is_never_sent(stage: Stage) -> None:
    heard = stage.ask(
        AM, CC, asked(AM, document({"type": "file", "file_id": "file_011CNha8iCJcU1wXNR6q4V8w"}))
    )
    assert heard.reply.status in (400, 404) and heard.sent == []
    assert_error_shape(AM, heard.reply)


def test_F04_an_image_in_an_answer_of_gemini_reaches_a_chat_client_as_a_data_url(stage: Stage) -> None:
    parts = [{"text": "here: "}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]
    answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    message = stage.ask(CC, GM, {"messages": [USER]}, answer=answer).answer["choices"][0]["message"]
    assert message["content"].startswith("here: ") and f"data:image/png;base64,{PNG}" in message["content"]
