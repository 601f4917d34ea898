"""Whole requests for Anthropic upstreams."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from dragoman.core.conversation import (
    Cache,
    Conversation,
    Function,
    OutputFormat,
    Reasoning,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    WebSearch,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.dialects.anthropic.request_reader import read_request
from dragoman.dialects.anthropic.request_writer import write_request
from dragoman.dialects.base import Target

USER = Turn(role="user", blocks=(Text(text="q"),))
THINKER = Facts(max_output=64_000, thinking="adaptive")


def target(facts=None, **more):
    return Target(model="claude-x", facts=facts or Facts(), **more)


def write(facts=None, origin="openai_chat", turns=(USER,), **members):
    """(body, paths of the losses)"""
    written = write_request(Conversation(origin=origin, turns=turns, **members), target(facts))
    return json.loads(written.body), [loss.at[0] for loss in written.losses]


def test_the_least_e085():
    body, losses = write()
    assert body == {
        "model": "claude-x",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "q"}],
    }
    assert losses == []
    assert write(max_output=10**6)[0]["max_tokens"] == 8192
    streamed = write_request(Conversation(origin="gemini", turns=(USER,)), target(stream=True))
    assert json.loads(streamed.body)["stream"] is True


def test_the_same_bytes_every_time_e140():
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    tool = Function(name="f.g", parameters=schema)
    conversation = Conversation(
        origin="openai_chat",
        turns=(
            USER,
            Turn(role="assistant", blocks=(ToolCall(id="", name="f.g", arguments='{"b":1,"a":2}'),)),
            Turn(role="user", blocks=(ToolResult(call_id="", name="f.g"),)),
        ),
        tools=(tool,),
        user="u",
        temperature=0.5,
    )
    first = write_request(conversation, target())
    assert first == write_request(conversation, target())
    assert b'"properties":{"b":{},"a":{}}' in first.body and b'"input":{"b":1,"a":2}' in first.body
    (name,) = first.back
    assert first.back[name] == tool


@pytest.mark.parametrize(("given", "sent"), [(1.7, 1.0), (0.3, 0.3), (1, 1), (0, 0)])
def test_temperature_e089(given, sent):
    body, losses = write(temperature=given)
    assert body["temperature"] == sent and losses == []


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"choices": 2}, "choices"),
        ({"logprobs": True}, "logprobs"),
        ({"max_output": 0}, "max_output"),
    ],
)
def test_what_is_rejected_e089_e094_e095(members, path):
    with pytest.raises(Fault) as caught:
        write(**members)
    assert (caught.value.status, caught.value.param) == (400, path)
    with pytest.raises(Fault) as caught:
        write(**members, fields={path: ("outer", "inner")})
    assert caught.value.param == "outer.inner"


def test_sampling_with_thinking_e090():
    sampling = {"temperature": 0.2, "top_p": 0.9, "top_k": 5, "reasoning": Reasoning(effort="high")}
    body, losses = write(THINKER, **sampling)
    assert not {"temperature", "top_p", "top_k"} & set(body)
    assert losses == ["temperature", "top_p", "top_k"]
    assert write(THINKER, reasoning=Reasoning(effort="low"), top_p=0.97)[0]["top_p"] == 0.97
    assert write(THINKER, reasoning=Reasoning(effort="low"), temperature=1)[1] == []


def test_models_without_sampling_e090():
    body, losses = write(Facts(sampling=False), temperature=0.2, top_p=1.0, top_k=5)
    assert not {"temperature", "top_p", "top_k"} & set(body)
    assert losses == ["temperature", "top_k"]


def test_defaults_that_newer_models_refuse_beside_each_other():
    assert "top_p" not in write(temperature=0.5, top_p=1)[0]
    assert "temperature" not in write(temperature=1.0, top_p=0.5)[0]
    body, losses = write(temperature=0.5, top_p=0.5, top_k=40)
    assert (body["temperature"], body["top_p"], body["top_k"], losses) == (0.5, 0.5, 40, [])


def test_stop_e092():
    assert write(stop=("X",))[0]["stop_sequences"] == ["X"]
    body, losses = write(stop=("\n", " ", "END"))
    assert (body["stop_sequences"], losses) == (["END"], ["stop"])
    assert "stop_sequences" not in write(stop=())[0]


def test_what_has_no_place_e097():
    body, losses = write(
        frequency_penalty=0.5,
        presence_penalty=0,
        seed=7,
        logit_bias={"1": 2.0},
        verbosity="low",
        cache_key="k",
        service_tier="flex",
        metadata={"a": "b"},
        extras={"prediction": {}, "$echo": {}},
        modalities=("text",),
    )
    assert set(body) == {"model", "max_tokens", "messages"}
    assert losses == [
        "frequency_penalty",
        "seed",
        "logit_bias",
        "verbosity",
        "cache_key",
        "service_tier",
        "prediction",
        "metadata",
    ]


def test_the_user():
    assert write(user="u")[0]["metadata"] == {"user_id": "u"}
    long = write(user="u" * 300)[0]["metadata"]["user_id"]
    assert len(long) == 64 and long == write(user="u" * 300)[0]["metadata"]["user_id"]


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}


def test_structured_output_e105():
    wanted = OutputFormat(kind="json_schema", name="R", schema=SCHEMA, strict=True)
    body, losses = write(THINKER, output_format=wanted, reasoning=Reasoning(effort="high"))
    assert body["output_config"]["effort"] == "high"
    sent = body["output_config"]["format"]
    assert sent["type"] == "json_schema" and set(sent) == {"type", "schema"}
    assert sent["schema"]["additionalProperties"] is False
    assert "minimum" not in sent["schema"]["properties"]["a"] and losses == []
    assert "system" not in body


def test_json_without_schemas_e112():
    body, _ = write(output_format=OutputFormat(kind="json_object"), system=(Text(text="S"),))
    assert body["system"][0]["text"] == "S" and "JSON" in body["system"][1]["text"]
    assert "tools" not in body and "output_config" not in body
    wanted = OutputFormat(kind="json_schema", schema=SCHEMA)
    body, _ = write(Facts(schema_output=False), output_format=wanted, tools=(Function(name="f"),))
    assert '"minimum":1' in body["system"][0]["text"] and "output_config" not in body


def test_a_schema_without_formats_is_a_tool_whose_arguments_are_the_answer_e106():
    wanted = OutputFormat(kind="json_schema", name="R", schema=SCHEMA)
    conversation = Conversation(origin="openai_chat", turns=(USER,), output_format=wanted)
    told = write_request(conversation, Target(model="m", facts=Facts(schema_output=False)))
    body = json.loads(told.body)
    assert [tool["name"] for tool in body["tools"]] == ["R"] and told.answer_tool == "R"
    assert body["tools"][0]["input_schema"]["properties"].keys() == SCHEMA["properties"].keys()
    assert body["tool_choice"] == {"type": "tool", "name": "R"} and "system" not in body


def test_a_model_that_thinks_is_not_forced_to_answer_by_a_tool_e107():
    wanted = OutputFormat(kind="json_schema", name="R", schema=SCHEMA)
    asked = Conversation(
        origin="openai_chat",
        turns=(USER,),
        output_format=wanted,
        reasoning=Reasoning(effort="high"),
        max_output=60_000,
    )
    told = write_request(asked, Target(model="m", facts=Facts(schema_output=False, max_output=64_000)))
    body = json.loads(told.body)
    assert body["tool_choice"] == {"type": "auto"} and told.answer_tool == "R"
    assert body["thinking"]["type"] == "enabled" and "JSON" in body["system"][0]["text"]


F = Function(name="f")
LOOP = (
    USER,
    Turn(role="assistant", blocks=(ToolCall(id="c", name="f"),)),
    Turn(role="user", blocks=(ToolResult(call_id="c", content=(Text(text="r"),)),)),
)


def test_tools_and_choice():
    body, _ = write(tools=(F,), tool_choice=ToolChoice(mode="required"), parallel_tools=False)
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    without, _ = write(tool_choice=ToolChoice(mode="required"), parallel_tools=False)
    assert "tools" not in without and "tool_choice" not in without  # E034


def test_histories_with_calls_need_tools():
    body, _ = write(turns=LOOP)
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert body["tool_choice"] == {"type": "none"}
    search, _ = write(turns=LOOP, tools=(WebSearch(),))
    assert [tool["name"] for tool in search["tools"]] == ["web_search"] and "tool_choice" not in search


def test_thinking_and_a_forced_call_e107():
    forced = {
        "tools": (F,),
        "tool_choice": ToolChoice(mode="tool", name="f"),
        "reasoning": Reasoning(effort="high"),
    }
    body, losses = write(THINKER, **forced)
    assert body["thinking"] == {"type": "disabled"} and body["tool_choice"] == {"type": "tool", "name": "f"}
    assert losses == ["reasoning"]
    always, losses = write(replace(THINKER, thinking_off=False), **forced, parallel_tools=False)
    assert always["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert always["thinking"] == {"type": "adaptive"} and losses == ["tool_choice"]


def test_four_marks_in_all_e137():
    marked = tuple(Text(text=str(n), cache=Cache(), at=("messages", n)) for n in range(4))
    conversation = Conversation(
        origin="anthropic",
        turns=(Turn(role="user", blocks=marked),),
        system=(Text(text="S", cache=Cache(ttl="1h"), at=("system", 0)),),
        tools=(replace(F, cache=Cache(), at=("tools", 0)),),
    )
    written = write_request(conversation, target())
    assert written.body.count(b"cache_control") == 4
    assert [loss.at for loss in written.losses] == [
        ("tools", 0, "cache_control"),
        ("system", 0, "cache_control"),
    ]


OWN = {
    "system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "q"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "document", "title": "T", "source": {"type": "url", "url": "https://x/r.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "S"},
                {"type": "redacted_thinking", "data": "D"},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
                {"type": "text", "text": "x", "citations": [{"type": "char_location", "cited_text": "c"}]},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 12345678901234567890}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "is_error": True,
                    "content": [{"type": "text", "text": "r"}, {"type": "tool_reference", "tool_name": "g"}],
                },
                {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}},
            ],
        },
    ],
    "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": False},
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 2,
            "user_location": {"type": "approximate", "city": "Rome"},
        },
        {"type": "code_execution_20250825", "name": "code_execution"},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "max_tokens": 9000,
    "thinking": {"type": "adaptive", "display": "omitted"},
    "output_config": {
        "effort": "high",
        "format": {"type": "json_schema", "schema": SCHEMA},
        "task_budget": {"total": 9},
    },
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "container": "c1",
    "context_management": {"edits": []},
    "service_tier": "auto",
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"thinking": None, "output_config": None, "temperature": 0.7, "top_p": 0.5, "top_k": 4},
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"}},
        {"thinking": None, "output_config": {"effort": "low"}},
        {"tool_choice": {"type": "none"}},
        {"system": "S", "max_tokens": 0, "thinking": None},
    ],
)
def test_what_our_own_clients_say_comes_back(more):
    """read(write(read(body))) == read(body) for requests of this dialect."""
    conversation = read_request(json.dumps({"model": "m", **OWN, **more}).encode())
    budget = "budget_tokens" in json.dumps(more)
    facts = Facts(max_output=10_000, thinking="budget" if budget else "adaptive")
    written = write_request(conversation, target(facts))
    assert written.losses == ()
    again = read_request(written.body)
    assert without_places(again) == without_places(conversation)


def without_places(value):
    """The value without ``at`` and ``fields``."""
    if hasattr(value, "__struct_fields__"):
        return {
            name: without_places(getattr(value, name))
            for name in value.__struct_fields__
            if name not in ("at", "fields")
        } | {"struct": type(value).__name__}
    if isinstance(value, tuple | list):
        return [without_places(one) for one in value]
    return value


def test_the_conversation_is_not_changed_e294():
    conversation = read_request(json.dumps({"model": "m", **OWN}).encode())
    before = repr(conversation)
    write_request(conversation, target(THINKER))
    assert repr(conversation) == before


def test_models_that_no_tool_can_be_forced_on():
    unforced = Facts(thinking="adaptive", thinking_off=False, forced_tools=False)
    tools = (Function(name="f"), Function(name="g"))
    for choice in (ToolChoice(mode="required"), ToolChoice(mode="tool", name="f")):
        body, losses = write(unforced, tools=tools, tool_choice=choice, parallel_tools=False)
        assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
        assert losses == ["tool_choice"] and len(body["tools"]) == 2
        body, losses = write(unforced, tools=tools, tool_choice=choice, reasoning=Reasoning(effort="high"))
        assert (body["tool_choice"], body["thinking"]) == ({"type": "auto"}, {"type": "adaptive"})
        assert losses == ["tool_choice"]
    body, losses = write(unforced, tools=tools, tool_choice=ToolChoice(mode="none"))
    assert body["tool_choice"] == {"type": "none"} and losses == []


def test_an_answer_tool_that_cannot_be_forced():
    facts = Facts(thinking="none", schema_output=False, forced_tools=False)
    wanted = OutputFormat(kind="json_schema", name="R", schema={"type": "object", "properties": {"a": {}}})
    body, losses = write(facts, output_format=wanted)
    assert [tool["name"] for tool in body["tools"]] == ["R"] and losses == []
    assert body["tool_choice"] == {"type": "auto"} and "JSON Schema" in body["system"][0]["text"]


def test_temperature_and_top_p_in_one_request():
    both = {"temperature": 0.2, "top_p": 0.9}
    body, losses = write(**both)
    assert (body["temperature"], body["top_p"], losses) == (0.2, 0.9, [])
    one = Facts(both_sampling=False)
    body, losses = write(one, **both, top_k=3)
    assert (body["temperature"], body.get("top_p"), body["top_k"], losses) == (0.2, None, 3, ["top_p"])
    for habit, kept in (({"temperature": 1}, "top_p"), ({"top_p": 1}, "temperature")):
        body, losses = write(one, **{**both, **habit})
        assert len({"temperature", "top_p"} & body.keys()) == 1 and kept in body and losses == []
    body, _ = write(one, **both, origin="anthropic")
    assert body["temperature"] == 0.2 and body["top_p"] == 0.9  # our own client's word is the vendor's matter


def test_two_tools_of_one_name():
    tools = (Function(name="f"), Function(name="g"), Function(name="f", at=("tools", 2)))
    body, losses = write(tools=tools)
    assert [tool["name"] for tool in body["tools"]] == ["f", "g"] and losses == ["tools"]


def test_schemas_that_no_format_can_express_are_told():
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    body, _ = write(output_format=OutputFormat(kind="json_schema", name="N", schema=node))
    assert "output_config" not in body
    assert body["tool_choice"] == {"type": "tool", "name": "N"} and body["tools"][0]["input_schema"] == node
    body, _ = write(output_format=OutputFormat(kind="json_schema", schema=node), tools=(Function(name="f"),))
    assert "JSON Schema" in body["system"][0]["text"] and [t["name"] for t in body["tools"]] == ["f"]
