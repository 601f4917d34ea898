"""Conversation → generateContent (E022, E029, E080, E095, E096, E100, E119, E120, E140)."""

from __future__ import annotations

import json

import pytest

from dragoman.core.conversation import (
    Base64,
    Cache,
    Conversation,
    Function,
    Media,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    ToolChoice,
    Turn,
    Url,
    WebSearch,
    bracketed,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.dialects.base import Target
from dragoman.dialects.gemini.request_writer import takes_url, write_request

USER = Turn(role="user", blocks=(Text(text="hi"),))
F = Function(name="f", parameters={"type": "object", "properties": {"a": {"type": "string"}}})
G = Function(name="g")
BASE = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def write(facts=None, **fields):
    conversation = Conversation(**{"origin": "openai_chat", "turns": (USER,), **fields})
    return write_request(conversation, Target(model="m", facts=facts or Facts()))


def body(facts=None, **fields):
    told = json.loads(write(facts, **fields).body)
    assert told.pop("contents") == BASE["contents"]
    return told


def lost(facts=None, **fields):
    return [bracketed(loss.at) for loss in write(facts, **fields).losses]


def config(facts=None, **fields):
    return body(facts, **fields).get("generationConfig")


def test_nothing_is_made_up():
    assert json.loads(write().body) == BASE
    assert write().losses == ()


def test_e022_one_tool_with_all_functions():
    assert body(tools=(F, G))["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}},
                {"name": "g"},
            ]
        }
    ]
    empty = Function(name="e", parameters={"type": "object", "properties": {}, "additionalProperties": False})
    assert body(tools=(empty,))["tools"] == [{"functionDeclarations": [{"name": "e"}]}]


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice(mode="auto"), {"mode": "AUTO"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(mode="required"), {"mode": "ANY"}),
        (ToolChoice(mode="tool", name="f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode="required", allowed=("g", "x")), {"mode": "ANY", "allowedFunctionNames": ["g"]}),
        (ToolChoice(mode="required", allowed=("x",)), {"mode": "ANY"}),
    ],
)
def test_e029(choice, calling):
    assert body(tools=(F, G), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": calling}


def test_allowed_functions_without_a_duty_to_call():
    told = body(tools=(F, G), tool_choice=ToolChoice(mode="auto", allowed=("g",)))
    assert [d["name"] for d in told["tools"][0]["functionDeclarations"]] == ["g"]
    assert told["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    told = body(tools=(F, G), tool_choice=ToolChoice(mode="auto", allowed=("x",)))
    assert len(told["tools"][0]["functionDeclarations"]) == 2


def test_no_choice_without_functions():
    assert body(tool_choice=ToolChoice(mode="required")) == {}
    assert body(tools=(WebSearch(),), tool_choice=ToolChoice(mode="required")) == {
        "tools": [{"googleSearch": {}}]
    }


def test_names_that_google_refuses():
    long = "x" * 80
    tools = (
        Function(name=long),
        Function(name="1st"),
        Function(name="a.b"),
        Function(name="f", namespace="n"),
    )
    told = write(tools=tools)
    names = [d["name"] for d in json.loads(told.body)["tools"][0]["functionDeclarations"]]
    assert all(len(name) <= 64 and (name[0].isalpha() or name[0] == "_") for name in names)
    assert {name: told.back[name].name for name in names} == dict(
        zip(names, (long, "1st", "a.b", "f"), strict=True)
    )


def test_free_text_tools():
    told = write(tools=(Function(name="patch", custom=True, format={"type": "text"}),))
    (declaration,) = json.loads(told.body)["tools"][0]["functionDeclarations"]
    assert declaration["parameters"] == {
        "type": "OBJECT",
        "properties": {"input": {"type": "STRING"}},
        "required": ["input"],
    }
    assert told.back["patch"].custom


def test_search():
    habit = WebSearch(optional=True, context_size="low", at=("tools", 1))
    assert body(tools=(habit,)) == {"tools": [{"googleSearch": {}}]}
    assert len(body(tools=(F, habit))["tools"]) == 1
    assert lost(tools=(F, habit)) == ["tools[1]"]
    assert body(tools=(F, WebSearch()))["tools"][1] == {"googleSearch": {}}


def test_tools_of_other_vendors_are_refused():
    tool = Opaque(origin="anthropic", kind="bash_20250124", raw={}, at=("tools", 0))
    with pytest.raises(Fault) as caught:
        write(origin="anthropic", tools=(tool,))
    assert caught.value.param == "tools.0.type"


def test_schemas_without_end_are_refused_by_their_place():
    deep: dict = {"type": "string"}
    for _ in range(150):
        deep = {"type": "array", "items": deep}
    with pytest.raises(Fault, match=r"tools\[0\]\.function\.parameters"):
        write(tools=(Function(name="f", parameters=deep, at=("tools", 0)),))
    with pytest.raises(Fault, match=r"text\.format"):
        write(
            output_format=OutputFormat(kind="json_schema", schema=deep),
            fields={"output_format": ("text", "format")},
        )


def test_sampling_and_limits():
    assert config(
        temperature=1.7,
        top_p=0.5,
        top_k=40,
        max_output=50,
        choices=2,
        stop=("a", "", "b"),
        seed=5,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=True,
        top_logprobs=3,
    ) == {
        "temperature": 1.7,
        "topP": 0.5,
        "topK": 40,
        "maxOutputTokens": 50,
        "candidateCount": 2,
        "stopSequences": ["a", "b"],
        "seed": 5,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert config(Facts(max_output=100), max_output=32_000) == {"maxOutputTokens": 100}
    assert config(Facts(sampling=False), temperature=1.0) is None
    assert lost(Facts(sampling=False), temperature=1.0) == ["temperature"]


@pytest.mark.parametrize(
    ("seed", "sent"), [(1 << 40, 0), ((1 << 40) + 7, 7), (2**31, 0), (-1, -1), (2**31 - 1, 2**31 - 1)]
)
def test_e096(seed, sent):
    assert config(seed=seed) == {"seed": sent}


def test_five_stops():
    assert config(stop=tuple("abcdefg")) == {"stopSequences": list("abcde")}
    assert lost(stop=tuple("abcdefg")) == ["stop[5]", "stop[6]"]


@pytest.mark.parametrize(
    ("wanted", "facts", "expected"),
    [
        (Reasoning(mode="off"), Facts(), {"thinkingBudget": 0}),
        (Reasoning(effort="none", visible=True), Facts(), {"thinkingBudget": 0}),
        (Reasoning(effort="low"), Facts(), {"thinkingBudget": 1024}),
        (Reasoning(effort="medium"), Facts(), {"thinkingBudget": 8192}),
        (
            Reasoning(effort="high", visible=True),
            Facts(),
            {"thinkingBudget": 24_576, "includeThoughts": True},
        ),
        (
            Reasoning(mode="off", visible=True),
            Facts(thinking_off=False, least_budget=128),
            {"thinkingBudget": 128},
        ),
        (Reasoning(budget=100_000), Facts(most_budget=24_576), {"thinkingBudget": 24_576}),
        (Reasoning(budget=10), Facts(least_budget=512), {"thinkingBudget": 512}),
        (Reasoning(budget=-1), Facts(), {"thinkingBudget": -1}),
        (Reasoning(mode="adaptive", visible=True), Facts(), {"includeThoughts": True}),
        (Reasoning(mode="adaptive"), Facts(), None),
    ],
)
def test_e119_budgets(wanted, facts, expected):
    told = config(facts, reasoning=wanted)
    assert (told or {}).get("thinkingConfig") == expected


@pytest.mark.parametrize(
    ("wanted", "efforts", "level"),
    [
        (Reasoning(effort="low"), ("low", "high"), "LOW"),
        (Reasoning(effort="medium"), ("low", "high"), "HIGH"),
        (Reasoning(effort="medium"), ("minimal", "low", "medium", "high"), "MEDIUM"),
        (Reasoning(effort="high"), ("low", "high"), "HIGH"),
        (Reasoning(effort="max"), ("low", "high"), "HIGH"),
        (Reasoning(effort="minimal"), ("low", "high"), "LOW"),
        (Reasoning(effort="none"), ("minimal", "low", "high"), "MINIMAL"),
        (Reasoning(mode="off"), ("low", "high"), "LOW"),
        (Reasoning(budget=30_000), ("low", "high"), "HIGH"),
        (Reasoning(budget=1024), ("low", "high"), "LOW"),
    ],
)
def test_e119_levels(wanted, efforts, level):
    assert config(Facts(thinking="level", efforts=efforts), reasoning=wanted) == {
        "thinkingConfig": {"thinkingLevel": level}
    }


def test_thinking_without_a_level_or_a_thinking_model():
    level = Facts(thinking="level")
    assert config(level, reasoning=Reasoning(budget=-1, visible=True)) == {
        "thinkingConfig": {"includeThoughts": True}
    }
    assert config(Facts(thinking="none"), reasoning=Reasoning(effort="high")) is None
    assert lost(Facts(thinking="none"), reasoning=Reasoning(effort="high")) == ["reasoning"]
    assert lost(Facts(thinking="none"), reasoning=Reasoning(mode="off")) == []


def test_output_formats():
    assert config(output_format=OutputFormat(kind="json_object")) == {"responseMimeType": "application/json"}
    schema = {
        "type": "object",
        "properties": {"b": {"type": "integer"}, "a": {"const": "x"}},
        "additionalProperties": False,
    }
    assert config(output_format=OutputFormat(kind="json_schema", name="R", strict=True, schema=schema)) == {
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT",
            "properties": {"b": {"type": "INTEGER"}, "a": {"type": "STRING", "enum": ["x"]}},
            "propertyOrdering": ["b", "a"],
        },
    }


def test_what_gemini_lacks_is_told():
    assert lost(
        tools=(Function(name="f", cache=Cache(), at=("tools", 0)),),
        parallel_tools=False,
        verbosity="low",
        logit_bias={"1": 1.0},
        service_tier="flex",
        user="u",
        metadata={"a": 1},
        cache_key="k",
        modalities=("text", "audio"),
        extras={"prediction": {}, "safeguards": []},
        fields={"cache_key": ("prompt_cache_key",)},
        store=True,
    ) == [
        "tools[0].cache_control",
        "parallel_tools",
        "modalities",
        "verbosity",
        "logit_bias",
        "service_tier",
        "user",
        "metadata",
        "prompt_cache_key",
        "prediction",
    ]


def test_e140_the_same_bytes_every_time():
    fields = {"tools": (F, G), "reasoning": Reasoning(effort="low"), "temperature": 0.5}
    assert write(**fields).body == write(**fields).body
    properties = {name: {"type": "string"} for name in ("z", "a", "m")}
    ordered = write(tools=(Function(name="f", parameters={"type": "object", "properties": properties}),)).body
    assert ordered.index(b'"z"') < ordered.index(b'"a"') < ordered.index(b'"m"')


def test_only_youtube_is_loaded_by_google():
    def media(source):
        return Media(kind="video", source=source)

    assert takes_url(media(Url("https://www.youtube.com/watch?v=x")), Facts())
    assert takes_url(media(Url("https://youtu.be/x")), Facts())
    assert not takes_url(media(Url("https://youtube.com.evil.example/x")), Facts())
    assert not takes_url(media(Url("https://x/y.png")), Facts())
    assert not takes_url(media(Base64("AAAA")), Facts())


@pytest.mark.parametrize(("tier", "losses"), [("auto", []), ("default", []), ("flex", ["service_tier"])])
def test_the_usual_service_tier_is_no_loss(tier, losses):
    assert lost(service_tier=tier) == losses


def test_two_functions_of_one_name():
    told = write(tools=(F, G, Function(name="f", at=("tools", 2))))
    assert [d["name"] for d in json.loads(told.body)["tools"][0]["functionDeclarations"]] == ["f", "g"]
    assert [bracketed(loss.at) for loss in told.losses] == ["tools[2]"]


@pytest.mark.parametrize(
    ("origin", "legacy", "path"),
    [
        ("openai_chat", False, "tools[1].function.parameters"),
        ("openai_chat", True, "tools[1].parameters"),
        ("anthropic", False, "tools.1.input_schema"),
        ("openai_responses", False, "tools[1].parameters"),
    ],
)
def test_a_schema_that_is_too_large_is_named(origin, legacy, path):
    deep: dict = {"type": "string"}
    for _ in range(150):
        deep = {"type": "array", "items": deep}
    tool = Function(name="f", parameters=deep, legacy=legacy, at=("tools", 1))
    with pytest.raises(Fault) as caught:
        write(origin=origin, tools=(tool,))
    assert (caught.value.status, caught.value.param) == (400, path)
