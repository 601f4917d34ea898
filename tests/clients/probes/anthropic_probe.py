"""anthropic-python, any major version, against the gateway's root."""

import asyncio
import itertools

import anthropic
from steps import Probe, raised

probe = Probe()
URL = probe.target["url"]
client = anthropic.Anthropic(base_url=URL, api_key=probe.target["key"], max_retries=0, timeout=60)
MODEL = "claude-sonnet-4-6"
HELLO = [{"role": "user", "content": "Hello there"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}]
THINKING = {"type": "enabled", "budget_tokens": 1024}


@probe.step
def version():
    return anthropic.__version__


@probe.step
def create():
    answer = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO, system="Be kind")
    usage = [answer.usage.input_tokens, answer.usage.output_tokens]
    return [answer.type, answer.model, answer.content[0].text, answer.stop_reason, usage]


@probe.step
def create_async():
    async def ask():
        async with anthropic.AsyncAnthropic(base_url=URL, api_key=probe.target["key"]) as asynchronous:
            answer = await asynchronous.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
            return answer.content[0].text

    return asyncio.run(ask())


@probe.step
def stream():
    with client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    return [
        text,
        final.content[0].text,
        final.stop_reason,
        final.usage.input_tokens,
        final.usage.output_tokens,
    ]


@probe.step
def stream_events():
    events = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO, stream=True)
    return [name for name, _ in itertools.groupby(event.type for event in events)]


@probe.step
def count_tokens():
    return client.messages.count_tokens(
        model=MODEL, messages=HELLO, system="Be kind", tools=TOOLS
    ).input_tokens


@probe.step
def models():
    """Ends only where `has_more` is false."""
    listed = [model.id for model in itertools.islice(client.models.list(), 10_000)]
    return {
        "ends": len(listed) < 10_000,
        "listed": MODEL in listed,
        "retrieved": client.models.retrieve(MODEL).id,
    }


@probe.step
def tools():
    first = client.messages.create(
        model=MODEL, max_tokens=100, messages=HELLO, tools=TOOLS, tool_choice={"type": "any"}
    )
    made = first.content[0]
    result = {"type": "tool_result", "tool_use_id": made.id, "content": "sunny"}
    turns = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(model=MODEL, max_tokens=100, messages=turns, tools=TOOLS)
    return [first.stop_reason, made.name, made.input, second.content[0].text]


@probe.step
def tools_stream():
    with client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO, tools=TOOLS) as events:
        final = events.get_final_message()
    return [final.content[0].name, final.content[0].input, final.stop_reason]


@probe.step
def thinking():
    first = client.messages.create(model=MODEL, max_tokens=2048, messages=HELLO, thinking=THINKING)
    turns = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": "More"}]
    second = client.messages.create(model=MODEL, max_tokens=2048, messages=turns, thinking=THINKING)
    return [[block.type for block in first.content], first.content[0].thinking, second.content[1].text]


@probe.step
def thinking_stream():
    with client.messages.stream(model=MODEL, max_tokens=2048, messages=HELLO, thinking=THINKING) as events:
        final = events.get_final_message()
    return [[block.type for block in final.content], bool(final.content[0].signature), final.content[1].text]


@probe.step
def image_and_cache():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    system = [{"type": "text", "text": "x" * 400, "cache_control": {"type": "ephemeral"}}]
    parts = [{"type": "text", "text": "What?"}, image]
    turns = [{"role": "user", "content": parts}]
    usage = client.messages.create(model=MODEL, max_tokens=100, messages=turns, system=system).usage
    return [usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens]


@probe.step
def errors():
    stranger = anthropic.Anthropic(base_url=URL, api_key=probe.target["wrong_key"], max_retries=0)

    def asking(text, **options):
        turns = [{"role": "user", "content": text}]
        return lambda: client.messages.create(
            **{"model": MODEL, "max_tokens": 100, "messages": turns} | options
        )

    def streaming(text):
        return lambda: list(asking(text, stream=True)())

    return {
        "wrong key": raised(lambda: stranger.messages.create(model=MODEL, max_tokens=9, messages=HELLO)),
        "400": raised(asking("[[sim status=400]]")),
        "429": raised(asking("[[sim status=429]]")),
        "empty messages": raised(lambda: client.messages.create(model=MODEL, max_tokens=9, messages=[])),
        "in a stream": raised(streaming("[[sim error_frame=3]] Hello")).split()[0] != "nothing",
    }


if __name__ == "__main__":
    probe.run()
