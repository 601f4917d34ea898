import pytest

from dragoman.simulator.directives import NONE, parse
from dragoman.simulator.reply import SIGNATURE_PREFIX, Ask, Tool, compose, signature, tokens

WEATHER = Tool(
    "get_weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
CLOCK = Tool("get_time", {"type": "object", "properties": {}})


@pytest.mark.parametrize(("characters", "expected"), [(0, 0), (1, 1), (4, 1), (5, 2)])
def test_token_formula(characters: int, expected: int) -> None:
    assert tokens(characters) == expected


def test_echo_and_counts() -> None:
    reply = compose(Ask(model="m", prompt="Hello", input_chars=5, media=1), NONE)
    assert reply.text == "Echo: Hello"
    assert (reply.prompt_tokens, reply.output_tokens, reply.finish) == (2 + 85, 3, "stop")
    assert "".join(reply.pieces()) == reply.text


@pytest.mark.parametrize("prompt", ["Reply only OK", "Reply with only OK", "reply with OK only.", "Say 'OK'"])
def test_ok_when_asked_for_ok(prompt: str) -> None:
    assert compose(Ask(model="m", prompt=prompt), NONE).text == "OK"


def test_tools_forced_parallel_and_after_the_result() -> None:
    ask = Ask(model="m", prompt="weather?", tools=[WEATHER, CLOCK])
    assert [call.name for call in compose(ask, NONE).calls] == ["get_weather"]
    ask.forced = "get_time"
    assert [call.name for call in compose(ask, NONE).calls] == ["get_time"]
    ask.forced, ask.parallel = "", True
    assert [call.name for call in compose(ask, NONE).calls] == ["get_weather", "get_time"]
    many = compose(ask, parse("calls=3")).calls
    assert [call.arguments for call in many] == ['{"city":"city"}', "{}", '{"city":"city 2"}']
    ask.tool_result = "sunny"
    after = compose(ask, NONE)
    assert (after.text, after.calls, after.finish) == ("The tool answered: sunny", [], "stop")
    ask.tool_result, ask.tool_mode = None, "none"
    assert compose(ask, NONE).text == "Echo: weather?"


def test_max_tokens_takes_reasoning_first() -> None:
    ask = Ask(model="m", prompt="a long prompt", reasoning=True, max_tokens=2)
    reply = compose(ask, NONE)
    assert (reply.text, reply.finish, reply.output_tokens, reply.reasoning_tokens) == ("", "length", 2, 2)
    ask = Ask(model="m", prompt="a long prompt", max_tokens=2)
    reply = compose(ask, NONE)
    assert (reply.text, reply.finish, reply.output_tokens) == ("Echo: a ", "length", 2)


def test_stop_sequences() -> None:
    reply = compose(Ask(model="m", prompt="one two three", stop=["two", ""]), NONE)
    assert (reply.text, reply.stopped_by, reply.finish) == ("Echo: one ", "two", "stop")


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert compose(Ask(model="m", schema=schema), NONE).text == '{"n":1}'
    assert compose(Ask(model="m", prompt="x", json_object=True), NONE).text == '{"echo":"x"}'


def test_frames_are_one_token_each() -> None:
    reply = compose(Ask(model="m"), parse("frames=11"))
    assert (len(list(reply.pieces())), reply.output_tokens) == (11, 11)


def test_usage_overrides_and_empty() -> None:
    reply = compose(
        Ask(model="m", prompt="x"), parse("input=100;output=20;cached=40;cache_write=30;reasoning=5")
    )
    assert (reply.prompt_tokens, reply.output_tokens, reply.reasoning_tokens) == (100, 20, 5)
    assert (reply.cached_tokens, reply.cache_write_5m, reply.cache_write_1h) == (40, 30, 0)
    empty = compose(Ask(model="m", prompt="x", reasoning=True), parse("empty=1"))
    assert (empty.text, empty.reasoning, empty.output_tokens) == ("", "", 0)


def test_cache_counts_never_exceed_the_prompt() -> None:
    reply = compose(Ask(model="m", input_chars=8, cached_tokens=50, cache_write_5m=9, cache_write_1h=9), NONE)
    assert (reply.prompt_tokens, reply.cached_tokens, reply.cache_write_5m) == (2, 2, 0)


def test_signature_is_stable_and_recognisable() -> None:
    assert signature("a") == signature("a") != signature("b")
    assert signature("a").startswith(SIGNATURE_PREFIX)
