import pytest

from dragoman.simulator import anthropic, gemini, openai_chat
from dragoman.simulator.routes import dialect_of, resolve
from dragoman.simulator.wire import Fault

VERTEX = "/v1/projects/p/locations/us/publishers/google/models"


@pytest.mark.parametrize(
    ("method", "path", "operation", "model", "resource"),
    [
        ("POST", "/v1/chat/completions", "chat", "", ""),
        ("POST", "/up/a/v1/chat/completions", "chat", "", ""),
        ("POST", "/openai/deployments/gpt-x/chat/completions", "chat", "gpt-x", ""),
        ("POST", "/openai/v1/responses", "responses", "", ""),
        ("POST", "/openai/responses", "responses", "", ""),
        ("POST", "/v1/messages", "messages", "", ""),
        ("POST", "/v1/messages/count_tokens", "count_tokens", "", ""),
        ("GET", "/v1/responses/resp_1", "responses_get", "", "resp_1"),
        ("DELETE", "/v1/responses/resp_1", "responses_delete", "", "resp_1"),
        ("POST", "/v1/responses/resp_1/cancel", "responses_cancel", "", "resp_1"),
        ("GET", "/v1/responses/resp_1/input_items", "responses_input_items", "", "resp_1"),
        (
            "POST",
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "gemini_generate",
            "gemini-2.5-flash",
            "",
        ),
        ("POST", "/v1/models/a/b:c:streamGenerateContent", "gemini_stream", "a/b:c", ""),
        ("POST", f"{VERTEX}/g:countTokens", "gemini_count", "g", ""),
        ("POST", "/v1alpha/models/g:embedContent", "gemini_embed", "g", ""),
        ("POST", "/v1beta/models/g:batchEmbedContents", "gemini_batch_embed", "g", ""),
        ("GET", "/v1/models", "models", "", ""),
        ("GET", "/v1/models/a/b", "models", "", "a/b"),
        ("GET", "/v1beta/models/g", "models", "", "g"),
    ],
)
def test_paths(method: str, path: str, operation: str, model: str, resource: str) -> None:
    route = resolve(method, path, "openai")
    assert (route.operation, route.model, route.resource) == (operation, model, resource)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/v1/chat/completions",
        "/chat/completions",
        "/v1/chat/completions/",
        "/v1beta/models/g:predict",
    ],
)
def test_nothing_is_repaired(path: str) -> None:
    with pytest.raises(Fault) as caught:
        resolve("POST", path, "openai")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("POST", "/v1/models"),
        ("PUT", "/v1/responses/r"),
        ("GET", "/v1/models/g:countTokens"),
    ],
)
def test_methods(method: str, path: str) -> None:
    with pytest.raises(Fault) as caught:
        resolve(method, path, "openai")
    assert caught.value.status == 405


def test_model_lists_follow_the_callers_style() -> None:
    assert resolve("GET", "/v1/models", "openai").dialect is openai_chat.DIALECT
    assert resolve("GET", "/v1/models", "anthropic").dialect is anthropic.DIALECT
    assert resolve("GET", "/v1/models", "gemini").dialect is gemini.DIALECT
    assert resolve("GET", "/v1beta/models", "openai").dialect is gemini.DIALECT


def test_error_shape_of_what_has_no_route() -> None:
    assert dialect_of("/v1/messages/nope", "openai") is anthropic.DIALECT
    assert dialect_of("/v1beta/nope", "openai") is gemini.DIALECT
    assert dialect_of("/v1/nope", "openai") is openai_chat.DIALECT
