import json

import openai
import pytest

from dragoman.simulator.reply import signature

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def client(sim):
    with openai.OpenAI(base_url=f"{sim.url}/v1", api_key="k", max_retries=0) as client:
        yield client


def post(sim, **body):
    return sim.post("/v1/responses", {"model": "gpt-5.4", "input": "Hello"} | body)


def test_answer(client) -> None:
    answer = client.responses.create(model="gpt-5.4", input="Hello", instructions="four")
    assert (answer.output_text, answer.status, answer.id[:5]) == ("Echo: Hello", "completed", "resp_")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (3, 3, 6)


def test_event_order(sim) -> None:
    answer = post(sim, stream=True, reasoning={"effort": "low", "summary": "detailed"})
    assert answer.names() == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    events = answer.events()
    assert [event["type"] for event in events] == answer.names()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert events[-1]["response"]["output"] == [events[8]["item"], events[15]["item"]]


def test_stream_through_the_sdk(client) -> None:
    with client.responses.stream(model="m", input="Hello", tools=[TOOL]) as stream:
        final = list(stream)[-1].response
    assert (final.output[0].name, json.loads(final.output[0].arguments)) == ("get_weather", {"city": "city"})


def test_tool_loop_over_the_stored_response(client) -> None:
    first = client.responses.create(model="m", input="Weather?", tools=[TOOL])
    made = first.output[0]
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "sunny"}
    second = client.responses.create(model="m", previous_response_id=first.id, input=[result], tools=[TOOL])
    assert second.output_text == "The tool answered: sunny"
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.previous_response_id == first.id


def test_namespaces_hold_tools(sim) -> None:
    answer = post(
        sim, tools=[{"type": "web_search"}, {"type": "namespace", "name": "n", "tools": [TOOL]}]
    ).json()
    assert [item["type"] for item in answer["output"]] == ["function_call"]


def test_reasoning_items(sim) -> None:
    bare = post(sim, reasoning={"effort": "low"}).json()["output"][0]
    assert (bare["type"], bare["summary"], "encrypted_content" in bare) == ("reasoning", [], False)
    asked = post(sim, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"]).json()["output"][
        0
    ]
    assert asked["encrypted_content"] == signature("Thinking about: Hello")
    assert post(sim, reasoning={"effort": "none"}).json()["output"][0]["type"] == "message"


def test_web_search_comes_before_the_message(sim) -> None:
    output = post(sim, tools=[{"type": "web_search_preview"}]).json()["output"]
    assert [item["type"] for item in output] == ["web_search_call", "message"]
    assert output[1]["content"][0]["annotations"][0]["type"] == "url_citation"


def test_incomplete(sim) -> None:
    answer = post(sim, max_output_tokens=1).json()
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert post(sim, max_output_tokens=1, stream=True).names()[-1] == "response.incomplete"


def test_structured_output(sim) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = post(sim, text={"format": {"type": "json_schema", "name": "x", "schema": schema}}).json()
    assert json.loads(answer["output"][0]["content"][0]["text"]) == {"n": 1}


def test_stored_responses(client, sim) -> None:
    made = client.responses.create(model="m", input="Hello")
    assert client.responses.retrieve(made.id).output_text == "Echo: Hello"
    items = client.responses.input_items.list(made.id).data
    assert items[0].content[0].text == "Hello"
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    unkept = client.responses.create(model="m", input="Hello", store=False)
    assert sim.get(f"/v1/responses/{unkept.id}").status == 404
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="m", input="x", previous_response_id=unkept.id)
    assert caught.value.code == "previous_response_not_found"


def test_input_items_in_pages(sim) -> None:
    items = [{"role": "user", "content": text} for text in ("a", "b", "c")]
    path = f"/v1/responses/{post(sim, input=items).json()['id']}/input_items?order=asc&limit=2"
    first = sim.get(path).json()
    assert ([item["content"] for item in first["data"]], first["has_more"]) == (["a", "b"], True)
    rest = sim.get(f"{path}&after={first['last_id']}").json()
    assert ([item["content"] for item in rest["data"]], rest["has_more"]) == (["c"], False)


def test_background_is_queued_then_completed(client) -> None:
    made = client.responses.create(model="m", input="Hello", background=True)
    assert (made.status, made.output) == ("queued", [])
    assert client.responses.retrieve(made.id).output_text == "Echo: Hello"
    slow = client.responses.create(model="m", input="[[sim polls=2]] Hello", background=True)
    seen = [client.responses.retrieve(slow.id).status for _ in range(3)]
    assert seen == ["in_progress", "in_progress", "completed"]


def test_cancel(client) -> None:
    made = client.responses.create(model="m", input="Hello", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert client.responses.retrieve(made.id).status == "cancelled"
    plain = client.responses.create(model="m", input="Hello")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(plain.id)


def test_a_background_stream_can_be_taken_up_again(sim) -> None:
    events = post(sim, background=True, stream=True, x="").events()
    assert [event["type"] for event in events[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    path = f"/v1/responses/{events[0]['response']['id']}?stream=true&starting_after=4"
    assert sim.get(path).events() == events[5:]


def test_failures_inside_a_stream(client, sim) -> None:
    last = post(sim, stream=True, input="[[sim error_frame=3;message=gone]] x").events()[-1]
    assert (last["type"], last["sequence_number"], last["response"]["error"]["message"]) == (
        "response.failed",
        3,
        "gone",
    )
    assert last["response"]["status"] == "failed"


@pytest.mark.parametrize(
    "body",
    [
        {"input": None},
        {"input": [1]},
        {"background": True, "store": False},
        {"input": [{"role": "user", "content": [{"type": "text"}]}]},
    ],
)
def test_invalid_requests(sim, body) -> None:
    assert post(sim, **body).status == 400
