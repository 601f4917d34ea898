"""Parts of a client's contents → blocks."""

from __future__ import annotations

import base64

import pytest

from dragoman.core.conversation import (
    Base64,
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
from dragoman.dialects.gemini.part_reader import read_instruction, read_part, read_response

AT = ("contents", 0, "parts", 0)
OWN = Signature(origin="gemini", value="aGVsbG8=")
FOREIGN = Signature(origin="anthropic", value="S")


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"text": "hi"}, Text(text="hi", at=AT)),
        ({"text": ""}, None),
        ({}, None),
        ({"thought": True}, None),
        ({"text": "t", "thought": True}, Thinking(text="t", at=AT)),
        (
            {"text": "t", "thought": True, "thoughtSignature": "aGVsbG8="},
            Thinking(text="t", signature=OWN, at=AT),
        ),
        ({"text": "", "thoughtSignature": "aGVsbG8="}, Text(text="", signature=OWN, at=AT)),
        ({"thought_signature": "aGVsbG8="}, Text(text="", signature=OWN, at=AT)),
        (
            {"thoughtSignature": seal(FOREIGN), "thought": True, "text": ""},
            Thinking(signature=FOREIGN, at=AT),
        ),
        (
            {"thoughtSignature": seal(FOREIGN, redacted=True), "thought": True, "text": ""},
            Thinking(signature=FOREIGN, redacted=True, at=AT),
        ),
        (
            {
                "function_call": {"name": "f", "args": {"n": 12345678901234567890, "z": 1.0}},
                "thoughtSignature": "aGVsbG8=",
            },
            ToolCall(id="", name="f", arguments='{"n":12345678901234567890,"z":1.0}', signature=OWN, at=AT),
        ),
        ({"functionCall": {"name": "f", "id": "c1"}}, ToolCall(id="c1", name="f", arguments="{}", at=AT)),
        (
            {"inline_data": {"mime_type": "image/jpg", "data": "AAAA"}},
            Media(kind="image", source=Base64("AAAA"), media_type="image/jpeg", at=AT),
        ),
        (
            {"inlineData": {"mimeType": "image/png", "data": "_9j_AAAA"}},
            Media(kind="image", source=Base64("/9j/AAAA"), media_type="image/jpeg", at=AT),
        ),
        (
            {
                "inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
            },
            Media(
                kind="document", source=Base64("JVBERi0="), media_type="application/pdf", detail="low", at=AT
            ),
        ),
        (
            {
                "inlineData": {
                    "mimeType": "text/plain; charset=utf-8",
                    "data": base64.b64encode("é".encode()).decode(),
                }
            },
            Text(text="é", at=AT),
        ),
        (
            {"fileData": {"fileUri": "https://youtu.be/abc"}, "videoMetadata": {"fps": 1}},
            Media(kind="video", source=Url("https://youtu.be/abc"), at=AT),
        ),
        (
            {"fileData": {"fileUri": "https://x/r.pdf"}},
            Media(kind="document", source=Url("https://x/r.pdf"), media_type="application/pdf", at=AT),
        ),
        (
            {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}},
            Media(kind="video", source=FileId("google", "gs://b/v.mp4"), media_type="video/mp4", at=AT),
        ),
        (
            {"toolCall": {"toolType": "X"}, "thoughtSignature": None},
            Opaque(
                origin="gemini",
                kind="toolCall",
                raw={"toolCall": {"toolType": "X"}, "thoughtSignature": None},
                at=AT,
            ),
        ),
    ],
)
def test_parts(part, block):
    assert read_part(part, AT) == block


def test_code_may_be_read_elsewhere():
    code = read_part({"executableCode": {"language": "PYTHON", "code": "print(1)"}}, AT)
    result = read_part({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}, AT)
    # Fences stand on lines of their own, whatever other dialects put them beside.
    assert isinstance(code, Opaque) and code.text == "\n```python\nprint(1)\n```\n"
    assert isinstance(result, Opaque) and result.text == "\n```\n1\n```\n"


def test_results():
    result = read_part({"functionResponse": {"name": "f", "response": {"result": "r"}, "id": "c"}}, AT)
    assert result == ToolResult(call_id="c", name="f", content=(Text(text="r", at=AT),), at=AT)
    media = read_part(
        {
            "functionResponse": {
                "name": "f",
                "response": {},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
            }
        },
        AT,
    )
    assert isinstance(media, ToolResult)
    assert [type(block) for block in media.content] == [Media]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"result": "r"}, (None, "r", False)),
        ({"error": "e"}, (None, "e", True)),
        ({"output": "o"}, (None, "o", False)),
        ({"error": {"a": 1}}, ({"error": {"a": 1}}, '{"a":1}', True)),
        ({"r": 1}, ({"r": 1}, '{"r":1}', False)),
        ({"result": 1}, ({"result": 1}, '{"result":1}', False)),
        ({}, ({}, "", False)),
    ],
)
def test_responses(response, expected):
    assert read_response(response) == expected


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ([], ""),
        ({"text": 1}, ".text"),
        ({"thought": 1, "text": "x"}, ".thought"),
        ({"functionCall": {"args": {}}}, ".functionCall.name"),
        ({"functionCall": {"name": "f", "args": []}}, ".functionCall.args"),
        ({"functionResponse": {"name": "f", "response": "r"}}, ".functionResponse.response"),
        ({"inlineData": {"data": "AAAA"}}, ".inlineData.mimeType"),
        ({"inline_data": {"mime_type": 3, "data": "AAAA"}}, ".inline_data.mime_type"),
        ({"inlineData": {"mimeType": "text/plain", "data": "!"}}, ".inlineData.data"),
        ({"fileData": {}}, ".fileData.fileUri"),
    ],
)
def test_what_is_no_part(part, place):
    with pytest.raises(Fault) as caught:
        read_part(part, AT)
    assert (caught.value.status, caught.value.param) == (400, "contents[0].parts[0]" + place)


@pytest.mark.parametrize(
    "given",
    [
        "Be brief",
        {"parts": [{"text": "Be brief"}]},
        {"role": "user", "parts": {"text": "Be brief"}},
        [{"text": "Be brief"}],
        {"text": "Be brief"},
    ],
)
def test_instructions(given):
    (block,) = read_instruction(given, ("systemInstruction",))
    assert isinstance(block, Text) and block.text == "Be brief"
    assert read_instruction("", ()) == () == read_instruction({}, ())
