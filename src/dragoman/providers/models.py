"""The shipped catalogue: every model id that the product's documents name, with its owner, kind and aliases.

It answers "has anyone ever heard of this id?" (404 or 503), ``owned_by``, display names and the default
``supported_endpoint_types``. It knows no prices (``prices``), no channels (``routing``) and no capabilities
of a model beyond its kind. Ids are case-sensitive. Family rules cover what a family will be called
tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

Kind = Literal[
    "chat",
    "image",
    "video",
    "music",
    "speech",
    "transcription",
    "realtime",
    "embedding",
    "rerank",
    "moderation",
]


class Model(Struct, frozen=True):
    """One known model. ``owner`` is ``owned_by`` in the OpenAI-shaped lists."""

    id: str
    owner: str
    kind: Kind
    display_name: str


# (owner, kind): ids. Sources: the chat, media, video and client documents; see their tables of model ids.
_IDS: Final[Mapping[tuple[str, Kind], str]] = MappingProxyType(
    {
        ("anthropic", "chat"): """
            claude-haiku-4-5 claude-haiku-4-5-20251001 claude-sonnet-4-5 claude-sonnet-4-5-20250929
            claude-sonnet-4-6 claude-opus-4-6 claude-opus-4-7 claude-opus-5-5 claude-3-haiku-20240307
            claude-3-5-sonnet-20240620 claude-3-opus-20240229""",
        ("openai", "chat"): """
            gpt-5.5 gpt-5.4 gpt-5.2 gpt-5.1-codex-max gpt-5 gpt-5-mini gpt-5-nano gpt-5-pro gpt-5-codex
            codex-mini-latest gpt-4.1 gpt-4.1-mini gpt-4o gpt-4o-mini gpt-4o-audio-preview gpt-4 o1 o3
            o4-mini""",
        ("openai", "realtime"): "gpt-4o-realtime-preview gpt-4o-mini-realtime-preview",
        ("openai", "embedding"): "text-embedding-3-large text-embedding-3-small text-embedding-ada-002",
        ("openai", "moderation"): "omni-moderation-latest text-moderation-latest",
        ("openai", "image"): "gpt-image-2 dall-e-3 dall-e-2",
        ("openai", "speech"): "tts-1 tts-1-1106 tts-1-hd tts-1-hd-1106 gpt-4o-mini-tts",
        ("openai", "transcription"): "whisper-1 whisper-large-v3 gpt-4o-transcribe",
        ("openai", "video"): "sora-2 sora-2-pro sora-pro",
        ("google", "chat"): """
            gemini-3-pro gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite gemini-1.5-pro-latest
            gemini-pro""",
        ("google", "embedding"): "gemini-embedding-001 gemini-embedding-2 text-embedding-004",
        ("google", "image"): "nano-banana nano-banana-2 nano-banana-pro imagen-4",
        ("google", "video"): """
            veo-3.1 veo-3.1-fast veo-3.1-quality veo-3.1-generate-preview veo-3.1-fast-generate-preview""",
        ("xai", "chat"): """
            grok-4 grok-4-0709 grok-4-fast grok-4-fast-non-reasoning grok-4-fast-reasoning
            grok-4-1-fast-reasoning grok-4.1 grok-4.1-fast grok-4.1-thinking grok-4.2""",
        ("xai", "image"): "grok-4-image grok-imagine-image",
        ("xai", "video"): "grok-video-3 grok-imagine-video",
        ("deepseek", "chat"): """
            deepseek-v4-pro deepseek-v4-flash deepseek-v3.2 deepseek-v3 deepseek-r1 deepseek-reasoner
            deepseek-chat deepseek-ocr""",
        ("qwen", "chat"): "qwen-plus qwen-max qwen3.5-plus",
        ("qwen", "image"): """
            qwen-image-plus qwen-image-max qwen-image-2.0 qwen-image-2.0-pro qwen-image-edit-2509""",
        ("qwen", "rerank"): "gte-rerank-v2",
        ("qwen", "video"): """
            wan2.5-i2v-preview wan2.5-t2v-preview wan2.2-i2v-plus wan2.2-i2v-flash wan2.2-t2v-plus
            wan2.2-kf2v-flash wan2.2-s2v wan-ai/wan2.1-t2v-14b wan-ai/wan2.1-i2v-14b-720p
            Wan-AI/Wan2.1-T2V-14B Wan-AI/Wan2.1-I2V-14B-720P""",
        ("baai", "rerank"): "BAAI/bge-reranker-v2-m3 BAAI/bge-reranker-large",
        ("zhipu", "chat"): "glm-5.1 glm-5",
        ("moonshot", "chat"): """
            kimi-k2.5 kimi-k2 kimi-k2-instruct kimi-k2-thinking kimi-k2-0905 kimi-k2-0905-preview
            kimi-k2-0711-preview moonshot-v1-8k moonshot-v1-32k moonshot-v1-128k""",
        ("minimax", "chat"): "MiniMax-M2.7 MiniMax-M2.5 MiniMax-M2.1",
        ("minimax", "video"): "video-01 video-01-live2d T2V-01 I2V-01 S2V-01",
        ("volcengine", "image"): """
            doubao-seedream-5-0 doubao-seedream-4-5 doubao-seedream-4-0 doubao-seedream-3-0
            doubao-seedream-4-0-250828""",
        ("volcengine", "video"): """
            doubao-video doubao-seedance-2-0 doubao-seedance-2-0-fast doubao-seedance-1-0-lite-t2v
            doubao-seedance-1-0-lite-i2v seedance-lite jimeng-video-3.0 jimeng_t2v_v30
            jimeng_t2v_v30_1080p jimeng_i2v_first_v30 jimeng_i2v_first_v30_1080 jimeng_i2v_recamera_v30""",
        ("kling", "video"): "kling-v3 kling-v3-omni kling-v2-6 kling-v2-5-turbo kling-video-o1",
        ("kling", "image"): "kolors-virtual-try-on-v1 kolors-virtual-try-on-v1-5",
        ("luma", "video"): "ray-v1 ray-v2 ray-2 ray-1-6",
        ("runway", "video"): "gen3a_turbo",
        ("suno", "music"): "suno_music suno_lyrics suno_concat chirp-v3-5 chirp-v4",
        ("midjourney", "image"): """
            mj_imagine mj_variation mj_upscale mj_reroll mj_blend mj_describe mj_shorten mj_zoom mj_pan
            mj_inpaint mj_modal""",
        ("ideogram", "image"): """
            V_2 V_2_TURBO V_3 ideogram_generate ideogram_remix ideogram_describe ideogram_upscale""",
        ("fal", "image"): "fal-ai/nano-banana fal-ai/nano-banana/edit",
    }
)  # fmt: skip

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gpt-54": "gpt-5.4",
        "gpt-51-codex-max": "gpt-5.1-codex-max",
        "MiniMax-M27": "MiniMax-M2.7",
        "claude-sonnet-4.6": "claude-sonnet-4-6",
    }
)
"""Other spellings that the documents use, and what they mean."""

# Families in the order of trial: what an unlisted id belongs to. ``known`` ignores them; they only classify.
_FAMILIES: Final = tuple(
    (re.compile(pattern), owner, kind)
    for pattern, owner, kind in (
        (r"^text-embedding-00\d|^gemini-embedding", "google", "embedding"),
        (r"^text-embedding-|^embedding-", "openai", "embedding"),
        (r"embed|^bge-(?!rerank)|^voyage-", "other", "embedding"),
        (r"rerank", "other", "rerank"),
        (r"moderation", "openai", "moderation"),
        (r"realtime", "openai", "realtime"),
        (r"^(?:gpt-image|dall-e|chatgpt-image)", "openai", "image"),
        (r"^(?:tts-|gpt-.*-tts)", "openai", "speech"),
        (r"^whisper|transcribe", "openai", "transcription"),
        (r"^sora", "openai", "video"),
        (r"^claude", "anthropic", "chat"),
        (r"^(?:gpt-|chatgpt-|codex-|o\d+(?:-|$))", "openai", "chat"),
        (r"^(?:imagen|nano-banana|gemini-.*-image)", "google", "image"),
        (r"^veo-", "google", "video"),
        (r"^(?:gemini|gemma|learnlm)", "google", "chat"),
        (r"^grok-.*(?:image|imagine)", "xai", "image"),
        (r"^grok", "xai", "chat"),
        (r"^deepseek", "deepseek", "chat"),
        (r"(?i)^wan", "qwen", "video"),
        (r"^qwen-image", "qwen", "image"),
        (r"^(?:qwen|qwq|qvq)", "qwen", "chat"),
        (r"^(?:glm|cogview|cogvideo)", "zhipu", "chat"),
        (r"^(?:kimi|moonshot)", "moonshot", "chat"),
        (r"^(?:MiniMax|abab)", "minimax", "chat"),
        (r"^(?:mistral|codestral|ministral|magistral|devstral|pixtral|open-mi)", "mistral", "chat"),
        (r"^(?:command|c4ai|aya)", "cohere", "chat"),
        (r"^(?:sonar|r1-1776)", "perplexity", "chat"),
        (r"^ernie", "baidu", "chat"),
        (r"^hunyuan", "tencent", "chat"),
        (r"^(?:spark|generalv|4\.0Ultra)", "xunfei", "chat"),
        (r"^(?:doubao-seedream|jimeng-image)", "volcengine", "image"),
        (r"^(?:doubao-seedance|seedance|jimeng)", "volcengine", "video"),
        (r"^doubao", "volcengine", "chat"),
        (r"^kling", "kling", "video"),
        (r"^mj_", "midjourney", "image"),
        (r"^suno_|^chirp", "suno", "music"),
        (r"^ideogram", "ideogram", "image"),
        (r"^fal-ai/", "fal", "image"),
    )
)

# Families that answer Messages natively beside chat, and those that answer Responses.
_SPEAKS_MESSAGES: Final = frozenset({"anthropic", "deepseek", "minimax", "moonshot"})
_ENDPOINT_BY_KIND: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "image": ("image-generation",),
        "video": ("openai-video",),
        "music": ("suno",),
        "speech": ("audio-speech",),
        "transcription": ("audio-transcription",),
        "realtime": ("openai-realtime",),
        "embedding": ("embeddings",),
        "rerank": ("rerank",),
        "moderation": ("moderations",),
    }
)
_ENDPOINT_BY_DIALECT: Final = (
    ("openai_chat", "openai"),
    ("openai_responses", "openai-response"),
    ("anthropic", "anthropic"),
    ("gemini", "gemini"),
)
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        word.lower(): word
        for word in "GPT GLM TTS DALL DeepSeek MiniMax OCR HD OpenAI AI Midjourney".split()  # noqa: SIM905
    }
)


def resolve(model: str) -> str:
    """The canonical id behind a documented alias, or the id itself."""
    return ALIASES.get(model, model)


def known(model: str) -> bool:
    """Do the documents name this id (or alias)? Other ids may still be known by a price or a channel."""
    return resolve(model) in CATALOGUE or model.startswith("gpt-4-gizmo-")


def describe(model: str) -> Model:
    """The catalogue's entry, or what the family rules make of an id that it does not hold."""
    name = resolve(model)
    listed = CATALOGUE.get(name)
    if listed is not None:
        return listed
    bare = name.rpartition("/")[2]
    for pattern, owner, kind in _FAMILIES:
        if pattern.search(name) or pattern.search(bare):
            return Model(name, owner, kind, display_name(name))  # type: ignore[arg-type]
    return Model(name, "other", "chat", display_name(name))


def owned_by(model: str) -> str:
    """The owner of a model as the OpenAI-shaped lists tell it; "other" if unknown."""
    return describe(model).owner


def display_name(model: str) -> str:
    """A readable name: ``claude-sonnet-4-6`` → ``Claude Sonnet 4.6``, ``gpt-5-mini`` → ``GPT 5 Mini``."""
    bare = model.rpartition("/")[2]
    spaced = re.sub(r"(?<=\d)-(?=\d\b(?!\d))", ".", bare)
    words = [word for word in re.split(r"[-_\s]+", spaced) if word]
    return " ".join(
        _WORDS.get(word.lower(), word if not word.islower() else word.capitalize()) for word in words
    )


def supported_endpoint_types(model: str, dialects: Collection[str] | None = None) -> list[str]:
    """The documented endpoint types of a model, for lists and pricing.

    With ``dialects`` (those that the model's channels speak) the chat families are told from them; without,
    from the family: Claude ["openai", "anthropic"], Gemini ["openai", "gemini"], GPT ["openai",
    "openai-response"]. Claude never shows ``openai-response``.
    """
    entry = describe(model)
    if entry.kind != "chat":
        if entry.owner == "google" and entry.kind == "image":
            return ["gemini"]
        if entry.owner == "midjourney":
            return ["midjourney"]
        return list(_ENDPOINT_BY_KIND[entry.kind])
    if dialects is not None:
        spoken = [kind for dialect, kind in _ENDPOINT_BY_DIALECT if dialect in dialects]
        if entry.owner == "anthropic":
            spoken = [kind for kind in spoken if kind != "openai-response"]
        return spoken
    types = ["openai"]
    if entry.owner == "openai":
        types.append("openai-response")
    if entry.owner in _SPEAKS_MESSAGES:
        types.append("anthropic")
    if entry.owner == "google":
        types.append("gemini")
    return types


def _entries() -> Iterator[Model]:
    for (owner, kind), ids in _IDS.items():
        for name in ids.split():
            yield Model(name, owner, kind, display_name(name))


CATALOGUE: Final[Mapping[str, Model]] = MappingProxyType({entry.id: entry for entry in _entries()})
