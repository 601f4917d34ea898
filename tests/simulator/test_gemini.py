import json

import pytest
from google import genai
from google.genai import errors, types

CONTENTS = [{"parts": [{"text": "Weather?"}]}]
DECLARED = {
    "name": "get_weather",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
}


@pytest.fixture
def client(sim):
    options = types.HttpOptions(base_url=sim.url, api_version="v1beta")
    with genai.Client(api_key="k", http_options=options) as client:
        yield client


def post(sim, method="generateContent", query="", **body):
    return sim.post(f"/v1beta/models/g:{method}{query}", {"contents": CONTENTS} | body)


def test_answer(client) -> None:
    answer = client.models.generate_content(model="g", contents="Weather?")
    assert (answer.text, answer.candidates[0].finish_reason.name) == ("Echo: Weather?", "STOP")
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (2, 4, 6)


def test_sse_stream(sim, client) -> None:
    chunks = list(client.models.generate_content_stream(model="g", contents="Weather?"))
    assert ("".join(chunk.text for chunk in chunks), chunks[-1].usage_metadata.total_token_count) == (
        "Echo: Weather?",
        6,
    )
    raw = post(sim, "streamGenerateContent", "?alt=sse")
    assert raw.headers["content-type"] == "text/event-stream" and raw.names() == []
    assert [event["candidates"][0].get("finishReason") for event in raw.events()] == [None, "STOP"]


def test_growing_array(sim) -> None:
    raw = post(sim, "streamGenerateContent")
    assert raw.headers["content-type"].startswith("application/json")
    assert raw.body.startswith(b"[{") and b"},\r\n{" in raw.body and raw.body.endswith(b"}]")
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in json.loads(raw.body)]
    assert texts == ["Echo: ", "Weather?"]


def test_errors_of_array_streams_are_arrays(sim) -> None:
    failed = post(sim, "streamGenerateContent", contents=[])
    assert (failed.status, failed.json()[0]["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_tool_loop(sim) -> None:
    tools = [{"functionDeclarations": [DECLARED]}]
    made = post(sim, tools=tools).json()["candidates"][0]["content"]
    assert made["parts"] == [{"functionCall": {"name": "get_weather", "args": {"city": "city"}}}]
    result = {"functionResponse": {"name": "get_weather", "response": {"sky": "blue"}}}
    after = post(sim, tools=tools, contents=[*CONTENTS, made, {"role": "user", "parts": [result]}]).json()
    assert after["candidates"][0]["content"]["parts"] == [{"text": 'The tool answered: {"sky":"blue"}'}]


@pytest.mark.parametrize(
    ("calling", "names"),
    [
        ({"mode": "NONE"}, []),
        ({"mode": 3}, []),
        ({"mode": "ANY", "allowedFunctionNames": ["get_time"]}, ["get_time"]),
        ({"mode": "AUTO"}, ["get_weather"]),
    ],
)
def test_tool_config(sim, calling, names) -> None:
    tools = [
        {
            "function_declarations": [
                DECLARED,
                {"name": "get_time", "parametersJsonSchema": {"type": "object"}},
            ]
        }
    ]
    answer = post(sim, tools=tools, toolConfig={"functionCallingConfig": calling}).json()
    parts = answer["candidates"][0]["content"]["parts"]
    assert [part["functionCall"]["name"] for part in parts if "functionCall" in part] == names


def test_thinking(sim) -> None:
    config = {"thinkingConfig": {"thinkingBudget": 256, "includeThoughts": True}}
    answer = post(sim, generationConfig=config).json()
    thought, text = answer["candidates"][0]["content"]["parts"]
    assert (thought["thought"], "thoughtSignature" in text) == (True, True)
    usage = answer["usageMetadata"]
    counted = usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert (usage["thoughtsTokenCount"] > 0, usage["totalTokenCount"]) == (True, counted)
    hidden = post(sim, generationConfig={"thinking_config": {"thinking_level": "low"}}).json()
    assert [set(part) for part in hidden["candidates"][0]["content"]["parts"]] == [
        {"text", "thoughtSignature"}
    ]
    none = post(sim, generationConfig={"thinkingConfig": {"thinkingBudget": 0}}).json()
    assert "thoughtsTokenCount" not in none["usageMetadata"]
    streamed = post(sim, "streamGenerateContent", generationConfig=config).json()
    parts = [chunk["candidates"][0]["content"]["parts"][0] for chunk in streamed]
    assert [part.get("thought") for part in parts] == [True, None, None] and "thoughtSignature" in parts[-1]


def test_structure_limits_and_stops(sim) -> None:
    schema = {"type": 6, "properties": {"n": {"type": 3}}, "required": ["n"]}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    text = post(sim, generationConfig=config).json()["candidates"][0]["content"]["parts"][0]["text"]
    assert json.loads(text) == {"n": 1}
    short = post(sim, generationConfig={"maxOutputTokens": 1, "candidateCount": 2}).json()
    assert [candidate["finishReason"] for candidate in short["candidates"]] == ["MAX_TOKENS", "MAX_TOKENS"]
    stopped = post(sim, generation_config={"stop_sequences": ["ther"]}).json()["candidates"][0]
    assert (stopped["content"]["parts"][0]["text"], stopped["finishReason"]) == ("Echo: Wea", "STOP")


def test_counted_inputs(sim) -> None:
    parts = [{"text": "four"}, {"inlineData": {"mimeType": "image/png", "data": "AA"}}]
    body = {
        "contents": [{"role": "user", "parts": parts}],
        "systemInstruction": {"parts": [{"text": "five5"}]},
    }
    assert post(sim, "countTokens", **body).json()["totalTokens"] == 3 + 85
    assert post(sim, "countTokens", generateContentRequest=body).json()["totalTokens"] == 3 + 85
    cached = post(sim, cachedContent="cachedContents/x").json()["usageMetadata"]
    assert (cached["cachedContentTokenCount"], cached["promptTokenCount"]) == (64, 66)


def test_embeddings(client, sim) -> None:
    answer = client.models.embed_content(model="e", contents=["a", "b"], config={"output_dimensionality": 16})
    assert [len(item.values) for item in answer.embeddings] == [16, 16]
    one = post(sim, "embedContent", content={"parts": [{"text": "a"}]}, outputDimensionality=16).json()
    assert one["embedding"]["values"] == pytest.approx(answer.embeddings[0].values)
    assert post(sim, "batchEmbedContents", requests=[]).status == 400
    assert post(sim, "embedContent").status == 400


@pytest.mark.parametrize(
    ("status", "error"), [(400, errors.ClientError), (429, errors.ClientError), (503, errors.ServerError)]
)
def test_errors_through_the_sdk(client, status, error) -> None:
    with pytest.raises(error) as caught:
        client.models.generate_content(model="g", contents=f"[[sim status={status};message=no]]")
    assert (caught.value.code, caught.value.message) == (status, "no")


def test_vertex_paths(sim) -> None:
    path = "/v1/projects/p/locations/us/publishers/google/models/g:generateContent"
    assert sim.post(path, {"contents": CONTENTS}).json()["modelVersion"] == "g"


def test_models_list(client) -> None:
    assert "models/gemini-2.5-flash" in [model.name for model in client.models.list(config={"page_size": 5})]
