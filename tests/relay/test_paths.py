"""Path repair and matching: clients.md's table, the aliases, the probes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.faults import Fault
from dragoman.relay.paths import Route, match, repair, surface_of

CANONICAL = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/responses",
    "/v1/responses/resp_1",
    "/v1/responses/resp_1/cancel",
    "/v1/responses/resp_1/input_items",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/models",
    "/v1/models/gpt-5.4",
    "/v1/models/a%2Fb",
    "/v1/models/vendor/model",
    "/v1/models/gemini-3-pro:generateContent",
    "/v1beta/models",
    "/v1beta/models/gemini-3-pro",
    "/v1beta/models/gemini-3-pro:streamGenerateContent",
    "/v1alpha/models/gemini-3-pro:generateContent",
    "/v1beta/openai/models",
    "/claude/v1/models",
    "/claude/v1/models/claude-sonnet-4-6",
]

MISTAKES = {
    "/v1/v1/messages": "/v1/messages",
    "/v1/v1/v1/v1/models": "/v1/models",
    "/v1/v1/chat/completions": "/v1/chat/completions",
    "/v1/v1/models/gemini-3-pro:generateContent": "/v1/models/gemini-3-pro:generateContent",
    "/v1/messages/v1/messages": "/v1/messages",
    "/v1/messages/v1/messages/count_tokens": "/v1/messages/count_tokens",
    "/v1/complete/v1/messages": "/v1/messages",
    "/v1/chat/completions/chat/completions": "/v1/chat/completions",
    "/v1/chat/completions/models": "/v1/models",
    "/v1/chat/completions/responses": "/v1/responses",
    "/v1/chat/completions/responses/resp_1": "/v1/responses/resp_1",
    "/v1/chat/completions/embeddings": "/v1/embeddings",
    "/v1/chat/completions/v1/chat/completions": "/v1/chat/completions",
    "/v1/chat/completions/v1/models": "/v1/models",
    "/v1/models/v1/chat/completions": "/v1/chat/completions",
    "/v1/models/v1/models": "/v1/models",
    "/v1/models/chat/completions": "/v1/chat/completions",
    "/chat/completions": "/v1/chat/completions",
    "/chat/completions/chat/completions": "/v1/chat/completions",
    "/responses": "/v1/responses",
    "/responses/resp_1/cancel": "/v1/responses/resp_1/cancel",
    "/embeddings": "/v1/embeddings",
    "/models": "/v1/models",
    "/models/gpt-5.4": "/v1/models/gpt-5.4",
    "/rerank": "/v1/rerank",
    "/audio/speech": "/v1/audio/speech",
    "/images/generations": "/v1/images/generations",
    "/completions": "/v1/completions",
    "/v1/v1beta/models/g:generateContent": "/v1beta/models/g:generateContent",
    "/v1beta/v1beta/models/g:streamGenerateContent": "/v1beta/models/g:streamGenerateContent",
    "/v1/v1/v1beta/v1beta/models": "/v1beta/models",
    "//v1/chat/completions": "/v1/chat/completions",
    "/v1//chat///completions": "/v1/chat/completions",
    "/v1/chat/completions/": "/v1/chat/completions",
    "/v1/models/": "/v1/models",
    "/v1/chat/completions#": "/v1/chat/completions",
    "/v1/chat/completions%23": "/v1/chat/completions",
    "/v1/chat/completions/#": "/v1/chat/completions",
    "//v1//v1/messages//": "/v1/messages",
    "/claude/v1/v1/messages": "/v1/messages",
    "/gemini/v1beta/v1beta/models/g:generateContent": "/v1beta/models/g:generateContent",
}

ALIASES = {
    "/claude/v1/messages": "/v1/messages",
    "/claude/v1/messages/count_tokens": "/v1/messages/count_tokens",
    "/gemini/v1beta/models": "/v1beta/models",
    "/gemini/v1/models": "/v1beta/models",
    "/gemini/v1/models/g:generateContent": "/v1beta/models/g:generateContent",
    "/gemini/v1alpha/models/g": "/v1beta/models/g",
    "/v1/projects/cognition/locations/us/publishers/google/models/g:generateContent": "/v1beta/models/g:generateContent",
    "/v1beta1/projects/p-1/locations/eu-west4/publishers/google/models/g:streamGenerateContent":
        "/v1beta/models/g:streamGenerateContent",
    "/v1beta1/publishers/google/models/g:countTokens": "/v1beta/models/g:countTokens",
    "/api/v1/chat/completions": "/v1/chat/completions",
    "/api/v1/messages": "/v1/messages",
    "/api/v1/responses/resp_1": "/v1/responses/resp_1",
    "/api/v1/models/g:generateContent": "/v1/models/g:generateContent",
    "/api/v1beta/models/g:generateContent": "/v1beta/models/g:generateContent",
    "/api/v1beta/models": "/v1beta/models",
    "/v1beta/openai/chat/completions": "/v1/chat/completions",
    "/v1beta/openai/embeddings": "/v1/embeddings",
}  # fmt: skip

UNKNOWN = [
    ("GET", "/api/v1/models"),
    ("GET", "/api/v1/models/"),
    ("GET", "//api/v1/models"),
    ("GET", "/api/v1/models/gpt-5.4"),
    ("GET", "/api/v1/v1/models"),
    ("GET", "/api/tags"),
    ("GET", "/props"),
    ("GET", "/v1/props"),
    ("GET", "/version"),
    ("POST", "/api/show"),
    ("POST", "/api/chat"),
    ("POST", "/messages"),
    ("POST", "/v1"),
    ("POST", "/v1/"),
    ("GET", "/"),
    ("GET", ""),
    ("POST", "/v2/chat/completions"),
    ("POST", "/v1/chat"),
    ("POST", "/v1/chat/completions/else"),
    ("POST", "/claude/v1/chat/completions"),
    ("POST", "/v1beta/models/g:predict"),
    ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict"),
    ("GET", "/v1/responses/resp_1/else"),
    ("GET", "/v1/models/.."),
    ("GET", "/v1/models/%2e%2e/x"),
    ("POST", "/v1beta/models/..%2Fsecret:generateContent"),
    ("GET", "/v1/models/a%0d%0ab"),
]


@pytest.mark.parametrize("path", CANONICAL)
def test_canonical_paths_are_left_alone(path: str) -> None:
    assert repair(path) == (path, False)
    assert isinstance(match("OPTIONS", path), Route)


@pytest.mark.parametrize(("received", "meant"), MISTAKES.items())
def test_mistakes_are_repaired_and_said_to_be(received: str, meant: str) -> None:
    assert repair(received) == (meant, True)


@pytest.mark.parametrize(("received", "canonical"), ALIASES.items())
def test_aliases_are_resolved_and_are_no_mistakes(received: str, canonical: str) -> None:
    assert repair(received) == (canonical, False)
    assert isinstance(match("OPTIONS", canonical), Route)


def test_a_browser_asking_for_models_gets_the_console() -> None:
    assert repair("/models", accept_html=True) == ("/models", False)
    assert repair("/models/gpt", accept_html=True) == ("/models/gpt", False)
    assert repair("/v1/models", accept_html=True) == ("/v1/models", False)
    assert repair("/chat/completions", accept_html=True) == ("/v1/chat/completions", True)


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_nothing_else_is_guessed(method: str, path: str) -> None:
    found = match(method, repair(path)[0], received=path)
    assert isinstance(found, Fault)
    if "predict" in path:
        assert found.status in (404, 405)
        return
    assert (found.status, found.code) == (404, "not_found")


def test_the_404_shows_the_path_and_the_three_bases() -> None:
    fault = match("POST", "/v1/nothing", received="/v1/v1/nothing\x00")
    assert isinstance(fault, Fault)
    for part in (
        "POST /v1/v1/nothing?",
        "https://HOST for",
        "https://HOST/v1 for",
        "/v1/chat/completions where",
    ):
        assert part in fault.message
    long = match("GET", "/" + "x" * 5000)
    assert isinstance(long, Fault)
    assert len(long.message) < 600


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/messages", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/models/gpt-5.4", "GET, HEAD"),
        ("PATCH", "/v1/responses/resp_1", "DELETE, GET, HEAD"),
        ("GET", "/v1/responses/resp_1/cancel", "POST"),
        ("GET", "/v1beta/models/g:generateContent", "POST"),
    ],
)
def test_the_wrong_method_is_a_405_that_lists_the_right_ones(method: str, path: str, allowed: str) -> None:
    fault = match(method, path)
    assert isinstance(fault, Fault)
    assert fault.status == 405
    assert method in fault.message
    assert allowed in fault.message


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/chat/completions", Route("chat")),
        ("POST", "/v1/completions", Route("completions")),
        ("POST", "/v1/embeddings", Route("embeddings")),
        ("POST", "/v1/moderations", Route("moderations")),
        ("POST", "/v1/responses", Route("responses")),
        ("GET", "/v1/responses/r_1", Route("responses_get", resource_id="r_1")),
        ("DELETE", "/v1/responses/r_1", Route("responses_delete", resource_id="r_1")),
        ("POST", "/v1/responses/r_1/cancel", Route("responses_cancel", resource_id="r_1")),
        ("GET", "/v1/responses/r_1/input_items", Route("responses_input_items", resource_id="r_1")),
        ("POST", "/v1/messages", Route("messages", family="anthropic")),
        ("POST", "/v1/messages/count_tokens", Route("count_tokens", family="anthropic")),
        ("GET", "/v1/models", Route("models_list", list_shape="auto")),
        ("HEAD", "/v1/models", Route("models_list", list_shape="auto")),
        ("GET", "/v1beta/models", Route("models_list", family="gemini", list_shape="gemini")),
        ("GET", "/v1beta/openai/models", Route("models_list", list_shape="openai")),
        ("GET", "/claude/v1/models", Route("models_list", family="anthropic", list_shape="anthropic")),
        ("GET", "/v1/models/a%2Fb", Route("model_get", "a/b", list_shape="auto")),
        ("GET", "/v1/models/ft:gpt-4o:org::1", Route("model_get", "ft:gpt-4o:org::1", list_shape="auto")),
        ("GET", "/v1beta/openai/models/g", Route("model_get", "g", list_shape="openai")),
        ("GET", "/claude/v1/models/c", Route("model_get", "c", family="anthropic", list_shape="anthropic")),
        ("GET", "/v1beta/models/g", Route("model_get", "g", family="gemini", list_shape="gemini")),
        ("POST", "/v1beta/models/gemini-2.5-pro:generateContent", Route("gemini_generate", "gemini-2.5-pro", family="gemini")),
        ("POST", "/v1/models/g:streamGenerateContent", Route("gemini_stream", "g", family="gemini")),
        ("POST", "/v1alpha/models/g:countTokens", Route("gemini_count", "g", family="gemini")),
        ("POST", "/v1beta/models/g:embedContent", Route("gemini_embed", "g", family="gemini")),
        ("POST", "/v1beta/models/g:batchEmbedContents", Route("gemini_batch_embed", "g", family="gemini")),
        ("POST", "/v1beta/models/google%2Fg%3AgenerateContent", Route("gemini_generate", "google/g", family="gemini")),
        ("POST", "/v1beta/models/a/b:c:generateContent", Route("gemini_generate", "a/b:c", family="gemini")),
        ("OPTIONS", "/v1/messages", Route("options", family="anthropic")),
        ("OPTIONS", "/v1beta/models/g:generateContent", Route("options", family="gemini")),
    ],
)  # fmt: skip
def test_routes(method: str, path: str, route: Route) -> None:
    assert match(method, path) == route


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v1/nothing", "openai"),
        ("/", "openai"),
        ("/v1beta/openai/nothing", "openai"),
        ("/v1/messages/nothing", "anthropic"),
        ("/v1/v1/messages", "anthropic"),
        ("/v1/complete/nothing", "anthropic"),
        ("/claude/v1/nothing", "anthropic"),
        ("/v1beta/nothing", "gemini"),
        ("/gemini/v9/nothing", "gemini"),
        ("/v1/models/g:generateContent", "gemini"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", "gemini"),
    ],
)
def test_whose_error_shape(path: str, family: str) -> None:
    assert surface_of(path) == family


PIECES = st.sampled_from(
    ["v1", "v1beta", "messages", "chat", "completions", "models", "g:generateContent", "", "api", "x", "#"]
)


@given(st.lists(PIECES, max_size=9))
def test_repair_is_stable_and_never_longer_than_one_version(pieces: list[str]) -> None:
    path = "/" + "/".join(pieces)
    canonical, fixed = repair(path)
    assert len(canonical) <= len(path) + len("/v1")
    again, _ = repair(canonical)
    assert again == canonical
    assert fixed or canonical == path or repair(path, accept_html=True)[1] is False
    match("POST", canonical)


@pytest.mark.parametrize(
    "text", ["/v1" * 20_000, "/" * 60_000, "/v1/models/" + "v1/" * 20_000, "/audio" + "/" * 60_000 + "x"]
)
def test_long_paths_take_no_long_time(text: str) -> None:
    match("POST", repair(text)[0])
