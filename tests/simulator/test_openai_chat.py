import json

import openai
import pytest

USER = {"role": "user", "content": "What is the weather?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def client(sim):
    with openai.OpenAI(base_url=f"{sim.url}/v1", api_key="k", max_retries=0) as client:
        yield client


def post(sim, **body):
    return sim.post("/v1/chat/completions", {"model": "m", "messages": [USER]} | body)


def test_answer(client) -> None:
    answer = client.chat.completions.create(model="gpt-5.4", messages=[USER])
    assert (answer.object, answer.model, answer.id[:9]) == ("chat.completion", "gpt-5.4", "chatcmpl-")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (
        "Echo: What is the weather?",
        "stop",
    )
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        5,
        7,
        12,
    )


def test_stream_order_and_usage_only_when_asked(sim) -> None:
    plain = post(sim, stream=True).events()
    assert plain[-1] == "[DONE]" and not any("usage" in chunk for chunk in plain[:-1])
    assert plain[0]["choices"][0]["delta"]["role"] == "assistant"
    assert plain[-2]["choices"][0]["finish_reason"] == "stop"
    asked = post(sim, stream=True, stream_options={"include_usage": True}).events()
    assert (asked[-2]["choices"], asked[-2]["usage"]["total_tokens"]) == ([], 12)
    assert all(chunk["usage"] is None for chunk in asked[:-2])
    assert (
        "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in asked[:-2])
        == "Echo: What is the weather?"
    )


def test_stream_through_the_sdk(client) -> None:
    with client.chat.completions.create(model="m", messages=[USER], stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == "Echo: What is the weather?"


def test_tool_loop(client) -> None:
    first = client.chat.completions.create(model="m", messages=[USER], tools=[WEATHER]).choices[0]
    [made] = first.message.tool_calls
    assert (first.finish_reason, first.message.content) == ("tool_calls", None)
    assert (made.function.name, json.loads(made.function.arguments)) == ("get_weather", {"city": "city"})
    turn = [USER, first.message, {"role": "tool", "tool_call_id": made.id, "content": "sunny"}]
    second = client.chat.completions.create(model="m", messages=turn, tools=[WEATHER]).choices[0]
    assert (second.message.content, second.finish_reason) == ("The tool answered: sunny", "stop")


def test_parallel_and_forced_tools(client) -> None:
    clock = {"type": "function", "function": {"name": "get_time"}}
    both = client.chat.completions.create(
        model="m", messages=[USER], tools=[WEATHER, clock], parallel_tool_calls=True
    )
    assert [made.function.name for made in both.choices[0].message.tool_calls] == ["get_weather", "get_time"]
    forced = {"type": "function", "function": {"name": "get_time"}}
    one = client.chat.completions.create(
        model="m", messages=[USER], tools=[WEATHER, clock], tool_choice=forced
    )
    assert [made.function.name for made in one.choices[0].message.tool_calls] == ["get_time"]
    none = client.chat.completions.create(model="m", messages=[USER], tools=[WEATHER], tool_choice="none")
    assert none.choices[0].message.tool_calls is None


def test_streamed_tool_call_comes_in_pieces(sim) -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in post(sim, stream=True, tools=[WEATHER]).events()[:-1]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert (calls[0]["function"]["name"], calls[0]["id"][:5], len(calls)) == ("get_weather", "call_", 3)
    assert json.loads("".join(made["function"]["arguments"] for made in calls)) == {"city": "city"}


def test_reasoning(client) -> None:
    answer = client.chat.completions.create(model="o", messages=[USER], reasoning_effort="low")
    assert answer.choices[0].message.reasoning_content.startswith("Thinking about: ")
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


def test_structured_output_and_limits(sim) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads(post(sim, response_format=wanted).json()["choices"][0]["message"]["content"]) == {
        "n": 1
    }
    short = post(sim, max_completion_tokens=2).json()
    assert (short["choices"][0]["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 2)
    stopped = post(sim, stop=" the").json()["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("Echo: What is", "stop")


def test_parts_are_counted(sim) -> None:
    parts = [
        {"type": "text", "text": "four"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    assert post(sim, messages=[{"role": "user", "content": parts}]).json()["usage"]["prompt_tokens"] == 86
    bad = post(sim, messages=[{"role": "user", "content": [{"type": "input_text", "text": "x"}]}])
    assert (bad.status, bad.json()["error"]["code"]) == (400, "invalid_value")


def test_cached_tokens_and_several_choices(sim) -> None:
    usage = post(sim, prompt_cache_key="k", n=2).json()["usage"]
    assert (usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens"]) == (2, 14)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_errors_through_the_sdk(client, status, error) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(
            model="m", messages=[USER], extra_headers={"x-sim": f"status={status}"}
        )
    assert caught.value.status_code == status


def test_errors_inside_a_stream_through_the_sdk(client) -> None:
    with pytest.raises(openai.APIError):
        list(
            client.chat.completions.create(
                model="m", messages=[USER], stream=True, extra_headers={"x-sim": "error_frame=2"}
            )
        )


@pytest.mark.parametrize("body", [{"messages": []}, {"messages": None}, {"model": None}, {"messages": ["x"]}])
def test_invalid_requests(sim, body) -> None:
    assert post(sim, **body).status == 400
    assert post(sim, model="missing-1").status == 404
