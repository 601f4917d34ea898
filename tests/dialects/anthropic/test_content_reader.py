"""Blocks of a client's request."""

from __future__ import annotations

import pytest

from dragoman.core.conversation import (
    Base64,
    Cache,
    FileId,
    Media,
    Opaque,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.faults import Fault
from dragoman.core.signatures import seal
from dragoman.dialects.anthropic.content_reader import read_content, read_system

AT = ("messages", 0, "content")


def read(value, role="user"):
    return read_content(value, AT, role, [])


def one(block, role="user"):
    (found,) = read([block], role)
    return found


def test_strings_and_text():
    assert read("x") == (Text(text="x", at=AT),)
    assert read("") == read([]) == read([{"type": "text", "text": ""}]) == ()
    block = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "unknown": 1}
    assert one(block) == Text(text="x", cache=Cache(ttl="1h"), at=(*AT, 0))
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    assert one(marked).cache == Cache()


def test_citations_keep_what_only_anthropic_knows():
    raw = {"type": "char_location", "cited_text": "c", "document_title": "D", "document_index": 0}
    (citation,) = one({"type": "text", "text": "four", "citations": [raw]}, "assistant").citations
    assert (citation.title, citation.cited, citation.start, citation.end) == ("D", "c", 0, 4)
    assert (citation.extra, citation.origin) == (raw, "anthropic")


@pytest.mark.parametrize(
    ("source", "expected", "media_type"),
    [
        ({"type": "base64", "media_type": "image/webp", "data": "AAAA"}, Base64("AAAA"), "image/webp"),
        ({"type": "base64", "media_type": "image/jpg", "data": "AAAA"}, Base64("AAAA"), "image/jpeg"),
        ({"type": "url", "url": "https://x/y.png"}, Url("https://x/y.png"), "image/png"),
        ({"type": "url", "url": "https://x/y"}, Url("https://x/y"), ""),
    ],
)
def test_images(source, expected, media_type):
    found = one({"type": "image", "source": source})
    assert found == Media(kind="image", source=expected, media_type=media_type, at=(*AT, 0))


def test_documents():
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    found = one({"type": "document", "title": "r.pdf", "source": pdf})
    assert (found.kind, found.source, found.name) == ("document", Base64("JVBERi0="), "r.pdf")
    by_url = one({"type": "document", "source": {"type": "url", "url": "https://x/r"}})
    assert (by_url.source, by_url.media_type) == (Url("https://x/r"), "application/pdf")


def test_plain_text_documents_are_text_e077():
    source = {"type": "text", "media_type": "text/plain", "data": "abc"}
    mark = {"type": "ephemeral"}
    titled = one({"type": "document", "title": "T", "source": source, "cache_control": mark})
    assert titled == Text(text="T\n\nabc", cache=Cache(), at=(*AT, 0))
    assert one({"type": "document", "source": source}).text == "abc"
    citing = one({"type": "document", "title": "T", "source": source, "citations": {"enabled": True}})
    assert isinstance(citing, Opaque) and citing.text == "T\n\nabc" and citing.raw["source"] == source


def test_documents_of_blocks():
    inner = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    blocks = read(
        [
            {
                "type": "document",
                "title": "T",
                "source": {"type": "content", "content": inner},
                "cache_control": {"type": "ephemeral"},
            }
        ]
    )
    assert [(block.text, block.cache) for block in blocks] == [("T", None), ("a", None), ("b", Cache())]


def test_files_are_bound():
    bound = []
    block = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    (media,) = read_content([block], AT, "user", bound)
    assert media.source == FileId(family="anthropic", id="file_1")
    assert bound == [((*AT, 0, "source", "file_id"), "a file id")]
    bound.clear()
    read_content([{"type": "container_upload", "file_id": "file_2"}], AT, "user", bound)
    assert bound[0][0] == (*AT, 0)


def test_thinking():
    block = {"type": "thinking", "thinking": "t", "signature": "S"}
    own = Signature(origin="anthropic", value="S")
    assert one(block, "assistant") == Thinking(text="t", signature=own, at=(*AT, 0))
    unsigned = one({"type": "thinking", "thinking": "t", "signature": ""}, "assistant")
    assert unsigned.signature is None
    redacted = one({"type": "redacted_thinking", "data": "D"}, "assistant")
    assert redacted == Thinking(
        signature=Signature(origin="anthropic", value="D"), redacted=True, at=(*AT, 0)
    )


def test_seals_come_back_as_what_they_were():
    foreign = Signature(origin="openai_responses", value="E", id="rs_1")
    sealed = one({"type": "thinking", "thinking": "t", "signature": seal(foreign)}, "assistant")
    assert sealed == Thinking(text="t", signature=foreign, at=(*AT, 0))
    hidden = one({"type": "redacted_thinking", "data": seal(foreign, redacted=True)}, "assistant")
    assert hidden == Thinking(signature=foreign, redacted=True, at=(*AT, 0))
    damaged = {"type": "redacted_thinking", "data": seal(foreign)[:14]}
    assert read([damaged], "assistant") == ()


GEMINI = Signature(origin="gemini", value="c2ln")
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


def carrier(call):
    return {"type": "thinking", "thinking": "", "signature": seal(GEMINI, call=call)}


def test_a_calls_signature_goes_back_to_the_call():
    blocks = read([carrier(True), USE, {**USE, "id": "u"}], "assistant")
    assert [(block.id, block.signature) for block in blocks] == [("t", GEMINI), ("u", None)]
    assert read([carrier(True)], "assistant") == ()
    assert [block.signature for block in read([carrier(True), carrier(True), USE], "assistant")] == [GEMINI]


def test_a_texts_signature_goes_back_to_the_text():
    words = {"type": "text", "text": "x"}
    (text,) = read([carrier(False), words], "assistant")
    assert (text.text, text.signature) == ("x", GEMINI)
    alone = read([words, carrier(False)], "assistant")
    assert [(block.text, block.signature) for block in alone] == [("x", None), ("", GEMINI)]
    before_call = read([carrier(False), USE], "assistant")
    assert before_call[0].signature == GEMINI and before_call[1].signature is None


def test_tool_use_keeps_values_e047():
    given = {"n": 12345678901234567890, "s": "é", "z": 1.0, "big": 10**30}
    call = one({"type": "tool_use", "id": "t", "name": "f", "input": given}, "assistant")
    assert call.arguments == '{"n":12345678901234567890,"s":"é","z":1.0,"big":1' + "0" * 30 + "}"
    assert one({"type": "tool_use", "id": "t", "name": "f"}, "assistant") == ToolCall(
        id="t", name="f", at=(*AT, 0)
    )


def test_tool_results():
    shot = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    block = {
        "type": "tool_result",
        "tool_use_id": "t",
        "is_error": True,
        "content": [{"type": "text", "text": "r"}, shot],
    }
    result = one(block)
    assert (result.call_id, result.is_error) == ("t", True)
    assert [type(inner) for inner in result.content] == [Text, Media]
    assert one({"type": "tool_result", "tool_use_id": "t"}) == ToolResult(call_id="t", at=(*AT, 0))
    assert one({"type": "tool_result", "tool_use_id": "t", "content": "r"}).content[0].text == "r"


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "https://x",
                "content": [{"type": "text", "text": "found"}],
            },
            "T\nhttps://x\nfound",
        ),
        ({"type": "tool_reference", "tool_name": "f"}, "Tool available: f"),
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, ""),
        ({"type": "tomorrow"}, ""),
    ],
)
def test_what_only_anthropic_understands(block, text):
    expected = Opaque(origin="anthropic", kind=block["type"], raw=block, text=text, at=(*AT, 0))
    assert one(block) == expected


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (None, "messages.0.content"),
        (7, "messages.0.content"),
        (["x"], "messages.0.content.0"),
        ([{}], "messages.0.content.0.type"),
        ([{"type": 1}], "messages.0.content.0.type"),
        ([{"type": "text", "text": 1}], "messages.0.content.0.text"),
        ([{"type": "text", "text": "x", "cache_control": "yes"}], "messages.0.content.0.cache_control"),
        (
            [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "9h"}}],
            "messages.0.content.0.cache_control.ttl",
        ),
        ([{"type": "image"}], "messages.0.content.0.source"),
        ([{"type": "image", "source": {"type": "x"}}], "messages.0.content.0.source.type"),
        (
            [{"type": "image", "source": {"type": "base64", "data": "A"}}],
            "messages.0.content.0.source.media_type",
        ),
        ([{"type": "document", "source": {"type": "x"}}], "messages.0.content.0.source.type"),
        ([{"type": "tool_result"}], "messages.0.content.0.tool_use_id"),
        ([{"type": "tool_result", "tool_use_id": "t", "is_error": "no"}], "messages.0.content.0.is_error"),
        (
            [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_result"}]}],
            "messages.0.content.0.content.0.type",
        ),
        (
            [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": ["text"]}]}],
            "messages.0.content.0.content.0.type",
        ),
        ([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "messages.0.content.0"),
        ([{"type": "thinking", "thinking": "", "signature": ""}], "messages.0.content.0"),
    ],
)
def test_what_is_wrong_is_named(value, path):
    with pytest.raises(Fault) as caught:
        read(value)
    assert (caught.value.status, caught.value.param) == (400, path)


def test_wrong_in_an_assistant_turn():
    for block, path in (
        ({"type": "tool_use", "id": "t", "name": "f", "input": "{}"}, "messages.0.content.0.input"),
        ({"type": "tool_use", "name": "f", "input": {}}, "messages.0.content.0.id"),
        ({"type": "tool_result", "tool_use_id": "t"}, "messages.0.content.0"),
    ):
        with pytest.raises(Fault) as caught:
            read([block], "assistant")
        assert caught.value.param == path


def test_system():
    assert read_system(None, ("system",), []) == read_system("", ("system",), []) == ()
    assert read_system("x", ("system",), []) == (Text(text="x", at=("system",)),)
    blocks = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]
    assert read_system(blocks, ("system",), []) == (Text(text="x", cache=Cache(), at=("system", 0)),)
    with pytest.raises(Fault, match=r"system\.0\.type"):
        read_system([{"type": "image"}], ("system",), [])
