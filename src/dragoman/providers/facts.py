"""What every known model can do: a table from model ids to ``core.facts.Facts``. Data, read from top to bottom.

A row applies where its pattern is found in the model's id, on the providers and in the dialects it names (all, if it
names none); a later row overrides an earlier one field by field, so families stand before their exceptions and what
holds on one provider only stands at the end. The upstream's id decides; the public one is looked at only if no row
knows the upstream's (a deployment's own name). Ids are found with vendor prefixes (``anthropic/claude-sonnet-4.5``) and
in the clouds' spellings (``us.anthropic.claude-sonnet-4-5-20250929-v1:0``, ``claude-sonnet-4-5@20250929``).

What no row knows has the defaults of ``Facts``. An operator may override single facts per channel.

Sources, November 2026: platform.claude.com (model pages and migration guides of each model), ai.google.dev (thinking,
gemini-3), developers.openai.com (reasoning, latest-model, model pages), the types of the vendors' SDKs, and the vendors'
own pages as named beside the rows. "C5", "E009" … are cases of the conversion contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.conversation import NOTHING
from dragoman.core.facts import EFFORTS, Facts
from dragoman.providers.base import Provider


class Row(Struct, frozen=True, kw_only=True):
    """Facts of the models whose id the pattern is found in. models None: of every model of these providers."""

    models: re.Pattern[str] | None
    values: Mapping[str, Any]
    providers: frozenset[str] = frozenset()
    dialects: frozenset[str] = frozenset()


def _row(models: str, *, on: str = "", speaking: str = "", **values: object) -> Row:
    """A row of the table. on, speaking: provider ids and dialects, separated by spaces."""
    return Row(
        models=re.compile(models) if models else None,
        values=values,
        providers=frozenset(on.split()),
        dialects=frozenset(speaking.split()),
    )


def _claude(version: str, lines: str = "opus|sonnet|haiku") -> str:
    """Claude models of one version, in both orders: claude-sonnet-4-5 and claude-4.5-sonnet."""
    return rf"claude-(?:(?:{lines})-{version}|{version}-(?:{lines}))(?!\d)"


_NO_MINOR: Final = r"(?![.-]\d{1,2}(?!\d))"  # a date may follow: claude-opus-4-20250514
_OPENAI_STYLE: Final = "openai_chat openai_responses"

# Words for the amount of reasoning, in the order of EFFORTS.
_LOW_TO_HIGH: Final = ("low", "medium", "high")
_FROM_NONE: Final = ("none", "low", "medium", "high")
_FROM_MINIMAL: Final = ("minimal", "low", "medium", "high")
_TO_XHIGH: Final = ("low", "medium", "high", "xhigh")
_NONE_TO_XHIGH: Final = ("none", "low", "medium", "high", "xhigh")
_NONE_TO_MAX: Final = ("none", "low", "medium", "high", "xhigh", "max")
_TO_MAX: Final = ("low", "medium", "high", "xhigh", "max")

# --- Anthropic: output limits from the model pages; what is refused from the migration guides ---------------------------

_CLAUDE: Final = (
    _row(
        r"claude-(?:instant|v?[12](?!\d))",
        max_output=4096,
        thinking="none",
        reasoning=False,
        schema_output=False,
    ),
    _row(_claude(r"3" + _NO_MINOR), max_output=4096, thinking="none", reasoning=False, schema_output=False),
    _row(_claude(r"3[.-]5"), max_output=8192, thinking="none", reasoning=False, schema_output=False),
    _row(_claude(r"3[.-]7"), max_output=64_000, most_budget=63_999, schema_output=False),
    _row(
        _claude(r"4(?:[.-]0)?" + _NO_MINOR, "sonnet"),
        max_output=64_000,
        most_budget=63_999,
        schema_output=False,
    ),
    _row(
        _claude(r"4(?:[.-]0)?" + _NO_MINOR, "opus"),
        max_output=32_000,
        most_budget=31_999,
        schema_output=False,
    ),
    # From 4.1 on: "temperature and top_p cannot both be specified for this model".
    _row(_claude(r"4[.-](?:[1-9]|\d\d)"), both_sampling=False),
    _row(_claude(r"4[.-]1", "opus"), max_output=32_000, most_budget=31_999),
    _row(_claude(r"4[.-]5"), max_output=64_000, most_budget=63_999),
    # 4.6 takes a budget as well, but calls it deprecated (the SDK warns). No prefill from here on (E009).
    _row(
        _claude(r"4[.-](?:[6-9]|\d\d)"),
        max_output=128_000,
        most_budget=127_999,
        thinking="adaptive",
        efforts=("low", "medium", "high", "max"),
        prefill=False,
    ),
    # 4.7: no temperature, top_p, top_k; xhigh; a budget is 400. 4.8: system messages among the turns.
    _row(_claude(r"4[.-](?:[7-9]|\d\d)"), sampling=False, efforts=_TO_MAX),
    _row(_claude(r"4[.-](?:[89]|\d\d)"), system_turns=True),
    _row(
        r"|".join(
            (
                _claude(r"(?:[5-9]|\d\d)", "opus|sonnet|haiku|fable|mythos"),
                r"claude-mythos-preview",
                r"claude-(?:opus|sonnet|haiku|fable|mythos)-latest",
            )
        ),
        max_output=128_000,
        most_budget=127_999,
        thinking="adaptive",
        efforts=_TO_MAX,
        prefill=False,
        sampling=False,
        system_turns=True,
    ),
    _row(r"claude-mythos-preview", system_turns=False),
    # Thinking cannot be disabled and no tool forced: Fable and Mythos from the start (E115), Opus and Sonnet from 5.5 on
    # (Sonnet 5.5 knows "between_tools" instead). Haiku 5.5 can both.
    _row(r"claude-(?:fable|mythos)", thinking_off=False, forced_tools=False),
    _row(
        _claude(r"(?:5[.-](?:[5-9]|\d\d)|(?:[6-9]|\d\d))", "opus|sonnet"),
        thinking_off=False,
        forced_tools=False,
    ),
    # docs.cloud.google.com, Claude structured outputs: 4.6 and later only. AWS: 4.5 and later.
    _row(_claude(r"4[.-][15]"), on="vertex", schema_output=False),
    _row(_claude(r"4[.-]1"), on="bedrock", schema_output=False),
    _row(_claude(r"4[.-]6", "sonnet"), on="vertex bedrock", max_output=64_000, most_budget=63_999),
)

# --- Google: ai.google.dev/gemini-api/docs/thinking and /gemini-3 --------------------------------------------------------

_GEMINI: Final = (
    # Unknown ones are taken for new ones: since 3.5 a budget is an error.
    _row(
        r"gemini-",
        max_output=65_536,
        thinking="level",
        efforts=_LOW_TO_HIGH,
        thinking_off=False,
        signed_calls=True,
        media_resolution=True,
        call_ids=True,
    ),
    _row(
        r"gemini-(?:1[.-]|2[.-]0)|gemini-(?:pro|ultra)(?:-vision)?(?:[@:]|$)|gemini-exp|learnlm",
        max_output=8192,
        thinking="none",
        reasoning=False,
        thinking_off=True,
        signed_calls=False,
        media_resolution=False,
        call_ids=False,
    ),
    _row(
        r"gemini-2[.-]5|gemini-robotics-er-1[.-]5",
        max_output=65_535,
        thinking="budget",
        efforts=_FROM_NONE,
        thinking_off=True,
        least_budget=0,
        most_budget=24_576,
        signed_calls=False,
        media_resolution=False,
        call_ids=False,
    ),
    _row(r"gemini-2[.-]5-flash-lite", least_budget=512),
    _row(
        r"gemini-2[.-]5-pro",
        efforts=_LOW_TO_HIGH,
        thinking_off=False,
        least_budget=128,
        most_budget=32_768,
    ),
    _row(
        r"gemini-2[.-]5-(?:flash|pro).*(?:image|tts|native-audio)",
        thinking="none",
        reasoning=False,
        max_output=32_768,
    ),
    # 3 Pro knows no MEDIUM, 3.1 Pro does; only the Flash line has MINIMAL (E119).
    _row(r"gemini-3(?:[.-]0)?-pro", efforts=("low", "high")),
    _row(r"gemini-(?:[3-9][.-]?\d*-)?flash", efforts=_FROM_MINIMAL),
    _row(
        r"gemini-3.*flash.*image|nano-banana-2",
        thinking="level",
        efforts=("minimal", "high"),
        thinking_off=False,
        max_output=32_768,
    ),
    _row(r"gemini-3.*pro-image|nano-banana(?!-2)", thinking="none", reasoning=False, max_output=32_768),
    _row(r"gemma-3|gemma-2", max_output=8192, thinking="none", reasoning=False),
    _row(r"gemma-(?:[4-9]|\d\d)", max_output=32_768, thinking="level", efforts=("minimal", "high")),
)

# --- OpenAI: model pages and the reasoning guide; which words each model takes is told by its 400 ------------------------

_GPT: Final = r"(?<![a-z0-9])gpt-"
_O: Final = r"(?:^|[/.:])o"
# Reasoning models refuse max_tokens on whatever server (E087), and temperature and top_p other than 1.
_GPT_REASONS: Final[dict[str, Any]] = {
    "max_output": 128_000,
    "sampling": False,
    "max_completion_tokens": True,
}
_NO_REASONING: Final[dict[str, Any]] = {"reasoning": False, "efforts": ()}

_OPENAI: Final = (
    _row(_GPT + r"3[.]?5|gpt-35", max_output=4096, **_NO_REASONING),
    _row(_GPT + r"4(?!\d)", max_output=4096, **_NO_REASONING),
    _row(_GPT + r"(?:4o|4[.-]5(?!\d)|audio|realtime)|chatgpt-4o", max_output=16_384, **_NO_REASONING),
    _row(_GPT + r"4[.-]?1(?!\d)", max_output=32_768, **_NO_REASONING),
    _row(_GPT + r"4o(?:-mini)?-search", web_search=True, sampling=False),
    _row(
        _O + r"[1-9](?:-|@|:|$)|(?<![a-z])codex-mini",
        max_output=100_000,
        sampling=False,
        max_completion_tokens=True,
        efforts=_LOW_TO_HIGH,
    ),
    _row(_O + r"1-(?:mini|preview)", max_output=32_768, **_NO_REASONING),
    _row(_O + r"[1-9](?:-mini)?-deep-research", efforts=("medium",)),
    _row(
        _GPT + r"(?:[5-9](?!\d)|1\d(?!\d)|5[1-9](?!\d)|daybreak|rosalind)",
        efforts=_NONE_TO_MAX,
        **_GPT_REASONS,
    ),
    _row(_GPT + r"5(?![.\d])", efforts=_FROM_MINIMAL),
    _row(_GPT + r"5-codex", efforts=_LOW_TO_HIGH),
    _row(_GPT + r"5[.]?1(?!\d)", efforts=_FROM_NONE),
    _row(_GPT + r"5[.]?[2-5](?!\d)", efforts=_NONE_TO_XHIGH),
    _row(_GPT + r"5[.]?1-codex", efforts=_LOW_TO_HIGH),
    _row(_GPT + r"5[.]?(?:1-codex-max|[2-5]-codex)", efforts=_TO_XHIGH),
    _row(_GPT + r"5-pro", efforts=("high",), max_output=272_000),
    _row(_GPT + r"5[.]?[1-5]-pro", efforts=("medium", "high", "xhigh")),
    # Function tools together with reasoning: 400 "use /v1/responses" (openai-openapi#541). OpenRouter does that itself.
    _row(
        _GPT + r"(?:5[.]?(?:[4-9]|1\d)(?!\d)|[6-9](?!\d)|1\d(?!\d))",
        on="openai azure-openai openai-compatible",
        tools_need_responses=True,
    ),
    _row(_GPT + r"5-chat", max_output=16_384, sampling=True, **_NO_REASONING),
    _row(_GPT + r"5[.]?\d+-chat", max_output=16_384, efforts=("medium",), tools_need_responses=False),
    _row(_GPT + r"5-search", web_search=True, **_NO_REASONING),
    _row(r"gpt-oss", max_output=65_536, efforts=_LOW_TO_HIGH),
)

# --- others. reasoning_details: the vendor wants its reasoning_content back in tool turns --------------------------------

_OTHERS: Final = (
    # api-docs.deepseek.com/guides/thinking_mode: low, high and max; medium and xhigh are taken and mapped. V4 answers 400
    # to a tool turn that came without its reasoning_content.
    _row(r"deepseek", max_output=8192, schema_output=False, reasoning=False),
    _row(r"deepseek-(?:v3[.-][12]|reasoner|r1)", max_output=65_536),
    _row(
        r"deepseek-v(?:[4-9]|\d\d)",
        max_output=393_216,
        reasoning=True,
        efforts=_TO_MAX,
        reasoning_details=True,
    ),
    # platform.kimi.ai: thinking models fix temperature and top_p and miss their reasoning_content in tool turns; only
    # K3 has efforts (low, high, max), and its thinking is always on.
    _row(r"moonshot-v1|kimi", max_output=32_768, schema_output=False, reasoning=False),
    _row(r"moonshot-v1-8k", max_output=8192),
    _row(r"kimi-k2", max_output=131_072),
    _row(r"kimi-k2[.-](?:[5-9]|\d\d)(?!\d)|kimi-k2.*thinking", max_output=262_144, reasoning_details=True),
    _row(r"kimi-k2[.-](?:[5-9]|\d\d)(?!\d)", sampling=False),
    _row(
        r"kimi-k(?:[3-9]|\d\d)",
        max_output=1_048_576,
        reasoning=True,
        efforts=("low", "high", "max"),
        thinking_off=False,
        sampling=False,
        reasoning_details=True,
    ),
    # platform.minimax.io: M2 and later think always and want their reasoning back.
    _row(r"minimax|abab", max_output=8192, schema_output=False, reasoning=False),
    _row(r"minimax-m(?:[2-9]|\d\d)", max_output=131_072, reasoning_details=True, thinking_off=False),
    # docs.z.ai: thinking is a switch until 5.1; 5.2 and later take reasoning_effort. max_tokens above 131 072 is 400.
    _row(r"glm-", max_output=4096, schema_output=False, reasoning=False),
    _row(r"glm-4[.-]5", max_output=98_304, reasoning_details=True),
    _row(r"glm-(?:4[.-][6-9]|[5-9])", max_output=131_072, reasoning_details=True),
    _row(r"glm-(?:5[.-]?(?:[2-9]|\d\d)(?!\d)|[6-9])", reasoning=True, efforts=("low", "high", "max")),
    # help.aliyun.com/model-studio: thinking is enable_thinking, not an effort.
    _row(r"qwen|qwq|qvq", max_output=8192, schema_output=False, reasoning=False),
    _row(r"qwen-?(?:plus|flash|turbo)", max_output=16_384),
    _row(r"qwen-?3", max_output=32_768),
    _row(r"qwen-?3(?:[.-][5-9]|-max|-coder|-next)", max_output=65_536),
    # docs.x.ai/developers/model-capabilities/text/reasoning: 4.3 none to high, 4.5 without none, 4.6 with xhigh; the others
    # are chosen by name and refuse the parameter.
    _row(r"grok-", max_output=131_072, schema_output=False, reasoning=False),
    _row(r"grok-3-mini", reasoning=True, efforts=("low", "high")),
    _row(r"grok-4[.-]3(?!\d)", reasoning=True, efforts=_FROM_NONE),
    _row(r"grok-4[.-]5(?!\d)", reasoning=True, efforts=_LOW_TO_HIGH),
    _row(r"grok-(?:4[.-][6-9](?!\d)|[5-9])", reasoning=True, efforts=_TO_XHIGH),
    # docs.mistral.ai: Small 4 and Medium 3.5 take none and high; Magistral thinks always and has no parameter.
    _row(
        r"(?:mi|mini|code|dev|magi)stral|(?:mi|pi|vo)xtral",
        max_output=131_072,
        schema_output=False,
        reasoning=False,
    ),
    _row(r"magistral", max_output=40_000),
    _row(
        r"mistral-(?:small-(?:latest|260[3-9]|26[1-9])|medium-(?:latest|3[.-][5-9]|260[4-9]|26[1-9]))",
        reasoning=True,
        efforts=("none", "high"),
    ),
    _row(r"(?:^|/)(?:command|c4ai|aya)", max_output=4096, schema_output=False, reasoning=False),
    _row(r"command-a", max_output=8000),
    _row(r"command-a-reasoning", max_output=32_000, reasoning=True, efforts=("none", "high")),
    _row(r"(?:^|/)sonar|r1-1776", max_output=8000, schema_output=False, reasoning=False),
    _row(r"sonar-(?:deep-research|reasoning)", max_output=128_000, reasoning=True, efforts=_FROM_MINIMAL),
    _row(r"llama", max_output=8192, schema_output=False, reasoning=False),
    _row(r"doubao|ernie|hunyuan|spark|generalv", max_output=8192, schema_output=False, reasoning=False),
    # volcengine.com/docs/82379/1449737: minimal (no thinking) to high.
    _row(r"doubao-seed-(?:1[.-][6-9]|[2-9])", max_output=32_768, reasoning=True, efforts=_FROM_MINIMAL),
    _row(r"doubao-seed-(?:1[.-][89]|[2-9])", reasoning_details=True),
)

# --- what holds for every model of a provider -----------------------------------------------------------------------------

_BY_PROVIDER: Final = (
    _row(
        "", on="openai azure-openai", speaking="openai_chat", max_completion_tokens=True, developer_role=True
    ),
    _row(_O + r"1-(?:mini|preview)", on="openai azure-openai", developer_role=False),
    # openrouter.ai/docs: one reasoning vocabulary for all models, unsupported parameters are left out there.
    _row(
        "",
        on="openrouter",
        speaking=_OPENAI_STYLE,
        reasoning=True,
        efforts=EFFORTS,
        sampling=True,
        cache_control=True,
        reasoning_details=True,
        web_search=True,
    ),
    _row("", on="xai perplexity", web_search=True),
    # Chat's ``file`` parts with data are OpenAI's and OpenRouter's; these refuse the part.
    _row(
        "",
        on="deepseek qwen dashscope zhipu moonshot minimax xai volcengine fireworks siliconflow mistral groq together "
        "perplexity cohere baidu tencent xunfei ollama vllm",
        files=False,
    ),
    # console.groq.com/docs/reasoning: gpt-oss takes low to high, Qwen only "none" and "default", the others nothing.
    # docs.together.ai: gpt-oss too. siliconflow, baidu, tencent, xunfei: a switch of their own, no effort.
    _row("", on="groq together siliconflow baidu tencent xunfei", reasoning=False),
    _row(r"gpt-oss", on="groq together siliconflow", reasoning=True),
    # console.groq.com/docs/openai: messages with unknown members are refused.
    _row("", on="groq mistral cohere", reasoning_details=False),
    # docs.fireworks.ai, docs.ollama.com/api/openai-compatibility: for every model that thinks.
    _row("", on="fireworks ollama", reasoning=True, efforts=_FROM_NONE),
    _row(r"gpt-oss", on="fireworks ollama", efforts=_LOW_TO_HIGH),
)

TABLE: Final = (*_CLAUDE, *_GEMINI, *_OPENAI, *_OTHERS, *_BY_PROVIDER)

# --- looking up -------------------------------------------------------------------------------------------------------


def facts_for(
    provider: Provider,
    dialect: str,
    model: str,
    public_model: str = "",
    overrides: Mapping[str, object] = NOTHING,
) -> Facts:
    """What ``model`` can do on this provider when it is spoken to in ``dialect``.

    model: the upstream's id; public_model: the one the client wrote. overrides: fact name → value of one channel.
    ValueError (``overrides``) names an unknown fact or a value that cannot be.
    """
    if not overrides:
        return _facts(provider.id, dialect, model, public_model, ())
    # The type stands beside the value because True and 1 are the same key.
    key = tuple((name, type(value), _hashable(value)) for name, value in overrides.items())
    return _facts(provider.id, dialect, model, public_model, key)


@lru_cache(maxsize=4096)
def _facts(
    provider: str, dialect: str, model: str, public: str, overrides: tuple[tuple[str, type, object], ...]
) -> Facts:
    names = (model.lower(), public.lower())
    name = next(
        (name for name in names if any(row.models and row.models.search(name) for row in TABLE)), names[0]
    )
    values: dict[str, Any] = {}
    for row in TABLE:
        if (
            (not row.providers or provider in row.providers)
            and (not row.dialects or dialect in row.dialects)
            and (row.models is None or row.models.search(name))
        ):
            values.update(row.values)
    values.update(checked((name, kind, value) for name, kind, value in overrides))
    return Facts(**values)


def _hashable(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    return repr(value) if isinstance(value, dict | set) else value


_TYPES: Final[Mapping[str, Any]] = {field.name: field.type for field in msgspec.structs.fields(Facts)}
_WORDS: Final[Mapping[str, str]] = {
    "thinking": "one of none, budget, adaptive, level",
    "efforts": "a list of " + ", ".join(EFFORTS),
    "max_output": "an integer of at least 1",
    "least_budget": "an integer of at least 0",
    "most_budget": "an integer of at least 0",
}
_LEAST: Final[Mapping[str, int]] = {"max_output": 1, "least_budget": 0, "most_budget": 0}


def checked(overrides: Iterable[tuple[str, type, object]]) -> dict[str, Any]:
    """An operator's facts, (name, type as given, value), as fields of ``Facts``; ValueError for what cannot be."""
    out: dict[str, Any] = {}
    for name, kind, value in overrides:
        if name not in _TYPES:
            raise ValueError(f"facts.{name}: there is no such fact; there are {', '.join(_TYPES)}")
        wanted = _WORDS.get(name, "true or false")
        try:
            if kind in (dict, set):
                raise msgspec.ValidationError(kind.__name__)
            out[name] = msgspec.convert(value, _TYPES[name])
        except msgspec.ValidationError:
            raise ValueError(f"facts.{name}: {value!r} is not {wanted}") from None
        if name in _LEAST and out[name] < _LEAST[name]:
            raise ValueError(f"facts.{name}: {value!r} is not {wanted}")
        if name == "efforts":
            if not set(out[name]) <= set(EFFORTS):
                raise ValueError(f"facts.{name}: {list(out[name])!r} is not {wanted}")
            out[name] = tuple(word for word in EFFORTS if word in out[name])
    return out
