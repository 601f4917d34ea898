"""google-genai, any major version, with its default API version (v1beta in 1.x and 2.x, v1 in 3.x)."""

import asyncio
import itertools

import google.genai as genai
from google.genai import types
from steps import Probe, raised

probe = Probe()
options = types.HttpOptions(base_url=probe.target["url"])
client = genai.Client(api_key=probe.target["key"], http_options=options)
MODEL = "gemini-2.5-flash"
DECLARATION = types.FunctionDeclaration(
    name="get_weather",
    description="Weather",
    parameters=types.Schema(
        type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]
    ),
)
TOOLS = [types.Tool(function_declarations=[DECLARATION])]
NO_CALLING = types.AutomaticFunctionCallingConfig(disable=True)


def usage_of(answer):
    usage = answer.usage_metadata
    return [usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count]


@probe.step
def version():
    return genai.__version__


@probe.step
def generate():
    answer = client.models.generate_content(model=MODEL, contents="Hello there")
    return [answer.text, answer.candidates[0].finish_reason.name, usage_of(answer)]


@probe.step
def generate_async():
    async def ask():
        answer = await client.aio.models.generate_content(model=MODEL, contents="Hello there")
        return answer.text

    return asyncio.run(ask())


@probe.step
def stream():
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="Hello there"))
    return [
        "".join(chunk.text or "" for chunk in chunks),
        chunks[-1].candidates[0].finish_reason.name,
        usage_of(chunks[-1]),
    ]


@probe.step
def count_tokens():
    return client.models.count_tokens(model=MODEL, contents="Hello there").total_tokens


@probe.step
def embed():
    config = types.EmbedContentConfig(output_dimensionality=64)
    answer = client.models.embed_content(model="gemini-embedding-001", contents=["one", "two"], config=config)
    return [len(item.values) for item in answer.embeddings]


@probe.step
def models():
    listed = [model.name for model in itertools.islice(client.models.list(config={"page_size": 5}), 10_000)]
    retrieved = client.models.get(model=MODEL).name
    return {"ends": len(listed) < 10_000, "listed": f"models/{MODEL}" in listed, "retrieved": retrieved}


@probe.step
def tools():
    config = types.GenerateContentConfig(tools=TOOLS, automatic_function_calling=NO_CALLING)
    first = client.models.generate_content(model=MODEL, contents="Hello there", config=config)
    made = first.function_calls[0]
    asked = types.Content(role="user", parts=[types.Part(text="Hello there")])
    part = types.Part.from_function_response(name=made.name, response={"sky": "blue"})
    turns = [asked, first.candidates[0].content, types.Content(role="user", parts=[part])]
    second = client.models.generate_content(model=MODEL, contents=turns, config=config)
    return [made.name, made.args, second.text]


@probe.step
def thinking():
    thought = types.ThinkingConfig(thinking_budget=256, include_thoughts=True)
    config = types.GenerateContentConfig(thinking_config=thought)
    answer = client.models.generate_content(model=MODEL, contents="Hello there", config=config)
    parts = answer.candidates[0].content.parts
    return [
        [bool(part.thought) for part in parts],
        bool(parts[-1].thought_signature),
        answer.usage_metadata.thoughts_token_count,
    ]


@probe.step
def structured():
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    return client.models.generate_content(model=MODEL, contents="Hello there", config=config).parsed


@probe.step
def image_and_system():
    image = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
    config = types.GenerateContentConfig(system_instruction="Be kind", max_output_tokens=2)
    answer = client.models.generate_content(model=MODEL, contents=["What?", image], config=config)
    return [answer.text, answer.candidates[0].finish_reason.name, answer.usage_metadata.prompt_token_count]


@probe.step
def errors():
    stranger = genai.Client(api_key=probe.target["wrong_key"], http_options=options)

    def asking(text, who=client):
        return lambda: who.models.generate_content(model=MODEL, contents=text)

    broken = "[[sim error_frame=1]] Hello there"
    return {
        "wrong key": raised(asking("Hello", stranger)),
        "400": raised(asking("[[sim status=400]]")),
        "429": raised(asking("[[sim status=429]]")),
        "in a stream": raised(
            lambda: list(client.models.generate_content_stream(model=MODEL, contents=broken))
        ),
    }


if __name__ == "__main__":
    probe.run()
