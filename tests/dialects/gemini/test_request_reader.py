"""generateContent bodies → Conversation, and back through the writer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.core.conversation import (
    Conversation,
    Function,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
    bracketed,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.core.history import paired, with_ids
from dragoman.dialects.base import Target
from dragoman.dialects.gemini.request_reader import read_request
from dragoman.dialects.gemini.request_writer import write_request

USER = {"role": "user", "parts": [{"text": "hi"}]}


def read(**members: object) -> Conversation:
    return read_request(json.dumps({"contents": [USER], **members}).encode())


def test_roles_and_shapes():
    told = read(
        contents=[
            {"parts": {"text": "a"}},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {"r": 1}}}]},
            {"role": "user", "parts": []},
        ],
        system_instruction="S",
    )
    assert [turn.role for turn in told.turns] == ["user", "assistant", "user", "user"]
    assert [type(block) for turn in told.turns for block in turn.blocks] == [Text, ToolCall, ToolResult]
    assert told.system == (Text(text="S", at=("system_instruction",)),)
    assert told.turns[2].blocks[0].at == ("contents", 2, "parts", 0)
    assert read(contents=USER).turns[0].blocks == (Text(text="hi", at=("contents", "parts", 0)),)


def test_calls_without_ids_are_paired_by_name_in_order():
    """E059."""
    contents = [
        USER,
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": n}}} for n in (1, 2)]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "f", "response": {"r": n}}} for n in (1, 2)],
        },
    ]
    turns = paired(with_ids(read(contents=contents).turns))
    calls = [block for block in turns[1].blocks if isinstance(block, ToolCall)]
    results = [block for block in turns[2].blocks if isinstance(block, ToolResult)]
    assert calls[0].id != calls[1].id
    assert [(r.call_id, r.structured) for r in results] == [(calls[0].id, {"r": 1}), (calls[1].id, {"r": 2})]
    assert with_ids(read(contents=contents).turns) == with_ids(read(contents=contents).turns)


def test_generation_config():
    told = read(
        generation_config={
            "temperature": 0,
            "top_p": 0.5,
            "topK": "40",
            "max_output_tokens": 7.0,
            "candidateCount": 2,
            "stopSequences": ["x"],
            "seed": -3,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "responseLogprobs": True,
            "logprobs": 3,
            "audioTimestamp": True,
        },
        safetySettings=[{"category": 7, "threshold": 3}],
        labels=None,
    )
    assert (told.temperature, told.top_p, told.top_k, told.max_output) == (0, 0.5, 40, 7)
    assert (told.choices, told.stop, told.seed) == (2, ("x",), -3)
    assert (told.presence_penalty, told.frequency_penalty) == (0.1, 0.2)
    assert (told.logprobs, told.top_logprobs) == (True, 3)
    assert told.where("top_p") == ("generation_config", "top_p")
    assert told.extras == {
        "safetySettings": [{"category": 7, "threshold": 3}],
        "generation_config.audioTimestamp": True,
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, None),
        ({"includeThoughts": False}, None),
        ({"includeThoughts": True}, Reasoning(mode="adaptive", visible=True)),
        ({"thinkingBudget": 0}, Reasoning(mode="off")),
        ({"thinkingBudget": -1}, Reasoning(mode="adaptive", budget=-1)),
        ({"thinkingBudget": 256}, Reasoning(mode="on", budget=256)),
        (
            {"thinking_level": "HIGH", "include_thoughts": True},
            Reasoning(mode="on", effort="high", visible=True),
        ),
        ({"thinkingLevel": 1}, Reasoning(mode="on", effort="low")),
    ],
)
def test_thinking(config, expected):
    assert read(generationConfig={"thinkingConfig": config}).reasoning == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"responseMimeType": "text/plain"}, None),
        ({"responseMimeType": "application/json"}, OutputFormat(kind="json_object")),
        (
            {
                "responseMimeType": "application/json",
                "responseSchema": {"type": 6, "properties": {"a": {"type": 3}}},
            },
            OutputFormat(
                kind="json_schema", schema={"type": "object", "properties": {"a": {"type": "integer"}}}
            ),
        ),
        (
            {"response_mime_type": "application/json", "response_json_schema": {"type": ["string", "null"]}},
            OutputFormat(kind="json_schema", schema={"type": ["string", "null"]}),
        ),
        (
            {"responseFormat": [{"text": {"mimeType": "APPLICATION_JSON", "schema": {"type": "object"}}}]},
            OutputFormat(kind="json_schema", schema={"type": "object"}),
        ),
    ],
)
def test_output_format(config, expected):
    assert read(generationConfig=config).output_format == expected


def test_a_bare_enum_is_kept_for_google_alone():
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    told = read(generationConfig=config)
    assert told.output_format is None
    assert {f"generationConfig.{name}": value for name, value in config.items()} == told.extras


@pytest.mark.parametrize(
    ("calling", "expected"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode="auto")),
        ({"mode": "NONE"}, ToolChoice(mode="none")),
        ({"mode": "ANY"}, ToolChoice(mode="required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(mode="tool", name="f")),
        ({"mode": 2, "allowed_function_names": ["f", "g"]}, ToolChoice(mode="required", allowed=("f", "g"))),
        ({"mode": "VALIDATED"}, ToolChoice(mode="auto")),
        ({"mode": "MODE_UNSPECIFIED"}, None),
        ({}, None),
    ],
)
def test_tool_choice(calling, expected):
    assert read(tool_config={"function_calling_config": calling}).tool_choice == expected


def test_tools():
    told = read(
        tools=[
            {
                "function_declarations": [
                    {
                        "name": "f",
                        "description": "d",
                        "parameters": {"type": 6, "properties": {"a": {"type": 1}}},
                    },
                    {"name": "g", "parametersJsonSchema": {"type": "object", "additionalProperties": False}},
                ],
                "google_search": {},
            },
            {"code_execution": {}},
        ]
    )
    assert told.tools == (
        Function(
            name="f",
            description="d",
            parameters={"type": "object", "properties": {"a": {"type": "string"}}},
            at=("tools", 0, "function_declarations", 0),
        ),
        Function(
            name="g",
            parameters={"type": "object", "additionalProperties": False},
            at=("tools", 0, "function_declarations", 1),
        ),
        WebSearch(at=("tools", 0)),
        Opaque(origin="gemini", kind="codeExecution", raw={"code_execution": {}}, at=("tools", 1)),
    )
    assert told.bound == ((("tools", 1, "code_execution"), "code execution"),)


def test_what_only_google_serves_is_bound():
    told = read(
        contents=[
            {"parts": [{"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}}]}
        ],
        cachedContent="cachedContents/1",
        tools=[{"urlContext": {}}, {"newTool": {}}],
        generationConfig={"responseModalities": ["TEXT", 2], "speechConfig": {}},
    )
    assert {bracketed(path): what for path, what in told.bound} == {
        "contents[0].parts[0].fileData": "an uploaded file",
        "tools[0].urlContext": "URL context",
        "tools[1].newTool": "the tool newTool",
        "cachedContent": "cached content",
        "generationConfig.responseModalities": "image or audio output",
        "generationConfig.speechConfig": "speech",
    }
    assert told.modalities == ("text", "image")


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": [3]}, "contents[0]"),
        ({"contents": [{"role": "wizard", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"role": 1}]}, "contents[0].role"),
        ({"contents": [{"parts": [1]}]}, "contents[0].parts[0]"),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "X"}}]}]},
            "tools[0].functionDeclarations[0].parameters.type",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
        ({"generationConfig": []}, "generationConfig"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generation_config": {"top_k": 1.5}}, "generation_config.top_k"),
        ({"generationConfig": {"candidateCount": -1}}, "generationConfig.candidateCount"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": -2}}},
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
        ({"systemInstruction": 3}, "systemInstruction"),
    ],
)
def test_what_is_no_request(members, place):
    with pytest.raises(Fault) as caught:
        read(**members)
    assert (caught.value.status, caught.value.param) == (400, place)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'"x"', b'{"contents":1e400}', b"{" * 3000, b'{"a":' * 300 + b"1" + b"}" * 300]
)
def test_what_is_no_body(body):
    with pytest.raises(Fault) as caught:
        read_request(body)
    assert caught.value.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        "contents",
        "role",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "functionResponse",
        "name",
        "args",
        "response",
        "inlineData",
        "mimeType",
        "data",
        "fileData",
        "fileUri",
        "tools",
        "functionDeclarations",
        "parameters",
        "properties",
        "items",
        "type",
        "enum",
        "googleSearch",
        "toolConfig",
        "mode",
        "functionCallingConfig",
        "generationConfig",
        "thinkingConfig",
        "thinkingLevel",
        "responseSchema",
        "responseMimeType",
        "stopSequences",
    ]
)
SHAPED = st.recursive(
    JSON | st.sampled_from(["user", "model", "STRING", "OBJECT", "application/json", "image/png"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, SHAPED, max_size=5), SHAPED)
def test_whatever_comes_is_read_or_refused(body, contents):
    for value in (body, {**body, "contents": [{"parts": contents}]}):
        assert status_of(json.dumps(value).encode()) in (200, 400)


def status_of(body):
    try:
        read_request(body)
    except Fault as fault:
        return fault.status
    return 200


WHOLE = {
    "systemInstruction": {"parts": [{"text": "S"}, {"text": "T"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
        {
            "role": "model",
            "parts": [
                {"text": "thought", "thought": True},
                {"text": "say", "thoughtSignature": "aGVsbG8="},
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {
                    "functionCall": {"name": "f", "args": {"z": 1.0, "é": 12345678901234567890}, "id": "c1"},
                    "thoughtSignature": "aGVsbG8=",
                },
                {"functionCall": {"name": "g", "args": {}, "id": "c2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"r": [1]}, "id": "c1"}},
                {"functionResponse": {"name": "g", "response": {"error": "boom"}, "id": "c2"}},
                {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "d",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {"a": {"type": "STRING", "nullable": True}},
                    },
                },
                {
                    "name": "g",
                    "parametersJsonSchema": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"q": {"const": 3}},
                    },
                },
            ]
        },
        {"googleSearch": {}},
        {"codeExecution": {}},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
        "retrievalConfig": {"languageCode": "de"},
    },
    "generationConfig": {
        "temperature": 1.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 100,
        "candidateCount": 2,
        "stopSequences": ["x"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 2,
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT",
            "properties": {"b": {"type": "INTEGER"}, "a": {"type": "STRING"}},
            "propertyOrdering": ["b", "a"],
        },
        "thinkingConfig": {"thinkingBudget": 2048, "includeThoughts": True},
        "responseModalities": ["TEXT"],
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/1",
}


def test_a_request_comes_back_from_its_own_writer():
    first = read_request(json.dumps(WHOLE).encode())
    written = write_request(first, Target(model="m", facts=Facts(call_ids=True)))
    assert written.losses == ()
    assert json.loads(written.body) == WHOLE
    again = read_request(written.body)
    assert again == replace(first, fields=again.fields)
