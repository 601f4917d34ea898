from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.core.conversation import (
    Conversation,
    Function,
    Loss,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    ToolChoice,
    Turn,
)
from dragoman.core.facts import Facts
from dragoman.dialects.base import Target, Written
from dragoman.dialects.openai_chat.request_reader import read_request
from dragoman.dialects.openai_chat.request_writer import is_strict, short_user, write_request

TURNS = (Turn(role="user", blocks=(Text(text="x"),)),)


def written(
    origin: Any = "anthropic", facts: Facts | None = None, stream: bool = False, **said: Any
) -> Written:
    conversation = Conversation(**{"origin": origin, "turns": TURNS, **said})
    return write_request(conversation, Target(model="up", facts=facts or Facts(), stream=stream))


def body(**more: Any) -> dict[str, Any]:
    return json.loads(written(**more).body)  # type: ignore[no-any-return]


def lost(**more: Any) -> list[tuple[str | int, ...]]:
    return [loss.at for loss in written(**more).losses]


def test_the_least_request() -> None:
    assert body() == {"model": "up", "messages": [{"role": "user", "content": "x"}]}


def test_a_stream_always_asks_for_usage() -> None:
    streamed = body(stream=True)
    assert (streamed["stream"], streamed["stream_options"]) == (True, {"include_usage": True})


def test_thinking_goes_back_as_it_was_said() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], "thinking": thinking}
    conversation = read_request(json.dumps(asked).encode())
    own = json.loads(write_request(conversation, Target(model="up", facts=Facts())).body)
    assert own["thinking"] == thinking and "reasoning_effort" not in own and "$thinking" not in own


def test_what_responses_and_openais_chat_share_goes_on() -> None:
    extras = {"prompt_cache_retention": "24h", "truncation": "auto"}
    openai = {"origin": "openai_responses", "extras": extras, "facts": Facts(developer_role=True)}
    assert body(**openai)["prompt_cache_retention"] == "24h"
    assert lost(**openai) == [("truncation",)]
    assert lost(origin="openai_responses", extras=extras) == [("prompt_cache_retention",), ("truncation",)]


def test_penalties_go_with_sampling() -> None:
    said = {"presence_penalty": 0.5, "frequency_penalty": 0.5, "seed": 1}
    assert said.items() <= body(origin="gemini", **said).items()
    reasoner = Facts(sampling=False)
    assert body(origin="gemini", facts=reasoner, **said).keys() == {"model", "messages", "seed"}
    assert lost(origin="gemini", facts=reasoner, **said) == [("frequency_penalty",), ("presence_penalty",)]


class TestLimits:
    def test_the_name_of_the_limit(self) -> None:  # E087
        assert body(max_output=50)["max_tokens"] == 50
        openai = body(max_output=50, facts=Facts(max_completion_tokens=True))
        assert openai["max_completion_tokens"] == 50
        assert "max_tokens" not in openai

    def test_a_known_limit_is_kept_to_and_an_unknown_one_is_not_guessed(self) -> None:
        assert body(max_output=32_000, facts=Facts(max_output=16_384))["max_tokens"] == 16_384
        assert body(max_output=32_000)["max_tokens"] == 32_000

    def test_stops(self) -> None:  # E093
        six = tuple("abcdef")
        assert body(stop=six)["stop"] == ["a", "b", "c", "d"]
        assert lost(stop=six, fields={"stop": ("stop_sequences",)}) == [("stop_sequences",)]
        assert lost(stop=("a",)) == []

    def test_choices(self) -> None:
        assert body(choices=2)["n"] == 2
        assert "n" not in body(choices=1)


class TestSampling:
    def test_what_chat_knows(self) -> None:
        said = {
            "temperature": 0.5,
            "top_p": 0.9,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "seed": 7,
        }
        out = body(**said, logit_bias={"1": -100}, logprobs=True, top_logprobs=3)
        assert {name: out[name] for name in said} == said
        assert (out["logit_bias"], out["logprobs"], out["top_logprobs"]) == ({"1": -100}, True, 3)

    def test_what_it_does_not(self) -> None:  # E100
        assert "top_k" not in body(top_k=40)
        assert lost(top_k=40, fields={"top_k": ("generationConfig", "topK")}) == [
            ("generationConfig", "topK")
        ]

    def test_models_without_sampling(self) -> None:
        facts = Facts(sampling=False)
        assert {"temperature", "top_p"}.isdisjoint(body(temperature=1, top_p=1, facts=facts))
        assert lost(temperature=0.5, top_p=0.9, facts=facts) == [("temperature",), ("top_p",)]
        assert lost(temperature=1, top_p=1, facts=facts) == [], "the default is no loss"


STRICT = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
NESTED = {**STRICT, "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {}}}}}


class TestFormats:
    def test_from_anthropic(self) -> None:  # E110
        schema = OutputFormat(kind="json_schema", schema=STRICT)
        assert body(output_format=schema)["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "response", "schema": STRICT, "strict": True},
        }

    def test_from_responses(self) -> None:  # E109
        asked = OutputFormat(kind="json_schema", name="R", schema=NESTED, strict=True, description="d")
        assert body(output_format=asked, origin="openai_responses")["response_format"]["json_schema"] == {
            "name": "R",
            "description": "d",
            "schema": NESTED,
            "strict": True,
        }
        unsaid = OutputFormat(kind="json_schema", name="R", schema=STRICT)
        assert (
            "strict"
            not in body(output_format=unsaid, origin="openai_responses")["response_format"]["json_schema"]
        )

    @pytest.mark.parametrize(
        ("schema", "strict"),
        [
            (STRICT, True),
            (NESTED, False),
            ({**STRICT, "required": []}, False),
            ({**STRICT, "additionalProperties": True}, False),
            ({"type": "object"}, False),
            ({"type": ["object", "null"], "properties": {}}, False),
            ({**STRICT, "$defs": {"x": {"type": "object", "properties": {"b": {}}}}}, False),
            ({**STRICT, "properties": {"a": {"anyOf": [STRICT, {"type": "null"}]}}}, True),
            ({**STRICT, "properties": {"a": {"anyOf": [{"type": "object"}]}}}, False),
            # A property may be called like a keyword.
            (
                {
                    "type": "object",
                    "properties": {"items": {"type": "string"}},
                    "required": ["items"],
                    "additionalProperties": False,
                },
                True,
            ),
        ],
    )
    def test_strict_if_every_object_is(self, schema: dict[str, Any], strict: bool) -> None:  # E110
        assert is_strict(schema) is strict

    def test_any_json_must_be_spoken_of(self) -> None:
        asked = OutputFormat(kind="json_object")
        gemini = body(output_format=asked, origin="gemini")
        assert gemini["response_format"] == {"type": "json_object"}
        assert gemini["messages"][0] == {"role": "system", "content": "Answer in JSON."}
        said = (Turn(role="user", blocks=(Text(text="Give me json"),)),)
        assert len(body(output_format=asked, origin="gemini", turns=said)["messages"]) == 1
        assert len(body(output_format=asked, origin="openai_responses")["messages"]) == 1


class TestReasoning:
    @pytest.mark.parametrize(
        ("asked", "efforts", "effort"),
        [
            (Reasoning(effort="high"), ("low", "medium", "high"), "high"),
            (Reasoning(effort="xhigh"), ("low", "medium", "high"), "high"),
            (Reasoning(effort="minimal"), ("low", "medium", "high"), "low"),
            (Reasoning(budget=1024), ("low", "medium", "high"), "low"),  # E118
            (Reasoning(budget=4000), ("low", "medium", "high"), "medium"),
            (Reasoning(budget=16000), ("low", "medium", "high", "xhigh"), "high"),
            (Reasoning(budget=40000), ("low", "medium", "high", "xhigh"), "xhigh"),
            (Reasoning(budget=40000), ("low", "medium", "high"), "high"),
            (Reasoning(mode="adaptive", effort="max"), ("low", "medium", "high", "xhigh"), "xhigh"),
            (Reasoning(mode="adaptive"), ("low", "medium", "high"), None),
            (Reasoning(budget=-1), ("low", "medium", "high"), None),
            (Reasoning(mode="off"), ("none", "low"), "none"),
            (Reasoning(mode="off"), ("low", "medium", "high"), None),
        ],
    )
    def test_effort(self, asked: Reasoning, efforts: tuple[str, ...], effort: str | None) -> None:
        assert body(reasoning=asked, facts=Facts(efforts=efforts)).get("reasoning_effort") == effort

    def test_models_that_do_not(self) -> None:
        facts = Facts(reasoning=False)
        assert "reasoning_effort" not in body(reasoning=Reasoning(effort="low"), facts=facts)
        assert lost(reasoning=Reasoning(effort="low"), facts=facts) == [("reasoning",)]
        assert lost(reasoning=Reasoning(mode="off"), facts=facts) == []

    def test_models_that_do_not_beside_tools(self) -> None:
        facts = Facts(tools_need_responses=True)
        tools = (Function(name="f"),)
        assert "reasoning_effort" not in body(reasoning=Reasoning(effort="low"), facts=facts, tools=tools)
        assert lost(reasoning=Reasoning(effort="low"), facts=facts, tools=tools) == [("reasoning",)]
        assert body(reasoning=Reasoning(effort="low"), facts=facts)["reasoning_effort"] == "low"


class TestCaller:
    def test_user(self) -> None:  # E099
        assert body(user="u")["user"] == "u"
        assert body(user="u", facts=Facts(developer_role=True))["safety_identifier"] == "u"
        long = body(user="u" * 200)["user"]
        assert len(long) == 64
        assert long == short_user("u" * 200) != short_user("v" * 200)

    def test_words_that_both_openai_dialects_know(self) -> None:
        out = body(origin="openai_responses", cache_key="k", service_tier="flex", verbosity="low")
        assert (out["prompt_cache_key"], out["service_tier"], out["verbosity"]) == ("k", "flex", "low")

    def test_what_is_not_for_this_upstream_is_a_loss(self) -> None:
        foreign = {
            "service_tier": "standard_only",
            "metadata": {"a": 1},
            "extras": {"context_management": {}},
        }
        assert lost(**foreign) == [("service_tier",), ("metadata",), ("context_management",)]
        assert {"service_tier", "metadata", "context_management"}.isdisjoint(body(**foreign))

    def test_safeguards_are_nobodys_business(self) -> None:
        assert lost(extras={"safeguards": [{}]}) == []
        assert "safeguards" not in body(extras={"safeguards": [{}]})

    def test_a_readers_notes_for_its_own_writers_are_no_loss(self) -> None:
        assert lost(extras={"$echo": {}}, origin="openai_responses") == []


def test_renamed_tools_find_back() -> None:
    tool = Function(name="f.g", namespace="n")
    made = written(tools=(tool,), tool_choice=ToolChoice(mode="tool", name="f.g"))
    (name,) = made.back
    assert made.back[name] is tool
    assert json.loads(made.body)["tool_choice"]["function"]["name"] == name


def test_the_same_conversation_is_the_same_bytes() -> None:  # E140
    tool = Function(name="f", parameters={"type": "object", "properties": {"z": {}, "a": {}}})
    said = {"tools": (tool,), "temperature": 1, "user": "x" * 99}
    assert written(**said).body == written(**said).body
    assert b'"z":{},"a":{}' in written(**said).body


def test_a_conversation_is_not_changed_by_its_writing() -> None:  # E294
    conversation = Conversation(origin="openai_chat", turns=TURNS, extras={"x": 1}, system=(Text(text="s"),))
    before = replace(conversation)
    write_request(conversation, Target(model="m", facts=Facts()))
    assert conversation == before


REQUEST: dict[str, Any] = {
    "model": "up",
    "messages": [
        {"role": "system", "content": "S"},
        {"role": "developer", "content": [{"type": "text", "text": "D"}, {"type": "text", "text": "E"}]},
        {
            "role": "user",
            "name": "bob",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {
                    "type": "file",
                    "file": {"filename": "r.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
                },
                {"type": "tomorrow", "x": [1]},
            ],
        },
        {
            "role": "assistant",
            "content": "let me see",
            "reasoning_content": "t",
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "t",
                    "signature": "S",
                    "format": "anthropic-claude-v1",
                    "index": 0,
                }
            ],
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "r1"},
        {"role": "tool", "tool_call_id": "c2", "content": "r2"},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "user", "content": "why"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": STRICT, "strict": True},
        },
        {"type": "tomorrow", "y": 2},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "parallel_tool_calls": False,
    "max_completion_tokens": 50,
    "n": 2,
    "stop": ["a", "b"],
    "temperature": 0.5,
    "top_p": 0.9,
    "frequency_penalty": 0.1,
    "seed": 3,
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "R", "schema": STRICT, "strict": True},
    },
    "verbosity": "low",
    "prompt_cache_key": "k",
    "modalities": ["text"],
    "reasoning_effort": "high",
    "safety_identifier": "u",
    "service_tier": "flex",
    "store": True,
    "metadata": {"a": "b"},
    "prediction": {"type": "content", "content": "p"},
}


def test_what_chat_says_comes_back_as_chat() -> None:
    openai = Facts(max_completion_tokens=True, developer_role=True, reasoning_details=True)
    read = read_request(json.dumps(REQUEST).encode())
    made = write_request(read, Target(model="up", facts=openai))
    assert made.losses == ()
    again = json.loads(made.body)
    assert again == REQUEST


def test_losses_are_paths_of_the_client() -> None:
    made = written(
        tools=(Opaque(origin="openai_chat", kind="t", raw={"type": "t"}),), origin="openai_chat", top_k=1
    )
    assert made.losses == (Loss(("top_k",), "Chat Completions has no top_k"),)
