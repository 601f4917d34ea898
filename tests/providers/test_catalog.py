"""Every record is complete, and every operation of every provider goes to the URL written down here by
hand.
"""

from __future__ import annotations

import inspect
import re

import pytest

from dragoman.core.faults import Fault
from dragoman.providers import catalog
from dragoman.providers.auth import Auth, Secret
from dragoman.providers.base import METHODS, OPERATION_DIALECT, Endpoint, Provider, WireRequest, prepare
from dragoman.providers.catalog import PLANNED, PROVIDERS, VENDORS, openai

DESIGN_IDS = [
    "openai",
    "anthropic",
    "gemini",
    "vertex",
    "azure-openai",
    "bedrock",
    "openrouter",
    "deepseek",
    "qwen",
    "zhipu",
    "moonshot",
    "minimax",
    "xai",
    "mistral",
    "groq",
    "together",
    "fireworks",
    "siliconflow",
    "perplexity",
    "cohere",
    "jina",
    "ollama",
    "vllm",
    "voyage",
    "baidu",
    "tencent",
    "xunfei",
    "coze",
    "openai-compatible",
    "anthropic-compatible",
    "volcengine",
    "dashscope",
    "midjourney",
    "suno",
    "kling",
    "jimeng",
    "luma",
    "runway",
    "ideogram",
    "fal",
    "replicate",
    "simulator",
]

OPENAI_STORED = {
    "responses": "/responses",
    "responses_get": "/responses/R1",
    "responses_delete": "/responses/R1",
    "responses_cancel": "/responses/R1/cancel",
    "responses_input_items": "/responses/R1/input_items",
}
FULL_OPENAI = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "moderations": "/moderations",
    **OPENAI_STORED,
}
GEMINI = {
    "gemini_generate": "M:generateContent",
    "gemini_stream": "M:streamGenerateContent",
    "gemini_count": "M:countTokens",
    "gemini_embed": "M:embedContent",
    "gemini_batch_embed": "M:batchEmbedContents",
}


def under(prefix: str, *ops: str, stored: bool = False) -> dict[str, str]:
    return {op: prefix + FULL_OPENAI[op] for op in (*ops, *(OPENAI_STORED if stored else ()))}


def messages(prefix: str, count: bool = False) -> dict[str, str]:
    found = {"messages": f"{prefix}/messages"}
    return found | {"count_tokens": f"{prefix}/messages/count_tokens"} if count else found


VERTEX = "https://aiplatform.googleapis.com/v1/projects/P/locations/global/publishers"
AZURE = "https://res.openai.azure.com/openai"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
DASHSCOPE = under(
    "https://dashscope.aliyuncs.com/compatible-mode/v1", "chat", "completions", "embeddings"
) | messages("https://dashscope.aliyuncs.com/apps/anthropic/v1")
OWN = "http://127.0.0.1:9/base"

EXPECTED: dict[str, dict[str, str]] = {
    "openai": under("https://api.openai.com/v1", *FULL_OPENAI)
    | {
        "responses_input_tokens": "https://api.openai.com/v1/responses/input_tokens",
        "responses_compact": "https://api.openai.com/v1/responses/compact",
    },
    "anthropic": messages("https://api.anthropic.com/v1", count=True),
    "gemini": {op: f"{GOOGLE}/models/{tail}" for op, tail in GEMINI.items()},
    "vertex": {
        op: f"{VERTEX}/google/models/{tail}" for op, tail in GEMINI.items() if op != "gemini_batch_embed"
    }
    | {
        "messages": f"{VERTEX}/anthropic/models/M:rawPredict",
        "count_tokens": f"{VERTEX}/anthropic/models/count-tokens:rawPredict",
    },
    "azure-openai": {
        op: f"{AZURE}/deployments/M{FULL_OPENAI[op]}?api-version=2024-10-21"
        for op in ("chat", "completions", "embeddings")
    }
    | under(f"{AZURE}/v1", stored=True)
    | messages("https://res.openai.azure.com/anthropic/v1"),
    "bedrock": {"messages": "https://bedrock-runtime.us-east-1.amazonaws.com/model/M/invoke"},
    "openrouter": under("https://openrouter.ai/api/v1", "chat", "completions", "embeddings", "responses")
    | messages("https://openrouter.ai/api/v1"),
    "deepseek": under("https://api.deepseek.com", "chat")
    | under("https://api.deepseek.com/beta", "completions")
    | messages("https://api.deepseek.com/anthropic/v1"),
    "qwen": DASHSCOPE,
    "dashscope": DASHSCOPE,
    "zhipu": under("https://open.bigmodel.cn/api/paas/v4", "chat", "embeddings", "moderations")
    | messages("https://open.bigmodel.cn/api/anthropic/v1"),
    "moonshot": under("https://api.moonshot.ai/v1", "chat", "responses")
    | messages("https://api.moonshot.ai/anthropic/v1"),
    "minimax": under("https://api.minimax.io/v1", "chat", "responses")
    | messages("https://api.minimax.io/anthropic/v1"),
    "xai": under(
        "https://api.x.ai/v1", "chat", "completions", "responses", "responses_get", "responses_delete"
    )
    | messages("https://api.x.ai/v1"),
    "volcengine": under(
        "https://ark.cn-beijing.volces.com/api/v3",
        "chat",
        "embeddings",
        "responses",
        "responses_get",
        "responses_delete",
        "responses_input_items",
    )
    | messages("https://ark.cn-beijing.volces.com/api/compatible/v1"),
    "fireworks": under(
        "https://api.fireworks.ai/inference/v1",
        "chat",
        "completions",
        "embeddings",
        "responses",
        "responses_get",
        "responses_delete",
    )
    | messages("https://api.fireworks.ai/inference/v1"),
    "siliconflow": under("https://api.siliconflow.cn/v1", "chat", "completions", "embeddings")
    | messages("https://api.siliconflow.cn/v1"),
    "mistral": under("https://api.mistral.ai/v1", "chat", "embeddings", "moderations"),
    "groq": under("https://api.groq.com/openai/v1", "chat", "responses"),
    "together": under("https://api.together.xyz/v1", "chat", "completions", "embeddings"),
    "perplexity": under("https://api.perplexity.ai", "chat")
    | under("https://api.perplexity.ai/v1", "responses", "embeddings"),
    "cohere": under("https://api.cohere.ai/compatibility/v1", "chat", "embeddings"),
    "baidu": under("https://qianfan.baidubce.com/v2", "chat", "embeddings"),
    "tencent": under("https://api.hunyuan.cloud.tencent.com/v1", "chat", "embeddings"),
    "xunfei": under("https://spark-api-open.xf-yun.com/v1", "chat"),
    "voyage": under("https://api.voyageai.com/v1", "embeddings"),
    "jina": under("https://api.jina.ai/v1", "embeddings"),
    "ollama": under("http://localhost:11434/v1", "chat", "completions", "embeddings", "responses")
    | messages("http://localhost:11434/v1"),
    "vllm": under(
        "http://localhost:8000/v1",
        "chat",
        "completions",
        "embeddings",
        "responses",
        "responses_get",
        "responses_cancel",
    )
    | messages("http://localhost:8000/v1", count=True),
    "openai-compatible": under(f"{OWN}/v1", *FULL_OPENAI),
    "anthropic-compatible": messages(f"{OWN}/v1", count=True),
    "simulator": under(f"{OWN}/v1", *FULL_OPENAI)
    | messages(f"{OWN}/v1", count=True)
    | {op: f"{OWN}/v1beta/models/{tail}" for op, tail in GEMINI.items()},
}

X_API_KEY_MESSAGES = {
    "anthropic",
    "azure-openai",
    "deepseek",
    "qwen",
    "dashscope",
    "anthropic-compatible",
    "simulator",
}


def request_of(provider: Provider, op: str, **changes: object) -> WireRequest:
    endpoint = Endpoint(
        provider=provider,
        base_url="" if provider.base_url else OWN,
        options={"resource": "res", "project": "P"},
    )
    arguments: dict[str, object] = {
        "model": "M",
        "public_model": "asked",
        "stream": False,
        "resource_id": "R1",
        "query": "",
        "headers": [(b"user-agent", b"client/1")],
        "body": b"" if op.startswith("responses_") else b'{"model": "asked", "n" :  1.50}',
        "secret": Secret("KEY"),
        "now": 1_440_938_160.0,
    }
    return prepare(endpoint, op, **(arguments | changes))  # type: ignore[arg-type]


CASES = [(provider, op) for provider, record in PROVIDERS.items() for op in record.paths]


def test_every_id_of_the_design_is_served_or_planned() -> None:
    assert set(DESIGN_IDS) == set(PROVIDERS) | PLANNED
    assert not set(PROVIDERS) & PLANNED


def test_the_expectations_cover_every_operation_of_every_provider() -> None:
    assert {provider: set(ops) for provider, ops in EXPECTED.items()} == {
        provider: set(record.paths) for provider, record in PROVIDERS.items()
    }


@pytest.mark.parametrize(("provider", "op"), CASES, ids=lambda value: value)
def test_url_method_headers_and_body(provider: str, op: str) -> None:
    wire = request_of(PROVIDERS[provider], op)
    headers = dict(wire.headers)
    assert wire.origin + wire.target == EXPECTED[provider][op]
    assert wire.method == METHODS.get(op, "POST")
    assert len(headers) == len(wire.headers), "a header is sent twice"
    assert headers[b"host"] == wire.origin.partition("://")[2].encode()
    assert headers[b"accept-encoding"] == b"identity"
    assert headers[b"user-agent"] == b"client/1"
    if wire.method == "POST":
        assert headers[b"content-length"] == str(len(wire.body)).encode()
        assert headers[b"content-type"] == b"application/json"
    else:
        assert b"content-length" not in headers
        assert wire.body == b""
    dialect = OPERATION_DIALECT[op]
    if dialect == "anthropic" and provider not in ("vertex", "bedrock"):
        assert headers[b"anthropic-version"] == b"2023-06-01"
    else:
        assert b"anthropic-version" not in headers
    if (
        wire.body
        and not op.startswith("gemini_")
        and (provider, op) not in (("vertex", "messages"), ("bedrock", "messages"))
    ):
        assert wire.body.endswith(b'"model": "M", "n" :  1.50}')
    elif wire.body:
        assert wire.body.endswith(b'"n" :  1.50}')


@pytest.mark.parametrize(("provider", "op"), CASES, ids=lambda value: value)
def test_the_credential_is_presented_once_and_in_the_right_place(provider: str, op: str) -> None:
    wire = request_of(PROVIDERS[provider], op)
    places = [name for name, value in wire.headers if b"KEY" in value]
    dialect = OPERATION_DIALECT[op]
    if provider == "vertex" or (provider in ("gemini", "simulator") and dialect == "gemini"):
        expected = b"x-goog-api-key"
    elif dialect == "anthropic" and provider in X_API_KEY_MESSAGES:
        expected = b"x-api-key"
    elif provider == "azure-openai":
        expected = b"api-key"
    else:
        expected = b"authorization"
    assert places == [expected]
    assert dict(wire.headers)[expected] == (b"Bearer KEY" if expected == b"authorization" else b"KEY")
    assert "KEY" not in wire.target


@pytest.mark.parametrize("record", PROVIDERS.values(), ids=lambda record: record.id)
def test_a_record_is_complete(record: Provider) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", record.id)
    assert record.label
    assert record.vendor
    assert record.paths
    assert set(record.paths) <= set(OPERATION_DIALECT)
    assert set(record.stream_paths) <= set(record.paths)
    assert record.dialects == {OPERATION_DIALECT[op] for op in record.paths}
    assert set(record.auth_by_dialect) <= record.dialects
    for path in (*record.paths.values(), *record.stream_paths.values()):
        assert path.startswith("/")
        assert "?" not in path
    if record.base_url:
        assert re.fullmatch(r"https?://[^/]+", record.base_url), "origin only: versions belong into the paths"
    for quirk in record.quirks:
        assert quirk.source
        assert quirk.ops & set(record.paths), f"{quirk.name} concerns no operation of {record.id}"
    for op, dialect in OPERATION_DIALECT.items():
        if op.startswith("responses_") and op in record.paths:
            assert "responses" in record.paths, dialect


def test_vendor_names_of_the_routing_header() -> None:
    assert {PROVIDERS[name].vendor for name in ("gemini", "vertex")} == {"google"}
    assert PROVIDERS["bedrock"].vendor == "aws"
    assert PROVIDERS["azure-openai"].vendor == "azure"
    assert PROVIDERS["xai"].vendor == "x"
    assert {"openai", "anthropic", "volcengine", "mistral", "deepseek"} <= VENDORS


def test_a_new_provider_costs_at_most_eight_lines() -> None:
    source = """
Provider(
    id="newcomer",
    label="Newcomer AI",
    base_url="https://api.newcomer.example",
    paths=openai("/llm/v1", "chat", "embeddings"),
    auth=Auth("header", "x-newcomer-key"),
)
"""
    assert len(source.strip().splitlines()) <= 8
    record = eval(source.strip(), {"Provider": Provider, "openai": openai, "Auth": Auth})
    wire = request_of(record, "chat")
    assert wire.origin + wire.target == "https://api.newcomer.example/llm/v1/chat/completions"
    assert (b"x-newcomer-key", b"KEY") in wire.headers
    assert wire.body == b'{"model": "M", "n" :  1.50}'


def test_most_records_cost_about_eight_lines() -> None:
    """The promise holds for the catalogue itself, clouds aside."""
    source = inspect.getsource(catalog)
    blocks = re.findall(r"    Provider\(\n(.*?)\n    \),\n", source, flags=re.DOTALL)
    assert len(blocks) == len(PROVIDERS)
    lengths = sorted(len(block.splitlines()) for block in blocks)
    assert lengths[len(lengths) // 2] <= 6
    assert sum(length > 8 for length in lengths) <= 6


def test_an_operation_that_a_provider_does_not_have_is_the_channels_fault() -> None:
    with pytest.raises(Fault) as caught:
        request_of(PROVIDERS["groq"], "moderations")
    assert (caught.value.status, caught.value.code, caught.value.owner) == (
        500,
        "get_channel_failed",
        "gateway",
    )
