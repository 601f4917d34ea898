"""The documents' own samples for chat and embeddings, as raw HTTP: what the SDKs would smooth over shows here."""

from __future__ import annotations

import base64
import http.client
import json
import math
import struct
from collections.abc import Iterator
from typing import Any

import pytest

HELLO = [{"role": "user", "content": "Hello there"}]
CHAT = "/v1/chat/completions"


def ask(gateway, path: str, body: Any, **headers: str | None) -> Any:
    """POSTs JSON and reads JSON; Bearer unless `authorization` is given."""
    with_key = {"authorization": f"Bearer {gateway.key}"} | {
        n.replace("_", "-"): v for n, v in headers.items()
    }
    sent = {name: value for name, value in with_key.items() if value is not None}
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"} | sent)
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        return answer
    finally:
        connection.close()


def pieces(gateway, path: str, body: Any) -> Iterator[bytes]:
    """A streamed answer as it comes off the network, one piece a read."""
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {gateway.key}"})
        response = connection.getresponse()
        assert response.getheader("content-type", "").startswith("text/event-stream")
        while piece := response.read1(1 << 20):
            yield piece
    finally:
        connection.close()


def test_chat_and_multi_turn(gateway) -> None:
    turns = list(HELLO)
    first = ask(gateway, CHAT, {"model": "gpt-5.4", "messages": turns, "temperature": 0.7, "max_tokens": 100})
    assert first["object"] == "chat.completion"
    turns += [first["choices"][0]["message"], {"role": "user", "content": "And then?"}]
    second = ask(gateway, CHAT, {"model": "gpt-5.4", "messages": turns})
    assert second["choices"][0]["message"]["content"] == "Echo: And then?"
    assert set(second["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_reply_only_ok(gateway) -> None:
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Reply only OK"}]}
    assert ask(gateway, CHAT, body)["choices"][0]["message"]["content"] == "OK"


def test_stream_of_the_requests_sample(gateway) -> None:
    """It indexes choices[0] without a guard and prints `delta.get("content", "")`, which must be text."""
    body = {"model": "gpt-5.4", "messages": HELLO, "stream": True}
    lines = b"".join(pieces(gateway, CHAT, body)).decode().split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    texts = [json.loads(item)["choices"][0]["delta"].get("content", "") for item in data[:-1]]
    assert (data[-1], "".join(texts)) == ("[DONE]", "Echo: Hello there")


def test_stream_of_the_php_sample(gateway) -> None:
    """It splits each network piece at line ends and keeps nothing over: a piece must hold whole lines."""
    found = []
    for piece in pieces(gateway, CHAT, {"model": "gpt-5.4", "messages": HELLO, "stream": True}):
        for line in piece.decode().split("\n"):
            if line.startswith("data: ") and line != "data: [DONE]":
                found.append(json.loads(line[6:])["choices"][0]["delta"].get("content") or "")
    assert "".join(found) == "Echo: Hello there"


def test_function_calling_with_its_null_keys(gateway) -> None:
    """The assistant's message goes back with every key that an SDK's model_dump() writes, most of them null."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "description": "d", "parameters": parameters},
    }
    clock = {
        "type": "function",
        "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
    }
    options = {"model": "gpt-5.4", "tools": [tool, clock], "tool_choice": "auto", "parallel_tool_calls": True}
    message = ask(gateway, CHAT, options | {"messages": HELLO})["choices"][0]["message"]
    assert [made["function"]["name"] for made in message["tool_calls"]] == ["get_weather", "get_time"]
    nulls = dict.fromkeys(("refusal", "audio", "function_call", "annotations", "reasoning_content"))
    turns: list[dict[str, Any]] = [*HELLO, nulls | message]
    for made in message["tool_calls"]:
        assert isinstance(json.loads(made["function"]["arguments"]), dict)
        turns.append(
            {"role": "tool", "tool_call_id": made["id"], "name": made["function"]["name"], "content": "fine"}
        )
    after = ask(gateway, CHAT, options | {"messages": turns})["choices"][0]
    assert (after["finish_reason"], after["message"]["content"]) == ("stop", "The tool answered: fine")
    turns += [nulls | {"tool_calls": None} | after["message"], {"role": "user", "content": "Thanks"}]
    last = ask(gateway, CHAT, {"model": "gpt-5.4", "messages": turns})["choices"][0]
    assert last["message"]["content"] == "Echo: Thanks"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_time"}}])
def test_forced_tools(gateway, choice) -> None:
    tool = {
        "type": "function",
        "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
    }
    body = {"model": "gpt-5.4", "messages": HELLO, "tools": [tool], "tool_choice": choice}
    message = ask(gateway, CHAT, body)["choices"][0]["message"]
    assert (message["content"], message["tool_calls"][0]["function"]["name"]) == (None, "get_time")


def test_vision(gateway) -> None:
    png = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    remote = "https://example.com/a.png"
    images = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in (png, remote)]
    content = [{"type": "text", "text": "What is this?"}, *images]
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": content}]}
    answer = ask(gateway, CHAT, body)
    assert isinstance(answer["choices"][0]["message"]["content"], str)
    assert answer["usage"]["prompt_tokens"] == 4 + 2 * 85


def test_embeddings_one_many_and_shortened(gateway) -> None:
    model = "text-embedding-3-large"
    one = ask(gateway, "/v1/embeddings", {"model": model, "input": "The cat"})["data"]
    many = ask(gateway, "/v1/embeddings", {"model": model, "input": ["The cat", "A dog"]})["data"]
    assert ([item["index"] for item in many], one[0]["embedding"]) == ([0, 1], many[0]["embedding"])
    short = ask(gateway, "/v1/embeddings", {"model": model, "input": "The cat", "dimensions": 256})["data"][0]
    assert len(short["embedding"]) == 256
    similarity = sum(a * b for a, b in zip(many[0]["embedding"], many[1]["embedding"], strict=True))
    assert -1 <= similarity < 1 and math.isclose(sum(a * a for a in short["embedding"]), 1, rel_tol=1e-6)


def test_embeddings_as_base64_and_of_token_ids(gateway) -> None:
    body = {
        "model": "text-embedding-3-large",
        "input": [[1, 2, 3], [4]],
        "encoding_format": "base64",
        "dimensions": 8,
    }
    for item in ask(gateway, "/v1/embeddings", body)["data"]:
        assert len(struct.unpack("<8f", base64.b64decode(item["embedding"]))) == 8


@pytest.mark.parametrize("header", ["authorization", "x_api_key"])
def test_messages_of_the_getting_started_page(gateway, header) -> None:
    body = {"model": "claude-sonnet-4-6", "max_tokens": 32, "messages": HELLO}
    key = f"Bearer {gateway.key}" if header == "authorization" else gateway.key
    headers = {"authorization": None, "anthropic_version": "2023-06-01"} | {header: key}
    assert ask(gateway, "/v1/messages", body, **headers)["content"][0]["text"] == "Echo: Hello there"


def test_gemini_of_the_getting_started_page(gateway) -> None:
    path = f"/v1beta/models/gemini-2.5-flash:generateContent?key={gateway.key}"
    answer = ask(gateway, path, {"contents": [{"parts": [{"text": "Hello there"}]}]}, authorization=None)
    assert answer["candidates"][0]["content"]["parts"][0]["text"] == "Echo: Hello there"
