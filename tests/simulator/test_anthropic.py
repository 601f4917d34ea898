import anthropic
import pytest

TOOL = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
USER = {"role": "user", "content": "Weather?"}


@pytest.fixture
def client(sim):
    with anthropic.Anthropic(base_url=sim.url, api_key="k", max_retries=0) as client:
        yield client


def post(sim, path="/v1/messages", **body):
    whole = {"model": "claude-x", "max_tokens": 100, "messages": [USER]} | body
    return sim.post(path, whole, anthropic_version="2023-06-01")


def test_answer(client) -> None:
    answer = client.messages.create(model="claude-x", max_tokens=100, messages=[USER], system="four")
    assert (answer.content[0].text, answer.stop_reason, answer.model) == (
        "Echo: Weather?",
        "end_turn",
        "claude-x",
    )
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 4)


def test_event_order(sim) -> None:
    answer = post(sim, stream=True, thinking={"type": "enabled", "budget_tokens": 50})
    assert answer.names() == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    events = answer.events()
    kinds = [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"]
    assert kinds == ["thinking_delta", "thinking_delta", "signature_delta", "text_delta", "text_delta"]
    assert events[0]["message"]["usage"]["input_tokens"] == 2
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


def test_stream_through_the_sdk(client) -> None:
    with client.messages.stream(model="m", max_tokens=100, messages=[USER], tools=[TOOL]) as stream:
        final = stream.get_final_message()
    assert (final.content[0].name, final.content[0].input) == ("get_weather", {"city": "city"})
    assert final.stop_reason == "tool_use"


def test_tool_loop_with_thinking(client) -> None:
    options = {
        "model": "m",
        "max_tokens": 2000,
        "tools": [TOOL],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    first = client.messages.create(messages=[USER], **options)
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    result = {
        "type": "tool_result",
        "tool_use_id": first.content[1].id,
        "content": [{"type": "text", "text": "sunny"}],
    }
    turns = [USER, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(messages=turns, **options).content[1].text == "The tool answered: sunny"
    first.content[0].thinking = "altered"
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(messages=turns, **options)


def test_omitted_thinking_is_proved_by_its_signature(sim) -> None:
    thinking = post(sim, thinking={"type": "adaptive", "display": "omitted"}).json()["content"][0]
    assert (thinking["thinking"], bool(thinking["signature"])) == ("", True)
    assert post(sim, messages=[USER, {"role": "assistant", "content": [thinking]}, USER]).status == 200


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
        ({"type": "auto", "disable_parallel_tool_use": False}, ["get_weather", "get_time"]),
    ],
)
def test_tool_choice(sim, choice, names) -> None:
    tools = [
        TOOL,
        {"name": "get_time", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "w"},
    ]
    content = post(sim, tools=tools, tool_choice=choice).json()["content"]
    assert [block["name"] for block in content if block["type"] == "tool_use"] == names


def test_stop_sequences_limits_and_structure(sim) -> None:
    stopped = post(sim, stop_sequences=["ther"]).json()
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "ther")
    assert post(sim, max_tokens=1).json()["stop_reason"] == "max_tokens"
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"format": {"type": "json_schema", "schema": schema}}
    assert post(sim, output_config=wanted).json()["content"][0]["text"] == '{"n":1}'


def test_cache_counts_are_disjoint(sim) -> None:
    system = [
        {"type": "text", "text": "x" * 400, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "x" * 200, "cache_control": {"type": "ephemeral"}},
    ]
    usage = post(sim, system=system).json()["usage"]
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 100}
    assert (usage["cache_creation_input_tokens"], usage["input_tokens"]) == (150, 2)
    asked = sim.post(
        "/v1/messages",
        {"model": "m", "max_tokens": 9, "messages": [USER]},
        anthropic_version="2023-06-01",
        x_sim="input=100;cached=60;cache_write=30",
    ).json()["usage"]
    assert (
        asked["input_tokens"],
        asked["cache_read_input_tokens"],
        asked["cache_creation_input_tokens"],
    ) == (10, 60, 30)


def test_count_tokens(client, sim) -> None:
    assert client.messages.count_tokens(model="m", messages=[USER], system="four").input_tokens == 3
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    counted = post(sim, "/v1/messages/count_tokens", messages=[{"role": "user", "content": [image]}])
    assert counted.json() == {"input_tokens": 85}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages.0.role"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than"),
        ({"model": 5}, "model: Input should be a valid str"),
    ],
)
def test_invalid_requests(sim, body, message) -> None:
    answer = post(sim, **body)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert message in answer.json()["error"]["message"]


def test_the_version_header_is_required(sim) -> None:
    answer = sim.post("/v1/messages", {"model": "m", "max_tokens": 5, "messages": [USER]})
    assert (answer.status, answer.json()["error"]["message"]) == (
        400,
        "anthropic-version: header is required",
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [(402, "billing_error"), (404, "not_found_error"), (500, "api_error"), (529, "overloaded_error")],
)
def test_error_types(sim, status, kind) -> None:
    answer = post(sim, messages=[{"role": "user", "content": f"[[sim status={status}]]"}])
    assert (answer.status, answer.json()["error"]["type"]) == (status, kind)
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_errors_inside_a_stream_through_the_sdk(client) -> None:
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "[[sim error_frame=3]]"}]
        ) as stream,
    ):
        stream.get_final_message()


def test_models_list_ends(client) -> None:
    assert "claude-sonnet-4-6" in [model.id for model in client.models.list(limit=3)]
