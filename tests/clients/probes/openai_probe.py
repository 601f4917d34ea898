"""openai-python, any major version, against `<url>/v1`."""

import asyncio
import json

import openai
from steps import Probe, raised

probe = Probe()
BASE = probe.target["url"] + "/v1"
client = openai.OpenAI(base_url=BASE, api_key=probe.target["key"], max_retries=0, timeout=60)
CHAT, EMBEDDING = "gpt-5.4", "text-embedding-3-large"
HELLO = [{"role": "user", "content": "Hello there"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": PARAMETERS},
}
FLAT_TOOL = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}


def usage_of(usage):
    return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]


@probe.step
def version():
    return openai.__version__


@probe.step
def chat():
    answer = client.chat.completions.create(model=CHAT, messages=HELLO)
    choice = answer.choices[0]
    return [answer.object, answer.model, choice.message.content, choice.finish_reason, usage_of(answer.usage)]


@probe.step
def chat_async():
    async def ask():
        async with openai.AsyncOpenAI(base_url=BASE, api_key=probe.target["key"]) as asynchronous:
            answer = await asynchronous.chat.completions.create(model=CHAT, messages=HELLO)
            return answer.choices[0].message.content

    return asyncio.run(ask())


@probe.step
def chat_stream():
    chunks = list(client.chat.completions.create(model=CHAT, messages=HELLO, stream=True))
    return {
        "text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
        "role": chunks[0].choices[0].delta.role,
        "finish": chunks[-1].choices[0].finish_reason,
        "usage": [chunk.usage for chunk in chunks if chunk.usage],
    }


@probe.step
def chat_stream_usage():
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=CHAT, messages=HELLO, stream=True, stream_options=options)
    )
    return {"choices": len(chunks[-1].choices), "usage": usage_of(chunks[-1].usage)}


@probe.step
def tools():
    first = client.chat.completions.create(model=CHAT, messages=HELLO, tools=[TOOL]).choices[0]
    made = first.message.tool_calls[0]
    turns = [*HELLO, first.message, {"role": "tool", "tool_call_id": made.id, "content": "sunny"}]
    second = client.chat.completions.create(model=CHAT, messages=turns, tools=[TOOL]).choices[0]
    return [
        first.finish_reason,
        made.function.name,
        json.loads(made.function.arguments),
        second.message.content,
    ]


@probe.step
def tools_with_null_keys():
    """The documented sample sends the assistant's message back as model_dump() gives it: full of nulls."""
    first = client.chat.completions.create(model=CHAT, messages=HELLO, tools=[TOOL]).choices[0].message
    dumped = first.model_dump() | {"function_call": None, "audio": None, "refusal": None, "annotations": None}
    result = {
        "role": "tool",
        "tool_call_id": first.tool_calls[0].id,
        "name": "get_weather",
        "content": "sunny",
    }
    second = client.chat.completions.create(model=CHAT, messages=[*HELLO, dumped, result]).choices[0].message
    again = [*HELLO, dumped, result, second.model_dump(), {"role": "user", "content": "Thanks"}]
    return client.chat.completions.create(model=CHAT, messages=again).choices[0].message.content


@probe.step
def tools_stream():
    stream = client.chat.completions.create(model=CHAT, messages=HELLO, tools=[TOOL], stream=True)
    name, arguments, finish = "", "", None
    for chunk in stream:
        for made in chunk.choices[0].delta.tool_calls or []:
            name += made.function.name or ""
            arguments += made.function.arguments or ""
        finish = chunk.choices[0].finish_reason or finish
    return [name, json.loads(arguments), finish]


@probe.step
def tools_parallel_and_forced():
    clock = {
        "type": "function",
        "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
    }
    both = client.chat.completions.create(
        model=CHAT, messages=HELLO, tools=[TOOL, clock], parallel_tool_calls=True
    )
    choice = {"type": "function", "function": {"name": "get_time"}}
    forced = client.chat.completions.create(
        model=CHAT, messages=HELLO, tools=[TOOL, clock], tool_choice=choice
    )
    return [
        [made.function.name for made in answer.choices[0].message.tool_calls] for answer in (both, forced)
    ]


@probe.step
def structured():
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    answer = client.chat.completions.create(model=CHAT, messages=HELLO, response_format=wanted)
    return json.loads(answer.choices[0].message.content)


@probe.step
def vision():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    parts = [{"type": "text", "text": "What?"}, image, image]
    answer = client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": parts}])
    return [answer.choices[0].message.content, answer.usage.prompt_tokens]


@probe.step
def responses():
    answer = client.responses.create(model=CHAT, input="Hello there", instructions="Be kind")
    return [answer.status, answer.output_text, answer.usage.input_tokens, answer.usage.output_tokens]


@probe.step
def responses_stream():
    events = list(
        client.responses.create(model=CHAT, input="Hello there", stream=True, reasoning={"effort": "low"})
    )
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = events[-1].response
    return [
        events[0].type,
        text,
        events[-1].type,
        final.output_text,
        final.usage.output_tokens_details.reasoning_tokens,
    ]


@probe.step
def responses_stored():
    made = client.responses.create(model=CHAT, input="Hello there", tools=[FLAT_TOOL])
    result = {"type": "function_call_output", "call_id": made.output[0].call_id, "output": "sunny"}
    after = client.responses.create(model=CHAT, previous_response_id=made.id, input=[result])
    found = client.responses.retrieve(after.id).output_text
    items = [item.type for item in client.responses.input_items.list(after.id)]
    client.responses.delete(after.id)
    return [after.output_text, found, items, raised(lambda: client.responses.retrieve(after.id))]


@probe.step
def embeddings():
    """The SDK asks for base64 unless told otherwise, and unpacks it."""
    batch = client.embeddings.create(model=EMBEDDING, input=["one", "two"])
    small = client.embeddings.create(model=EMBEDDING, input="one", dimensions=256)
    plain = client.embeddings.create(model=EMBEDDING, input="one", dimensions=256, encoding_format="float")
    same = all(
        abs(a - b) < 1e-6 for a, b in zip(small.data[0].embedding, plain.data[0].embedding, strict=True)
    )
    tokens = client.embeddings.create(model=EMBEDDING, input=[[1, 2, 3], [4]], dimensions=8)
    sizes = [len(item.embedding) for answer in (batch, small, tokens) for item in answer.data]
    return {"sizes": sizes, "same": same, "usage": [batch.usage.prompt_tokens, tokens.usage.total_tokens]}


@probe.step
def moderations():
    answer = client.moderations.create(model="omni-moderation-latest", input=["peace", "violence"])
    return [result.flagged for result in answer.results]


@probe.step
def completions():
    model = "gpt-5.4"
    answer = client.completions.create(model=model, prompt="Hello there", max_tokens=50)
    stream = client.completions.create(model=model, prompt="Hello there", max_tokens=50, stream=True)
    return [answer.object, answer.choices[0].text, "".join(chunk.choices[0].text for chunk in stream)]


@probe.step
def models():
    listed = [model.id for model in client.models.list()]
    return {"listed": CHAT in listed, "retrieved": client.models.retrieve(CHAT).id}


@probe.step
def errors():
    stranger = openai.OpenAI(base_url=BASE, api_key=probe.target["wrong_key"], max_retries=0)

    def asking(text):
        return lambda: client.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": text}]
        )

    broken = [{"role": "user", "content": "[[sim error_frame=3]] Hello"}]
    return {
        "wrong key": raised(lambda: stranger.chat.completions.create(model=CHAT, messages=HELLO)),
        "400": raised(asking("[[sim status=400]]")),
        "429": raised(asking("[[sim status=429]]")),
        "empty messages": raised(lambda: client.chat.completions.create(model=CHAT, messages=[])),
        "in a stream": raised(
            lambda: list(client.chat.completions.create(model=CHAT, messages=broken, stream=True))
        ),
        "not found": raised(lambda: client.responses.retrieve("resp_unknown")),
    }


if __name__ == "__main__":
    probe.run()
