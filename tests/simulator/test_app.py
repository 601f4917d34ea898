"""What holds for every dialect: credentials, directives, cuts, the journal."""

import asyncio
import base64
import http.client
import json
import time

import pytest

from dragoman.simulator import create_app

CHAT = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
RESPONSES = {"model": "gpt-5.4", "input": "Hello"}
MESSAGES = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
GEMINI = {"contents": [{"parts": [{"text": "Hello"}]}]}
VERSION = {"anthropic_version": "2023-06-01"}

CALLS = {
    "chat": ("/v1/chat/completions", CHAT, {}),
    "responses": ("/v1/responses", RESPONSES, {}),
    "messages": ("/v1/messages", MESSAGES, VERSION),
    "gemini": ("/v1beta/models/g:generateContent", GEMINI, {}),
}
STREAMS = {
    "chat": ("/v1/chat/completions", CHAT | {"stream": True}, {}),
    "responses": ("/v1/responses", RESPONSES | {"stream": True}, {}),
    "messages": ("/v1/messages", MESSAGES | {"stream": True}, VERSION),
    "gemini": ("/v1beta/models/g:streamGenerateContent?alt=sse", GEMINI, {}),
    "gemini_array": ("/v1beta/models/g:streamGenerateContent", GEMINI, {}),
}


def wait_for(read, wanted):
    """Polls until `read()` is `wanted`; the test's own time limit ends it."""
    deadline = time.monotonic() + 20
    while read() != wanted:
        assert time.monotonic() < deadline, (read(), wanted)
        time.sleep(0.01)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer k"},
        {"authorization": "bearer k"},
        {"authorization": "k"},
        {"authorization": None, "x_api_key": "k"},
        {"authorization": None, "x_goog_api_key": "k"},
        {"authorization": None, "api_key": "k"},
    ],
)
def test_any_credential_in_any_position(sim, headers) -> None:
    assert sim.post("/v1/chat/completions", CHAT, **headers).status == 200


def test_credential_in_the_query(sim) -> None:
    assert sim.post("/v1/chat/completions?key=k", CHAT, authorization=None).status == 200


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("key", [None, "Bearer bad-key"])
def test_no_or_bad_credential_is_401_in_the_dialects_shape(sim, name, key) -> None:
    path, body, headers = CALLS[name]
    answer = sim.post(path, body, **headers, authorization=key)
    error = answer.json()["error"]
    assert answer.status == 401
    assert "authentication_error" in (error.get("type"),) or error["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", CALLS)
def test_same_request_same_answer(sim, name) -> None:
    path, body, headers = CALLS[name]
    one, two = (sim.post(path, body, **headers, x_sim="id=same").body for _ in range(2))
    assert one == two
    assert sim.post(path, body, **headers).body != sim.post(path, body, **headers).body


@pytest.mark.parametrize("name", CALLS)
def test_status_and_retry_after(sim, name) -> None:
    path, body, headers = CALLS[name]
    answer = sim.post(path, body, **headers, x_sim="status=429;retry_after=7;message=slow_down")
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["message"] == "slow down"


@pytest.mark.parametrize("name", STREAMS)
def test_directives_in_the_prompt(sim, name) -> None:
    path, body, headers = STREAMS[name]
    text = json.dumps(body).replace("Hello", "[[sim status=503]] Hello")
    assert sim.post(path, json.loads(text), **headers).status == 503


def test_unknown_directives_are_errors(sim) -> None:
    assert sim.post("/v1/chat/completions", CHAT, x_sim="stauts=1").json()["error"]["code"] == "bad_directive"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_after_frames(sim, name) -> None:
    path, body, headers = STREAMS[name]
    whole = sim.post(path, body, **headers, x_sim="id=a;frames=5")
    cut = sim.post(path, body, **headers, x_sim="id=a;frames=5;cut=2")
    assert (whole.cut, cut.cut, cut.status) == (False, True, 200)
    assert whole.body.startswith(cut.body) and 0 < len(cut.body) < len(whole.body)
    assert [row["outcome"] for row in sim.requests()] == ["complete", "cut"]


@pytest.mark.parametrize("name", [*CALLS])
@pytest.mark.parametrize("at", [0, 1, 100])
def test_bodies_and_streams_cut_after_bytes(sim, name, at) -> None:
    for path, body, headers in (CALLS[name], STREAMS[name]):
        answer = sim.post(path, body, **headers, x_sim=f"cut_bytes={at}")
        assert (answer.cut, len(answer.body)) == (True, at)


@pytest.mark.parametrize("wish", ["drop=1", "malformed=http"])
def test_no_http_answer(sim, wish) -> None:
    with pytest.raises(http.client.HTTPException):
        sim.post("/v1/chat/completions", CHAT, x_sim=wish)
    assert sim.requests()[-1]["outcome"] == "dropped"


def test_malformed_body_and_frame(sim) -> None:
    whole = sim.post("/v1/chat/completions", CHAT, x_sim="malformed=1")
    assert whole.status == 200
    with pytest.raises(ValueError):
        whole.json()
    stream = sim.post("/v1/chat/completions", CHAT | {"stream": True}, x_sim="malformed=1")
    assert b"data: {this is not JSON\n\n" in stream.body and not stream.cut


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("chat", b"data: [DONE]\n\n"),
        ("responses", b""),
        ("messages", b""),
        ("gemini", b'"status":"INTERNAL"}}\r\n\r\n'),
        ("gemini_array", b'"status":"INTERNAL"}}]'),
    ],
)
def test_errors_inside_a_stream(sim, name, last) -> None:
    path, body, headers = STREAMS[name]
    answer = sim.post(path, body, **headers, x_sim="error_frame=2;message=went_wrong")
    assert (answer.status, answer.cut) == (200, False)
    assert b"went wrong" in answer.body and answer.body.endswith(last)
    if name == "gemini_array":
        assert json.loads(answer.body)[-1]["error"]["code"] == 500


def test_a_client_that_leaves_is_noticed(sim) -> None:
    connection = http.client.HTTPConnection(sim.url.removeprefix("http://"), timeout=10)
    headers = {"Authorization": "Bearer k", "x-sim": "frames=100000;slow_frame=20"}
    connection.request("POST", "/v1/chat/completions", json.dumps(CHAT | {"stream": True}), headers)
    response = connection.getresponse()
    response.read(10)
    response.close()
    connection.close()
    wait_for(lambda: sim.requests()[-1]["outcome"], "client_gone")


def test_a_client_that_leaves_before_the_first_byte_is_noticed(sim) -> None:
    connection = http.client.HTTPConnection(sim.url.removeprefix("http://"), timeout=10)
    headers = {"Authorization": "Bearer k", "x-sim": "slow_first=60000"}
    connection.request("POST", "/v1/chat/completions", json.dumps(CHAT), headers)
    wait_for(lambda: len(sim.requests()), 1)
    connection.close()
    wait_for(lambda: sim.requests()[-1]["outcome"], "client_gone")


def test_many_frames(sim) -> None:
    answer = sim.post("/v1/chat/completions", CHAT | {"stream": True}, x_sim="frames=5000")
    assert len(answer.events()) == 5003
    assert sim.requests()[-1]["frames"] == 5003


def test_journal_shows_the_request_as_it_came(sim) -> None:
    sim.send("POST", "/up/two/v1/chat/completions?a=1&b=%20", b'{"model": "m",  "odd":1}', X_Custom="yes")
    [row] = sim.requests()
    assert (row["method"], row["path"], row["query"]) == ("POST", "/up/two/v1/chat/completions", "a=1&b=%20")
    assert base64.b64decode(row["body"]) == b'{"model": "m",  "odd":1}'
    assert ["x-custom", "yes"] in row["headers"]
    assert row["status"] == 400


@pytest.mark.parametrize(
    ("body", "message"), [(b"{", "parse"), (b"[]", "object"), (b"", "Missing required parameter: 'model'")]
)
def test_bad_bodies(sim, body, message) -> None:
    answer = sim.send("POST", "/v1/chat/completions", body)
    assert answer.status == 400
    assert message in answer.json()["error"]["message"]


def test_large_bodies(sim) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 3_000_000}]}
    assert sim.post("/v1/chat/completions", body).json()["usage"]["prompt_tokens"] == 750_000
    assert sim.requests()[-1]["body_bytes"] > 3_000_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": 5}]}),
        ("/v1/chat/completions", CHAT | {"tools": 5}),
        ("/v1/responses", RESPONSES | {"reasoning": "much"}),
        ("/v1/messages", MESSAGES | {"system": 5}),
        ("/v1beta/models/g:generateContent", {"contents": ["x"]}),
        ("/v1/embeddings", {"model": "m", "input": "x", "dimensions": "many"}),
    ],
)
def test_odd_shapes_are_the_callers_fault(sim, path, body) -> None:
    assert sim.post(path, body, **VERSION).status == 400


def test_lifespan() -> None:
    sent: list[str] = []

    async def run() -> None:
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive():
            return {"type": next(messages)}

        async def send(message):
            sent.append(message["type"])

        await create_app()({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
