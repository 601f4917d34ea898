"""Every provider that speaks a known dialect: one record each, about eight lines.

To add one: base URL without the version, the paths it serves (``openai`` and ``anthropic`` spell the usual
ones), its auth if it is not a bearer token, and the quirks it is known for. The facts were checked against
the vendors' own documentation in November 2026; the page is named where it is not the obvious one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dragoman.providers import quirks, shapes
from dragoman.providers.auth import Auth
from dragoman.providers.base import Provider

BEARER: Final = Auth("bearer")
X_API_KEY: Final = Auth("header", "x-api-key")
API_KEY: Final = Auth("header", "api-key")
X_GOOG_API_KEY: Final = Auth("header", "x-goog-api-key")
NO_AUTH: Final = Auth("none")

_OPENAI: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chat": "/chat/completions",
        "completions": "/completions",
        "embeddings": "/embeddings",
        "moderations": "/moderations",
        "responses": "/responses",
        "responses_get": "/responses/{id}",
        "responses_delete": "/responses/{id}",
        "responses_cancel": "/responses/{id}/cancel",
        "responses_input_items": "/responses/{id}/input_items",
        "responses_input_tokens": "/responses/input_tokens",
        "responses_compact": "/responses/compact",
    }
)
STORED: Final = (
    "responses",
    "responses_get",
    "responses_delete",
    "responses_cancel",
    "responses_input_items",
)
ALL_OPENAI: Final = ("chat", "completions", "embeddings", "moderations", *STORED)


def openai(prefix: str, *ops: str) -> dict[str, str]:
    """Paths of the named operations in OpenAI's layout under ``prefix`` (which ends in the version, if
    there is one).
    """
    return {op: prefix + _OPENAI[op] for op in ops}


def anthropic(prefix: str, *, count: bool = False) -> dict[str, str]:
    """Paths of Messages (and of its token count) in Anthropic's layout under ``prefix``."""
    paths = {"messages": f"{prefix}/messages"}
    return paths | {"count_tokens": f"{prefix}/messages/count_tokens"} if count else paths


def gemini(prefix: str) -> dict[str, str]:
    """Paths of the five Gemini operations; ``prefix`` ends in ``/models``."""
    verbs = {
        "gemini_generate": "generateContent",
        "gemini_stream": "streamGenerateContent",
        "gemini_count": "countTokens",
        "gemini_embed": "embedContent",
        "gemini_batch_embed": "batchEmbedContents",
    }
    return {op: f"{prefix}/{{model}}:{verb}" for op, verb in verbs.items()}


_VERTEX: Final = "/v1/projects/{project}/locations/{location}/publishers"
_AZURE: Final = "/openai/deployments/{model}"

_RECORDS: Final = (
    # --- the four dialects' own vendors ---
    Provider(
        id="openai",
        label="OpenAI",
        base_url="https://api.openai.com",
        paths=openai("/v1", *ALL_OPENAI, "responses_input_tokens", "responses_compact"),
        quirks=(quirks.MAX_COMPLETION_TOKENS, quirks.NULL_MEMBERS),
    ),
    Provider(
        id="anthropic",
        label="Anthropic",
        base_url="https://api.anthropic.com",
        # Its OpenAI layer is left out: Anthropic calls it unfit for production, and translation does it
        # better.
        paths=anthropic("/v1", count=True),
        auth=X_API_KEY,
        quirks=(
            quirks.CLAUDE_THINKING,
            quirks.UNSIGNED_THINKING,
        ),
    ),
    Provider(
        id="gemini",
        label="Google Gemini",
        vendor="google",
        base_url="https://generativelanguage.googleapis.com",
        # Its OpenAI layer (ai.google.dev/gemini-api/docs/openai) is left out: it drops thought signatures and grounding.
        paths=gemini("/v1beta/models"),
        auth=X_GOOG_API_KEY,
        quirks=(quirks.GEMINI_INNER_MODELS,),
    ),
    # --- clouds ---
    Provider(
        id="vertex",
        label="Google Vertex AI",
        vendor="google",
        base_url="https://aiplatform.googleapis.com",
        paths={
            op: path for op, path in gemini(_VERTEX + "/google/models").items() if op != "gemini_batch_embed"
        }
        | {
            "messages": _VERTEX + "/anthropic/models/{model}:rawPredict",
            "count_tokens": _VERTEX + "/anthropic/models/count-tokens:rawPredict",
        },
        stream_paths={"messages": _VERTEX + "/anthropic/models/{model}:streamRawPredict"},
        auth=Auth("google"),
        defaults={"location": "global"},
        quirks=(quirks.GEMINI_INNER_MODELS, quirks.CLAUDE_THINKING, quirks.UNSIGNED_THINKING),
        shape=shapes.shape_vertex,
    ),
    Provider(
        id="azure-openai",
        label="Azure OpenAI",
        vendor="azure",
        base_url="https://{resource}.openai.azure.com",
        paths=openai(_AZURE, "chat", "completions", "embeddings")
        | openai("/openai/v1", *STORED)
        | anthropic("/anthropic/v1"),
        auth=API_KEY,
        auth_by_dialect={"anthropic": X_API_KEY},
        defaults={"api_version": "2024-10-21"},
        quirks=(quirks.MAX_COMPLETION_TOKENS, quirks.NULL_MEMBERS),
        shape=shapes.shape_azure,
    ),
    Provider(
        id="bedrock",
        label="Amazon Bedrock",
        vendor="aws",
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        paths={"messages": "/model/{model}/invoke"},
        stream_paths={"messages": "/model/{model}/invoke-with-response-stream"},
        auth=Auth("sigv4", "bedrock"),
        defaults={"region": "us-east-1"},
        quirks=(
            quirks.CLAUDE_THINKING,
            quirks.UNSIGNED_THINKING,
        ),
        shape=shapes.shape_bedrock,
        stream_framing="aws_eventstream",
    ),
    # --- vendors with several dialects ---
    Provider(
        id="openrouter",
        label="OpenRouter",
        base_url="https://openrouter.ai",
        paths=openai("/api/v1", "chat", "completions", "embeddings", "responses") | anthropic("/api/v1"),
    ),
    Provider(
        id="deepseek",
        label="DeepSeek",
        base_url="https://api.deepseek.com",
        paths=openai("", "chat") | openai("/beta", "completions") | anthropic("/anthropic/v1"),
        auth_by_dialect={"anthropic": X_API_KEY},
    ),
    Provider(
        id="qwen",
        label="Alibaba Qwen",
        base_url="https://dashscope.aliyuncs.com",
        paths=openai("/compatible-mode/v1", "chat", "completions", "embeddings")
        | anthropic("/apps/anthropic/v1"),
        auth_by_dialect={"anthropic": X_API_KEY},
    ),
    Provider(
        id="dashscope",
        label="Alibaba DashScope",
        vendor="qwen",
        # The same host and key as qwen: the id under which media jobs will be configured serves text as well.
        base_url="https://dashscope.aliyuncs.com",
        paths=openai("/compatible-mode/v1", "chat", "completions", "embeddings")
        | anthropic("/apps/anthropic/v1"),
        auth_by_dialect={"anthropic": X_API_KEY},
    ),
    Provider(
        id="zhipu",
        label="Zhipu GLM",
        base_url="https://open.bigmodel.cn",
        paths=openai("/api/paas/v4", "chat", "embeddings", "moderations") | anthropic("/api/anthropic/v1"),
    ),
    Provider(
        id="moonshot",
        label="Moonshot Kimi",
        base_url="https://api.moonshot.ai",
        paths=openai("/v1", "chat", "responses") | anthropic("/anthropic/v1"),
    ),
    Provider(
        id="minimax",
        label="MiniMax",
        base_url="https://api.minimax.io",
        paths=openai("/v1", "chat", "responses") | anthropic("/anthropic/v1"),
    ),
    Provider(
        id="xai",
        label="xAI",
        vendor="x",
        base_url="https://api.x.ai",
        # Messages is deprecated there, and still answers
        # (docs.x.ai/developers/rest-api-reference/inference/legacy).
        paths=openai("/v1", "chat", "completions", "responses", "responses_get", "responses_delete")
        | anthropic("/v1"),
    ),
    Provider(
        id="volcengine",
        label="Volcengine Ark",
        base_url="https://ark.cn-beijing.volces.com",
        paths=openai("/api/v3", "chat", "embeddings", "responses", "responses_get", "responses_delete")
        | openai("/api/v3", "responses_input_items")
        | anthropic("/api/compatible/v1"),
    ),
    Provider(
        id="fireworks",
        label="Fireworks AI",
        base_url="https://api.fireworks.ai",
        paths=openai("/inference/v1", "chat", "completions", "embeddings", "responses", "responses_get")
        | openai("/inference/v1", "responses_delete")
        | anthropic("/inference/v1"),
    ),
    Provider(
        id="siliconflow",
        label="SiliconFlow",
        base_url="https://api.siliconflow.cn",
        paths=openai("/v1", "chat", "completions", "embeddings") | anthropic("/v1"),
    ),
    # --- OpenAI's shape only ---
    Provider(
        id="mistral",
        label="Mistral AI",
        base_url="https://api.mistral.ai",
        paths=openai("/v1", "chat", "embeddings", "moderations"),
        quirks=(
            quirks.MISTRAL_MAX_TOKENS,
            quirks.MISTRAL_STRICT,
            quirks.NO_REASONING_CONTENT,
            quirks.NULL_MEMBERS,
        ),
        stream_usage=False,
    ),
    Provider(
        id="groq",
        label="Groq",
        base_url="https://api.groq.com",
        paths=openai("/openai/v1", "chat", "responses"),
        quirks=(quirks.NO_REASONING_CONTENT, quirks.NULL_MEMBERS),
    ),
    Provider(
        id="together",
        label="Together AI",
        base_url="https://api.together.xyz",
        paths=openai("/v1", "chat", "completions", "embeddings"),
    ),
    Provider(
        id="perplexity",
        label="Perplexity",
        base_url="https://api.perplexity.ai",
        # Chat has no version in its path; the newer operations have one.
        paths=openai("", "chat") | openai("/v1", "responses", "embeddings"),
        stream_usage=False,
    ),
    Provider(
        id="cohere",
        label="Cohere",
        base_url="https://api.cohere.ai",
        paths=openai("/compatibility/v1", "chat", "embeddings"),
    ),
    Provider(
        id="baidu",
        label="Baidu Qianfan",
        base_url="https://qianfan.baidubce.com",
        paths=openai("/v2", "chat", "embeddings"),
    ),
    Provider(
        id="tencent",
        label="Tencent Hunyuan",
        base_url="https://api.hunyuan.cloud.tencent.com",
        paths=openai("/v1", "chat", "embeddings"),
    ),
    Provider(
        id="xunfei",
        label="iFlytek Spark",
        base_url="https://spark-api-open.xf-yun.com",
        paths=openai("/v1", "chat"),
        shape=shapes.shape_xunfei,
        stream_usage=False,
    ),
    Provider(
        id="voyage",
        label="Voyage AI",
        base_url="https://api.voyageai.com",
        paths=openai("/v1", "embeddings"),
    ),
    Provider(
        id="jina",
        label="Jina AI",
        base_url="https://api.jina.ai",
        paths=openai("/v1", "embeddings"),
    ),
    # --- self-hosted and generic ---
    Provider(
        id="ollama",
        label="Ollama",
        base_url="http://localhost:11434",
        paths=openai("/v1", "chat", "completions", "embeddings", "responses") | anthropic("/v1"),
    ),
    Provider(
        id="vllm",
        label="vLLM",
        base_url="http://localhost:8000",
        paths=openai(
            "/v1", "chat", "completions", "embeddings", "responses", "responses_get", "responses_cancel"
        )
        | anthropic("/v1", count=True),
    ),
    Provider(
        id="openai-compatible",
        label="OpenAI-compatible",
        paths=openai("/v1", *ALL_OPENAI),
    ),
    Provider(
        id="anthropic-compatible",
        label="Anthropic-compatible",
        paths=anthropic("/v1", count=True),
        auth=X_API_KEY,
    ),
    Provider(
        id="simulator",
        label="Simulated provider",
        paths=openai("/v1", *ALL_OPENAI) | anthropic("/v1", count=True) | gemini("/v1beta/models"),
        auth_by_dialect={"anthropic": X_API_KEY, "gemini": X_GOOG_API_KEY},
        quirks=(quirks.GEMINI_INNER_MODELS,),
    ),
)

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType({record.id: record for record in _RECORDS})

PLANNED: Final = frozenset(
    {"coze", "midjourney", "suno", "kling", "jimeng", "luma", "runway", "ideogram", "fal", "replicate"}
)
"""Provider ids that the configuration accepts with a warning: they speak no chat dialect and are not served
yet.
"""

VENDORS: Final = frozenset(record.vendor for record in PROVIDERS.values())
"""Values of the ``vendor`` request header, besides ``auto``."""
