"""openai-python 1, 2 and 3 against the gateway: `probes/openai_probe.py` says what each step does."""

import pytest
from tests.clients.sdks import SDKS, family

EXPECTED = {
    "chat": ["chat.completion", "gpt-5.4", "Echo: Hello there", "stop", [3, 5, 8]],
    "chat_async": "Echo: Hello there",
    "chat_stream": {"text": "Echo: Hello there", "role": "assistant", "finish": "stop", "usage": []},
    "chat_stream_usage": {"choices": 0, "usage": [3, 5, 8]},
    "tools": ["tool_calls", "get_weather", {"city": "city"}, "The tool answered: sunny"],
    "tools_with_null_keys": "Echo: Thanks",
    "tools_stream": ["get_weather", {"city": "city"}, "tool_calls"],
    "tools_parallel_and_forced": [["get_weather", "get_time"], ["get_time"]],
    "structured": {"n": 1},
    "vision": ["Echo: What?", 2 + 2 * 85],
    "responses": ["completed", "Echo: Hello there", 5, 5],
    "responses_stream": [
        "response.created",
        "Echo: Hello there",
        "response.completed",
        "Echo: Hello there",
        7,
    ],
    "responses_stored": [
        "The tool answered: sunny",
        "The tool answered: sunny",
        ["function_call_output"],
        "NotFoundError 404",
    ],
    "embeddings": {"sizes": [3072, 3072, 256, 8, 8], "same": True, "usage": [2, 4]},
    "moderations": [False, True],
    "completions": ["text_completion", "Echo: Hello there", "Echo: Hello there"],
    "models": {"listed": True, "retrieved": "gpt-5.4"},
    "errors": {
        "wrong key": "AuthenticationError 401",
        "400": "BadRequestError 400",
        "429": "RateLimitError 429",
        "empty messages": "BadRequestError 400",
        "in a stream": "APIError",
        "not found": "NotFoundError 404",
    },
}


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if family(sdk) == "openai"])
def test_every_step(run_probe, sdk) -> None:
    assert run_probe(sdk) == {"version": sdk.removeprefix("openai-")} | EXPECTED
