"""anthropic-python 0, 1 (x-api-key) and 2 (Bearer, another API version): see `probes/anthropic_probe.py`."""

import pytest
from tests.clients.sdks import SDKS, family

EXPECTED = {
    "create": ["message", "claude-sonnet-4-6", "Echo: Hello there", "end_turn", [5, 5]],
    "create_async": "Echo: Hello there",
    "stream": ["Echo: Hello there", "Echo: Hello there", "end_turn", 3, 5],
    "stream_events": [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ],
    "models": {"ends": True, "listed": True, "retrieved": "claude-sonnet-4-6"},
    "tools": ["tool_use", "get_weather", {"city": "city"}, "The tool answered: sunny"],
    "tools_stream": ["get_weather", {"city": "city"}, "tool_use"],
    "thinking": [["thinking", "text"], "Thinking about: Hello there", "Echo: More"],
    "thinking_stream": [["thinking", "text"], True, "Echo: Hello there"],
    "image_and_cache": [2 + 85, 100, 0],
    "errors": {
        "wrong key": "AuthenticationError 401",
        "400": "BadRequestError 400",
        "429": "RateLimitError 429",
        "empty messages": "BadRequestError 400",
        "in a stream": True,
    },
}


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if family(sdk) == "anthropic"])
def test_every_step(run_probe, sdk) -> None:
    results = dict(run_probe(sdk))
    # A gateway may count by itself, so the number is its own affair.
    counted = results.pop("count_tokens")
    assert isinstance(counted, int) and counted > 0
    assert results == {"version": sdk.removeprefix("anthropic-")} | EXPECTED
