"""What one model on one upstream can do, as the writers need to know it.

A fact is data about a model (``providers.facts`` keeps the table, a channel may override single facts); a writer
reads facts and never looks at a model's name. The defaults describe a capable, unknown model: send what the
dialect can say and let the vendor judge.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every word for the amount of reasoning, from the least to the most."""


class Facts(Struct, frozen=True, kw_only=True):
    """max_output: the model's own limit of output tokens. thinking: how an Anthropic or Gemini model is asked to think:
    "none" (it cannot), "budget" (tokens), "adaptive" (Anthropic ≥ 4.6, effort words) or "level" (Gemini ≥ 3).
    efforts: the words it takes, in the order of ``EFFORTS``. thinking_off: thinking can be switched off.
    least_budget, most_budget: bounds of a budget in tokens.
    """

    max_output: int = 8192
    thinking: Literal["none", "budget", "adaptive", "level"] = "budget"
    efforts: tuple[str, ...] = ("low", "medium", "high")
    thinking_off: bool = True
    least_budget: int = 1024
    most_budget: int = 32_768
    reasoning: bool = True
    """OpenAI dialects: the model takes reasoning_effort / reasoning."""
    sampling: bool = True
    """It takes temperature, top_p and top_k."""
    both_sampling: bool = True
    """Anthropic: it takes temperature and top_p in one request."""
    forced_tools: bool = True
    """Anthropic: it takes a tool_choice that forces a call (any, tool)."""
    prefill: bool = True
    """A conversation may end with the beginning of the assistant's answer."""
    system_turns: bool = False
    """Anthropic: system messages may stand in the middle of a conversation."""
    schema_output: bool = True
    """Anthropic: it takes output_config.format."""
    max_completion_tokens: bool = False
    """Chat: the limit is named max_completion_tokens (OpenAI itself), not max_tokens."""
    developer_role: bool = False
    """Chat: it knows the developer role; for all others developer turns become system messages."""
    reasoning_details: bool = False
    """Chat: it takes reasoning back (reasoning_content / reasoning_details); unknown members are refused elsewhere."""
    cache_control: bool = False
    """Chat: it takes Anthropic's cache_control marks on parts (OpenRouter)."""
    web_search: bool = False
    """Chat: it takes web_search_options. The other dialects' searches are taken as given."""
    files: bool = True
    """Chat: it takes ``file`` parts with data."""
    signed_calls: bool = False
    """Gemini ≥ 3: function calls of the current turn must carry a thought signature."""
    media_resolution: bool = False
    """Gemini ≥ 3: parts take mediaResolution."""
    call_ids: bool = False
    """Gemini: functionCall and functionResponse take ``id``."""
    tools_need_responses: bool = False
    """OpenAI ≥ 5.4: function tools with reasoning are refused on chat/completions; use responses."""


def effort_of(budget: int) -> str:
    """A budget in tokens as an effort word; monotone: < 4 000 low, < 16 000 medium, < 40 000 high, then xhigh."""
    if budget <= 0:
        return "none"
    return (
        "low" if budget < 4_000 else "medium" if budget < 16_000 else "high" if budget < 40_000 else "xhigh"
    )


def budget_of(effort: str) -> int:
    """An effort word as a budget in tokens: Google's own numbers for its OpenAI layer (1 024, 8 192, 24 576)."""
    return {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}.get(effort, 32_768)


def nearest_effort(wanted: str, listed: tuple[str, ...]) -> str:
    """The word itself if it is listed, else the next lower listed one, else the lowest listed; "" if none is listed."""
    if wanted in listed or not listed:
        return wanted if listed else ""
    rank = EFFORTS.index(wanted) if wanted in EFFORTS else EFFORTS.index("medium")
    lower = [word for word in listed if EFFORTS.index(word) < rank and word != "none"]
    return lower[-1] if lower else next((word for word in listed if word != "none"), listed[0])
