import base64
import math
import struct

import openai
import pytest

from dragoman.simulator.openai_plain import vector


@pytest.fixture
def client(sim):
    with openai.OpenAI(base_url=f"{sim.url}/v1", api_key="k", max_retries=0) as client:
        yield client


def test_completions(client, sim) -> None:
    answer = client.completions.create(model="m", prompt=["one", "two"], max_tokens=50)
    assert [choice.text for choice in answer.choices] == ["Echo: one", "Echo: two"]
    assert (answer.object, answer.usage.prompt_tokens, answer.usage.completion_tokens) == (
        "text_completion",
        2,
        6,
    )
    stream = client.completions.create(
        model="m", prompt="one", stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "Echo: one"
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 4
    assert (
        sim.post("/v1/completions", {"model": "m", "prompt": [1, 2, 3]}).json()["usage"]["prompt_tokens"] == 3
    )


def test_embeddings_as_the_sdk_asks_for_them(client) -> None:
    answer = client.embeddings.create(model="text-embedding-3-large", input=["a", "b"])
    assert [len(item.embedding) for item in answer.data] == [3072, 3072]
    small = (
        client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=256).data[0].embedding
    )
    assert len(small) == 256
    assert math.isclose(sum(value * value for value in small), 1, rel_tol=1e-5)


def test_embedding_encodings_agree(sim) -> None:
    body = {"model": "m", "input": "same", "dimensions": 8}
    floats = sim.post("/v1/embeddings", body).json()["data"][0]["embedding"]
    packed = sim.post("/v1/embeddings", body | {"encoding_format": "base64"}).json()["data"][0]["embedding"]
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(floats)
    assert floats == vector("same", 8)


@pytest.mark.parametrize(
    ("given", "items", "tokens"),
    [("four", 1, 1), (["four", "five5"], 2, 3), ([1, 2, 3], 1, 3), ([[1], [2, 3]], 2, 3)],
)
def test_embedding_inputs(sim, given, items, tokens) -> None:
    answer = sim.post("/v1/embeddings", {"model": "m", "input": given, "dimensions": 4}).json()
    assert (len(answer["data"]), answer["usage"]["prompt_tokens"]) == (items, tokens)


@pytest.mark.parametrize("body", [{"input": []}, {"input": [{}]}, {"input": "x", "dimensions": 9999}, {}])
def test_invalid_embeddings(sim, body) -> None:
    assert sim.post("/v1/embeddings", {"model": "m"} | body).status == 400


def test_moderations(client) -> None:
    answer = client.moderations.create(input=["peace", "violence"])
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence
    parts = [
        {"type": "text", "text": "violence"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
    ]
    assert client.moderations.create(input=parts).results[0].flagged


def test_directives_reach_them_too(sim) -> None:
    assert sim.post("/v1/embeddings", {"model": "m", "input": "[[sim status=429]]"}).status == 429
    assert sim.post("/v1/moderations", {"input": "[[sim status=429]]"}).status == 429
    assert "usage" not in sim.post("/v1/embeddings", {"model": "m", "input": "x"}, x_sim="no_usage=1").json()
