"""Conversation → a Responses request."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.dialects.base import Target, Written
from dragoman.dialects.openai_responses.request_reader import read_request
from dragoman.dialects.openai_responses.request_writer import is_strict, takes_url, write_request

HI = Turn(role="user", blocks=(Text(text="hi"),))
SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}
F = Function(name="f", parameters=SCHEMA, at=("tools", 0))


def conversation(**fields: Any) -> Conversation:
    return Conversation(**{"origin": "openai_chat", "turns": (HI,), **fields})


def write(facts: Facts | None = None, *, stream: bool = False, **fields: Any) -> Written:
    target = Target(model="gpt-x", facts=facts or Facts(), stream=stream)
    return write_request(conversation(**fields), target)


def body(facts: Facts | None = None, **fields: Any) -> dict[str, Any]:
    return json.loads(write(facts, **fields).body)


def lost(**fields: Any) -> list[tuple[str | int, ...]]:
    return [loss.at for loss in write(**fields).losses]


def test_least_request() -> None:
    assert body(stream=True) == {
        "model": "gpt-x",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "stream": True,
    }
    assert "stream" not in body()
    assert "include" not in body(Facts(reasoning=False))
    assert body(store=True)["store"] is False
    assert write() == write()


def test_system_is_instructions() -> None:
    made = body(system=(Text(text="A"), Text(text="B")))
    assert made["instructions"] == "A\n\nB"


def test_functions() -> None:  # E039
    assert body(tools=(F,))["tools"] == [
        {"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}
    ]
    full = Function(name="f", description="d", strict=True)
    assert body(tools=(full,))["tools"] == [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "parameters": {"type": "object", "properties": {}},
            "strict": True,
        }
    ]
    own = body(origin="openai_responses", tools=(Function(name="f"),))["tools"]
    assert own == [{"type": "function", "name": "f", "parameters": None}]


def test_property_order_is_the_clients() -> None:  # E140
    assert b'"properties":{"b":{},"a":{}}' in write(tools=(F,)).body


def test_free_text_tools_are_native() -> None:
    tool = Function(name="patch", custom=True, format={"type": "text"})
    made = write(tools=(tool,), tool_choice=ToolChoice(mode="tool", name="patch"))
    decoded = json.loads(made.body)
    assert decoded["tools"] == [{"type": "custom", "name": "patch", "format": {"type": "text"}}]
    assert decoded["tool_choice"] == {"type": "custom", "name": "patch"}
    assert made.back == {}


def test_names_that_must_change_come_back() -> None:
    tool = Function(name="files.read")
    made = write(tools=(tool,), tool_choice=ToolChoice(mode="tool", name="files.read"))
    decoded = json.loads(made.body)
    name = decoded["tools"][0]["name"]
    assert decoded["tool_choice"]["name"] == name
    assert made.back == {name: tool}


def test_own_namespaces_are_grouped_again() -> None:
    tools = (Function(name="a", namespace="n"), Function(name="b"), Function(name="c", namespace="n"))
    made = body(origin="openai_responses", tools=tools, extras={"$namespaces": {"n": "d"}})["tools"]
    assert [tool["name"] for tool in made] == ["n", "b"]
    assert (made[0]["description"], [tool["name"] for tool in made[0]["tools"]]) == ("d", ["a", "c"])


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="tool", name="f"), {"type": "function", "name": "f"}),
        (
            ToolChoice(mode="required", allowed=("f", "unknown")),
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        ),
        (ToolChoice(mode="auto", allowed=("unknown",)), "auto"),
    ],
)
def test_choice(choice: ToolChoice, written: object) -> None:  # E029, E032
    assert body(tools=(F,), tool_choice=choice)["tool_choice"] == written


def test_choice_needs_tools() -> None:  # E034
    made = body(tool_choice=ToolChoice(mode="auto"), parallel_tools=False)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(made)
    assert body(tools=(F,), parallel_tools=False)["parallel_tool_calls"] is False


def test_web_search() -> None:
    tool = WebSearch(
        context_size="low",
        allowed_domains=("a.org",),
        blocked_domains=("b.org",),
        max_uses=3,
        country="FR",
        at=("tools", 0),
    )
    asked = {"tools": (tool,), "tool_choice": ToolChoice(mode="tool", name="web_search")}
    assert body(**asked)["tools"] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["a.org"]},
            "search_context_size": "low",
            "user_location": {"type": "approximate", "country": "FR"},
        }
    ]
    assert body(**asked)["tool_choice"] == "required"
    assert lost(**asked) == [("tools", 0, "max_uses"), ("tools", 0, "blocked_domains")]


@pytest.mark.parametrize(
    ("origin", "param"), [("anthropic", "tools.0.type"), ("gemini", "tools[0].codeExecution")]
)
def test_other_vendors_tools_are_refused(origin: Any, param: str) -> None:
    tool = Opaque(origin=origin, kind="codeExecution", raw={}, at=("tools", 0))
    with pytest.raises(Fault) as raised:
        write(origin=origin, tools=(tool,))
    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize(
    ("field", "value", "at"),
    [("stop", ("X",), ("stop_sequences",)), ("choices", 2, ("n",))],
)
def test_what_must_not_be_dropped_is_refused(field: str, value: object, at: tuple[str]) -> None:  # E093, E094
    with pytest.raises(Fault) as raised:
        write(**{field: value, "fields": {field: at}})
    assert (raised.value.status, raised.value.param) == (400, at[0])


def test_limits() -> None:
    made = body(max_output=5, temperature=1.7, top_p=0.9, top_logprobs=3, logprobs=True)
    assert (made["max_output_tokens"], made["temperature"], made["top_p"]) == (16, 1.7, 0.9)
    assert made["top_logprobs"] == 3
    assert made["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert body(max_output=500)["max_output_tokens"] == 500


def test_losses_name_the_clients_members() -> None:
    fields = {"top_k": ("generationConfig", "topK"), "seed": ("generationConfig", "seed")}
    assert lost(top_k=4, seed=1, fields=fields) == [
        ("generationConfig", "topK"),
        ("generationConfig", "seed"),
    ]
    assert lost(frequency_penalty=0.5, presence_penalty=0.1, logit_bias={"1": 2.0}) == [
        ("frequency_penalty",),
        ("presence_penalty",),
        ("logit_bias",),
    ]
    assert lost(modalities=("text",)) == []
    assert lost(modalities=("text", "audio")) == [("modalities",)]
    assert lost(extras={"prediction": {}, "$note": 1}) == [("prediction",)]
    assert lost(origin="anthropic", extras={"safeguards": []}) == []
    assert lost(tools=(Function(name="f", cache=Cache(), at=("tools", 0)),)) == [
        ("tools", 0, "cache_control")
    ]
    assert lost(facts=Facts(sampling=False), temperature=0.5) == [("temperature",)]
    assert lost(facts=Facts(sampling=False), temperature=1.0) == [], "the default is no loss"
    assert "temperature" not in body(Facts(sampling=False), temperature=1.0)


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        (Reasoning(effort="high"), {"effort": "high"}),
        (Reasoning(effort="max", visible=True), {"effort": "high", "summary": "auto"}),
        (Reasoning(effort="minimal"), {"effort": "low"}),
        (Reasoning(budget=2000, visible=True), {"effort": "low", "summary": "auto"}),
        (Reasoning(budget=-1, visible=True), {"summary": "auto"}),
        (Reasoning(mode="adaptive", summary="detailed", visible=True), {"summary": "detailed"}),
        (Reasoning(mode="off"), None),
        (None, None),
    ],
)
def test_reasoning(wanted: Reasoning | None, written: dict[str, str] | None) -> None:
    assert body(reasoning=wanted).get("reasoning") == written


def test_reasoning_of_models() -> None:
    with_none = Facts(efforts=("none", "low", "high"))
    assert body(with_none, reasoning=Reasoning(mode="off"))["reasoning"] == {"effort": "none"}
    assert lost(reasoning=Reasoning(mode="off")) == [("reasoning",)]
    silent = Facts(reasoning=False)
    assert "reasoning" not in body(silent, reasoning=Reasoning(effort="high"))
    assert lost(facts=silent, reasoning=Reasoning(effort="high")) == [("reasoning",)]
    assert lost(facts=silent, reasoning=Reasoning(mode="off")) == []


def test_format_and_verbosity() -> None:  # E097, E109, E110
    closed = {
        "type": "object",
        "properties": {"a": {}},
        "required": ["a"],
        "additionalProperties": False,
    }
    chat = OutputFormat(kind="json_schema", name="R", schema=SCHEMA, strict=True, description="d")
    assert body(output_format=chat, verbosity="low")["text"] == {
        "format": {"type": "json_schema", "name": "R", "description": "d", "schema": SCHEMA, "strict": True},
        "verbosity": "low",
    }
    for schema, strict in ((closed, True), (SCHEMA, False)):
        unnamed = OutputFormat(kind="json_schema", schema=schema)
        assert body(origin="anthropic", output_format=unnamed)["text"]["format"] == {
            "type": "json_schema",
            "name": "response",
            "schema": schema,
            "strict": strict,
        }
    unsaid = body(output_format=OutputFormat(kind="json_schema", name="R", schema=closed))["text"]["format"]
    assert "strict" not in unsaid
    assert body(output_format=OutputFormat(kind="json_object"))["text"]["format"] == {"type": "json_object"}


def test_strict_schemas() -> None:
    closed = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
    assert is_strict(closed)
    assert is_strict({"type": "array", "items": closed})
    assert not is_strict({"type": "array", "items": closed | {"required": []}})
    assert not is_strict({"anyOf": [closed, closed | {"additionalProperties": True}]})
    assert not is_strict(closed | {"required": [["a"]]})


def test_names_of_ours() -> None:  # E099
    made = body(user="u", cache_key="k", service_tier="flex", metadata={"k": "v"})
    assert (made["safety_identifier"], made["prompt_cache_key"]) == ("u", "k")
    assert (made["service_tier"], made["metadata"]) == ("flex", {"k": "v"})
    long = body(user="u" * 200, cache_key="k" * 65)
    assert len(long["safety_identifier"]) == len(long["prompt_cache_key"]) == 64
    assert long["safety_identifier"] == body(user="u" * 200)["safety_identifier"]
    assert lost(origin="anthropic", service_tier="standard_only") == [("service_tier",)]


@pytest.mark.parametrize("members", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}])
def test_output_of_a_call_that_the_vendor_keeps(members: dict[str, str]) -> None:
    item = {"type": "function_call_output", "call_id": "c1", "output": "r"}
    asked = read_request(json.dumps({"model": "m", "input": [item], **members}).encode())
    made = json.loads(write_request(asked, Target(model="m", facts=Facts())).body)
    assert made["input"] == [item]
    assert {name: made[name] for name in members} == members


def test_urls_that_the_api_loads() -> None:
    facts = Facts()
    assert takes_url(Media(kind="image", source=Url("https://x/y.png")), facts)
    assert takes_url(Media(kind="document", source=Url("http://x/r.pdf")), facts)
    assert not takes_url(Media(kind="audio", source=Url("https://x/a.mp3")), facts)
    assert not takes_url(Media(kind="image", source=Url("gs://x/y.png")), facts)
    assert not takes_url(Media(kind="image", source=Base64("AAAA")), facts)


# -- what its own reader made goes back as it was --------------------------------------------------------------


def again(request: dict[str, Any]) -> tuple[Conversation, Conversation]:
    """A request as read, and as read from what was written of it; without paths, and without the members that a
    stateless upstream always gets."""
    asked = read_request(json.dumps({"model": "m", **request}).encode())
    sent = write_request(
        asked, Target(model="m", facts=Facts(efforts=("none", "low", "medium", "high", "max")))
    )
    assert not sent.losses
    return without_paths(asked), without_paths(read_request(sent.body))


def without_paths(asked: Conversation) -> Conversation:
    def bare(value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            cleared = {"at": ()} if hasattr(value, "at") else {}
            if isinstance(value, Conversation):
                extras = {k: v for k, v in value.extras.items() if k != "$echo"}
                cleared |= {"fields": {}, "store": None, "bound": (), "extras": extras}  # type: ignore[dict-item]
            inner = {name: bare(getattr(value, name)) for name in value.__struct_fields__}
            return type(value)(**{**inner, **cleared})
        return tuple(bare(entry) for entry in value) if isinstance(value, tuple) else value

    return bare(asked)


_TEXT = st.text(min_size=1, max_size=8)
_PARTS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "input_text", "text": text}, _TEXT),
        st.just({"type": "input_image", "image_url": "https://x/y.png", "detail": "high"}),
        st.just({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}),
        st.just(
            {"type": "input_file", "filename": "r.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
        ),
        st.just({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}),
        st.just({"type": "tomorrow", "x": 1}),
    ),
    max_size=3,
)
_ITEMS = st.lists(
    st.one_of(
        st.builds(
            lambda role, parts, item_id: {"type": "message", "role": role, "content": parts, "id": item_id},
            st.sampled_from(["user", "developer", "system"]),
            _PARTS,
            st.sampled_from(["msg_1", None]),
        ),
        st.builds(
            lambda text: {"role": "assistant", "phase": "commentary", "content": [
                {"type": "output_text", "text": text, "annotations": [{"type": "file_path", "file_id": "x"}]},
                {"type": "refusal", "refusal": text},
            ]},
            _TEXT,
        ),
        st.builds(
            lambda text, sealed: {
                "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}],
                "encrypted_content": sealed,
            },
            _TEXT, st.just("gAAA"),
        ),
        st.just({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
        st.just({"type": "item_reference", "id": "msg_9"}),
    ),
    max_size=5,
)  # fmt: skip
_CALLS = [
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c1",
        "name": "f",
        "arguments": "{}",
        "namespace": "n",
    },
    {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "raw"},
    {"type": "function_call_output", "call_id": "c1", "output": "r"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a"}] * 2},
]
_MEMBERS: dict[str, Any] = {
    "instructions": _TEXT,
    "max_output_tokens": st.integers(16, 10**6),
    "temperature": st.sampled_from([0.0, 0.5, 2.0]),
    "top_p": st.just(0.9),
    "top_logprobs": st.integers(0, 20),
    "parallel_tool_calls": st.booleans(),
    "reasoning": st.sampled_from(
        [{"effort": "high"}, {"effort": "none"}, {"summary": "auto"}, {"effort": "low", "summary": "concise"}]
    ),
    "text": st.sampled_from(
        [{"verbosity": "low"}, {"format": {"type": "json_object"}},
         {"format": {"type": "json_schema", "name": "R", "schema": {"type": "object"}}}]
    ),
    "tool_choice": st.sampled_from(
        ["auto", "required", {"type": "function", "name": "f"}, {"type": "custom", "name": "p"},
         {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}]
    ),
    "metadata": st.just({"k": "v"}),
    "safety_identifier": _TEXT,
    "user": _TEXT,
    "prompt_cache_key": _TEXT,
    "service_tier": st.sampled_from(["flex", "priority"]),
    "include": st.just(["web_search_call.action.sources"]),
    "truncation": st.just("auto"),
    "max_tool_calls": st.just(3),
    "client_metadata": st.just({"a": "b"}),
    "previous_response_id": st.just("resp_1"),
}  # fmt: skip
_TOOLS = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True, "description": "d"},
    {"type": "custom", "name": "p", "format": {"type": "text"}},
    {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "f"}]},
    {"type": "web_search", "filters": {"allowed_domains": ["a.org"], "blocked_domains": ["b.org"]}},
    {"type": "mcp", "server_label": "x"},
]


@given(_ITEMS, st.fixed_dictionaries({}, optional=_MEMBERS), st.booleans())
def test_own_requests_go_back(items: list[Any], members: dict[str, Any], calls: bool) -> None:
    before, after = again({"input": items + (_CALLS if calls else []), "tools": _TOOLS, **members})
    assert after == before


@pytest.mark.parametrize(
    ("schema", "parameters"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"anyOf": [{"type": "object"}]}, {"anyOf": [{"type": "object"}]}),
        (SCHEMA, SCHEMA),
    ],
)
def test_the_root_of_a_foreign_schema_is_an_object_with_properties(schema: Any, parameters: Any) -> None:
    assert body(tools=(Function(name="f", parameters=schema),))["tools"][0]["parameters"] == parameters
    own = body(origin="openai_responses", tools=(Function(name="f", parameters=schema),))
    assert own["tools"][0]["parameters"] == schema


def test_a_known_limit_is_kept_to_and_an_unknown_one_is_not_guessed() -> None:
    assert body(Facts(max_output=32_768), max_output=100_000)["max_output_tokens"] == 32_768
    assert body(max_output=100_000)["max_output_tokens"] == 100_000


def test_what_chat_and_responses_share_goes_on() -> None:
    written = write(extras={"prompt_cache_retention": "24h", "x": 1})
    assert json.loads(written.body)["prompt_cache_retention"] == "24h"
    assert [loss.at for loss in written.losses] == [("x",)]
    foreign = write(origin="anthropic", extras={"prompt_cache_retention": "24h"})
    assert [loss.at for loss in foreign.losses] == [("prompt_cache_retention",)]


def test_json_without_the_word_gets_it() -> None:
    """OpenAI: "Response input messages must contain the word 'json'"; Gemini's clients need not say it."""
    asked = OutputFormat(kind="json_object")
    system = body(origin="gemini", output_format=asked)["input"][0]
    assert (system["role"], system["content"]) == (
        "system",
        [{"type": "input_text", "text": "Answer in JSON."}],
    )
    assert len(body(origin="gemini", output_format=asked)["input"]) == 2
    said = Turn(role="user", blocks=(Text(text="as JSON"),))
    assert len(body(origin="gemini", output_format=asked, turns=(said,))["input"]) == 1
    assert len(body(output_format=asked)["input"]) == 1
