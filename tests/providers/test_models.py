"""The shipped catalogue of model ids."""

from __future__ import annotations

import pytest

from dragoman.providers import models

BASELINE = [
    "gpt-5.4",
    "claude-sonnet-4-6",
    "gemini-3-pro",
    "text-embedding-3-large",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "gpt-4o",
    "gpt-4o-mini",
    "o3",
    "gpt-5.1-codex-max",
    "gpt-4.1",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5.2",
    "gpt-5.5",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-2.5-flash-lite",
    "gemini-1.5-pro-latest",
    "gemini-pro",
    "qwen-plus",
    "glm-5.1",
    "glm-5",
    "kimi-k2.5",
    "MiniMax-M2.5",
    "deepseek-v3.2",
    "deepseek-ocr",
    "qwen3.5-plus",
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5-20250929",
    "claude-3-haiku-20240307",
    "claude-3-5-sonnet-20240620",
    "claude-3-opus-20240229",
    "gpt-image-2",
    "sora-2",
    "veo-3.1",
    "kling-v3",
    "nano-banana-2",
    "suno_music",
    "mj_imagine",
    "fal-ai/nano-banana",
    "ideogram_describe",
    "grok-4-0709",
    "gte-rerank-v2",
    "tts-1",
    "whisper-1",
]


@pytest.mark.parametrize("model", BASELINE)
def test_documented_ids_are_known(model: str) -> None:
    assert models.known(model)


def test_aliases_resolve_to_known_ids() -> None:
    for alias, target in models.ALIASES.items():
        assert models.resolve(alias) == target
        assert models.known(alias)
        assert target in models.CATALOGUE
    assert models.resolve("gpt-54") == "gpt-5.4"
    assert models.resolve("anything") == "anything"


def test_ids_are_case_sensitive_and_wildcard_families_known() -> None:
    assert not models.known("minimax-m2.5")
    assert not models.known("gpt-9000")
    assert models.known("gpt-4-gizmo-g-B3hgivKK9")


def test_no_id_is_listed_twice() -> None:
    ids = [name for names in models._IDS.values() for name in names.split()]
    assert len(ids) == len(set(ids)) == len(models.CATALOGUE)


@pytest.mark.parametrize("entry", models.CATALOGUE.values(), ids=lambda entry: entry.id)
def test_the_family_rules_agree_with_the_catalogue_on_chat_models(entry: models.Model) -> None:
    if entry.kind != "chat":
        return
    unlisted = models.describe(entry.id + "-next")
    assert (unlisted.owner, unlisted.kind) == (entry.owner, "chat")


@pytest.mark.parametrize(
    ("model", "types"),
    [
        ("claude-sonnet-4-6", ["openai", "anthropic"]),
        ("gemini-3-pro", ["openai", "gemini"]),
        ("gpt-5.4", ["openai", "openai-response"]),
        ("gpt-54", ["openai", "openai-response"]),
        ("MiniMax-M2.7", ["openai", "anthropic"]),
        ("grok-4", ["openai"]),
        ("text-embedding-3-large", ["embeddings"]),
        ("gpt-image-2", ["image-generation"]),
        ("nano-banana-2", ["gemini"]),
        ("mj_imagine", ["midjourney"]),
        ("suno_music", ["suno"]),
        ("sora-2", ["openai-video"]),
        ("claude-unknown-9", ["openai", "anthropic"]),
        ("wholly-unknown", ["openai"]),
    ],
)
def test_endpoint_types_of_families(model: str, types: list[str]) -> None:
    assert models.supported_endpoint_types(model) == types


def test_endpoint_types_follow_the_channels() -> None:
    every = {"openai_chat", "openai_responses", "anthropic", "gemini", "plain"}
    assert models.supported_endpoint_types("gpt-5.4", {"openai_chat", "plain"}) == ["openai"]
    assert models.supported_endpoint_types("grok-4", every) == [
        "openai",
        "openai-response",
        "anthropic",
        "gemini",
    ]
    assert "openai-response" not in models.supported_endpoint_types("claude-opus-4-6", every)


@pytest.mark.parametrize(
    ("model", "owner", "name"),
    [
        ("claude-sonnet-4-6", "anthropic", "Claude Sonnet 4.6"),
        ("gpt-5-mini", "openai", "GPT 5 Mini"),
        ("MiniMax-M2.7", "minimax", "MiniMax M2.7"),
        ("deepseek-v4-pro", "deepseek", "DeepSeek V4 Pro"),
        ("voyage-3", "other", "Voyage 3"),
        ("openrouter/gpt-5", "openai", "GPT 5"),
    ],
)
def test_owner_and_display_name(model: str, owner: str, name: str) -> None:
    assert models.owned_by(model) == owner
    assert models.describe(model).display_name == name
