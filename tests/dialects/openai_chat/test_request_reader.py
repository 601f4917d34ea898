from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.conversation import Conversation, OutputFormat, Reasoning
from dragoman.core.faults import Fault
from dragoman.dialects.openai_chat.request_reader import read_request


def read(**members: Any) -> Conversation:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    return read_request(json.dumps(body).encode())


def test_scalars_and_where_they_were_written() -> None:
    conversation = read(
        temperature=0.5,
        top_p=1,
        top_k=40,
        n=2,
        max_tokens=50,
        stop="X",
        seed=2**40,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logit_bias={"50256": -100},
        logprobs=True,
        top_logprobs=3,
        parallel_tool_calls=False,
        verbosity="low",
        metadata={"a": "b"},
        prompt_cache_key="k",
        service_tier="flex",
        store=True,
        user="u",
    )
    assert conversation.origin == "openai_chat"
    assert (conversation.temperature, conversation.top_p, conversation.top_k) == (0.5, 1, 40)
    assert (conversation.choices, conversation.max_output, conversation.stop) == (2, 50, ("X",))
    assert (conversation.seed, conversation.logit_bias) == (2**40, {"50256": -100})
    assert (conversation.logprobs, conversation.top_logprobs) == (True, 3)
    assert (conversation.parallel_tools, conversation.verbosity, conversation.store) == (False, "low", True)
    assert (conversation.cache_key, conversation.service_tier, conversation.user) == ("k", "flex", "u")
    assert conversation.where("choices") == ("n",)
    assert conversation.where("max_output") == ("max_tokens",)
    assert conversation.where("cache_key") == ("prompt_cache_key",)
    assert conversation.extras == {}


def test_nothing_said_is_nothing_read() -> None:
    named = (
        *(
            "temperature",
            "n",
            "stop",
            "tools",
            "tool_choice",
            "response_format",
            "reasoning_effort",
            "user",
            "foo",
        ),
        *("stream_options", "metadata", "logit_bias", "max_tokens", "web_search_options"),
    )
    assert read(**dict.fromkeys(named)) == read()
    assert read(stream=True, stream_options={"include_usage": True}, model="other") == read()


def test_the_newer_names_win() -> None:
    conversation = read(max_tokens=1, max_completion_tokens=2, user="u", safety_identifier="s")
    assert (conversation.max_output, conversation.user) == (2, "s")
    assert conversation.where("max_output") == ("max_completion_tokens",)
    assert conversation.extras == {"user": "u"}


@pytest.mark.parametrize(
    ("stop", "words"), [("X", ("X",)), (["a", "", "b"], ("a", "b")), ("", ()), ([], ()), (None, ())]
)
def test_stop(stop: Any, words: tuple[str, ...]) -> None:  # E092
    assert read(stop=stop).stop == words


def test_unknown_members_are_extras() -> None:
    conversation = read(prediction={"type": "content"}, foo=[1], bar=None)  # E097
    assert conversation.extras == {"prediction": {"type": "content"}, "foo": [1]}
    assert conversation.bound == ()


def test_spoken_answers_bind_to_the_vendor() -> None:
    audio = {"voice": "alloy", "format": "wav"}
    conversation = read(modalities=["text", "audio"], audio=audio)
    assert [path for path, _ in conversation.bound] == [("modalities",), ("audio",)]
    assert conversation.modalities == ("text", "audio")
    assert conversation.extras == {"audio": audio}
    assert read(modalities=["text"]).bound == ()


@pytest.mark.parametrize(
    ("members", "reasoning"),
    [
        ({"reasoning_effort": "high"}, Reasoning(effort="high", visible=True)),
        ({"reasoning_effort": "none"}, Reasoning(mode="off")),
        ({"reasoning": {"effort": "low"}}, Reasoning(effort="low", visible=True)),
        ({"reasoning": {"effort": "low", "exclude": True}}, Reasoning(effort="low")),
        ({"reasoning": {"max_tokens": 2000}}, Reasoning(budget=2000, visible=True)),
        ({"reasoning": {"enabled": False}}, Reasoning(mode="off")),
        ({"reasoning": {"enabled": True}}, Reasoning(visible=True)),
        ({"reasoning": {}}, None),
    ],
)
def test_reasoning(members: dict[str, Any], reasoning: Reasoning | None) -> None:
    conversation = read(**members)
    assert conversation.reasoning == reasoning
    if reasoning is not None:
        assert conversation.where("reasoning") == tuple(members)


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, Reasoning(mode="on", budget=2000, visible=True)),
        ({"type": "enabled"}, Reasoning(mode="on", visible=True)),
        ({"type": "adaptive"}, Reasoning(mode="adaptive", visible=True)),
        ({"type": "disabled"}, Reasoning(mode="off")),
    ],
)
def test_the_thinking_of_claude_deepseek_and_glm(thinking: Any, reasoning: Reasoning) -> None:
    conversation = read(thinking=thinking)
    assert conversation.reasoning == reasoning
    assert conversation.where("reasoning") == ("thinking",)
    assert conversation.extras == {"$thinking": thinking}
    assert read(thinking=thinking, reasoning_effort="low").extras == {"thinking": thinking}


def test_thinking_in_other_words_is_an_extra() -> None:
    assert read(thinking="yes").extras == {"thinking": "yes"}


def test_an_empty_effort_says_nothing() -> None:
    assert read(reasoning_effort="").reasoning is None


def test_formats() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    given_ = {
        "type": "json_schema",
        "json_schema": {"name": "R", "schema": schema, "strict": True, "description": "d"},
    }
    assert read(response_format=given_).output_format == OutputFormat(
        kind="json_schema", name="R", description="d", schema=schema, strict=True
    )
    assert read(response_format={"type": "json_object"}).output_format == OutputFormat(kind="json_object")
    assert read(response_format={"type": "text"}).output_format is None


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"stop": 5}, "stop"),
        ({"stop": [5]}, "stop[0]"),
        ({"logprobs": 5}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {"1": "x"}}, "logit_bias.1"),
        ({"metadata": []}, "metadata"),
        ({"user": 5}, "user"),
        ({"reasoning_effort": "wild"}, "reasoning_effort"),
        ({"reasoning": {"effort": "wild"}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": -5}}, "reasoning.max_tokens"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": "json"}, "response_format"),
        ({"modalities": "text"}, "modalities"),
        ({"audio": 5}, "audio"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
)
def test_what_cannot_be_is_400_with_its_path(members: dict[str, Any], path: str) -> None:
    with pytest.raises(Fault) as caught:
        read(**members)
    assert (caught.value.status, caught.value.param) == (400, path)
    assert caught.value.message.startswith(f"{path}: ")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "x", "user", "auto", "function", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "function",
                    "name",
                    "tool_calls",
                    "id",
                    "arguments",
                    "image_url",
                    "url",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
MEMBERS = [
    "messages",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "reasoning",
    "stop",
]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4))
def test_whatever_comes_is_a_conversation_or_a_400(members: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], **members}
    status = 400
    try:
        read_request(json.dumps(body).encode())
    except Fault as fault:
        status = fault.status
    assert status == 400
