"""google-generativeai (the retired SDK that one document tells users to install), over REST.

It sends `$alt=json;enum-encoding=int`, enums as integers, and asks for streams without alt=sse.
"""

import itertools

import google.generativeai as genai
from google.api_core import retry
from steps import Probe, raised

probe = Probe()
MODEL = "gemini-2.5-flash"
ONCE = {"retry": retry.Retry(predicate=lambda error: False), "timeout": 60}


def configure(key):
    genai.configure(api_key=key, transport="rest", client_options={"api_endpoint": probe.target["url"]})


configure(probe.target["key"])


@probe.step
def version():
    return genai.__version__


@probe.step
def generate():
    safety = {"HARASSMENT": "BLOCK_NONE"}
    config = genai.GenerationConfig(temperature=0.5, max_output_tokens=100)
    model = genai.GenerativeModel(
        MODEL, system_instruction="Be kind", safety_settings=safety, generation_config=config
    )
    answer = model.generate_content("Hello there", request_options=ONCE)
    usage = answer.usage_metadata
    counts = [usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count]
    return [answer.text, answer.candidates[0].finish_reason.name, counts]


@probe.step
def stream():
    chunks = list(
        genai.GenerativeModel(MODEL).generate_content("Hello there", stream=True, request_options=ONCE)
    )
    return ["".join(chunk.text for chunk in chunks), len(chunks), chunks[-1].usage_metadata.total_token_count]


@probe.step
def chat():
    conversation = genai.GenerativeModel(MODEL).start_chat()
    conversation.send_message("Hello there", request_options=ONCE)
    return conversation.send_message("More", request_options=ONCE).text


@probe.step
def tools():
    parameters = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
    declared = [
        {
            "function_declarations": [
                {"name": "get_weather", "description": "Weather", "parameters": parameters}
            ]
        }
    ]
    answer = genai.GenerativeModel(MODEL, tools=declared).generate_content(
        "Hello there", request_options=ONCE
    )
    made = answer.candidates[0].content.parts[0].function_call
    return [made.name, dict(made.args)]


@probe.step
def structured():
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}
    config = genai.GenerationConfig(response_mime_type="application/json", response_schema=schema)
    return (
        genai.GenerativeModel(MODEL)
        .generate_content("Hello", generation_config=config, request_options=ONCE)
        .text
    )


@probe.step
def count_tokens():
    return genai.GenerativeModel(MODEL).count_tokens("Hello there", request_options=ONCE).total_tokens


@probe.step
def embed():
    one = genai.embed_content(
        "models/gemini-embedding-001", "one", output_dimensionality=64, request_options=ONCE
    )
    two = genai.embed_content(
        "models/gemini-embedding-001", ["one", "two"], output_dimensionality=64, request_options=ONCE
    )
    return [len(one["embedding"]), [len(values) for values in two["embedding"]]]


@probe.step
def models():
    listed = [model.name for model in itertools.islice(genai.list_models(page_size=5), 10_000)]
    return {
        "ends": len(listed) < 10_000,
        "listed": f"models/{MODEL}" in listed,
        "retrieved": genai.get_model(f"models/{MODEL}").name,
    }


@probe.step
def errors():
    def asking(text, **more):
        return lambda: list(genai.GenerativeModel(MODEL).generate_content(text, request_options=ONCE, **more))

    found = {
        "400": raised(asking("[[sim status=400]]")),
        "429": raised(asking("[[sim status=429]]")),
        "429 of a stream": raised(asking("[[sim status=429]]", stream=True)),
    }
    configure(probe.target["wrong_key"])
    return found | {"wrong key": raised(asking("Hello"))}


if __name__ == "__main__":
    probe.run()
