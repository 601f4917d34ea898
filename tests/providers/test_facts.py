"""The table of facts: what the conversion contract demands of known models, the spellings, and an operator's overrides."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.core.facts import EFFORTS, Facts
from dragoman.providers import facts
from dragoman.providers.catalog import PROVIDERS
from dragoman.providers.facts import TABLE, facts_for


def of(
    model: str, provider: str = "openai-compatible", dialect: str = "openai_chat", public: str = ""
) -> Facts:
    return facts_for(PROVIDERS[provider], dialect, model, public)


def claude(model: str, provider: str = "anthropic") -> Facts:
    return of(model, provider, "anthropic")


def gemini(model: str) -> Facts:
    return of(model, "gemini", "gemini")


@pytest.mark.parametrize(
    ("model", "most", "thinking", "efforts", "off", "sampling", "prefill", "system", "schema"),
    [
        ("claude-3-haiku-20240307", 4096, "none", None, None, True, True, False, False),
        ("claude-3-opus-20240229", 4096, "none", None, None, True, True, False, False),
        ("claude-3-5-sonnet-20240620", 8192, "none", None, None, True, True, False, False),
        ("claude-3-7-sonnet-20250219", 64_000, "budget", None, True, True, True, False, False),
        ("claude-opus-4-20250514", 32_000, "budget", None, True, True, True, False, False),
        ("claude-4-opus-20250514", 32_000, "budget", None, True, True, True, False, False),
        ("claude-sonnet-4-0", 64_000, "budget", None, True, True, True, False, False),
        ("claude-sonnet-4-20250514", 64_000, "budget", None, True, True, True, False, False),
        ("claude-opus-4-1-20250805", 32_000, "budget", None, True, True, True, False, True),
        ("claude-haiku-4-5-20251001", 64_000, "budget", None, True, True, True, False, True),
        ("claude-opus-4-5", 64_000, "budget", None, True, True, True, False, True),
        ("claude-sonnet-4-6", 128_000, "adaptive", "low medium high max", True, True, False, False, True),
        ("claude-opus-4-6", 128_000, "adaptive", "low medium high max", True, True, False, False, True),
        ("claude-opus-4-7", 128_000, "adaptive", "low medium high xhigh max", True, False, False, False, True),
        ("claude-opus-4-8", 128_000, "adaptive", "low medium high xhigh max", True, False, False, True, True),
        ("claude-opus-4-10", 128_000, "adaptive", "low medium high xhigh max", True, False, False, True, True),
        ("claude-opus-5", 128_000, "adaptive", "low medium high xhigh max", True, False, False, True, True),
        ("claude-sonnet-5", 128_000, "adaptive", "low medium high xhigh max", True, False, False, True, True),
        ("claude-opus-5-5", 128_000, "adaptive", "low medium high xhigh max", False, False, False, True, True),
        ("claude-sonnet-5-5", 128_000, "adaptive", "low medium high xhigh max", False, False, False, True, True),
        ("claude-haiku-5-5", 128_000, "adaptive", "low medium high xhigh max", True, False, False, True, True),
        ("claude-fable-5", 128_000, "adaptive", "low medium high xhigh max", False, False, False, True, True),
        ("claude-mythos-5-2", 128_000, "adaptive", "low medium high xhigh max", False, False, False, True, True),
        ("claude-mythos-preview", 128_000, "adaptive", "low medium high xhigh max", False, False, False, False, True),
        ("claude-sonnet-latest", 128_000, "adaptive", "low medium high xhigh max", True, False, False, True, True),
        ("claude-opus-6", 128_000, "adaptive", "low medium high xhigh max", False, False, False, True, True),
    ],
)  # fmt: skip
def test_claude(model, most, thinking, efforts, off, sampling, prefill, system, schema) -> None:
    found = claude(model)
    assert (found.max_output, found.thinking) == (most, thinking)
    assert (found.sampling, found.prefill) == (sampling, prefill)
    assert (found.system_turns, found.schema_output) == (system, schema)
    if efforts is not None:
        assert found.efforts == tuple(efforts.split())
    if off is not None:
        assert found.thinking_off is off
    if thinking != "none":
        assert found.least_budget == 1024
        assert found.most_budget == most - 1


@pytest.mark.parametrize(
    ("model", "forced"),
    [
        ("claude-opus-5", True),
        ("claude-sonnet-5", True),
        ("claude-haiku-5-5", True),
        ("claude-opus-4-8", True),
        ("claude-opus-5-5", False),
        ("claude-sonnet-5-5", False),
        ("claude-fable-5", False),
        ("claude-mythos-5-1", False),
        ("us.anthropic.claude-opus-5-5-v1:0", False),
        ("gpt-5", True),
    ],
)
def test_tools_can_be_forced(model: str, forced: bool) -> None:
    assert claude(model).forced_tools is forced


@pytest.mark.parametrize(
    ("model", "both"),
    [
        ("claude-3-5-sonnet-20240620", True),
        ("claude-opus-4-20250514", True),
        ("claude-sonnet-4-0", True),
        ("claude-opus-4-1-20250805", False),
        ("claude-sonnet-4-5", False),
        ("claude-haiku-4-5-20251001", False),
        ("claude-sonnet-4-6", False),
    ],
)
def test_temperature_and_top_p_together(model: str, both: bool) -> None:
    assert claude(model).both_sampling is both


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("anthropic.claude-opus-4-7", "claude-opus-4-7"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5"),
        ("anthropic/claude-sonnet-4.6", "claude-sonnet-4-6"),
        ("anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet"),
        ("anthropic/claude-opus-4", "claude-opus-4-20250514"),
        ("anthropic/claude-4.5-sonnet", "claude-sonnet-4-5"),
        ("Claude-Opus-5.5", "claude-opus-5-5"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-fable-5", "claude-fable-5"),
    ],
)
def test_spellings(spelling: str, plain: str) -> None:
    assert claude(spelling) == claude(plain)
    assert claude(plain) != Facts()


def test_a_cloud_may_lag_behind() -> None:
    assert claude("claude-sonnet-4-5").schema_output
    assert not claude("claude-sonnet-4-5@20250929", "vertex").schema_output
    assert claude("claude-opus-4-6", "vertex").schema_output
    assert claude("anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock").schema_output
    assert not claude("anthropic.claude-opus-4-1-20250805-v1:0", "bedrock").schema_output
    assert claude("anthropic.claude-sonnet-4-6", "bedrock").max_output == 64_000


@pytest.mark.parametrize(
    ("model", "most", "thinking", "off", "least", "budget"),
    [
        ("gemini-1.5-pro-latest", 8192, "none", None, None, None),
        ("gemini-pro", 8192, "none", None, None, None),
        ("gemini-2.0-flash-001", 8192, "none", None, None, None),
        ("gemini-2.5-pro", 65_535, "budget", False, 128, 32_768),
        ("gemini-2.5-flash", 65_535, "budget", True, 0, 24_576),
        ("models/gemini-2.5-flash-preview-09-2025", 65_535, "budget", True, 0, 24_576),
        ("gemini-2.5-flash-lite", 65_535, "budget", True, 512, 24_576),
        ("gemini-2.5-flash-image", 32_768, "none", None, None, None),
        ("gemini-3-pro-image-preview", 32_768, "none", None, None, None),
    ],
)
def test_gemini_before_3(model, most, thinking, off, least, budget) -> None:
    found = gemini(model)
    assert (found.max_output, found.thinking) == (most, thinking)
    if off is not None:
        assert (found.thinking_off, found.least_budget, found.most_budget) == (off, least, budget)
    if "gemini-3" not in model:
        assert not (found.signed_calls or found.media_resolution or found.call_ids)


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("gemini-3-pro", "low high"),
        ("gemini-3-pro-preview", "low high"),
        ("google/gemini-3.1-pro-preview", "low medium high"),
        ("gemini-3-flash-preview", "minimal low medium high"),
        ("gemini-3.1-flash-lite", "minimal low medium high"),
        ("gemini-3.8-flash", "minimal low medium high"),
        ("gemini-flash-latest", "minimal low medium high"),
        ("gemini-pro-latest", "low medium high"),
        ("gemini-4-pro", "low medium high"),
        ("gemini-3.1-flash-image", "minimal high"),
    ],
)
def test_gemini_3(model: str, efforts: str) -> None:
    found = gemini(model)
    assert found.thinking == "level"
    assert found.efforts == tuple(efforts.split())
    assert not found.thinking_off
    assert found.signed_calls
    assert found.media_resolution
    assert found.call_ids


@pytest.mark.parametrize(
    ("model", "efforts", "sampling", "most"),
    [
        ("gpt-3.5-turbo", "", True, 4096),
        ("gpt-4", "", True, 4096),
        ("gpt-4-1106-preview", "", True, 4096),
        ("gpt-4-gizmo-g-abc", "", True, 4096),
        ("gpt-4o-mini-2024-07-18", "", True, 16_384),
        ("gpt-4.1-mini", "", True, 32_768),
        ("o1", "low medium high", False, 100_000),
        ("o3-mini-2025-01-31", "low medium high", False, 100_000),
        ("o4-mini", "low medium high", False, 100_000),
        ("gpt-5", "minimal low medium high", False, 128_000),
        ("gpt-5-2025-08-07", "minimal low medium high", False, 128_000),
        ("gpt-5-nano", "minimal low medium high", False, 128_000),
        ("gpt-5-codex", "low medium high", False, 128_000),
        ("gpt-5-pro", "high", False, 272_000),
        ("gpt-5-chat-latest", "", True, 16_384),
        ("gpt-5.1", "none low medium high", False, 128_000),
        ("gpt-51-codex-max", "low medium high xhigh", False, 128_000),
        ("gpt-5.1-codex", "low medium high", False, 128_000),
        ("gpt-5.2-2025-12-11", "none low medium high xhigh", False, 128_000),
        ("gpt-5.2-pro", "medium high xhigh", False, 128_000),
        ("gpt-5.3-chat-latest", "medium", False, 16_384),
        ("gpt-54", "none low medium high xhigh", False, 128_000),
        ("gpt-5.5", "none low medium high xhigh", False, 128_000),
        ("gpt-5.6-sol", "none low medium high xhigh max", False, 128_000),
        ("gpt-6.1-terra", "none low medium high xhigh max", False, 128_000),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "azure-openai"])
def test_openai(provider: str, model: str, efforts: str, sampling: bool, most: int) -> None:
    found = of(model, provider)
    assert found.efforts == tuple(efforts.split())
    assert found.reasoning is bool(efforts)
    assert found.sampling is sampling
    assert found.max_output == most
    # E087: OpenAI itself has one name for the limit, whatever the model.
    assert found.max_completion_tokens
    assert found.developer_role


def test_compatible_servers_keep_max_tokens_but_for_reasoning_models() -> None:
    """E087: many servers ignore max_completion_tokens; models of the o- and gpt-5-class refuse max_tokens anywhere."""
    for model in ("gpt-4o", "llama-3", "my-model", "gpt-oss-120b", "kimi-o1"):
        assert not of(model).max_completion_tokens, model
    for model in ("gpt-5-mini", "o3", "openai/o4-mini", "gpt-6-sol"):
        assert of(model).max_completion_tokens, model
        assert not of(model).developer_role


@pytest.mark.parametrize(
    ("model", "provider", "needed"),
    [
        ("gpt-5.3-codex", "openai", False),
        ("gpt-5.2", "openai", False),
        ("gpt-5", "openai", False),
        ("gpt-5.4", "openai", True),
        ("gpt-5.4-mini-2026-03-17", "azure-openai", True),
        ("gpt-5.6-luna", "openai-compatible", True),
        ("gpt-6.1-sol", "openai", True),
        ("openai/gpt-5.4", "openrouter", False),
        ("o3", "openai", False),
        ("gpt-4.1", "openai", False),
    ],
)
def test_tools_need_responses(model: str, provider: str, needed: bool) -> None:
    assert of(model, provider).tools_need_responses is needed


def test_web_search() -> None:
    assert of("gpt-4o-search-preview", "openai").web_search
    assert of("gpt-5-search-api-2025-10-14", "openai").web_search
    assert not of("gpt-5", "openai").web_search
    for provider in ("xai", "openrouter", "perplexity"):
        assert of("any", provider).web_search


def test_openrouter_speaks_one_vocabulary_in_chat_only() -> None:
    for model in ("openai/gpt-5", "anthropic/claude-opus-5.5", "z-ai/glm-5"):
        found = of(model, "openrouter")
        assert found.reasoning
        assert found.efforts == EFFORTS
        assert found.sampling
        assert found.cache_control
        assert found.reasoning_details
    assert not claude("anthropic/claude-opus-5.5", "openrouter").sampling
    assert claude("anthropic/claude-opus-5.5", "openrouter").efforts == (
        "low",
        "medium",
        "high",
        "xhigh",
        "max",
    )
    assert not of("gpt-4o", "openai").cache_control


@pytest.mark.parametrize(
    ("model", "provider", "reasoning", "details"),
    [
        ("deepseek-v4-pro", "deepseek", True, True),
        ("deepseek-v4-flash", "siliconflow", False, True),
        ("deepseek-chat", "deepseek", False, False),
        ("deepseek-r1", "siliconflow", False, False),
        ("kimi-k2.5", "moonshot", False, True),
        ("kimi-k2-thinking", "moonshot", False, True),
        ("kimi-k2-0905-preview", "moonshot", False, False),
        ("kimi-k3", "moonshot", True, True),
        ("MiniMax-M2.7", "minimax", False, True),
        ("glm-5.1", "zhipu", False, True),
        ("glm-5.3", "zhipu", True, True),
        ("qwen-plus", "qwen", False, False),
        ("grok-4.1-fast", "xai", False, False),
        ("grok-4.3", "xai", True, False),
        ("mistral-large-latest", "mistral", False, False),
        ("mistral-small-latest", "mistral", True, False),
        ("openai/gpt-oss-120b", "groq", True, False),
        ("qwen/qwen3-32b", "groq", False, False),
        ("moonshotai/kimi-k2.5", "groq", False, False),
        ("sonar-deep-research", "perplexity", True, False),
        ("command-a-03-2025", "cohere", False, False),
    ],
)
def test_other_vendors(model: str, provider: str, reasoning: bool, details: bool) -> None:
    found = of(model, provider)
    assert found.reasoning is reasoning
    assert found.reasoning_details is details
    assert not found.files


def test_unknown_models_have_the_defaults() -> None:
    assert of("my-model") == Facts()
    assert of("") == Facts()
    assert claude("claude-custom") == Facts()
    assert of("my-model", "openai") == Facts(max_completion_tokens=True, developer_role=True)


def test_the_public_id_helps_only_where_the_upstream_id_says_nothing() -> None:
    assert of("my-deployment", "azure-openai", public="gpt-5.2") == of("gpt-5.2", "azure-openai")
    assert of("deepseek-v4-pro", public="gpt-5") == of("deepseek-v4-pro")


@pytest.mark.parametrize("row", TABLE)
def test_every_row_is_sound(row: facts.Row) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(Facts)}
    for name, value in row.values.items():
        msgspec.convert(value, known[name])
    assert tuple(word for word in EFFORTS if word in row.values.get("efforts", ())) == row.values.get(
        "efforts", ()
    )
    assert row.providers <= set(PROVIDERS)
    assert row.dialects <= {"openai_chat", "openai_responses", "anthropic", "gemini"}
    assert row.values
    assert row.models is not None or row.providers


def test_every_catalogued_chat_model_thinks_within_its_output() -> None:
    from dragoman.providers.models import CATALOGUE

    for entry in CATALOGUE.values():
        if entry.kind == "chat":
            found = of(entry.id)
            assert found.max_output >= 4096, entry.id
            if found.thinking == "budget" and entry.owner in ("anthropic", "google"):
                assert found.least_budget <= found.most_budget < found.max_output, entry.id


# --- an operator's overrides -----------------------------------------------------------------------------------------


def given(**overrides: object) -> Facts:
    return facts_for(PROVIDERS["anthropic"], "anthropic", "claude-opus-4-7", "", overrides)


def test_overrides_win() -> None:
    found = given(sampling=True, max_output=1000, thinking="budget", efforts=["high", "low"])
    assert found.sampling
    assert (found.max_output, found.thinking) == (1000, "budget")
    assert found.efforts == ("low", "high")
    assert not found.prefill
    assert given() == claude("claude-opus-4-7")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"max_ouput": 5}, ("facts.max_ouput", "no such fact", "max_output, thinking, efforts")),
        ({"max_output": "5"}, ("facts.max_output", "'5'", "an integer")),
        ({"max_output": True}, ("facts.max_output", "True", "an integer")),
        ({"max_output": 0}, ("facts.max_output", "0", "at least 1")),
        ({"least_budget": -1}, ("facts.least_budget", "-1", "at least 0")),
        ({"thinking": "hard"}, ("facts.thinking", "'hard'", "none, budget, adaptive, level")),
        ({"efforts": "low"}, ("facts.efforts", "'low'", "a list of none, minimal")),
        ({"efforts": ["low", "extreme"]}, ("facts.efforts", "extreme", "xhigh, max")),
        ({"efforts": ["low", ["high"]]}, ("facts.efforts", "a list of")),
        ({"sampling": 1}, ("facts.sampling", "1", "true or false")),
        ({"sampling": None}, ("facts.sampling", "None", "true or false")),
        ({"files": {"a": []}}, ("facts.files", "true or false")),
        ({"files": [{}]}, ("facts.files", "true or false")),
    ],
)
def test_overrides_that_cannot_be(overrides: dict[str, object], words: tuple[str, ...]) -> None:
    for _ in range(2):  # an error is not remembered as an answer
        with pytest.raises(ValueError) as caught:
            given(**overrides)
        for word in words:
            assert word in str(caught.value)


def test_one_and_true_are_not_the_same_override() -> None:
    assert given(max_output=1).max_output == 1
    with pytest.raises(ValueError):
        given(max_output=True)
    assert given(sampling=True).sampling
    with pytest.raises(ValueError):
        given(sampling=1)


def test_a_repeated_question_is_answered_from_memory() -> None:
    assert given(max_output=77) is given(max_output=77)
    assert claude("claude-opus-4-6") is claude("claude-opus-4-6")
